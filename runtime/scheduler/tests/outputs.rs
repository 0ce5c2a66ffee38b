//! Compares the bytes of messages for the planner's events with a recording.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::sync::Arc;

use sglang_planner::simulator::{NoText, SimWorker};
use sglang_planner::{AbortCause, NewRequest, Planner, PlannerConfig};
use sglang_proto::forward::EmbeddingSpec;
use sglang_proto::messages::AnyMessage;
use sglang_proto::{CaptureHiddenMode, SamplingParams};
use sglang_scheduler::outputs::{WeightVersions, assemble};

fn request(rid: &str, len: u32, max_new_tokens: i64) -> NewRequest {
    let sampling_params = SamplingParams {
        sampling_seed: Some(7),
        max_new_tokens: Some(max_new_tokens),
        is_normalized: true,
        ..SamplingParams::default()
    };
    NewRequest { sampling_params, ..NewRequest::new(rid, (10..10 + len).collect()) }
}

/// Requests with different options.
fn requests() -> Vec<NewRequest> {
    let stream = |rid, len, max| NewRequest { stream: true, ..request(rid, len, max) };
    vec![
        request("plain", 3, 2),
        stream("stream", 40, 3),
        NewRequest {
            return_logprob: true,
            logprob_start_len: 0,
            top_logprobs_num: 2,
            token_ids_logprob: Some(vec![5, 6]),
            ..stream("logprobs", 4, 3)
        },
        NewRequest { return_logprob: true, ..stream("own logprobs", 3, 2) },
        NewRequest { return_hidden_states: CaptureHiddenMode::Full, ..stream("hidden", 3, 2) },
        NewRequest { return_hidden_states: CaptureHiddenMode::Last, ..stream("last hidden", 3, 2) },
        NewRequest { resumed_output_ids: vec![3, 4], ..stream("resumed", 3, 4) },
        stream("aborted", 5, 100),
        request("too long", 5000, 1),
    ]
}

/// The messages of each step, until nothing runs.
fn frames(config: PlannerConfig, requests: Vec<NewRequest>) -> Vec<String> {
    let mut worker = SimWorker::new(&config);
    let mut planner = Planner::new(config).unwrap();
    let mut versions = WeightVersions::new("v0".into());
    for request in requests {
        planner.add_request(request, 0.5).unwrap();
    }
    let mut frames = Vec::new();
    for step in 0..20 {
        if step == 1 {
            planner.add_request(request("waiting", 3, 1), 1.5).unwrap();
            planner.abort("waiting", &AbortCause::Client);
        }
        if step == 3 {
            versions.change("v1", planner.live_outputs());
        }
        if step == 4 {
            planner.abort("aborted", &AbortCause::Client);
        }
        let now = f64::from(step) + 1.0;
        let batch = planner.plan(now).batch;
        let ran = batch.is_some();
        if let Some(batch) = batch {
            planner.set_now(now + 0.25);
            planner.on_result(worker.run(&batch).unwrap(), &mut NoText).unwrap();
        }
        let times = (step % 2 == 0).then_some(1000.0);
        let outbox = assemble(planner.take_events(), &mut versions, times);
        let messages = outbox.tokens.into_iter().map(AnyMessage::from);
        let messages = messages.chain(outbox.embeddings.map(AnyMessage::from));
        for message in messages.chain(outbox.aborts.into_iter().map(AnyMessage::from)) {
            let bytes: String = message.encode(None).unwrap().iter().map(|b| format!("{b:02x}")).collect();
            frames.push(format!("step {step} {}: {bytes}", message.class()));
        }
        if !ran && planner.is_idle() {
            return frames;
        }
    }
    panic!("the requests do not end");
}

fn config() -> PlannerConfig {
    PlannerConfig {
        max_total_num_tokens: 2048,
        max_running_requests: 16,
        context_length: 4096,
        vocab_size: 1000,
        enable_overlap: false,
        ..PlannerConfig::default()
    }
}

#[test]
fn the_bytes_of_outputs_are_those_that_were_recorded() {
    let embed = |rid: &str, return_pooled_hidden_states| {
        let spec = EmbeddingSpec { return_pooled_hidden_states, ..EmbeddingSpec::default() };
        NewRequest { embedding: Some(Arc::new(spec)), ..NewRequest::new(rid, vec![1, 2, 3]) }
    };
    let vectors = vec![embed("vector", false), embed("pooled", true), embed("empty", false)];
    let mut made = frames(config(), requests());
    made.extend(frames(PlannerConfig { is_generation: false, ..config() }, vectors));
    let recorded: Vec<&str> = include_str!("fixtures/outputs.txt").lines().collect();
    if made != recorded {
        let path = std::env::temp_dir().join("outputs.txt");
        std::fs::write(&path, made.join("\n") + "\n").unwrap();
        for (made, recorded) in made.iter().zip(&recorded) {
            assert_eq!(made, recorded, "all frames as they are now: {}", path.display());
        }
        panic!("{} frames, {} recorded; those of now: {}", made.len(), recorded.len(), path.display());
    }
}
