//! From the planner's events to messages: one `BatchTokenIDOutput` per step for the detokenizer, and an `AbortReq` for
//! each request that the reference ends with one (reference: `scheduler_components/output_streamer.py`).

use sglang_planner::{OutputEvent, ReqTimes};
use sglang_proto::messages::{AbortReq, BatchEmbeddingOutput, BatchTokenIDOutput, ReqTimeStats};
use sglang_proto::wire::TokenIds;
use sglang_proto::{CaptureHiddenMode, HiddenStateChunk, HiddenStates};

use super::logprobs::LogprobColumns;
use crate::weights::WeightVersions;

/// Numbers of hidden states in one message, which five bytes each bring half-way to the links' limit; those of one
/// request stay together, and the planner keeps them below that.
const MESSAGE_NUMBERS: usize = 24 << 20;

/// What goes out after a step.
#[derive(Debug, Default)]
pub struct Outbox {
    /// For the detokenizer; none when no request has anything new, several when hidden states fill one.
    pub tokens: Vec<BatchTokenIDOutput>,
    /// Vectors, for the tokenizer manager: there is nothing to decode in them.
    pub embeddings: Option<BatchEmbeddingOutput>,
    /// For the tokenizer manager.
    pub aborts: Vec<AbortReq>,
}

/// Times as they go out. `offset` is what `unix_time_of` said.
fn time_stats(times: ReqTimes, offset: f64) -> ReqTimeStats {
    let moment = |at: Option<f64>| at.map_or(0.0, |at| at + offset);
    ReqTimeStats {
        scheduler_recv_time: times.received + offset,
        wait_queue_entry_time: moment(times.queued),
        forward_entry_time: moment(times.forward),
        prefill_finished_time: moment(times.prefill_finished),
        queue_duration_s: times.queue_duration,
        chunked_prefill_s: times.chunks,
    }
}

/// The times of a batch; absent when no request has new ones, or nobody wants them.
#[derive(Debug)]
struct TimesColumn {
    offset: Option<f64>,
    times: Vec<Option<ReqTimeStats>>,
}

impl TimesColumn {
    fn new(offset: Option<f64>) -> Self {
        Self { offset, times: Vec::new() }
    }

    fn push(&mut self, event: &mut OutputEvent) {
        if let Some(offset) = self.offset {
            self.times.push(event.times.take().map(|times| time_stats(*times, offset)));
        }
    }

    fn store(self) -> Option<Vec<Option<ReqTimeStats>>> {
        self.times.iter().any(Option::is_some).then_some(self.times)
    }
}

/// Sorts events into messages. `versions` labels the finished ones and forgets them. With `unix_offset`, which makes
/// seconds since 1970 of the planner's, outputs bring the times of their requests.
pub fn assemble(events: Vec<OutputEvent>, versions: &mut WeightVersions, unix_offset: Option<f64>) -> Outbox {
    let mut aborts = Vec::new();
    let mut embedded = Vec::new();
    let mut ran = Vec::with_capacity(events.len());
    for event in events {
        // What was held back still has to go out as text, so such an end goes with it.
        if event.via_abort_req && event.output_ids.is_empty() {
            let made = event.completion_tokens as u64;
            let weight_versions = (made > 0).then(|| versions.spans(event.rid(), made));
            versions.ended(event.rid());
            aborts.push(AbortReq {
                rid: Some(event.rid().to_owned()),
                finished_reason: event.finish_reason,
                weight_versions,
                ..Default::default()
            });
        } else if event.request.is_embedding {
            embedded.push(event);
        } else {
            ran.push(event);
        }
    }
    let tokens =
        messages_of(ran).into_iter().map(|events| batch_output(events, versions, unix_offset)).collect();
    let embeddings = (!embedded.is_empty()).then(|| embedding_output(embedded, unix_offset));
    Outbox { tokens, embeddings, aborts }
}

