//! What a token costs on its way back, in allocations: from the scheduler's events to a frame, to the detokenizer's rows and
//! text and frame, to the tokenizer manager's rows.
#![allow(unsafe_code, clippy::unwrap_used, clippy::panic)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::Arc;

use sglang_detokenizer::Detokenizer;
use sglang_planner::{OutputEvent, RequestInfo};
use sglang_proto::CaptureHiddenMode;
use sglang_proto::forward::{PositionLogprobs, TokenLogprob};
use sglang_proto::messages::{AnyMessage, Attempt, Receivable};
use sglang_proto::wire::{Origin, Role};
use sglang_scheduler::outputs::{WeightVersions, assemble};
use sglang_tokenizer::Tokenizer;

thread_local! {
    static COUNT: Cell<u64> = const { Cell::new(0) };
}

/// The system's allocator, counting what each thread asks of it.
struct Counting;

// SAFETY: every call is passed on unchanged; counting touches only a thread-local without a destructor.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        COUNT.set(COUNT.get() + 1);
        // SAFETY: the caller's promise is ours.
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise is ours.
        unsafe { System.dealloc(at, layout) }
    }
    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        COUNT.set(COUNT.get() + 1);
        // SAFETY: the caller's promise is ours.
        unsafe { System.realloc(at, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn counted<T>(what: impl FnOnce() -> T) -> (T, u64) {
    let before = COUNT.get();
    let done = what();
    (done, COUNT.get() - before)
}

const REQUESTS: usize = 32;

fn info(i: usize, logprobs: bool) -> Arc<RequestInfo> {
    Arc::new(RequestInfo {
        rid: format!("request-{i:04}").into(),
        prompt_tokens: 100,
        attempt: Some(Attempt { life: 1, number: 1 + i as u64 }),
        prompt_tail: vec![504, 253, 2743, 282, 260],
        resumed_output_ids: Vec::new(),
        stream: true,
        return_logprob: logprobs,
        top_logprobs_num: if logprobs { 2 } else { 0 },
        token_ids_logprob: None,
        return_hidden_states: CaptureHiddenMode::Null,
        skip_special_tokens: true,
        spaces_between_special_tokens: true,
        no_stop_trim: false,
        is_embedding: false,
    })
}

fn event(info: &Arc<RequestInfo>, step: usize) -> OutputEvent {
    let id = 260 + step as u32;
    let top = [id, 7].map(|id| TokenLogprob { id, logprob: -0.5 }).to_vec();
    let position = PositionLogprobs { logprob: -0.5, top, token_ids: Vec::new() };
    OutputEvent {
        output_ids: vec![id],
        output_offset: step,
        output_logprobs: if info.return_logprob { vec![position] } else { Vec::new() },
        input_logprobs: None,
        hidden_states: Vec::new(),
        embedding: None,
        finish_reason: None,
        first: step == 0,
        via_abort_req: false,
        completion_tokens: step + 1,
        cached_tokens: 0,
        retraction_count: 0,
        times: None,
        request: info.clone(),
    }
}

/// Allocations of a step of [`REQUESTS`] tokens, stage by stage, when everything has been going on for a while.
fn step_costs(logprobs: bool) -> [u64; 6] {
    let tokenizer = Tokenizer::from_path(std::env::var("SGLANG_TEST_MODEL").unwrap()).unwrap();
    let mut detokenizer = Detokenizer::new(tokenizer);
    let mut versions = WeightVersions::new("default".into());
    let infos: Vec<_> = (0..REQUESTS).map(|i| info(i, logprobs)).collect();
    let origin = Some(Origin { role: Role::Scheduler, life: 1, seq: 1 });
    let mut costs = [0; 6];
    for step in 0..20 {
        let events = infos.iter().map(|info| event(info, step)).collect();
        let (outbox, assembled) = counted(|| assemble(events, &mut versions, None));
        let message = AnyMessage::from(outbox.tokens.into_iter().next().unwrap());
        let (frame, encoded) = counted(|| message.encode(origin).unwrap());
        let (received, decoded) = counted(|| AnyMessage::decode(&frame).unwrap().0);
        let AnyMessage::BatchTokenIDOutput(batch) = received else { panic!("ids") };
        let (message, detokenized) = counted(|| AnyMessage::from(detokenizer.decode(*batch)));
        let (frame, encoded_text) = counted(|| message.encode(origin).unwrap());
        let (rows, read) = counted(|| match AnyMessage::decode(&frame).unwrap().0 {
            AnyMessage::BatchStrOutput(batch) => batch.rows,
            _ => panic!("text"),
        });
        assert_eq!(rows.len(), REQUESTS);
        costs = [assembled, encoded, decoded, detokenized, encoded_text, read];
    }
    costs
}

#[test]
fn a_token_costs_few_allocations_on_its_way_back() {
    // Before outputs were rows, 24.2 per token and 54.6 with log-probabilities.
    for (logprobs, most) in [(false, 16.0), (true, 29.0)] {
        let costs = step_costs(logprobs);
        let per_token = costs.iter().sum::<u64>() as f64 / REQUESTS as f64;
        println!("logprobs {logprobs}: {costs:?}, {per_token:.1} per token");
        assert!(per_token <= most, "logprobs {logprobs}: {costs:?}, {per_token:.1} per token");
    }
}
