//! Turns the planner's events into messages for other processes (reference: `scheduler_components/output_streamer.py`).

mod assemble;
mod hold_back;
mod logprobs;
mod tail;

use std::time::SystemTime;

use sglang_planner::{OutputEvent, TailDecoder};
use sglang_proto::SamplingParams;
use sglang_proto::messages::AbortReq;
use sglang_tokenizer::Tokenizer;

use crate::SchedulerSettings;
use crate::links::Links;
pub use crate::weights::WeightVersions;
pub use assemble::{Outbox, assemble};
use hold_back::HoldBack;
use tail::TokenizerTail;

/// Sends outputs, and holds back streamed text that may be the start of a stop string.
///
/// No state must survive a restart: a resumed request comes with the output that its client already has.
pub struct Outputs<'a> {
    hold_back: HoldBack,
    tail: TokenizerTail<'a>,
    /// Whether outputs go to the tokenizer manager as ids, without the detokenizer.
    skip_tokenizer_init: bool,
    /// Whether outputs contain timestamps of their requests.
    enable_metrics: bool,
}

impl<'a> Outputs<'a> {
    /// Decodes output tails with `tokenizer`; without one, stop strings never match.
    pub fn new(settings: &SchedulerSettings, tokenizer: Option<&'a Tokenizer>) -> Self {
        Self {
            hold_back: HoldBack::default(),
            tail: TokenizerTail::new(tokenizer),
            skip_tokenizer_init: settings.skip_tokenizer_init,
            enable_metrics: settings.enable_metrics,
        }
    }

    /// The decoder that the planner uses to find stop strings.
    pub fn tail(&mut self) -> &mut dyn TailDecoder {
        &mut self.tail
    }

    /// Starts watching a streaming request for partial stop strings. `resumed` is the output that its client already
    /// has.
    pub fn watch(&mut self, rid: &str, params: &SamplingParams, resumed: &[u32]) {
        self.hold_back.watch(rid, params, resumed);
    }

    /// Sends events to their processes. `versions` labels tokens with weight versions; `clock` gives the current time.
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
            self.send_end(abort, links);
        }
    }

    /// Sends the end of a request, without output. It takes the same path as the request's outputs, so that none of
    /// them arrives after it. If the attempt is not numbered or the detokenizer is the reference's, it goes directly to
    /// the tokenizer manager, like in the reference.
    pub fn send_end(&self, end: AbortReq, links: &Links) {
        let through =
            !self.skip_tokenizer_init && end.attempt.is_some() && links.detokenizer.reads_extension();
        let link = if through { &links.detokenizer } else { &links.tokenizer };
        if let Err(error) = link.send(end) {
            tracing::error!("Cannot send the end of a request: {error}");
        }
    }
}

/// The offset from the loop's clock, which shows `now`, to Unix time in seconds.
fn unix_time_of(now: f64) -> f64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs_f64() - now
}
