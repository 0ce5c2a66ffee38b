//! Official clients: Python scripts in `tests/clients` talk to a real server.

use std::io::Write as _;
use std::process::Command;

use sglang_e2e::{Server, ServerOptions};

fn run(script: &str, server: &Server) {
    run_with(script, server, &[]);
}

fn run_with(script: &str, server: &Server, more: &[&str]) {
    let python = std::env::var("SGLANG_TEST_PYTHON").unwrap_or_else(|_| "python3".into());
    let script = format!("{}/clients/{script}", env!("CARGO_MANIFEST_DIR"));
    let output = Command::new(python).arg(&script).arg(server.url("")).args(more).output().unwrap();
    let text =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && text.contains("ok"), "{script}:\n{text}\n{}", server.log_text());
}

#[test]
fn the_openai_client_is_served_sync_async_and_streaming() {
    let server = Server::start(&[]).unwrap();
    run("openai_client.py", &server);
}

#[test]
fn the_anthropic_client_is_served_sync_async_and_streaming() {
    let server = Server::start(&[]).unwrap();
    run("anthropic_client.py", &server);
}

#[test]
fn the_ollama_client_is_served_sync_async_and_streaming() {
    let server = Server::start(&[]).unwrap();
    run("ollama_client.py", &server);
}

#[test]
fn every_answer_fits_the_clients_own_models() {
    let server = Server::start(&["--tool-call-parser", "hermes", COMPACT]).unwrap();
    let embedding = Server::start(&["--is-embedding"]).unwrap();
    run_with("answer_models.py", &server, &[&embedding.url("")]);
}

/// Messages unchanged, then the names of the tools.
const PLAIN_TEMPLATE: &str = "{% for message in messages %}{{ message.content }}{% endfor %}\
    {% if tools %}[{{ tools | map(attribute='function') | map(attribute='name') | join(',') }}]{% endif %}";

#[test]
fn the_ollama_client_calls_tools_thinks_and_embeds() {
    let mut template = tempfile::NamedTempFile::with_suffix(".jinja").unwrap();
    template.write_all(PLAIN_TEMPLATE.as_bytes()).unwrap();
    let flags = ["--tool-call-parser", "hermes", "--reasoning-parser", "qwen3", "--chat-template"];
    let mut options = ServerOptions::with_args(&flags);
    options.args.push(template.path().to_str().unwrap().to_owned());
    // The worker echoes the prompt.
    let echo = env!("CARGO_BIN_EXE_sglang-echo-scheduler");
    options.env.push(("SGLANG_SCHEDULER_BIN".into(), echo.into()));
    let server = Server::start_with(&options).unwrap();
    let embedding = Server::start(&["--is-embedding"]).unwrap();
    run_with("ollama_tools.py", &server, &[&embedding.url("")]);
}

/// The same, including the calls of the history; a template that iterates over arguments needs an object.
const CALLS_TEMPLATE: &str = "{% for message in messages %}{{ message.content or '' }}\
    {% for call in message.tool_calls or [] %}<{{ call.function.name }}\
    {% for key, value in call.function.arguments.items() %} {{ key }}={{ value }}{% endfor %}>{% endfor %}{% endfor %}\
    {% if tools %}[{{ tools | length }}]{% endif %}";

#[test]
fn calls_that_go_out_come_back_from_the_clients_of_openai_anthropic_and_ollama() {
    let mut template = tempfile::NamedTempFile::with_suffix(".jinja").unwrap();
    template.write_all(CALLS_TEMPLATE.as_bytes()).unwrap();
    let mut options = ServerOptions::with_args(&["--tool-call-parser", "qwen25", "--chat-template"]);
    options.args.push(template.path().to_str().unwrap().to_owned());
    let echo = env!("CARGO_BIN_EXE_sglang-echo-scheduler");
    options.env.push(("SGLANG_SCHEDULER_BIN".into(), echo.into()));
    let server = Server::start_with(&options).unwrap();
    run("calls_client.py", &server);
}

#[test]
fn the_front_end_language_is_served_with_choices_forks_and_constraints() {
    let server = Server::start(&[]).unwrap();
    run("sglang_frontend.py", &server);
}

/// If white space is allowed, a small model can write line breaks for ever.
const COMPACT: &str = "--constrained-json-disable-any-whitespace";

#[test]
fn forced_calls_are_valid_in_every_format_for_the_clients_of_openai_and_anthropic() {
    // Tags around JSON, and tags around every argument.
    for parser in ["qwen25", "qwen3_coder"] {
        let server = Server::start(&["--tool-call-parser", parser, COMPACT]).unwrap();
        run("tools_client.py", &server);
    }
}

#[test]
fn the_openai_client_gets_keeps_and_chains_responses() {
    let server =
        Server::start(&["--tool-call-parser", "qwen25", COMPACT, "--enable-response-store"]).unwrap();
    run("responses_client.py", &server);
}

#[test]
fn langchain_is_served() {
    let server = Server::start(&["--tool-call-parser", "hermes", COMPACT]).unwrap();
    run("langchain_client.py", &server);
}

#[test]
fn litellm_is_served_sync_async_and_streaming() {
    let flags = ["--tool-call-parser", "hermes", COMPACT, "--served-model-name", "tiny"];
    let server = Server::start(&flags).unwrap();
    let embedding = Server::start(&["--is-embedding"]).unwrap();
    run_with("litellm_client.py", &server, &["tiny", &embedding.url("")]);
}

#[test]
fn the_references_own_benchmark_measures_this_server() {
    let server = Server::start(&["--enable-cache-report"]).unwrap();
    run("bench_serving.py", &server);
    drop(server);
    let server = Server::start(&["--is-embedding"]).unwrap();
    run_with("bench_serving.py", &server, &["embedding"]);
}

#[test]
fn schemathesis_finds_no_answer_outside_the_openapi_document() {
    // Answers are short, and requests for thousands of samples are refused.
    let flags = ["--context-length", "48", "--max-queued-requests", "64", "--served-model-name", "tiny"];
    let server = Server::start(&flags).unwrap();
    run("openapi_fuzz.py", &server);
}
