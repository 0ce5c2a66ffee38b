//! Incremental detokenization: the text of an output that grows token by token.
//!
//! Text that has been sent never changes: a character is held back until its last byte arrives, and no longer. The
//! reference (`managers/detokenizer_manager.py`) decodes a window of ids twice per step and waits while the text ends
//! in U+FFFD. For vocabularies whose tokens are bytes, joining the bytes gives the same text, holds back at most three
//! bytes, and takes constant work per token. Other vocabularies use the window, since there a token's text depends on
//! its neighbours.

use crate::tokenizer::Tokenizer;

/// How ids are converted to text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DecodeOptions {
    /// Leave out control tokens.
    pub skip_special_tokens: bool,
}

impl Default for DecodeOptions {
    fn default() -> Self {
        Self { skip_special_tokens: true }
    }
}

/// What to cut from the end of a finished output (reference: `trim_matched_stop`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StopTrim<'a> {
    /// Nothing: the output ended by length, or its stop token is kept.
    Nothing,
    /// The last id, which is the matched stop token.
    LastToken,
    /// The first occurrence of a stop string and everything after it.
    From(&'a str),
    /// Everything after the first occurrence of a stop string (`no_stop_trim`).
    After(&'a str),
}

/// The decoding state of one request.
#[derive(Debug, Clone)]
pub struct IncrementalDecoder {
    options: DecodeOptions,
    tail: Tail,
    /// The output's text so far.
    text: String,
    /// Number of bytes of `text` that were returned.
    sent: usize,
}

/// What the ids so far leave undecided.
#[derive(Debug, Clone)]
enum Tail {
    /// The first bytes of a character, at most three.
    Bytes {
        held: Vec<u8>,
        /// No id with text has been read yet, including those of the prompt.
        at_start: bool,
    },
    /// Ids from the start of the window; those before `read_offset` have been returned.
    Window { ids: Vec<u32>, read_offset: usize },
}

impl IncrementalDecoder {
    /// Starts an output. `context` are the last ids of the prompt (schedulers send five, the reference's
    /// `INIT_INCREMENTAL_DETOKENIZATION_OFFSET`), or of the output that a resumed request has.
    pub fn new(tokenizer: &Tokenizer, context: &[u32], options: DecodeOptions) -> Self {
        let tail = if tokenizer.joins_bytes() {
            let mut bytes = Vec::new();
            for id in context {
                bytes.extend(visible_bytes(tokenizer, *id, options));
            }
            let at_start = bytes.is_empty();
            // A prompt may end inside a character that the output completes.
            let held = bytes.split_off(bytes.len() - incomplete_suffix(&bytes));
            Tail::Bytes { held, at_start }
        } else {
            Tail::Window { ids: context.to_vec(), read_offset: context.len() }
        };
        Self { options, tail, text: String::new(), sent: 0 }
    }

    /// Reads new output ids and returns the new text that can no longer change.
    pub fn push(&mut self, tokenizer: &Tokenizer, new_ids: &[u32]) -> String {
        let new_text = match &mut self.tail {
            Tail::Bytes { held, at_start } => {
                let mut bytes = std::mem::take(held);
                for id in new_ids {
                    bytes.extend(visible_bytes(tokenizer, *id, self.options));
                }
                strip_start(tokenizer, &mut bytes, at_start);
                *held = bytes.split_off(bytes.len() - incomplete_suffix(&bytes));
                String::from_utf8_lossy(&bytes).into_owned()
            }
            Tail::Window { ids, read_offset } => {
                ids.extend_from_slice(new_ids);
                let text = window_text(tokenizer, ids, *read_offset, self.options);
                if !text.is_empty() {
                    ids.drain(..*read_offset);
                    *read_offset = ids.len();
                }
                text
            }
        };
        self.text.push_str(&new_text);
        self.take_unsent()
    }

    /// Reads the last ids, cuts what `trim` says and returns the rest of the text. Incomplete characters become U+FFFD.
    /// Text that was already returned is not taken back.
    pub fn finish(&mut self, tokenizer: &Tokenizer, new_ids: &[u32], trim: StopTrim<'_>) -> String {
        let ids = match (trim, new_ids) {
            (StopTrim::LastToken, [rest @ .., _]) => rest,
            _ => new_ids,
        };
        let mut rest = self.push(tokenizer, ids);
        if let Tail::Bytes { held, .. } = &mut self.tail {
            self.text.push_str(&String::from_utf8_lossy(&std::mem::take(held)));
        }
        self.sent -= rest.len();
        let end = match trim {
            StopTrim::Nothing | StopTrim::LastToken => None,
            StopTrim::From(stop) => self.text.find(stop),
            StopTrim::After(stop) => self.text.find(stop).map(|at| at + stop.len()),
        };
        if let Some(end) = end {
            self.text.truncate(end.max(self.sent));
        }
        rest.clear();
        rest.push_str(&self.take_unsent());
        rest
    }

    /// The text so far, without what is held back.
    pub fn text(&self) -> &str {
        &self.text
    }

    fn take_unsent(&mut self) -> String {
        let new = self.text.get(self.sent..).unwrap_or_default().to_owned();
        self.sent = self.text.len();
        new
    }
}

fn visible_bytes(tokenizer: &Tokenizer, id: u32, options: DecodeOptions) -> Vec<u8> {
    if options.skip_special_tokens && tokenizer.is_special(id) {
        return Vec::new();
    }
    tokenizer.id_to_bytes(id).unwrap_or_default()
}

/// Drops the space at the start of a text, if the decoder does so.
fn strip_start(tokenizer: &Tokenizer, bytes: &mut Vec<u8>, at_start: &mut bool) {
    if *at_start && !bytes.is_empty() {
        *at_start = false;
        if tokenizer.strips_first_space() && bytes.first() == Some(&b' ') {
            bytes.remove(0);
        }
    }
}

/// Length of the suffix that is an incomplete character (0 to 3 bytes).
fn incomplete_suffix(bytes: &[u8]) -> usize {
    let start = bytes.len().saturating_sub(4);
    let last = bytes.get(start..).unwrap_or_default();
    // The last byte that is not a continuation byte starts the last sequence.
    let Some(lead) = last.iter().rposition(|b| b & 0xC0 != 0x80) else { return 0 };
    match std::str::from_utf8(last.get(lead..).unwrap_or_default()) {
        Err(e) if e.valid_up_to() == 0 && e.error_len().is_none() => last.len() - lead,
        _ => 0,
    }
}

/// The text that the ids from `read_offset` on add to the window; empty while it may still change.
fn window_text(tokenizer: &Tokenizer, ids: &[u32], read_offset: usize, options: DecodeOptions) -> String {
    let decode = |ids: &[u32]| tokenizer.decode(ids, options.skip_special_tokens);
    let before = decode(ids.get(..read_offset).unwrap_or_default()).chars().count();
    decode(ids).chars().skip(before).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_beginning_of_a_character_is_held_back() {
        let cases: [(&[u8], usize); 11] = [
            (b"", 0),
            (b"abc", 0),
            ("é".as_bytes(), 0),
            (b"a\xC3", 1),
            (b"a\xE2\x82", 2),
            (b"\xF0\x9F\x98", 3),
            ("\u{1F600}".as_bytes(), 0),
            (b"\x80\x80\x80\x80", 0),
            (b"\xFF", 0),
            (b"\xE2\x28", 0),
            (b"\xF5\x80\x80", 0),
        ];
        for (bytes, held) in cases {
            assert_eq!(incomplete_suffix(bytes), held, "{bytes:x?}");
        }
    }
}
