//! Compares SentencePiece vocabularies of GGUF files with a direct implementation of the algorithm.
#![allow(clippy::unwrap_used, clippy::panic)]

#[path = "../../checkpoint/tests/common/mod.rs"]
mod files;

use files::{GgufWriter, Meta};
use sglang_tokenizer::Tokenizer;

/// Tokens with scores: control tokens, a user-defined one, all bytes, letters, and words built from them.
fn vocabulary() -> Vec<(String, f32, i32)> {
    let mut out: Vec<(String, f32, i32)> = vec![
        ("<unk>".into(), 0.0, 2),
        ("<s>".into(), 0.0, 3),
        ("</s>".into(), 0.0, 3),
        ("<start_of_turn>".into(), 0.0, 3),
        ("\n\n".into(), 0.0, 4),
    ];
    out.extend((0..=255).map(|b| (format!("<0x{b:02X}>"), 0.0, 6)));
    let words = [
        "▁t",
        "he",
        "▁the",
        "er",
        "in",
        "ing",
        "▁s",
        "st",
        "▁st",
        "ri",
        "string",
        "▁string",
        "▁▁",
        "▁▁▁▁",
        "th",
        "re",
        "▁there",
        "ther",
        "é",
        "日本",
        "nn",
        "ns",
    ];
    out.extend(words.iter().enumerate().map(|(i, w)| ((*w).to_owned(), -(i as f32), 1)));
    let letters = "▁abcdefghijklmnopqrstuvwxyzTS.,日本";
    out.extend(letters.chars().enumerate().map(|(i, c)| (c.to_string(), -100.0 - i as f32, 1)));
    out
}

fn tokenizer(add_space: bool) -> Tokenizer {
    let v = vocabulary();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("spm.gguf");
    GgufWriter::default()
        .text("general.architecture", "llama")
        .text("tokenizer.ggml.model", "llama")
        .meta("tokenizer.ggml.tokens", Meta::Strings(v.iter().map(|t| t.0.clone()).collect()))
        .meta("tokenizer.ggml.scores", Meta::F32s(v.iter().map(|t| t.1).collect()))
        .meta("tokenizer.ggml.token_type", Meta::I32s(v.iter().map(|t| t.2).collect()))
        .meta("tokenizer.ggml.bos_token_id", Meta::U32(1))
        .meta("tokenizer.ggml.eos_token_id", Meta::U32(2))
        .meta("tokenizer.ggml.unknown_token_id", Meta::U32(0))
        .meta("tokenizer.ggml.add_space_prefix", Meta::Bool(add_space))
        .write(&path);
    Tokenizer::from_path(&path).unwrap()
}

/// The algorithm as SentencePiece defines it: join the adjacent pair whose union has the best score, leftmost first,
/// until no union is a token; then write what is not a token as bytes.
fn merge_by_score(text: &str) -> Vec<String> {
    let v = vocabulary();
    let find = |piece: &str| v.iter().find(|t| t.0 == piece && t.2 == 1);
    let mut pieces: Vec<String> = text.chars().map(String::from).collect();
    loop {
        let mut best: Option<(f32, usize)> = None;
        for i in 1..pieces.len() {
            if let Some(token) = find(&format!("{}{}", pieces[i - 1], pieces[i]))
                && best.is_none_or(|(score, _)| token.1 > score)
            {
                best = Some((token.1, i));
            }
        }
        let Some((_, i)) = best else { break };
        let right = pieces.remove(i);
        pieces[i - 1].push_str(&right);
    }
    let bytes = |p: &String| p.bytes().map(|b| format!("<0x{b:02X}>")).collect();
    pieces.iter().flat_map(|p| if find(p).is_some() { vec![p.clone()] } else { bytes(p) }).collect()
}

const TEXTS: [&str; 12] = [
    "the string",
    "there",
    "thering",
    " the  there",
    "strings",
    "inn",
    "    x",
    "été",
    "日本語",
    "😀 a",
    "Q.E.D",
    "a\nb",
];

#[test]
fn texts_are_merged_by_score_with_byte_fallback() {
    for add_space in [true, false] {
        let tokenizer = tokenizer(add_space);
        for text in TEXTS {
            let spaced = if add_space { format!("▁{text}") } else { text.to_owned() }.replace(' ', "▁");
            let ids = tokenizer.encode(text, false).unwrap();
            let found: Vec<_> = ids.iter().map(|id| tokenizer.id_to_token(*id).unwrap()).collect();
            assert_eq!(found, merge_by_score(&spaced), "{text:?} {add_space}");
        }
    }
}

#[test]
fn decoding_gives_the_text_back() {
    for add_space in [true, false] {
        let tokenizer = tokenizer(add_space);
        for text in TEXTS {
            let ids = tokenizer.encode(text, false).unwrap();
            assert_eq!(tokenizer.decode(&ids, false), text);
        }
    }
}

#[test]
fn control_and_user_defined_tokens_are_found_in_text_and_only_control_ones_are_special() {
    let tokenizer = tokenizer(false);
    let ids = tokenizer.encode("<start_of_turn>the\n\nthe</s>", true).unwrap();
    assert_eq!((ids[..2].to_vec(), ids[ids.len() - 1]), (vec![1, 3], 2));
    assert!(ids.contains(&4));
    assert_eq!(tokenizer.special_ids(), [1, 2, 3]);
    assert_eq!(tokenizer.decode(&ids, true), "the\n\nthe");
}

#[test]
fn byte_tokens_and_marked_spaces_give_exact_bytes() {
    let tokenizer = tokenizer(true);
    let ids = tokenizer.encode("there 😀", false).unwrap();
    let bytes: Vec<u8> = ids.iter().flat_map(|id| tokenizer.id_to_bytes(*id).unwrap()).collect();
    assert_eq!(bytes, " there 😀".as_bytes());
}
