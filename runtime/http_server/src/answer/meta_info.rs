//! `meta_info` of an answer, with the reference's keys in the reference's order.

use serde::ser::{Serialize, SerializeMap, Serializer};
use sglang_proto::messages::{FinishReason, WeightVersionSpan};
use sglang_tokenizer_manager::state::{Finish, Output, ReqState};

use super::token_logprobs::{TextSource, TokenList, TopList};

/// The sources of `meta_info`.
pub struct MetaInfo<'a> {
    /// The request.
    pub state: &'a ReqState,
    /// Its output.
    pub output: &'a Output,
    /// First output position in output lists.
    pub from: usize,
    /// The source of token texts in log-probability lists.
    pub texts: TextSource<'a>,
    /// Label of the weights, if the scheduler does not report one.
    pub weight_version: &'a str,
    /// Whether this is the first chunk, or the only answer.
    pub first: bool,
    /// Whether to show the times of the request.
    pub with_times: bool,
}

/// The times that the scheduler reported about a generation request.
pub fn scheduler_times<M: SerializeMap>(map: &mut M, output: &Output) -> Result<(), M::Error> {
    let Some(times) = &output.times else { return Ok(()) };
    if times.wait_queue_entry_time > 0.0 {
        // Without a hierarchical cache there is nothing to wait for.
        map.serialize_entry("storage_prefetch_wait", &0.0)?;
        map.serialize_entry("storage_staging_wait", &0.0)?;
    }
    for (key, moment) in [
        ("forward_entry_time", times.forward_entry_time),
        ("prefill_finished_time", times.prefill_finished_time),
    ] {
        if moment > 0.0 {
            map.serialize_entry(key, &moment)?;
        }
    }
    map.serialize_entry("queue_time", &times.queue_duration_s)
}

/// The further times of a finished answer. `first`: nothing was sent to the client before.
pub fn own_times<M: SerializeMap>(
    map: &mut M,
    state: &ReqState,
    output: &Output,
    finish: &Finish,
    first: bool,
) -> Result<(), M::Error> {
    let timing = &state.timing;
    map.serialize_entry("request_received_ts", &timing.received_ts())?;
    if let Some(latency) = timing.first_token_latency() {
        map.serialize_entry("first_token_latency", &latency)?;
    }
    if let Some(ts) = timing.dispatched_ts() {
        map.serialize_entry("api_server_dispatch_finish_ts", &ts)?;
    }
    if !first {
        map.serialize_entry("response_sent_to_client_ts", &timing.sent_ts())?;
    }
    map.serialize_entry("request_finished_ts", &(timing.received_ts() + finish.e2e_latency))?;
    if let Some(throughput) = timing.decode_throughput(output.counts.completion_tokens) {
        map.serialize_entry("decode_throughput", &throughput)?;
    }
    Ok(())
}

/// The weight versions of an answer: those that the scheduler reported, or one span over all tokens.
pub fn weight_versions(output: &Output, default: &str) -> Vec<WeightVersionSpan> {
    let end = match &output.finish {
        Some(finish) if finish.by_abort_message => output.output_ids.len() as u64,
        _ => output.counts.completion_tokens,
    };
    match &output.weight_versions {
        Some(spans) if !spans.is_empty() => spans
            .iter()
            .filter(|s| s.start < end || s.start == 0)
            .map(|s| WeightVersionSpan { version: s.version.clone(), start: s.start, end: s.end.min(end) })
            .collect(),
        _ => vec![WeightVersionSpan { version: default.into(), start: 0, end }],
    }
}

/// The weight version that generated the last token.
fn last_version<'a>(output: &'a Output, default: &'a str) -> &'a str {
    output.weight_versions.as_ref().and_then(|spans| spans.last()).map_or(default, |s| s.version.as_str())
}

/// `finish_reason` of a request that ended without output: only the known keys.
struct ShortReason<'a>(&'a FinishReason);

impl Serialize for ShortReason<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let FinishReason::Abort { message, status_code, err_type } = self.0 else {
            return self.0.serialize(serializer);
        };
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("type", "abort")?;
        if let Some(code) = status_code {
            map.serialize_entry("status_code", code)?;
        }
        map.serialize_entry("message", message)?;
        if let Some(err_type) = err_type {
            map.serialize_entry("err_type", err_type)?;
        }
        map.end()
    }
}

