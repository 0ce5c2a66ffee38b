//! The detokenizer: receives new token ids from the scheduler, decodes them incrementally for each request, and sends
//! new text to the tokenizer manager (reference: `managers/detokenizer_manager.py`).

mod batch;
mod run;
mod states;

pub use batch::Detokenizer;
pub use run::{DetokenizerError, run};
