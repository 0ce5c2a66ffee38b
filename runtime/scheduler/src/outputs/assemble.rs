//! Builds messages from the planner's events: one `BatchTokenIDOutput` per step for the detokenizer, and an `AbortReq`
//! for each request that the reference ends with one (reference: `scheduler_components/output_streamer.py`).

use sglang_planner::{OutputEvent, ReqTimes};
use sglang_proto::messages::{
    AbortReq, BatchEmbeddingOutput, BatchTokenIDOutput, Counts, EmbeddingOutput, GenerationOutput,
    ReqTimeStats, TokenIdOutput,
};
use sglang_proto::wire::TokenIds;
use sglang_proto::{CaptureHiddenMode, HiddenStateChunk, HiddenStates};

use super::logprobs::logprobs;
use crate::weights::WeightVersions;

/// Numbers of hidden states per message: at five bytes each, half the size limit of a message. The states of one
/// request stay in one message; the planner limits their number.
const MESSAGE_NUMBERS: usize = 24 << 20;

/// The messages to send after a step.
#[derive(Debug, Default)]
pub struct Outbox {
    /// For the detokenizer: none if no request has new output, several if hidden states fill a message.
    pub tokens: Vec<BatchTokenIDOutput>,
    /// Embeddings, for the tokenizer manager: they need no detokenizer.
    pub embeddings: Option<BatchEmbeddingOutput>,
    /// For the tokenizer manager.
    pub aborts: Vec<AbortReq>,
}

/// New timestamps of a request in the form of the message; `None` if there are none or metrics are off. `offset` comes
/// from `unix_time_of`.
fn time_stats(event: &mut OutputEvent, offset: Option<f64>) -> Option<ReqTimeStats> {
    let (times, offset): (ReqTimes, f64) = (*event.times.take()?, offset?);
    let moment = |at: Option<f64>| at.map_or(0.0, |at| at + offset);
    Some(ReqTimeStats {
        scheduler_recv_time: times.received + offset,
        wait_queue_entry_time: moment(times.queued),
        forward_entry_time: moment(times.forward),
        prefill_finished_time: moment(times.prefill_finished),
        queue_duration_s: times.queue_duration,
        chunked_prefill_s: times.chunks,
    })
}

/// Sorts events into messages. `versions` labels the finished requests, whose labels are then removed. With
/// `unix_offset`, the offset from the planner's clock to Unix time, outputs contain timestamps of their requests.
pub fn assemble(events: Vec<OutputEvent>, versions: &mut WeightVersions, unix_offset: Option<f64>) -> Outbox {
    let mut aborts = Vec::new();
    let mut embedded = Vec::new();
    let mut ran = Vec::with_capacity(events.len());
    for event in events {
        // Held-back output must still be sent as text, so its abort goes with it.
        if event.via_abort_req && event.output_ids.is_empty() {
            let made = event.completion_tokens as u64;
            let weight_versions = (made > 0).then(|| versions.spans(event.rid(), made));
            versions.ended(event.rid());
            aborts.push(AbortReq {
                rid: Some(event.rid().to_owned()),
                attempt: event.request.attempt,
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
    let mut message = |events: Vec<OutputEvent>| BatchTokenIDOutput {
        rows: events.into_iter().map(|event| token_id_output(event, versions, unix_offset)).collect(),
    };
    let tokens = messages_of(ran).into_iter().map(&mut message).collect();
    let embeddings = (!embedded.is_empty()).then(|| BatchEmbeddingOutput {
        rows: embedded.into_iter().map(|event| embedding_output(event, unix_offset)).collect(),
    });
    Outbox { tokens, embeddings, aborts }
}

/// Divides events into messages. Only hidden states can fill a message.
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

/// The hidden states of an event, in the form that its request wants.
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

fn counts(event: &OutputEvent) -> Counts {
    Counts {
        prompt_tokens: event.request.prompt_tokens as u64,
        completion_tokens: event.completion_tokens as u64,
        // The tokenizer manager counts them.
        reasoning_tokens: 0,
        cached_tokens: event.cached_tokens as u64,
        num_retractions: event.retraction_count,
    }
}

fn embedding_output(mut event: OutputEvent, unix_offset: Option<f64>) -> EmbeddingOutput {
    let embedding = event.embedding.take().unwrap_or_default();
    EmbeddingOutput {
        rid: event.rid().to_owned(),
        attempt: event.request.attempt,
        counts: counts(&event),
        time_stats: time_stats(&mut event, unix_offset),
        finished_reason: event.finish_reason,
        embedding: embedding.values,
        pooled_hidden_state: embedding.pooled_hidden_state,
        ..EmbeddingOutput::default()
    }
}

fn token_id_output(
    mut event: OutputEvent,
    versions: &mut WeightVersions,
    unix_offset: Option<f64>,
) -> TokenIdOutput {
    let info = event.request.clone();
    let mut decode_ids = Vec::new();
    if event.first {
        decode_ids.extend_from_slice(&info.prompt_tail);
        decode_ids.extend_from_slice(&info.resumed_output_ids);
    }
    decode_ids.extend_from_slice(&event.output_ids);
    let weight_versions = event.finish_reason.is_some().then(|| {
        let spans = versions.spans(&info.rid, event.completion_tokens as u64);
        versions.ended(&info.rid);
        spans
    });
    TokenIdOutput {
        decode_ids: TokenIds(decode_ids),
        read_offset: (info.prompt_tail.len() + info.resumed_output_ids.len()) as u64,
        skip_special_tokens: info.skip_special_tokens,
        spaces_between_special_tokens: info.spaces_between_special_tokens,
        no_stop_trim: info.no_stop_trim,
        output: GenerationOutput {
            rid: info.rid.to_string(),
            attempt: info.attempt,
            counts: counts(&event),
            logprobs: logprobs(&event),
            hidden_states: hidden_states(&mut event),
            time_stats: time_stats(&mut event, unix_offset),
            finished_reason: event.finish_reason,
            output_ids: TokenIds(event.output_ids),
            output_offset: Some(event.output_offset as u64),
            weight_versions,
            ..GenerationOutput::default()
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sglang_planner::simulator::{NoText, SimWorker};
    use sglang_planner::{NewRequest, Planner, PlannerConfig};

    /// The first events of `n` requests, each with `numbers` numbers of hidden states.
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
    fn hidden_states_too_large_for_a_message_are_divided_by_request() {
        let sizes =
            |n, numbers| -> Vec<usize> { messages_of(events(n, numbers)).iter().map(Vec::len).collect() };
        assert_eq!(sizes(3, 10), [3]);
        assert_eq!(sizes(5, MESSAGE_NUMBERS / 2), [2, 2, 1]);
        assert_eq!(sizes(3, 2 * MESSAGE_NUMBERS), [1, 1, 1]);
        assert!(messages_of(Vec::new()).is_empty());
    }

    #[test]
    fn hidden_states_go_to_the_request_that_wants_them() {
        let mut versions = WeightVersions::new("default".into());
        let mut events = events(2, 3);
        let mut plain = (*events[1].request).clone();
        plain.return_hidden_states = CaptureHiddenMode::Null;
        events[1].request = std::sync::Arc::new(plain);
        events[1].hidden_states.clear();
        let rows = assemble(events, &mut versions, None).tokens.remove(0).rows;
        let states: Vec<_> = rows.into_iter().map(|row| row.output.hidden_states).collect();
        let vector = HiddenStateChunk::Vector(vec![0.0; 3]);
        assert_eq!(states, [Some(HiddenStates::List(vec![vector])), None]);
    }
}