impl MetaInfo<'_> {
    fn logprobs<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
        let request = &self.state.request;
        if !request.return_logprob {
            return Ok(());
        }
        let lists = &self.output.logprobs;
        let tail = |len: usize| self.from.min(len)..;
        map.serialize_entry("input_token_logprobs", &TokenList(&lists.input_token, self.texts))?;
        let output = &lists.output_token;
        map.serialize_entry("output_token_logprobs", &TokenList(&output[tail(output.len())], self.texts))?;
        map.serialize_entry("output_token_logprobs_length", &output.len())?;
        if request.top_logprobs_num > 0 {
            let output = &lists.output_top;
            map.serialize_entry("input_top_logprobs", &TopList(&lists.input_top, self.texts))?;
            map.serialize_entry("output_top_logprobs", &TopList(&output[tail(output.len())], self.texts))?;
        }
        if request.token_ids_logprob.is_some() {
            let output = &lists.output_token_ids;
            map.serialize_entry("input_token_ids_logprobs", &TopList(&lists.input_token_ids, self.texts))?;
            map.serialize_entry(
                "output_token_ids_logprobs",
                &TopList(&output[tail(output.len())], self.texts),
            )?;
        }
        Ok(())
    }

    fn ended_without_output<M: SerializeMap>(&self, map: &mut M, finish: &Finish) -> Result<(), M::Error> {
        map.serialize_entry("finish_reason", &ShortReason(&finish.reason))?;
        map.serialize_entry("weight_version", last_version(self.output, self.weight_version))?;
        map.serialize_entry("e2e_latency", &finish.e2e_latency)?;
        map.serialize_entry("weight_versions", &spans(self.output, self.weight_version))?;
        self.logprobs(map)?;
        map.serialize_entry("completion_tokens", &self.output.output_ids.len())
    }

    fn regular<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
        let output = self.output;
        let counts = &output.counts;
        map.serialize_entry("finish_reason", &output.finish.as_ref().map(|f| &f.reason))?;
        map.serialize_entry("prompt_tokens", &counts.prompt_tokens)?;
        map.serialize_entry("weight_version", last_version(output, self.weight_version))?;
        map.serialize_entry("num_retractions", &counts.num_retractions)?;
        if self.with_times {
            scheduler_times(map, output)?;
        }
        self.logprobs(map)?;
        map.serialize_entry("reasoning_tokens", &counts.reasoning_tokens)?;
        map.serialize_entry("completion_tokens", &counts.completion_tokens)?;
        map.serialize_entry("cached_tokens", &counts.cached_tokens)?;
        if output.finish.is_some() {
            map.serialize_entry("weight_versions", &spans(output, self.weight_version))?;
        }
        map.serialize_entry("cached_tokens_details", &cached_tokens_details(output))?;
        if let Some(hidden_states) = &output.hidden_states {
            map.serialize_entry("hidden_states", hidden_states)?;
        }
        map.serialize_entry("dp_rank", &output.dp_rank)?;
        if let Some(finish) = &output.finish {
            map.serialize_entry("e2e_latency", &finish.e2e_latency)?;
            if self.with_times {
                own_times(map, self.state, output, finish, self.first)?;
            }
        }
        Ok(())
    }
}

/// Where cached tokens came from; null if there were none.
pub fn cached_tokens_details(output: &Output) -> Option<serde_json::Value> {
    match &output.cached_tokens_details {
        _ if output.counts.cached_tokens == 0 => None,
        Some(details) => serde_json::to_value(details).ok(),
        None => Some(serde_json::json!({"device": output.counts.cached_tokens, "host": 0})),
    }
}

/// Weight version spans as JSON objects.
pub fn spans(output: &Output, default: &str) -> Vec<serde_json::Value> {
    weight_versions(output, default)
        .into_iter()
        .map(|s| serde_json::json!({"version": s.version, "start": s.start, "end": s.end}))
        .collect()
}

impl Serialize for MetaInfo<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("id", self.state.rid())?;
        match &self.output.finish {
            Some(finish) if finish.by_abort_message => self.ended_without_output(&mut map, finish)?,
            _ => self.regular(&mut map)?,
        }
        if self.first {
            map.serialize_entry("response_sent_to_client_ts", &self.state.timing.sent_ts())?;
        }
        map.end()
    }
}