/// Events by the message that they go in. Only hidden states can fill one.
fn messages_of(events: Vec<OutputEvent>) -> Vec<Vec<OutputEvent>> {
    if events.is_empty() {
        return Vec::new();
    }
    if events.iter().all(|event| event.hidden_states.is_empty()) {
        return vec![events];
    }
    let mut messages = vec![Vec::new()];
    let mut filled = 0;
    for event in events {
        let numbers = event.hidden_states.iter().map(num_numbers).sum::<usize>();
        if filled + numbers > MESSAGE_NUMBERS && filled > 0 {
            messages.push(Vec::new());
            filled = 0;
        }
        filled += numbers;
        if let Some(message) = messages.last_mut() {
            message.push(event);
        }
    }
    messages
}

fn num_numbers(chunk: &HiddenStateChunk) -> usize {
    match chunk {
        HiddenStateChunk::Vector(row) => row.len(),
        HiddenStateChunk::List(rows) => rows.iter().map(Vec::len).sum(),
    }
}

/// The hidden states of an event in the form of its request.
fn hidden_states(event: &mut OutputEvent) -> Option<HiddenStates> {
    let mut chunks = std::mem::take(&mut event.hidden_states);
    match event.request.return_hidden_states {
        CaptureHiddenMode::Null => None,
        CaptureHiddenMode::Full => Some(HiddenStates::List(chunks)),
        CaptureHiddenMode::Last => match chunks.pop() {
            Some(HiddenStateChunk::Vector(row)) => Some(HiddenStates::Vector(row)),
            _ => None,
        },
    }
}

fn embedding_output(events: Vec<OutputEvent>, unix_offset: Option<f64>) -> BatchEmbeddingOutput {
    let mut out = BatchEmbeddingOutput::default();
    let mut rids = Vec::with_capacity(events.len());
    let mut retractions = Vec::with_capacity(events.len());
    let mut hidden = Vec::with_capacity(events.len());
    let mut times = TimesColumn::new(unix_offset);
    for mut event in events {
        times.push(&mut event);
        let embedding = event.embedding.unwrap_or_default();
        rids.push(event.request.rid.to_string());
        out.finished_reasons.push(event.finish_reason);
        out.embeddings.push(embedding.values);
        hidden.push(embedding.pooled_hidden_state);
        out.prompt_tokens.push(event.request.prompt_tokens as u64);
        out.cached_tokens.push(event.cached_tokens as u64);
        retractions.push(event.retraction_count);
    }
    out.rids = Some(rids);
    out.retraction_counts = Some(retractions);
    out.pooled_hidden_states = hidden.iter().any(Option::is_some).then_some(hidden);
    out.req_time_stats = times.store();
    out
}

