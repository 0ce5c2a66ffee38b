//! The sets whose exchanges run one after another.

use sglang_e2e::Server;

use super::harness::{NAME, replay};

#[test]
fn a_generating_server_answers_as_the_reference_did() {
    let flags = [
        "--context-length",
        "4096",
        "--max-total-tokens",
        "32768",
        "--max-running-requests",
        "16",
        "--enable-metrics",
        "--skip-server-warmup",
    ];
    let server = Server::start(&[&NAME[..], &flags].concat()).unwrap();
    replay(&server, "generate", |_| true);
}

#[test]
fn keys_cache_reports_and_incremental_streams_are_as_the_references() {
    let flags = [
        "--context-length",
        "4096",
        "--incremental-streaming-output",
        "--enable-cache-report",
        "--api-key",
        "k",
        "--admin-api-key",
        "a",
        "--page-size",
        "16",
        "--enable-metrics",
    ];
    let server = Server::start(&[&NAME[..], &flags].concat()).unwrap();
    replay(&server, "auth", |_| true);
}

#[test]
fn tools_are_called_as_by_the_reference() {
    let flags = [
        "--tool-call-parser",
        "qwen25",
        "--constrained-json-disable-any-whitespace",
        "--served-model-name",
        "tiny",
        "--context-length",
        "4096",
    ];
    replay(&Server::start(&flags).unwrap(), "tool_parser", |_| true);
}

#[test]
fn reasoning_and_kept_responses_are_as_the_references() {
    let flags = [
        "--tool-call-parser",
        "qwen25",
        "--reasoning-parser",
        "qwen3",
        "--enable-response-store",
        "--served-model-name",
        "tiny",
        "--context-length",
        "4096",
        "--disable-overlap-schedule",
    ];
    replay(&Server::start(&flags).unwrap(), "reasoning_parser", |_| true);
}
