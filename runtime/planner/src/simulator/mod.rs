//! Simulation without a model: a worker whose tokens depend on the same inputs as a real model's ([`SimWorker`]),
//! random traffic ([`Traffic`]), and runs in virtual time ([`simulate`]) to compare policies.

mod run;
mod traffic;
mod worker;

pub use run::{CostModel, SimReport, simulate};
pub use traffic::{Arrival, Traffic};
pub use worker::{SimWorker, alone, embedding_alone, hidden_states};

use crate::TailDecoder;

/// A decoder for requests without stop strings: all text is empty.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoText;

impl TailDecoder for NoText {
    fn decode_tail(&mut self, _: &[u32]) -> String {
        String::new()
    }

    fn regex_matches(&mut self, _: &str, _: &str) -> Result<bool, String> {
        Ok(false)
    }
}
