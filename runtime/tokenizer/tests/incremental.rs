//! Incremental detokenization: no text is lost, split, sent twice or held back for long.
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use std::sync::LazyLock;

use proptest::prelude::*;
use sglang_tokenizer::{DecodeOptions, IncrementalDecoder, StopTrim, Tokenizer};

static TOKENIZER: LazyLock<Tokenizer> = LazyLock::new(|| Tokenizer::from_path(common::smollm2()).unwrap());

/// Ids whose bytes are part of a character; random ids of the whole vocabulary seldom are.
static PARTS: LazyLock<Vec<u32>> = LazyLock::new(|| {
    let is_part = |id: &u32| TOKENIZER.id_to_bytes(*id).is_some_and(|b| std::str::from_utf8(&b).is_err());
    (0..TOKENIZER.len() as u32).filter(is_part).collect()
});

fn options(skip_special_tokens: bool) -> DecodeOptions {
    DecodeOptions { skip_special_tokens }
}

/// Feeds `ids` in steps and returns every piece; the last one comes from `finish`.
fn stream(context: &[u32], ids: &[u32], step: usize, skip: bool) -> Vec<String> {
    let mut decoder = IncrementalDecoder::new(&TOKENIZER, context, options(skip));
    let mut pieces: Vec<String> = ids.chunks(step).map(|chunk| decoder.push(&TOKENIZER, chunk)).collect();
    pieces.push(decoder.finish(&TOKENIZER, &[], StopTrim::Nothing));
    pieces
}

fn any_ids() -> impl Strategy<Value = Vec<u32>> {
    let whole = 0..TOKENIZER.len() as u32;
    let part = any::<prop::sample::Index>().prop_map(|i| *i.get(&PARTS));
    prop::collection::vec(prop_oneof![whole, part, 0..20_u32], 0..60)
}

proptest! {
    #[test]
    fn pieces_together_are_the_text_of_the_whole(ids in any_ids(), step in 1..5_usize, skip: bool) {
        let pieces = stream(&[], &ids, step, skip);
        prop_assert_eq!(pieces.concat(), TOKENIZER.decode(&ids, skip));
    }

    #[test]
    fn a_prompt_before_the_output_changes_nothing(ids in any_ids(), prompt in "[a-zé😀 ]{0,12}") {
        let context = TOKENIZER.encode(&prompt, false).unwrap();
        let window = &context[context.len().saturating_sub(5)..];
        // The window itself may begin inside a character, but it ends where the prompt's text ends.
        let whole = TOKENIZER.decode(&[window, ids.as_slice()].concat(), true);
        let before = TOKENIZER.decode(window, true);
        prop_assert_eq!(stream(window, &ids, 1, true).concat(), &whole[before.len()..]);
    }

    #[test]
    fn at_most_three_bytes_are_held_back(ids in any_ids()) {
        let mut decoder = IncrementalDecoder::new(&TOKENIZER, &[], options(false));
        let mut bytes = Vec::new();
        for id in ids {
            bytes.extend(TOKENIZER.id_to_bytes(id).unwrap());
            decoder.push(&TOKENIZER, &[id]);
            let all = String::from_utf8_lossy(&bytes);
            // At most one unfinished character is missing, which the full text shows as U+FFFD.
            let missing = all.strip_prefix(decoder.text()).unwrap();
            prop_assert!(missing.is_empty() || missing == "\u{FFFD}", "{missing:?}");
            if missing.is_empty() {
                continue;
            }
            let tail = &bytes[bytes.len().saturating_sub(3)..];
            let unfinished = (0..tail.len()).any(|i| {
                std::str::from_utf8(&tail[i..]).is_err_and(|e| e.valid_up_to() == 0 && e.error_len().is_none())
            });
            prop_assert!(unfinished, "held back for nothing: {tail:x?}");
        }
    }

    #[test]
    fn no_character_is_split(text in "\\PC{0,40}", step in 1..4_usize) {
        let ids = TOKENIZER.encode(&text, false).unwrap();
        let pieces = stream(&[], &ids, step, false);
        prop_assert_eq!(pieces.concat(), text.clone());
        let has_replacement = |text: &str| text.contains(char::REPLACEMENT_CHARACTER);
        prop_assert!(has_replacement(&text) || !pieces.iter().any(|p| has_replacement(p)));
    }
}

