//! Vocabularies whose tokens are joined by special rules.
#![allow(clippy::unwrap_used, clippy::panic)]

use sglang_tokenizer::{DecodeOptions, IncrementalDecoder, StopTrim, Tokenizer};

const TOKENIZER: &str = r###"{
  "version": "1.0", "truncation": {"max_length": 2, "strategy": "LongestFirst", "stride": 0, "direction": "Right"},
  "padding": {"strategy": {"Fixed": 12}, "direction": "Right", "pad_to_multiple_of": null, "pad_id": 0, "pad_type_id": 0, "pad_token": "[PAD]"},
  "added_tokens": [
    {"id": 0, "content": "[PAD]", "single_word": false, "lstrip": false, "rstrip": false, "normalized": false, "special": true},
    {"id": 1, "content": "[UNK]", "single_word": false, "lstrip": false, "rstrip": false, "normalized": false, "special": true}
  ],
  "normalizer": {"type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true, "strip_accents": null, "lowercase": true},
  "pre_tokenizer": {"type": "BertPreTokenizer"},
  "post_processor": null,
  "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": false},
  "model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##", "max_input_chars_per_word": 100,
    "vocab": {"[PAD]": 0, "[UNK]": 1, "it": 2, "'": 3, "s": 4, "un": 5, "##break": 6, "##able": 7, ".": 8, "so": 9}}
}"###;

fn tokenizer(clean_up: bool) -> Tokenizer {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("tokenizer.json"), TOKENIZER).unwrap();
    let config = format!(r#"{{"clean_up_tokenization_spaces": {clean_up}, "pad_token": "[PAD]"}}"#);
    std::fs::write(dir.path().join("tokenizer_config.json"), config).unwrap();
    Tokenizer::from_path(dir.path()).unwrap()
}

#[test]
fn truncation_and_padding_of_the_file_are_left_out() {
    assert_eq!(tokenizer(false).encode("It's unbreakable.", true).unwrap(), [2, 3, 4, 5, 6, 7, 8]);
}

#[test]
fn spaces_before_punctuation_are_taken_back_where_the_configuration_says_so() {
    let ids = [2, 3, 4, 5, 6, 7, 8];
    assert_eq!(tokenizer(false).decode(&ids, true), "it ' s unbreakable .");
    assert_eq!(tokenizer(true).decode(&ids, true), "it's unbreakable.");
}

#[test]
fn pieces_depend_on_what_stands_before_them() {
    let tokenizer = tokenizer(false);
    let mut decoder = IncrementalDecoder::new(&tokenizer, &[9, 2], DecodeOptions::default());
    let sent: Vec<String> = [5, 6, 7, 0, 8].map(|id| decoder.push(&tokenizer, &[id])).to_vec();
    assert_eq!(sent, [" un", "break", "able", "", " ."]);
    assert_eq!(decoder.finish(&tokenizer, &[9], StopTrim::Nothing), " so");
    let whole = tokenizer.decode(&[9, 2, 5, 6, 7, 0, 8, 9], true);
    assert_eq!(whole.strip_prefix("so it"), Some(decoder.text()));
}
