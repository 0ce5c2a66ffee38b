//! From the planner's events to messages for the other processes (reference: `scheduler_components/output_streamer.py`).

mod assemble;
mod hold_back;
mod logprobs;
mod tail;

use std::time::SystemTime;

use sglang_planner::{OutputEvent, TailDecoder};
use sglang_proto::SamplingParams;
use sglang_tokenizer::Tokenizer;

use crate::SchedulerSettings;
use crate::links::Links;
pub use crate::weights::WeightVersions;
pub use assemble::{Outbox, assemble};
use hold_back::HoldBack;
use tail::TokenizerTail;

/// Sends outputs on, and holds streamed text back that may begin a stop string.
///
/// Nothing here must survive a restart: a request that is served again brings the output that its client has.
pub struct Outputs<'a> {
    hold_back: HoldBack,
    tail: TokenizerTail<'a>,
    /// Outputs go to the tokenizer manager as ids, not through the detokenizer.
    skip_tokenizer_init: bool,
    /// Outputs bring the times of their requests.
    enable_metrics: bool,
}

impl<'a> Outputs<'a> {
    /// Decodes tails with `tokenizer`; without one no stop string is ever seen.
    pub fn new(settings: &SchedulerSettings, tokenizer: Option<&'a Tokenizer>) -> Self {
        Self {
            hold_back: HoldBack::default(),
            tail: TokenizerTail::new(tokenizer),
            skip_tokenizer_init: settings.skip_tokenizer_init,
            enable_metrics: settings.enable_metrics,
        }
    }

    /// What the planner looks for stop strings with.
    pub fn tail(&mut self) -> &mut dyn TailDecoder {
        &mut self.tail
    }

    /// Starts watching a request that streams for the beginnings of its stop strings. `resumed` is the output that its
    /// client has.
    pub fn watch(&mut self, rid: &str, params: &SamplingParams, resumed: &[u32]) {
        self.hold_back.watch(rid, params, resumed);
    }

    /// Sends events to the processes that they are for. `versions` labels their tokens, and `clock` says now.
    pub fn send(
        &mut self,
        events: Vec<OutputEvent>,
        versions: &mut WeightVersions,
        clock: f64,
        links: &Links,
    ) {
        let events = self.hold_back.filter(events, &mut self.tail);
        let unix_offset = self.enable_metrics.then(|| unix_time_of(clock));
        let outbox = assemble(events, versions, unix_offset);
        for tokens in outbox.tokens {
            let link = if self.skip_tokenizer_init { &links.tokenizer } else { &links.detokenizer };
            if let Err(error) = link.send(tokens) {
                tracing::error!("Cannot send outputs: {error}");
            }
        }
        if let Some(embeddings) = outbox.embeddings
            && let Err(error) = links.tokenizer.send(embeddings)
        {
            tracing::error!("Cannot send embeddings: {error}");
        }
        for abort in outbox.aborts {
            if let Err(error) = links.tokenizer.send(abort) {
                tracing::error!("Cannot send an abort: {error}");
            }
        }
    }
}

/// What to add to the loop's clock, which says `now`, for seconds since 1970.
fn unix_time_of(now: f64) -> f64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs_f64() - now
}
