//! The reference's texts for refused requests. The tokenizer manager refuses a request before sending it; the scheduler
//! checks again, because any process can send it requests.

use std::fmt::Display;

/// An embedding request to a model that generates text.
pub const NOT_AN_EMBEDDING_MODEL: &str = "This model does not appear to be an embedding model by default. Please add \
                                          `--is-embedding` when launching the server or try another model.";

/// A generation request to an embedding model.
pub const NOT_A_GENERATION_MODEL: &str = "This server gives embeddings and does not generate text.";

/// The prompt has no tokens.
pub const EMPTY_INPUT_IDS: &str = "input_ids cannot be empty.";

/// `id`, given in `field`, is outside the model's `vocab_size` ids.
pub fn out_of_vocabulary(field: &str, id: impl Display, vocab_size: u32) -> String {
    format!("{field} contains out-of-vocabulary token id {id}; valid range is [0, {vocab_size}).")
}
