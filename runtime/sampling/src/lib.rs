//! Samples the next token of a request from its row of f32 logits.
//!
//! Rows are sampled one at a time. The outcome depends only on the row, the [`RowState`] of the request and the
//! position, so a token does not depend on the rest of the batch. The steps have the same order as in the reference
//! (`SamplingBatchInfo.apply_logits_bias`, then `Sampler.forward` in `srt/layers/sampler.py`):
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