fn batch_output(
    events: Vec<OutputEvent>,
    weight_versions: &mut WeightVersions,
    unix_offset: Option<f64>,
) -> BatchTokenIDOutput {
    let mut out = BatchTokenIDOutput::default();
    let mut rids = Vec::with_capacity(events.len());
    let mut output_ids = Vec::with_capacity(events.len());
    let mut retractions = Vec::with_capacity(events.len());
    let mut offsets = Vec::with_capacity(events.len());
    let mut versions = Vec::with_capacity(events.len());
    let mut logprobs = LogprobColumns::new(events.iter().any(|e| e.request.return_logprob));
    let mut times = TimesColumn::new(unix_offset);
    let any_hidden = events.iter().any(|e| e.request.return_hidden_states.need_capture());
    out.output_hidden_states = any_hidden.then(|| Vec::with_capacity(events.len()));
    for mut event in events {
        times.push(&mut event);
        if let Some(column) = &mut out.output_hidden_states {
            column.push(hidden_states(&mut event));
        }
        let info = &event.request;
        let resumed = info.resumed_output_ids.len();
        let mut decode_ids = Vec::new();
        if event.first {
            decode_ids.extend_from_slice(&info.prompt_tail);
            decode_ids.extend_from_slice(&info.resumed_output_ids);
        }
        decode_ids.extend_from_slice(&event.output_ids);
        rids.push(info.rid.to_string());
        out.decoded_texts.push(String::new());
        out.decode_ids.push(TokenIds(decode_ids));
        out.read_offsets.push((info.prompt_tail.len() + resumed) as u64);
        out.skip_special_tokens.push(info.skip_special_tokens);
        out.spaces_between_special_tokens.push(info.spaces_between_special_tokens);
        out.no_stop_trim.push(info.no_stop_trim);
        out.prompt_tokens.push(info.prompt_tokens as u64);
        out.reasoning_tokens.push(0);
        out.completion_tokens.push(event.completion_tokens as u64);
        out.cached_tokens.push(event.cached_tokens as u64);
        retractions.push(event.retraction_count);
        offsets.push(event.output_offset as u64);
        versions.push(event.finish_reason.is_some().then(|| {
            let spans = weight_versions.spans(event.rid(), event.completion_tokens as u64);
            weight_versions.ended(event.rid());
            spans
        }));
        logprobs.push(&event);
        out.finished_reasons.push(event.finish_reason);
        output_ids.push(TokenIds(event.output_ids));
    }
    out.rids = Some(rids);
    out.output_ids = Some(output_ids);
    out.retraction_counts = Some(retractions);
    out.output_offsets = Some(offsets);
    out.weight_versions = Some(versions);
    out.req_time_stats = times.store();
    logprobs.store(&mut out);
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use sglang_planner::simulator::{NoText, SimWorker};
    use sglang_planner::{NewRequest, Planner, PlannerConfig};

    /// The first events of `n` requests, with `numbers` numbers of hidden states each.
    fn events(n: u32, numbers: usize) -> Vec<OutputEvent> {
        let config = PlannerConfig { max_total_num_tokens: 1024, ..PlannerConfig::default() };
        let mut worker = SimWorker::new(&config);
        let mut planner = Planner::new(config).unwrap();
        for i in 0..n {
            let mut request = NewRequest::new(format!("r{i}"), vec![1 + i, 2, 3]);
            request.stream = true;
            request.return_hidden_states = CaptureHiddenMode::Full;
            planner.add_request(request, 0.0).unwrap();
        }
        let batch = planner.plan(0.0).batch.unwrap();
        planner.on_result(worker.run(&batch).unwrap(), &mut NoText).unwrap();
        let mut events = planner.take_events();
        for event in &mut events {
            event.hidden_states = vec![HiddenStateChunk::Vector(vec![0.0; numbers])];
        }
        events
    }

    #[test]
    fn hidden_states_that_would_burst_a_message_are_divided_by_request() {
        let sizes =
            |n, numbers| -> Vec<usize> { messages_of(events(n, numbers)).iter().map(Vec::len).collect() };
        assert_eq!(sizes(3, 10), [3]);
        assert_eq!(sizes(5, MESSAGE_NUMBERS / 2), [2, 2, 1]);
        assert_eq!(sizes(3, 2 * MESSAGE_NUMBERS), [1, 1, 1]);
        assert!(messages_of(Vec::new()).is_empty());
    }

    #[test]
    fn the_column_is_there_only_when_somebody_wants_it() {
        let mut versions = WeightVersions::new("default".into());
        let mut events = events(2, 3);
        let mut plain = (*events[1].request).clone();
        plain.return_hidden_states = CaptureHiddenMode::Null;
        events[1].request = std::sync::Arc::new(plain);
        events[1].hidden_states.clear();
        let alone = vec![events[1].clone()];
        let column = assemble(events, &mut versions, None).tokens.remove(0).output_hidden_states.unwrap();
        let vector = HiddenStateChunk::Vector(vec![0.0; 3]);
        assert_eq!(column, [Some(HiddenStates::List(vec![vector])), None]);
        assert_eq!(assemble(alone, &mut versions, None).tokens[0].output_hidden_states, None);
    }
}
