//! Log-probability lists as `/generate` shows them: `[logprob, token_id, text or null]`.

use serde::ser::{Serialize, SerializeSeq, SerializeTuple, Serializer};
use sglang_tokenizer_manager::state::{TokenLogprob, TopLogprobs};
use sglang_tokenizer_manager::text::TextCodec;

/// The codec that decodes token texts; `None` if they are not wanted.
pub type TextSource<'a> = Option<&'a dyn TextCodec>;

/// One entry of a list.
struct Entry<'a>(Option<f32>, u32, TextSource<'a>);

impl Serialize for Entry<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut tuple = serializer.serialize_tuple(3)?;
        // Written as a double, like in the reference. A value that is not finite becomes null.
        tuple.serialize_element(&self.0.map(f64::from))?;
        tuple.serialize_element(&self.1)?;
        tuple.serialize_element(&self.2.map(|codec| token_text(codec, self.1)))?;
        tuple.end()
    }
}

/// The text of one token, special or not; empty if it has none.
pub fn token_text(codec: &dyn TextCodec, id: u32) -> String {
    codec.decode(&[id], false).unwrap_or_default()
}

/// A list of tokens.
pub struct TokenList<'a>(pub &'a [TokenLogprob], pub TextSource<'a>);

impl Serialize for TokenList<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut seq = serializer.serialize_seq(Some(self.0.len()))?;
        for (value, id) in self.0 {
            seq.serialize_element(&Entry(*value, *id, self.1))?;
        }
        seq.end()
    }
}

struct Top<'a>(&'a [(f32, u32)], TextSource<'a>);

impl Serialize for Top<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut seq = serializer.serialize_seq(Some(self.0.len()))?;
        for (value, id) in self.0 {
            seq.serialize_element(&Entry(Some(*value), *id, self.1))?;
        }
        seq.end()
    }
}

/// A list of positions with several tokens each.
pub struct TopList<'a>(pub &'a [TopLogprobs], pub TextSource<'a>);

impl Serialize for TopList<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut seq = serializer.serialize_seq(Some(self.0.len()))?;
        for position in self.0 {
            seq.serialize_element(&position.as_ref().map(|top| Top(top, self.1)))?;
        }
        seq.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_triples_and_absent_values_are_null() {
        let list = TokenList(&[(None, 504), (Some(-0.5), 3), (Some(f32::NEG_INFINITY), 4)], None);
        assert_eq!(serde_json::to_string(&list).unwrap(), "[[null,504,null],[-0.5,3,null],[null,4,null]]");
        let top = TopList(&[None, Some(vec![(-1.0, 7)])], None);
        assert_eq!(serde_json::to_string(&top).unwrap(), "[null,[[-1.0,7,null]]]");
    }
}
