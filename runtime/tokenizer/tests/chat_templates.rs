//! Compares renderings byte for byte with those of transformers (scripts/fixtures.d/chat_templates.py).
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;
#[path = "../../checkpoint/tests/common/mod.rs"]
mod files;

use std::collections::BTreeMap;

use files::GgufWriter;
use serde_json::{Map, Value, json};
use sglang_checkpoint::Checkpoint;
use sglang_tokenizer::chat_template::{TemplateSource, find_source, load_source, read_file};
use sglang_tokenizer::{ChatTemplate, TemplateError, Tokenizer};
use time::macros::datetime;

/// Sources by their names in the fixture; SmolLM2's comes from the model file itself.
fn sources() -> BTreeMap<String, String> {
    let mut sources = BTreeMap::new();
    for entry in std::fs::read_dir(common::fixture("templates")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let source = std::fs::read_to_string(&path).unwrap();
        if name == "python_values" {
            sources
                .extend(source.lines().enumerate().map(|(i, line)| (format!("{name}:{i}"), line.to_owned())));
        } else {
            sources.insert(name, source);
        }
    }
    let checkpoint = Checkpoint::open(common::smollm2()).unwrap();
    let found = find_source(&checkpoint).unwrap().unwrap();
    sources.insert("smollm2".to_owned(), found.choose(false).unwrap().to_owned());
    sources
}

fn compile(source: &str, special: &Value) -> ChatTemplate {
    let token = |role: &str| special[role].as_str();
    let extra = [("unk_token", token("unk_token").unwrap())];
    let clock = || datetime!(2026-03-05 04:07:09 UTC);
    ChatTemplate::with_clock(source, token("bos_token"), token("eos_token"), &extra, clock).unwrap()
}

fn render(template: &ChatTemplate, case: &Value) -> Result<String, TemplateError> {
    let mut kwargs: Map<String, Value> = case.as_object().unwrap().clone();
    let messages = kwargs.shift_remove("messages").unwrap();
    let tools = kwargs.shift_remove("tools");
    let generation = kwargs.shift_remove("add_generation_prompt").is_none_or(|v| v == true);
    let tools = tools.as_ref().map(|t| t.as_array().unwrap().as_slice());
    template.render(messages.as_array().unwrap(), tools, generation, &kwargs)
}

#[test]
fn renderings_equal_those_of_transformers() {
    let fixture = common::json("chat_templates.json");
    let sources = sources();
    let mut wrong = Vec::new();
    let expected = fixture["expected"].as_array().unwrap();
    assert!(expected.len() > 250, "{} renderings", expected.len());
    for entry in expected {
        let (name, case) = (entry["template"].as_str().unwrap(), entry["case"].as_str().unwrap());
        let template = compile(&sources[name], &fixture["special"]);
        let outcome = render(&template, &fixture["cases"][case]);
        let fits = match (&outcome, entry["text"].as_str()) {
            (Ok(text), Some(expected)) => text == expected,
            (Err(TemplateError::Raised(message)), None) => {
                entry["raised"] == true && entry["error"] == message.as_str()
            }
            (Err(TemplateError::Render(_)), None) => entry["raised"] == false,
            _ => false,
        };
        if !fits {
            wrong.push(format!("{name} / {case}\n  expected {entry}\n  found    {outcome:?}"));
        }
    }
    assert!(wrong.is_empty(), "{} of {} differ:\n{}", wrong.len(), expected.len(), wrong.join("\n"));
}

#[test]
fn the_templates_message_is_kept_when_it_refuses() {
    let template =
        ChatTemplate::new("{{ raise_exception('no ' ~ messages[0].role ~ 's, please') }}", None, None, &[]);
    let refused = template.unwrap().render(&[json!({"role": "robot"})], None, true, &Map::new());
    assert_eq!(refused, Err(TemplateError::Raised("no robots, please".to_owned())));
}

