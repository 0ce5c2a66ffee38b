//! Holds back streamed output while its end may be the start of a stop string, so that no part of one is sent.
//!
//! Follows the reference's `Req.check_match_stop_str_prefix`. Held-back output is sent with the next event.

use std::collections::HashMap;
use std::sync::Arc;

use sglang_planner::{OutputEvent, TailDecoder};
use sglang_proto::SamplingParams;

/// One request with stop strings.
#[derive(Debug)]
struct Watched {
    stops: Vec<String>,
    /// Number of last output ids that can belong to a stop string.
    window: usize,
    tail: Vec<u32>,
    held: Option<OutputEvent>,
}

/// All active requests with stop strings.
#[derive(Debug, Default)]
pub struct HoldBack {
    watched: HashMap<Arc<str>, Watched>,
}

impl HoldBack {
    /// Starts watching a streaming request that has stop strings.
    pub fn watch(&mut self, rid: &str, params: &SamplingParams, resumed: &[u32]) {
        if params.stop_strs.0.is_empty() {
            return;
        }
        let window = usize::try_from(params.stop_str_max_len).unwrap_or(0) + 1;
        let tail = resumed[resumed.len().saturating_sub(window)..].to_vec();
        let stops = params.stop_strs.0.clone();
        self.watched.insert(rid.into(), Watched { stops, window, tail, held: None });
    }

    /// Passes events on, except those whose text may end with the start of a stop string.
    pub fn filter(&mut self, events: Vec<OutputEvent>, decoder: &mut dyn TailDecoder) -> Vec<OutputEvent> {
        events.into_iter().filter_map(|event| self.pass(event, decoder)).collect()
    }

    fn pass(&mut self, event: OutputEvent, decoder: &mut dyn TailDecoder) -> Option<OutputEvent> {
        let Some(watched) = self.watched.get_mut(event.rid()) else { return Some(event) };
        let finished = event.finish_reason.is_some();
        watched.tail.extend_from_slice(&event.output_ids);
        let excess = watched.tail.len().saturating_sub(watched.window);
        watched.tail.drain(..excess);
        let event = match watched.held.take() {
            Some(held) => merge(held, event),
            None => event,
        };
        if finished {
            self.watched.remove(event.rid());
            return Some(event);
        }
        let text = decoder.decode_tail(&watched.tail);
        if watched.stops.iter().any(|stop| ends_with_start_of(&text, stop)) {
            watched.held = Some(event);
            return None;
        }
        Some(event)
    }
}

/// Whether `text` ends with a non-empty prefix of `stop`.
fn ends_with_start_of(text: &str, stop: &str) -> bool {
    stop.char_indices().map(|(at, c)| at + c.len_utf8()).any(|end| text.ends_with(&stop[..end]))
}

/// Merges two consecutive events.
fn merge(mut earlier: OutputEvent, later: OutputEvent) -> OutputEvent {
    earlier.output_ids.extend(later.output_ids);
    earlier.output_logprobs.extend(later.output_logprobs);
    earlier.hidden_states.extend(later.hidden_states);
    earlier.input_logprobs = earlier.input_logprobs.or(later.input_logprobs);
    earlier.finish_reason = later.finish_reason;
    earlier.completion_tokens = later.completion_tokens;
    earlier.cached_tokens = later.cached_tokens;
    earlier.retraction_count = later.retraction_count;
    earlier.via_abort_req = later.via_abort_req;
    earlier.times = later.times.or(earlier.times);
    earlier
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_partial_stop_string_at_the_end_is_seen() {
        assert!(ends_with_start_of("hello ##", "###"));
        assert!(ends_with_start_of("x###", "###"));
        assert!(!ends_with_start_of("## x", "###"));
        assert!(ends_with_start_of("caf", "fé"));
        assert!(!ends_with_start_of("", "###"));
    }
}
