//! Compares the tokens that files beside tokenizer.json add with transformers' AutoTokenizer
//! (scripts/fixtures.d/added_tokens.py).
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;
#[path = "../../checkpoint/tests/common/mod.rs"]
mod files;

use std::collections::BTreeMap;

use files::{GgufWriter, Meta};
use serde_json::{Value, json};
use sglang_tokenizer::{DecodeOptions, IncrementalDecoder, StopTrim, Tokenizer};

fn write(dir: &tempfile::TempDir, name: &str, value: &Value) {
    std::fs::write(dir.path().join(name), value.to_string()).unwrap();
}

/// A folder with this tokenizer.json and these files.
fn folder(tokenizer: &Value, files: &Value) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    write(&dir, "config.json", &json!({}));
    write(&dir, "tokenizer.json", tokenizer);
    for (name, value) in files.as_object().unwrap() {
        write(&dir, name, value);
    }
    dir
}

fn ids(value: &Value) -> Vec<u32> {
    value.as_array().unwrap().iter().map(|id| id.as_u64().unwrap() as u32).collect()
}

/// The text that the detokenizer process sends for the ids, one at a time.
fn streamed(tokenizer: &Tokenizer, ids: &[u32], skip_special_tokens: bool) -> String {
    let options = DecodeOptions { skip_special_tokens };
    let mut decoder = IncrementalDecoder::new(tokenizer, &[], options);
    let mut text: String = ids.iter().map(|id| decoder.push(tokenizer, &[*id])).collect();
    text.push_str(&decoder.finish(tokenizer, &[], StopTrim::Nothing));
    text
}

#[test]
fn companion_files_add_the_tokens_that_transformers_adds() {
    let fixture = common::json("added_tokens.json");
    let rows = fixture["rows"].as_array().unwrap();
    assert!(rows.len() >= 30, "{} folders", rows.len());
    let mut wrong = Vec::new();
    for row in rows {
        let dir = folder(&fixture["tokenizer"], &row["files"]);
        let tokenizer = Tokenizer::from_path(dir.path()).unwrap();
        let roles: BTreeMap<_, _> =
            tokenizer.special_tokens().map(|(r, t)| (r.to_owned(), json!(t))).collect();
        let expected: BTreeMap<_, _> = row["roles"].as_object().unwrap().clone().into_iter().collect();
        if (tokenizer.len() as u64, &roles) != (row["size"].as_u64().unwrap(), &expected) {
            wrong.push(format!(
                "{}: {} tokens, {roles:?}; expected {}, {expected:?}",
                row["case"],
                tokenizer.len(),
                row["size"]
            ));
        }
        for (i, text) in fixture["texts"].as_array().unwrap().iter().enumerate() {
            let expected = ids(&row["ids"][i]);
            let found = tokenizer.encode(text.as_str().unwrap(), false).unwrap();
            if found != expected {
                wrong.push(format!("{}: {text}: {found:?}; expected {expected:?}", row["case"]));
            }
            for (skip, key) in [(false, "decoded"), (true, "skipped")] {
                let (whole, stream) =
                    (tokenizer.decode(&expected, skip), streamed(&tokenizer, &expected, skip));
                if row[key][i] != whole.as_str() || whole != stream {
                    let expected = &row[key][i];
                    wrong.push(format!(
                        "{}: {key} {text}: {whole:?}, {stream:?}; expected {expected}",
                        row["case"]
                    ));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn a_token_of_the_configuration_alone_gets_the_id_after_the_vocabulary() {
    let smollm2 = Tokenizer::from_path(common::smollm2()).unwrap();
    let json: Value = serde_json::from_str(&smollm2.to_json().unwrap()).unwrap();
    let config = json!({"added_tokens_decoder": {"49152": {"content": "<|new|>", "special": true}}});
    let dir = folder(&json, &json!({"tokenizer_config.json": config}));
    let tokenizer = Tokenizer::from_path(dir.path()).unwrap();
    assert_eq!(tokenizer.encode("a<|new|>b", false).unwrap(), [81, 49152, 82]);
    assert_eq!((tokenizer.decode(&[81, 49152, 82], true), tokenizer.len()), ("ab".to_owned(), 49153));
    assert!(tokenizer.is_special(49152));
}

#[test]
fn companion_files_that_cannot_be_read_are_named() {
    let fixture = common::json("added_tokens.json");
    let error = |files: Value| {
        let dir = folder(&fixture["tokenizer"], &files);
        Tokenizer::from_path(dir.path()).err().unwrap().to_string()
    };
    let config = |key: &str, value: Value| error(json!({"tokenizer_config.json": {key: value}}));
    for (found, expected) in [
        (
            config("added_tokens_decoder", json!({"x": {"content": "a"}})),
            "key `added_tokens_decoder`: expected ids as keys",
        ),
        (
            config("added_tokens_decoder", json!({"300": "a"})),
            "key `added_tokens_decoder.300`: expected an object with `content`",
        ),
        (
            config("added_tokens_decoder", json!({"300": {"content": 5}})),
            "expected a token's text under `content`",
        ),
        (
            config("added_tokens_decoder", json!({"300": {"content": "a", "special": 1}})),
            "key `added_tokens_decoder.300.special`",
        ),
        (config("added_tokens_decoder", json!([])), "expected an object of tokens by id"),
        (config("extra_special_tokens", json!("a")), "key `extra_special_tokens`: expected a list"),
        (
            config("additional_special_tokens", json!([5])),
            "key `additional_special_tokens`: expected a token's text",
        ),
        (config("eos_token", json!(5)), "key `eos_token`: expected a token's text"),
        (error(json!({"tokenizer_config.json": []})), "tokenizer_config.json: expected an object"),
        (error(json!({"added_tokens.json": {"<a>": -1}})), "added_tokens.json: key `<a>`: expected an id"),
        (error(json!({"added_tokens.json": []})), "added_tokens.json: expected an object of ids by token"),
        (
            error(json!({"special_tokens_map.json": {"eos_token": 5}})),
            "special_tokens_map.json: key `eos_token`",
        ),
    ] {
        assert!(found.contains(expected), "{found}\n  expected {expected}");
    }
}

#[test]
fn tokens_that_end_a_turn_are_skipped_whatever_type_a_gguf_file_gives_them() {
    let tokens = ["a", "b", "<end>", "<turn>", "<tool>"].map(str::to_owned).to_vec();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("t.gguf");
    GgufWriter::default()
        .text("general.architecture", "llama")
        .text("tokenizer.ggml.model", "gpt2")
        .meta("tokenizer.ggml.tokens", Meta::Strings(tokens))
        .meta("tokenizer.ggml.token_type", Meta::I32s(vec![1, 1, 1, 4, 4]))
        .meta("tokenizer.ggml.merges", Meta::Strings(Vec::new()))
        .meta("tokenizer.ggml.eos_token_id", Meta::U32(2))
        .meta("tokenizer.ggml.eot_token_id", Meta::U32(3))
        .write(&path);
    let tokenizer = Tokenizer::from_path(&path).unwrap();
    assert_eq!(tokenizer.special_ids(), [2, 3]);
    assert_eq!(tokenizer.encode("a<end>b<turn><tool>", false).unwrap(), [0, 2, 1, 3, 4]);
    assert_eq!(tokenizer.decode(&[0, 2, 1, 3, 4], true), "ab<tool>");
}
