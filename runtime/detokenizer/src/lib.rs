//! The detokenizer: takes the scheduler's new token ids, keeps the decoding state of every live request, and sends new
//! text to the tokenizer manager (reference: `managers/detokenizer_manager.py`).

mod batch;
mod run;
mod states;

pub use batch::Detokenizer;
pub use run::{DetokenizerError, run};
