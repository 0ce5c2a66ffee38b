//! Choosing the next token of one request from its row of f32 logits.
//!
//! One row at a time: the outcome depends on nothing but the row, the request's own [`RowState`] and the position, so a
//! token is the same whatever else is in the batch. The order of the steps is the one of the reference's
//! `SamplingBatchInfo.apply_logits_bias` followed by `Sampler.forward` (`srt/layers/sampler.py`):
//!
//! 1. frequency and presence penalties, and the mask of `min_new_tokens`;
//! 2. repetition penalty;
//! 3. grammar mask;
//! 4. `logit_bias`;
//! 5. NaN clean-up;
//! 6. temperature and softmax;
//! 7. joint `top_k` / `top_p` filter, then `min_p`;
//! 8. a draw by Gumbel-max from a counter-based generator.

mod error;
mod filter;
mod gumbel;
mod kernels;
mod logprobs;
mod penalties;
mod row_grammar;
mod row_state;
mod sampler;
mod select;

pub use error::SamplingError;
pub use gumbel::{gumbel, murmur_hash32};
pub use logprobs::IMPOSSIBLE_LOGPROB;
pub use row_grammar::RowGrammar;
pub use row_state::RowState;
pub use sampler::{Sampled, Sampler};
