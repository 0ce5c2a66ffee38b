//! Requests in flight: what was requested, the output so far, and the one event that ends each of them.

mod abort_log;
mod logprobs;
mod reasoning;
mod registry;
mod req_state;
mod timing;

pub use logprobs::{Logprobs, TokenLogprob, TopLogprobs};
pub use reasoning::ReasoningCounter;
pub use registry::{Registry, RequestHandle};
pub use req_state::{Applied, Finish, Output, ReqState};
pub use sglang_proto::messages::Counts;
pub use timing::{Timing, TokenTiming, unix_seconds};

#[cfg(test)]
pub(crate) use req_state::tests::request as test_request;
