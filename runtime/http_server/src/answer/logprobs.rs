//! Log-probabilities in OpenAI's two forms.

use serde::Serialize;
use serde_json::{Map, Value};

use crate::response::logprobs::token_text;
use crate::state::{TokenLogprob, TopLogprobs};
use crate::text::TextCodec;

/// A token of a chat answer.
#[derive(Clone, Debug, Serialize, PartialEq)]
pub struct TopLogprob {
    token: String,
    bytes: Vec<u8>,
    logprob: Option<f64>,
}

/// A token of a chat answer with its alternatives.
#[derive(Clone, Debug, Serialize, PartialEq)]
pub struct ChatTokenLogprob {
    token: String,
    bytes: Vec<u8>,
    logprob: Option<f64>,
    top_logprobs: Vec<TopLogprob>,
}

/// `logprobs` of a chat choice.
#[derive(Clone, Debug, Serialize, PartialEq)]
pub struct ChoiceLogprobs {
    content: Vec<ChatTokenLogprob>,
}

/// The bytes behind a token: exact for byte-level vocabularies, where a token may be part of a character.
fn token_bytes(codec: &dyn TextCodec, id: u32, text: &str) -> Vec<u8> {
    codec.token_bytes(id).filter(|b| !b.is_empty()).unwrap_or_else(|| text.as_bytes().to_vec())
}

impl ChoiceLogprobs {
    /// The lists of a chat answer, or of the new part of one.
    pub fn new(codec: &dyn TextCodec, tokens: &[TokenLogprob], tops: &[TopLogprobs]) -> Self {
        let entry = |logprob: Option<f32>, id: u32| {
            let token = token_text(codec, id);
            let bytes = token_bytes(codec, id, &token);
            TopLogprob { token, bytes, logprob: logprob.map(f64::from) }
        };
        let content = tokens.iter().enumerate().map(|(i, (logprob, id))| {
            let TopLogprob { token, bytes, logprob } = entry(*logprob, *id);
            let top = tops.get(i).and_then(Option::as_ref).map(Vec::as_slice).unwrap_or_default();
            let top_logprobs = top.iter().map(|(logprob, id)| entry(Some(*logprob), *id)).collect();
            ChatTokenLogprob { token, bytes, logprob, top_logprobs }
        });
        Self { content: content.collect() }
    }
}

/// `logprobs` of a text completion.
#[derive(Clone, Debug, Default, Serialize, PartialEq)]
pub struct LogProbs {
    text_offset: Vec<i64>,
    token_logprobs: Vec<Option<f64>>,
    tokens: Vec<String>,
    top_logprobs: Vec<Option<Map<String, Value>>>,
}

/// A token's text; a part of a character is shown byte by byte as Latin-1, so that nothing is lost.
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
    /// Appends positions.
    pub fn extend(&mut self, codec: &dyn TextCodec, tokens: &[TokenLogprob], tops: &[TopLogprobs]) {
        for (logprob, id) in tokens {
            // The reference does not know the offset either.
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
    fn chat_entries_have_exact_bytes() {
        let codec = ByteCodec::default();
        let lists = ChoiceLogprobs::new(
            &codec,
            &[(Some(-0.5), 0xe4)],
            &[Some(vec![(-0.5, 0xe4), (-1.0, b'a'.into())])],
        );
        let json = serde_json::to_value(&lists).unwrap();
        assert_eq!(json["content"][0]["bytes"], serde_json::json!([0xe4]));
        assert_eq!(json["content"][0]["top_logprobs"][1]["token"], "a");
    }

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
