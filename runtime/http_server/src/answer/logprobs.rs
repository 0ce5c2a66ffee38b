//! Log-probabilities of the tokens of a chat answer.

use serde::Serialize;
use sglang_tokenizer_manager::state::{TokenLogprob, TopLogprobs};
use sglang_tokenizer_manager::text::TextCodec;

use super::token_logprobs::token_text;

/// One of the most likely tokens at a position of a chat answer.
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
    /// One entry per token.
    pub content: Vec<ChatTokenLogprob>,
}

/// The bytes of a token. They are exact for byte-level vocabularies, in which a token may be part of a character.
fn token_bytes(codec: &dyn TextCodec, id: u32, text: &str) -> Vec<u8> {
    codec.token_bytes(id).filter(|b| !b.is_empty()).unwrap_or_else(|| text.as_bytes().to_vec())
}

impl ChoiceLogprobs {
    /// The lists for a chat answer, or for the new part of one.
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
}
