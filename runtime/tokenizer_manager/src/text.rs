//! The tokenizer and chat template functions that the HTTP process needs.

use serde_json::{Map, Value};

/// The tokenizer or the template rejected its input.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct TextError(pub String);

/// The form in which a template expects the content of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ContentFormat {
    /// One string.
    String,
    /// A list of parts.
    OpenAi,
}

/// Converts text to ids and back, and chat messages to text.
pub trait TextCodec: Send + Sync {
    /// Ids of a text.
    ///
    /// # Errors
    /// If the tokenizer rejects the text.
    fn encode(&self, text: &str, add_special_tokens: bool) -> Result<Vec<u32>, TextError>;

    /// Ids of two texts that a model reads as one, with the tokens around them, and the segment of each id.
    ///
    /// # Errors
    /// If the tokenizer rejects a text.
    fn encode_pair(&self, first: &str, second: &str) -> Result<(Vec<u32>, Vec<u32>), TextError>;

    /// Number of tokens in the base vocabulary, without added ones.
    fn vocab_size(&self) -> usize;

    /// Source of the chat template, if the model has one.
    fn chat_template(&self) -> Option<&str>;

    /// Text of ids.
    ///
    /// # Errors
    /// If an id is outside the vocabulary.
    fn decode(&self, ids: &[u32], skip_special_tokens: bool) -> Result<String, TextError>;

    /// The bytes of a token in a byte-level vocabulary; `None` for special tokens and other vocabularies.
    fn token_bytes(&self, id: u32) -> Option<Vec<u8>>;

    /// The token that starts a text, if the model has one.
    fn bos_token_id(&self) -> Option<u32>;

    /// The longest text in tokens, by the tokenizer's configuration.
    fn model_max_length(&self) -> Option<u64>;

    /// Whether messages can be rendered.
    fn has_chat_template(&self) -> bool;

    /// The form in which the chat template expects content.
    fn content_format(&self) -> ContentFormat;

    /// Renders messages. `kwargs` are further variables of the template.
    ///
    /// # Errors
    /// If there is no template, or it raises an exception.
    fn render_chat(
        &self,
        messages: &[Value],
        tools: Option<&[Value]>,
        add_generation_prompt: bool,
        kwargs: &Map<String, Value>,
    ) -> Result<String, TextError>;
}