/// The id of a single byte.
fn byte(b: u8) -> u32 {
    (0..TOKENIZER.len() as u32).find(|id| TOKENIZER.id_to_bytes(*id).as_deref() == Some(&[b])).unwrap()
}

#[test]
fn a_character_is_sent_with_its_last_byte() {
    let mut decoder = IncrementalDecoder::new(&TOKENIZER, &[], options(true));
    let sent: Vec<String> =
        [b'a', 0xF0, 0x9F, 0x98, 0x80, b'b'].iter().map(|b| decoder.push(&TOKENIZER, &[byte(*b)])).collect();
    assert_eq!(sent, ["a", "", "", "", "😀", "b"]);
}

#[test]
fn bytes_that_cannot_become_a_character_are_sent_at_once() {
    let mut decoder = IncrementalDecoder::new(&TOKENIZER, &[], options(true));
    let sent: Vec<String> =
        [0x80, 0xE2, 0x82, b'x', 0xC3].iter().map(|b| decoder.push(&TOKENIZER, &[byte(*b)])).collect();
    assert_eq!(sent, ["\u{FFFD}", "", "", "\u{FFFD}x", ""]);
    assert_eq!(decoder.finish(&TOKENIZER, &[], StopTrim::Nothing), "\u{FFFD}");
}

#[test]
fn a_character_begun_by_the_prompt_is_completed_by_the_output() {
    let context = [byte(b'a'), byte(0xC3)];
    let mut decoder = IncrementalDecoder::new(&TOKENIZER, &context, options(true));
    assert_eq!(decoder.push(&TOKENIZER, &[byte(0xA9)]), "é");
}

#[test]
fn the_matched_stop_token_is_cut_off_unless_it_is_kept() {
    let ids = TOKENIZER.encode("one two", false).unwrap();
    let (rest, last) = ids.split_at(ids.len() - 1);
    let finish = |trim| {
        let mut decoder = IncrementalDecoder::new(&TOKENIZER, &[], options(true));
        let first = decoder.push(&TOKENIZER, rest);
        first + &decoder.finish(&TOKENIZER, last, trim)
    };
    assert_eq!(
        (finish(StopTrim::LastToken).as_str(), finish(StopTrim::Nothing).as_str()),
        ("one", "one two")
    );
}

#[test]
fn the_matched_stop_text_is_cut_off_as_far_as_it_was_not_sent() {
    let finish = |first: &str, last: &str, trim| {
        let encode = |text: &str| TOKENIZER.encode(text, false).unwrap();
        let mut decoder = IncrementalDecoder::new(&TOKENIZER, &[], options(true));
        decoder.push(&TOKENIZER, &encode(first));
        decoder.finish(&TOKENIZER, &encode(last), trim)
    };
    assert_eq!(finish("Hello ", "world. And", StopTrim::From(".")), "world");
    assert_eq!(finish("Hello ", "world. And", StopTrim::After(".")), "world.");
    assert_eq!(finish("Hello ", "world. And", StopTrim::From("?")), "world. And");
    // The stop string began in text that was already sent, which cannot be taken back.
    assert_eq!(finish("Hello EN", "D of text", StopTrim::From("END")), "");
    assert_eq!(finish("Hello EN", "D of text", StopTrim::After("END")), "D");
}

#[test]
fn text_flows_when_every_step_ends_within_a_character() {
    // A window that waits for a clean end would never advance here.
    let cycle = [byte(0xE6), byte(0x97), byte(0xA5)];
    let mut decoder = IncrementalDecoder::new(&TOKENIZER, &[cycle[0]], options(true));
    for i in 0..300 {
        let sent = decoder.push(&TOKENIZER, &[cycle[1], cycle[2], cycle[0]]);
        assert_eq!(sent, "日", "step {i}");
    }
}
