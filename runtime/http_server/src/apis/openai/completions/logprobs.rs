//! Log-probabilities of a text completion.

use serde::Serialize;
use serde_json::{Map, Value};
use sglang_tokenizer_manager::state::{TokenLogprob, TopLogprobs};
use sglang_tokenizer_manager::text::TextCodec;

use crate::answer::token_logprobs::token_text;

/// `logprobs` of a text completion.
#[derive(Clone, Debug, Default, Serialize, PartialEq)]
pub struct LogProbs {
    text_offset: Vec<i64>,
    token_logprobs: Vec<Option<f64>>,
    tokens: Vec<String>,
    top_logprobs: Vec<Option<Map<String, Value>>>,
}

/// A token's text. Part of a character is shown byte by byte as Latin-1, so that nothing is lost.
fn lossless_text(codec: &dyn TextCodec, id: u32) -> String {
    let text = token_text(codec, id);
    if !text.contains('\u{fffd}') {
        return text;
    }
    match codec.token_bytes(id) {
        Some(bytes) if std::str::from_utf8(&bytes).is_err() => bytes.into_iter().map(char::from).collect(),
        _ => text,
    }
}

impl LogProbs {
    /// Appends the entries of further positions.
    pub fn extend(&mut self, codec: &dyn TextCodec, tokens: &[TokenLogprob], tops: &[TopLogprobs]) {
        for (logprob, id) in tokens {
            // The reference does not compute the offset either.
            self.text_offset.push(-1);
            self.token_logprobs.push(logprob.map(f64::from));
            self.tokens.push(lossless_text(codec, *id));
        }
        for top in tops {
            self.top_logprobs.push(top.as_ref().map(|top| {
                top.iter()
                    .map(|(logprob, id)| (lossless_text(codec, *id), f64::from(*logprob).into()))
                    .collect()
            }));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_codec::ByteCodec;

    #[test]
    fn parts_of_characters_are_told_apart_in_completions() {
        let codec = ByteCodec::default();
        let mut lists = LogProbs::default();
        lists.extend(&codec, &[(None, b'a'.into()), (Some(-1.0), 0xe4)], &[None, Some(vec![(-1.0, 0xe4)])]);
        let json = serde_json::to_string(&lists).unwrap();
        assert_eq!(
            json,
            r#"{"text_offset":[-1,-1],"token_logprobs":[null,-1.0],"tokens":["a","ä"],"top_logprobs":[null,{"ä":-1.0}]}"#
        );
    }
}
