//! Why a request is refused, in the reference's words. The tokenizer manager refuses a request before it is sent; the
//! scheduler checks again, because any process can send it one.

use std::fmt::Display;

/// The model generates text, and the request wants a vector.
pub const NOT_AN_EMBEDDING_MODEL: &str = "This model does not appear to be an embedding model by default. Please add \
                                          `--is-embedding` when launching the server or try another model.";

/// The model gives vectors, and the request wants text.
pub const NOT_A_GENERATION_MODEL: &str = "This server gives embeddings and does not generate text.";

/// The prompt has no tokens.
pub const EMPTY_INPUT_IDS: &str = "input_ids cannot be empty.";

/// `id`, given in `field`, is none of the model's `vocab_size` ids.
pub fn out_of_vocabulary(field: &str, id: impl Display, vocab_size: u32) -> String {
    format!("{field} contains out-of-vocabulary token id {id}; valid range is [0, {vocab_size}).")
}
