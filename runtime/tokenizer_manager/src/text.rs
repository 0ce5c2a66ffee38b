//! What the HTTP process needs of a tokenizer and a chat template.

use serde_json::{Map, Value};

/// The tokenizer or the template refused its input.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct TextError(pub String);

/// How a template wants the content of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ContentFormat {
    /// One string.
    String,
    /// The list of parts.
    OpenAi,
}

/// Text to ids and back, and chat messages to text.
pub trait TextCodec: Send + Sync {
    /// Ids of a text.
    ///
    /// # Errors
    /// When the tokenizer refuses the text.
    fn encode(&self, text: &str, add_special_tokens: bool) -> Result<Vec<u32>, TextError>;

    /// Ids of two texts that a model reads as one, with what it puts around them, and the segment of each id.
    ///
    /// # Errors
    /// When the tokenizer refuses a text.
    fn encode_pair(&self, first: &str, second: &str) -> Result<(Vec<u32>, Vec<u32>), TextError>;

    /// Tokens of the vocabulary proper, without those added beyond it.
    fn vocab_size(&self) -> usize;

    /// Source of the chat template, if the model has one.
    fn chat_template(&self) -> Option<&str>;

    /// Text of ids.
    ///
    /// # Errors
    /// An id outside the vocabulary.
    fn decode(&self, ids: &[u32], skip_special_tokens: bool) -> Result<String, TextError>;

    /// The bytes behind one token of a byte-level vocabulary; `None` for special tokens and other vocabularies.
    fn token_bytes(&self, id: u32) -> Option<Vec<u8>>;

    /// The token that starts a text, if the model has one.
    fn bos_token_id(&self) -> Option<u32>;

    /// Longest text in tokens, by the tokenizer's configuration.
    fn model_max_length(&self) -> Option<u64>;

    /// Whether messages can be rendered.
    fn has_chat_template(&self) -> bool;

    /// How the chat template wants content.
    fn content_format(&self) -> ContentFormat;

    /// Renders messages. `kwargs` are further variables of the template.
    ///
    /// # Errors
    /// There is no template, or it raises an exception.
    fn render_chat(
        &self,
        messages: &[Value],
        tools: Option<&[Value]>,
        add_generation_prompt: bool,
        kwargs: &Map<String, Value>,
    ) -> Result<String, TextError>;
}