#[test]
fn a_template_that_is_not_jinja_is_refused_with_its_line() {
    let Err(TemplateError::Syntax(message)) = ChatTemplate::new("a\n{% if x %}\n{{ }}", None, None, &[])
    else {
        panic!("compiled");
    };
    assert!(message.contains("line 3"), "{message}");
}

#[test]
fn a_failing_expression_is_refused_with_its_line() {
    let template = ChatTemplate::new("a\n{{ messages[0].content + 1 }}", None, None, &[]).unwrap();
    let refused = template.render(&[json!({"content": "x"})], None, true, &Map::new());
    let Err(TemplateError::Render(message)) = refused else { panic!("{refused:?}") };
    assert!(message.contains("line 2"), "{message}");
}

#[test]
fn the_tokenizers_special_tokens_are_variables() {
    let tokenizer = Tokenizer::from_path(common::smollm2()).unwrap();
    let source = "{{ bos_token }}{{ eos_token }}{{ unk_token }}{{ pad_token }}{{ mask_token }}";
    let template = ChatTemplate::for_tokenizer(source, &tokenizer).unwrap();
    let text = template.render(&[], None, true, &Map::new()).unwrap();
    assert_eq!(text, "<|im_start|><|im_end|><|endoftext|><|im_end|>");
}

