//! Compares ids and texts with those of Hugging Face's tokenizers (scripts/fixtures.d/tokenizer.py).
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;
#[path = "../../checkpoint/tests/common/mod.rs"]
mod files;

use files::{GgufWriter, Meta};
use serde_json::Value;
use sglang_tokenizer::Tokenizer;

fn ids(value: &Value) -> Vec<u32> {
    value.as_array().unwrap().iter().map(|id| id.as_u64().unwrap() as u32).collect()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

fn smollm2() -> Tokenizer {
    Tokenizer::from_path(common::smollm2()).unwrap()
}

#[test]
fn a_gguf_tokenizer_gives_the_ids_of_the_published_one() {
    let tokenizer = smollm2();
    let fixture = common::json("smollm2_tokens.json");
    let rows = fixture["texts"].as_array().unwrap();
    assert!(rows.len() >= 200);
    for row in rows {
        let found = tokenizer.encode(text(&row["text"]), true).unwrap();
        assert_eq!(found, ids(&row["ids"]), "{:?}", row["text"]);
    }
}

#[test]
fn ids_become_the_text_that_hugging_face_makes_of_them() {
    let tokenizer = smollm2();
    let fixture = common::json("smollm2_tokens.json");
    for row in fixture["texts"].as_array().unwrap() {
        let ids = ids(&row["ids"]);
        assert_eq!(tokenizer.decode(&ids, false), text(&row["decoded"]));
        assert_eq!(tokenizer.decode(&ids, false), text(&row["text"]));
        assert_eq!(tokenizer.decode(&ids, true), text(&row["without_special"]));
    }
    for row in fixture["random_ids"].as_array().unwrap() {
        assert_eq!(tokenizer.decode(&ids(&row["ids"]), true), text(&row["decoded"]));
    }
}

/// A folder with the fixture's `converted` tokenizer: the GGUF file's own as a tokenizer.json, without the digits rule.
fn folder(config: &str) -> tempfile::TempDir {
    let mut json: Value = serde_json::from_str(&smollm2().to_json().unwrap()).unwrap();
    let steps = json["pre_tokenizer"]["pretokenizers"].as_array().unwrap();
    json["pre_tokenizer"] = steps.last().unwrap().clone();
    json["truncation"] =
        serde_json::json!({"max_length": 3, "strategy": "LongestFirst", "stride": 0, "direction": "Right"});
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("tokenizer.json"), json.to_string()).unwrap();
    std::fs::write(dir.path().join("tokenizer_config.json"), config).unwrap();
    std::fs::write(dir.path().join("config.json"), r#"{"max_position_embeddings": 4096}"#).unwrap();
    dir
}

#[test]
fn a_tokenizer_json_gives_its_ids_and_its_own_truncation_is_left_out() {
    let dir = folder(
        r#"{"bos_token": {"content": "<|im_start|>"}, "eos_token": "<|im_end|>", "model_max_length": 1e30}"#,
    );
    let tokenizer = Tokenizer::from_path(dir.path()).unwrap();
    let fixture = common::json("smollm2_tokens.json");
    for row in fixture["texts"].as_array().unwrap() {
        assert_eq!(tokenizer.encode(text(&row["text"]), true).unwrap(), ids(&row["converted"]));
    }
    assert_eq!(
        (tokenizer.bos_token_id(), tokenizer.eos_token_id(), tokenizer.pad_token_id()),
        (Some(1), Some(2), None)
    );
    assert_eq!(tokenizer.model_max_length(), Some(4096));
}

#[test]
fn configured_begin_and_end_tokens_surround_a_text_only_when_special_tokens_are_added() {
    let dir = folder(
        r#"{"bos_token": "<|im_start|>", "eos_token": "<|im_end|>", "add_bos_token": true, "add_eos_token": true, "model_max_length": 77}"#,
    );
    let tokenizer = Tokenizer::from_path(dir.path()).unwrap();
    let plain = tokenizer.encode("Hi", false).unwrap();
    assert_eq!(tokenizer.encode("Hi", true).unwrap(), [&[1], plain.as_slice(), &[2]].concat());
    assert_eq!(tokenizer.model_max_length(), Some(77));
}

#[test]
fn files_that_do_not_make_a_tokenizer_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let error = || Tokenizer::from_path(dir.path()).err().unwrap().to_string();
    std::fs::write(dir.path().join("config.json"), "{}").unwrap();
    assert!(error().contains("tokenizer.json: no such file"), "{}", error());
    std::fs::write(dir.path().join("tokenizer.json"), "{}").unwrap();
    assert!(error().contains("tokenizer.json: expected a tokenizer definition"), "{}", error());
    let dir = folder(r#"{"add_bos_token": "yes"}"#);
    let error = Tokenizer::from_path(dir.path()).err().unwrap().to_string();
    assert!(
        error.contains("tokenizer_config.json: key `add_bos_token`: expected true or false, found \"yes\""),
        "{error}"
    );
}

#[test]
fn a_begin_token_that_the_vocabulary_lacks_is_added_to_it() {
    let dir = folder(r#"{"add_bos_token": true, "bos_token": "<nope>"}"#);
    let tokenizer = Tokenizer::from_path(dir.path()).unwrap();
    assert_eq!(tokenizer.encode("a", true).unwrap(), [49152, 81]);
}

#[test]
fn facts_about_the_vocabulary_are_those_of_the_file() {
    let tokenizer = smollm2();
    assert_eq!((tokenizer.vocab_size(), tokenizer.len()), (49152, 49152));
    assert_eq!(
        (tokenizer.bos_token_id(), tokenizer.eos_token_id(), tokenizer.pad_token_id()),
        (Some(1), Some(2), Some(2))
    );
    assert_eq!(tokenizer.special_ids(), (0..17).collect::<Vec<u32>>());
    assert!(tokenizer.is_byte_level() && tokenizer.is_special(2) && !tokenizer.is_special(17));
    assert_eq!(tokenizer.model_max_length(), Some(8192));
    assert_eq!(tokenizer.token_to_id("<|im_end|>"), Some(2));
    assert_eq!(
        (tokenizer.id_to_token(2).as_deref(), tokenizer.id_to_token(49152)),
        (Some("<|im_end|>"), None)
    );
    assert_eq!(tokenizer.additional_stop_ids(), [0_u32; 0]);
}

#[test]
fn the_bytes_of_tokens_make_up_the_text_even_where_a_character_is_cut() {
    let tokenizer = smollm2();
    let text = "né 日本 😀<|im_end|> \u{20000}";
    let ids = tokenizer.encode(text, false).unwrap();
    let pieces: Vec<Vec<u8>> = ids.iter().map(|id| tokenizer.id_to_bytes(*id).unwrap()).collect();
    assert!(pieces.iter().any(|p| std::str::from_utf8(p).is_err()), "no token cuts a character: {pieces:?}");
    assert_eq!(pieces.concat(), text.as_bytes());
    assert_eq!(tokenizer.id_to_bytes(u32::MAX), None);
}

/// A byte-level vocabulary of the 256 byte characters, a few merges, and control tokens at the end.
fn tiny(pre: &str) -> GgufWriter {
    let printable = |b: u8| matches!(b, b'!'..=b'~' | 0xA1..=0xAC | 0xAE..=0xFF);
    let mut shifted = 0x100_u32..;
    let mut tokens: Vec<String> = (0..=255_u8)
        .map(|b| {
            char::from_u32(if printable(b) { b.into() } else { shifted.next().unwrap() }).unwrap().to_string()
        })
        .collect();
    let merges = ["1 2", "12 3", "123 4", "a b", "Ġ a"];
    tokens.extend(merges.iter().map(|m| m.replace(' ', "")));
    tokens.extend(["abc", "<bos>", "<|eom_id|>", "[unused]"].map(str::to_owned));
    let types = (0..tokens.len())
        .map(|i| {
            if i < 262 {
                1
            } else if i < 264 {
                3
            } else {
                5
            }
        })
        .collect();
    GgufWriter::default()
        .text("general.architecture", "llama")
        .text("tokenizer.ggml.model", "gpt2")
        .text("tokenizer.ggml.pre", pre)
        .meta("tokenizer.ggml.tokens", Meta::Strings(tokens))
        .meta("tokenizer.ggml.token_type", Meta::I32s(types))
        .meta("tokenizer.ggml.merges", Meta::Strings(merges.map(str::to_owned).to_vec()))
        .meta("tokenizer.ggml.bos_token_id", Meta::U32(262))
}

fn load(writer: &GgufWriter) -> Result<Tokenizer, String> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("t.gguf");
    writer.write(&path);
    Tokenizer::from_path(&path).map_err(|e| e.to_string())
}

fn words(pre: &str, text: &str) -> Vec<String> {
    let tokenizer = load(&tiny(pre)).unwrap();
    let ids = tokenizer.encode(text, false).unwrap();
    ids.iter().map(|id| tokenizer.id_to_token(*id).unwrap()).collect()
}

#[test]
fn pre_tokenizers_cut_numbers_and_words_as_their_models_do() {
    assert_eq!(words("gpt-2", "1234"), ["1234"]);
    assert_eq!(words("smollm", "1234"), ["1", "2", "3", "4"]);
    assert_eq!(words("llama-bpe", "1234"), ["123", "4"]);
    assert_eq!(words("qwen2", "1234"), ["1", "2", "3", "4"]);
    assert_eq!(words("deepseek-v3", "1234"), ["123", "4"]);
    // Llama 3 takes a word that is a token as a whole, even if no merge produces it.
    assert_eq!(words("llama-bpe", "abc"), ["abc"]);
    assert_eq!(words("gpt-2", "abc"), ["ab", "c"]);
}

#[test]
fn trailing_control_tokens_are_added_tokens_and_unused_rows_are_none() {
    let tokenizer = load(&tiny("gpt-2")).unwrap();
    assert_eq!((tokenizer.vocab_size(), tokenizer.len()), (262, 264));
    assert_eq!(tokenizer.token_to_id("<bos>"), Some(262));
    assert_eq!(tokenizer.encode("<|eom_id|>", false).unwrap(), [263]);
    assert_eq!((tokenizer.special_ids(), tokenizer.additional_stop_ids()), (&[262, 263][..], &[263][..]));
    assert_eq!(tokenizer.id_to_token(264), None);
}

/// BPE over characters with marked spaces, as in Gemma 4's files.
fn marked(kind: &str, pre: Option<&str>) -> GgufWriter {
    let tokens =
        ["<bos>", "<unk>", "<0xC3>", "<0xA9>", "▁", "a", "b", "▁a", "ab", "\n", "\n\n"].map(str::to_owned);
    let writer = GgufWriter::default()
        .text("general.architecture", "gemma3")
        .text("tokenizer.ggml.model", kind)
        .meta("tokenizer.ggml.tokens", Meta::Strings(tokens.to_vec()))
        .meta("tokenizer.ggml.token_type", Meta::I32s(vec![3, 2, 6, 6, 1, 1, 1, 1, 1, 1, 1]))
        .meta("tokenizer.ggml.merges", Meta::Strings(["▁ a", "a b", "\n \n"].map(str::to_owned).to_vec()))
        .meta("tokenizer.ggml.bos_token_id", Meta::U32(0))
        .meta("tokenizer.ggml.unknown_token_id", Meta::U32(1));
    match pre {
        Some(pre) => writer.text("tokenizer.ggml.pre", pre),
        None => writer,
    }
}

#[test]
fn vocabularies_over_characters_mark_spaces_and_fall_back_to_bytes() {
    for (writer, bos) in [
        (marked("gemma4", None), &[0][..]),
        (marked("gpt2", Some("gemma4")), &[0]),
        (marked("gemma4", None).meta("tokenizer.ggml.add_bos_token", Meta::Bool(false)), &[0]),
        (marked("gpt2", Some("sarvam-moe")), &[]),
    ] {
        let tokenizer = load(&writer).unwrap();
        let text = "ab a\n\né  b";
        let ids = [8, 7, 10, 2, 3, 4, 4, 6];
        assert_eq!(tokenizer.encode(text, false).unwrap(), ids);
        assert_eq!(tokenizer.encode(text, true).unwrap(), [bos, &ids].concat());
        assert_eq!(tokenizer.decode(&ids, true), text);
    }
}

#[test]
fn the_begin_token_is_added_when_the_file_or_its_kind_says_so() {
    let encode = |writer: &GgufWriter| load(writer).unwrap().encode("a", true).unwrap();
    let a = u32::from(b'a');
    assert_eq!(encode(&tiny("gpt-2")), [a]);
    assert_eq!(encode(&tiny("llama-bpe")), [262, a]);
    assert_eq!(encode(&tiny("tekken")), [262, a]);
    assert_eq!(encode(&tiny("tekken").meta("tokenizer.ggml.add_bos_token", Meta::Bool(false))), [a]);
    assert_eq!(encode(&tiny("gpt-2").meta("tokenizer.ggml.add_bos_token", Meta::Bool(true))), [262, a]);
    assert_eq!(encode(&tiny("llama-bpe").meta("tokenizer.ggml.add_bos_token", Meta::Bool(false))), [a]);
}

#[test]
fn metadata_that_does_not_make_a_tokenizer_is_named() {
    let error = |change: fn(&mut GgufWriter)| {
        let mut writer = tiny("gpt-2");
        change(&mut writer);
        load(&writer).err().unwrap()
    };
    let set = |writer: &mut GgufWriter, key: &str, value: Meta| {
        writer.meta.iter_mut().find(|(k, _)| k == key).unwrap().1 = value;
    };
    assert!(
        load(&tiny("klingon"))
            .err()
            .unwrap()
            .contains("key `tokenizer.ggml.pre`: expected one of default, gpt-2")
    );
    let kind = error(|w| w.meta[1].1 = Meta::Str("t5".into()));
    assert!(kind.contains("t.gguf: key `tokenizer.ggml.model`: expected gpt2"), "{kind}");
    let mut writer = tiny("gpt-2");
    set(&mut writer, "tokenizer.ggml.merges", Meta::Strings(vec!["ab".into()]));
    let merge = load(&writer).err().unwrap();
    assert!(merge.contains("merge 0: expected two tokens with a space between, found `ab`"), "{merge}");
    set(&mut writer, "tokenizer.ggml.merges", Meta::Strings(vec!["a zz".into()]));
    assert!(load(&writer).err().unwrap().contains("zz"));
    set(&mut writer, "tokenizer.ggml.token_type", Meta::I32s(vec![1]));
    assert!(load(&writer).err().unwrap().contains("expected 265 types, one per token, found 1"));
    let mut writer = tiny("gpt-2");
    set(&mut writer, "tokenizer.ggml.bos_token_id", Meta::U32(9999));
    assert!(load(&writer).err().unwrap().contains("expected an id below 265, found 9999"));
}