#[test]
fn templates_are_found_in_every_place_that_folders_have() {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
    let find = || find_source(&Checkpoint::open(dir.path()).unwrap()).unwrap();
    write("config.json", "{}");
    assert_eq!(find(), None);
    write(
        "tokenizer_config.json",
        r#"{"chat_template": [{"name": "default", "template": "D"}, {"name": "tool_use", "template": "T"}]}"#,
    );
    let named = find().unwrap();
    assert_eq!((named.choose(false).unwrap(), named.choose(true).unwrap()), ("D", "T"));
    write("tokenizer_config.json", r#"{"chat_template": "one"}"#);
    assert_eq!(find().unwrap().choose(true).unwrap(), "one");
    write("chat_template.json", r#"{"chat_template": "two"}"#);
    assert_eq!(find().unwrap().choose(false).unwrap(), "two");
    write("chat_template.jinja", "three\n");
    assert_eq!(find().unwrap().choose(false).unwrap(), "three\n");
}

#[test]
fn named_templates_of_a_folder_are_used_with_tools_or_when_chosen() {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
    write("config.json", "{}");
    write("tokenizer_config.json", r#"{"chat_template": "D"}"#);
    std::fs::create_dir(dir.path().join("additional_chat_templates")).unwrap();
    write("additional_chat_templates/tool_use.jinja", "T");
    write("additional_chat_templates/rag.jinja", "R\r\n");
    write("additional_chat_templates/notes.txt", "no template");
    let checkpoint = Checkpoint::open(dir.path()).unwrap();
    let all = load_source(None, None, &checkpoint).unwrap().unwrap();
    assert_eq!((all.choose(false).unwrap(), all.choose(true).unwrap()), ("D", "T"));
    write("chat_template.jinja", "J");
    assert_eq!(load_source(None, None, &checkpoint).unwrap().unwrap().choose(false).unwrap(), "J");
    for (name, text) in [("default", "J"), ("tool_use", "T"), ("rag", "R\n")] {
        let one = load_source(None, Some(name), &checkpoint).unwrap().unwrap();
        assert_eq!((one.choose(false).unwrap(), one.choose(true).unwrap()), (text, text));
    }
    let refused = load_source(None, Some("nope"), &checkpoint).unwrap_err().to_string();
    assert_eq!(
        refused,
        "--hf-chat-template-name: expected one of the model's chat templates (default, rag, tool_use), found nope"
    );
}

#[test]
fn named_templates_of_a_gguf_file_are_found_by_their_keys() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("t.gguf");
    GgufWriter::default()
        .text("general.architecture", "llama")
        .text("tokenizer.chat_template", "D\r\n")
        .text("tokenizer.chat_template.rag", "R")
        .text("tokenizer.chat_template.tool_use", "T")
        .write(&path);
    let checkpoint = Checkpoint::open(&path).unwrap();
    let all = load_source(None, None, &checkpoint).unwrap().unwrap();
    assert_eq!((all.choose(false).unwrap(), all.choose(true).unwrap()), ("D\n", "T"));
    let one = load_source(None, Some("rag"), &checkpoint).unwrap().unwrap();
    assert_eq!(one.choose(true).unwrap(), "R");
}

/// Jinja2's rendering of this template, which mixes the line ends of three systems.
const LINE_ENDS: &str = "a\r\nb\rc\nd{{ 'x\r\ny\rz' }}\r\n{% if true %}\r\n  e\r\n{% endif %}\r\n";
const LINE_ENDS_RENDERED: &str = "a\nb\nc\ndx\ny\nz\n  e\n";

#[test]
fn line_ends_of_templates_are_those_of_jinja2_wherever_the_template_stands() {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
    write("config.json", "{}");
    let render =
        |text: &str| ChatTemplate::new(text, None, None, &[]).unwrap().render(&[], None, true, &Map::new());
    assert_eq!(render(LINE_ENDS).unwrap(), LINE_ENDS_RENDERED);
    let of_folder = || {
        let found = find_source(&Checkpoint::open(dir.path()).unwrap()).unwrap().unwrap();
        assert!(found.named.iter().all(|(_, text)| !text.contains('\r')), "{found:?}");
        render(found.choose(false).unwrap()).unwrap()
    };
    write("tokenizer_config.json", &json!({"chat_template": LINE_ENDS}).to_string());
    assert_eq!(of_folder(), LINE_ENDS_RENDERED);
    write(
        "tokenizer_config.json",
        &json!({"chat_template": [{"name": "default", "template": LINE_ENDS}]}).to_string(),
    );
    assert_eq!(of_folder(), LINE_ENDS_RENDERED);
    write("chat_template.json", &json!({"chat_template": LINE_ENDS}).to_string());
    assert_eq!(of_folder(), LINE_ENDS_RENDERED);
    write("chat_template.jinja", LINE_ENDS);
    assert_eq!(of_folder(), LINE_ENDS_RENDERED);
    write("mine.jinja", &format!("\r\n{LINE_ENDS}\r\n"));
    let mine = read_file(&dir.path().join("mine.jinja")).unwrap();
    assert_eq!(render(mine.choose(false).unwrap()).unwrap(), LINE_ENDS_RENDERED);
}

#[test]
fn templates_without_a_default_are_refused_by_name() {
    let source = TemplateSource { named: vec![("rag".to_owned(), "x".to_owned())] };
    assert_eq!(
        source.choose(false).unwrap_err().to_string(),
        "expected a chat template named default, found rag; --hf-chat-template-name chooses one"
    );
}

#[test]
fn a_template_file_is_read_as_the_reference_reads_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("mine.jinja");
    std::fs::write(&path, "\n\nA\\nB\n").unwrap();
    assert_eq!(read_file(&path).unwrap().choose(false).unwrap(), "A\nB");
    let missing = read_file(&dir.path().join("chatml")).unwrap_err().to_string();
    assert!(missing.contains("chatml: expected a .jinja or .json file"), "{missing}");
    let json = dir.path().join("t.json");
    std::fs::write(&json, r#"{"chat_template": 5}"#).unwrap();
    assert!(read_file(&json).unwrap_err().to_string().contains("key `chat_template`"));
}

#[test]
fn loops_over_content_make_a_template_take_parts() {
    let takes = |name: &str| {
        let source = std::fs::read_to_string(common::fixture("templates").join(name)).unwrap();
        ChatTemplate::new(&source, None, None, &[]).unwrap().takes_content_parts()
    };
    assert!(takes("gemma3.jinja"));
    assert!(!takes("qwen25.jinja") && !takes("llama31.jinja") && !takes("mistral_v3.jinja"));
}
