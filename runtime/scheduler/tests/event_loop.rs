//! Runs the loop with workers that have no model, and checks its outputs for messages on the links.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::sync::Arc;
use std::time::{Duration, Instant};

use sglang_ipc::{Endpoints, Identity, PullLink, PushLink, Received};
use sglang_planner::{Planner, PlannerConfig};
use sglang_proto::messages::*;
use sglang_proto::wire::{Role, TokenIds};
use sglang_proto::worker::ModelWorker;
use sglang_proto::{CaptureHiddenMode, HiddenStateChunk, HiddenStates, SamplingParams};
use sglang_scheduler::event_loop::{EventLoop, LoopEnd};
use sglang_scheduler::links::{Incoming, Links};
use sglang_scheduler::progress::Progress;
use sglang_scheduler::test_workers::{EchoWorker, Fault, FaultyWorker};
use sglang_scheduler::worker_thread::WorkerThread;
use sglang_scheduler::{SchedulerError, SchedulerSettings};

const EOS: u32 = 2;
const VOCAB: u32 = 1000;

/// A running loop; the test plays the two other processes.
struct Engine {
    to_scheduler: PushLink,
    at_detokenizer: PullLink,
    at_tokenizer: PullLink,
    inject: crossbeam_channel::Sender<Incoming>,
    thread: std::thread::JoinHandle<Result<LoopEnd, SchedulerError>>,
    _dir: tempfile::TempDir,
}

#[derive(Clone, Copy)]
struct Options {
    overlap: bool,
    fault: Option<Fault>,
    step: Duration,
    tokens: u32,
    chunk: Option<usize>,
    watchdog: Duration,
    metrics: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            overlap: true,
            fault: None,
            step: Duration::ZERO,
            tokens: 4096,
            chunk: None,
            watchdog: Duration::from_secs(30),
            metrics: false,
        }
    }
}

impl Engine {
    async fn start(options: Options) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let endpoints = Endpoints::in_dir(dir.path());
        let at_detokenizer = PullLink::bind(&endpoints.detokenizer).await.unwrap();
        let at_tokenizer = PullLink::bind(&endpoints.tokenizer).await.unwrap();
        let echo = EchoWorker::new(VOCAB, EOS, 2048, options.tokens, 32, options.step);
        let worker: Box<dyn ModelWorker> = match options.fault {
            None => Box::new(echo),
            Some(fault) => Box::new(FaultyWorker::new(Box::new(echo), fault)),
        };
        let config = PlannerConfig {
            max_total_num_tokens: options.tokens as usize,
            max_running_requests: 32,
            context_length: 2048,
            vocab_size: VOCAB,
            eos_token_ids: vec![EOS],
            enable_overlap: options.overlap,
            chunked_prefill_size: options.chunk,
            ..Default::default()
        };
        let settings = SchedulerSettings {
            decode_log_interval: 40,
            watchdog_timeout: options.watchdog,
            model_path: "shift:0".into(),
            load_format: "auto".into(),
            weight_version: "default".into(),
            skip_tokenizer_init: false,
            random_seed: 1,
            enable_metrics: options.metrics,
            adapters: Vec::new(),
        };
        let progress = Arc::new(Progress::default());
        let identity = Identity::of_life(Role::Scheduler, 1, serde_json::Value::Null);
        let links = Links::open(dir.path(), identity, progress.clone()).unwrap();
        let inject = links.inject.clone();
        let thread = std::thread::spawn(move || {
            let worker = WorkerThread::spawn(worker).unwrap();
            let planner = Planner::new(config).unwrap();
            EventLoop::new(planner, worker, links, settings, progress, None).run()
        });
        let identity = Arc::new(Identity::of_life(Role::TokenizerManager, 1, serde_json::Value::Null));
        let to_scheduler = PushLink::connect(&endpoints.scheduler_input, identity);
        Self { to_scheduler, at_detokenizer, at_tokenizer, inject, thread, _dir: dir }
    }

    fn request(&self, rid: &str, ids: Vec<u32>, max_new_tokens: i64) {
        self.to_scheduler.send(request(rid, ids, max_new_tokens)).unwrap();
    }

    /// Receives outputs until `rid` has ended; returns its ids and finish reason.
    async fn output_of(&mut self, rid: &str) -> (Vec<u32>, FinishReason) {
        let mut all = Vec::new();
        loop {
            let Received::Message(AnyMessage::BatchTokenIDOutput(batch)) =
                next(&mut self.at_detokenizer).await
            else {
                continue;
            };
            let mut outputs = batch.rows.into_iter().map(|row| row.output);
            let Some(output) = outputs.find(|output| output.rid == rid) else { continue };
            let offset = output.output_offset.unwrap() as usize;
            assert_eq!(offset, all.len(), "a gap in the output of {rid}");
            all.extend_from_slice(&output.output_ids);
            if let Some(reason) = output.finished_reason {
                return (all, reason);
            }
        }
    }

    async fn reply(&mut self) -> AnyMessage {
        loop {
            if let Received::Message(message) = next(&mut self.at_tokenizer).await {
                return message;
            }
        }
    }

    fn stop(self) -> Result<LoopEnd, SchedulerError> {
        self.inject.send(Incoming::Shutdown).unwrap();
        self.thread.join().unwrap()
    }
}

async fn next(link: &mut PullLink) -> Received {
    tokio::time::timeout(Duration::from_secs(10), link.recv()).await.unwrap().unwrap()
}

fn request(rid: &str, ids: Vec<u32>, max_new_tokens: i64) -> TokenizedGenerateReqInput {
    TokenizedGenerateReqInput {
        rid: rid.into(),
        input_ids: Some(TokenIds(ids)),
        sampling_params: SamplingParams {
            max_new_tokens: Some(max_new_tokens),
            is_normalized: true,
            ..Default::default()
        },
        logprob_start_len: -1,
        stream: true,
        ..Default::default()
    }
}

#[tokio::test]
async fn prompts_come_back_with_and_without_overlap() {
    for overlap in [true, false] {
        let mut engine = Engine::start(Options { overlap, ..Default::default() }).await;
        engine.request("a", vec![10, 11, 12], 100);
        let (ids, reason) = engine.output_of("a").await;
        assert_eq!((ids, reason), (vec![10, 11, 12, EOS], FinishReason::matched_token(EOS)));
        engine.request("b", vec![7, 8], 1);
        let (ids, reason) = engine.output_of("b").await;
        assert_eq!((ids, reason), (vec![7], FinishReason::Length { length: 1 }));
        engine.stop().unwrap();
    }
}

#[tokio::test]
async fn many_requests_in_a_small_pool_all_get_their_own_prompt_back() {
    let mut engine = Engine::start(Options { tokens: 600, ..Default::default() }).await;
    let prompt = |i: u32| (0..20 + i % 30).map(|k| 10 + (i * 31 + k * 7) % 900).collect::<Vec<u32>>();
    for i in 0..60 {
        engine.request(&format!("r{i}"), prompt(i), 200);
    }
    let mut open: std::collections::HashMap<String, Vec<u32>> =
        (0..60).map(|i| (format!("r{i}"), Vec::new())).collect();
    while !open.is_empty() {
        let Received::Message(AnyMessage::BatchTokenIDOutput(batch)) = next(&mut engine.at_detokenizer).await
        else {
            continue;
        };
        for output in batch.rows.into_iter().map(|row| row.output) {
            let rid = &output.rid;
            let ids = open.get_mut(rid).unwrap();
            ids.extend_from_slice(&output.output_ids);
            if output.finished_reason.is_some() {
                let mut expected = prompt(rid[1..].parse().unwrap());
                expected.push(EOS);
                assert_eq!(open.remove(rid).unwrap(), expected, "{rid}");
            }
        }
    }
    engine.stop().unwrap();
}

#[tokio::test]
async fn an_abort_ends_exactly_its_request() {
    let mut engine = Engine::start(Options { step: Duration::from_millis(2), ..Default::default() }).await;
    engine.request("a_1", (10..110).collect(), 1000);
    engine.request("a_10", vec![5, 6], 1000);
    tokio::time::sleep(Duration::from_millis(20)).await;
    engine.to_scheduler.send(AbortReq { rid: Some("a_1".into()), ..Default::default() }).unwrap();
    let mut ends = std::collections::HashMap::new();
    while ends.len() < 2 {
        let Received::Message(AnyMessage::BatchTokenIDOutput(batch)) = next(&mut engine.at_detokenizer).await
        else {
            continue;
        };
        for output in batch.rows.into_iter().map(|row| row.output) {
            if let Some(reason) = output.finished_reason {
                assert!(ends.insert(output.rid, reason).is_none());
            }
        }
    }
    assert!(
        matches!(&ends["a_1"], FinishReason::Abort { message, status_code: None, .. } if message == "Aborted")
    );
    assert_eq!(ends["a_10"], FinishReason::matched_token(EOS));
    engine.stop().unwrap();
}

#[tokio::test]
async fn a_failed_step_ends_its_requests_and_no_others() {
    let fault = Some(Fault::Error(3));
    let mut engine = Engine::start(Options { fault, ..Default::default() }).await;
    engine.request("a", (10..50).collect(), 100);
    let (_, reason) = engine.output_of("a").await;
    assert!(matches!(reason, FinishReason::Abort { status_code: Some(500), .. }), "{reason:?}");
    engine.request("b", vec![7], 5);
    assert_eq!(engine.output_of("b").await.0, [7, EOS]);
    engine.stop().unwrap();
}

#[tokio::test]
async fn garbage_from_a_model_ends_the_request_not_the_process() {
    let fault = Some(Fault::Garbage(2));
    let mut engine = Engine::start(Options { fault, ..Default::default() }).await;
    engine.request("a", (10..50).collect(), 100);
    let (_, reason) = engine.output_of("a").await;
    assert_ne!(reason, FinishReason::matched_token(EOS));
    engine.request("b", vec![7], 5);
    assert_eq!(engine.output_of("b").await.0, [7, EOS]);
    engine.stop().unwrap();
}

#[tokio::test]
async fn a_panicking_model_and_a_stuck_one_end_the_loop_with_an_error() {
    for fault in [Fault::Panic(2), Fault::Stall(2, Duration::from_secs(5))] {
        let watchdog = Duration::from_millis(300);
        let engine = Engine::start(Options { fault: Some(fault), watchdog, ..Default::default() }).await;
        engine.request("a", (10..50).collect(), 100);
        // Waiting must not block the runtime, which still has to send the request.
        let thread = engine.thread;
        let error = tokio::task::spawn_blocking(|| thread.join()).await.unwrap().unwrap().unwrap_err();
        assert!(matches!(error, SchedulerError::Worker(_)), "{error}");
    }
}

#[tokio::test]
async fn the_state_is_told_while_the_model_is_busy() {
    let fault = Some(Fault::Stall(1, Duration::from_secs(2)));
    let mut engine = Engine::start(Options { fault, ..Default::default() }).await;
    engine.request("a", vec![5], 2);
    tokio::time::sleep(Duration::from_millis(200)).await;
    let asked = Instant::now();
    engine.to_scheduler.send(GetInternalStateReq { rid: "q".into() }).unwrap();
    let AnyMessage::GetInternalStateReqOutput(state) = engine.reply().await else { panic!("wrong reply") };
    assert!(asked.elapsed() < Duration::from_millis(500));
    assert_eq!(state.internal_state["loop"]["phase"], "forward");
    assert!(state.internal_state["loop"]["age_s"].as_f64().unwrap() > 0.1);
    engine.output_of("a").await;
    engine.stop().unwrap();
}

#[tokio::test]
async fn the_cache_is_flushed_when_idle_and_refused_when_busy() {
    let mut engine = Engine::start(Options { step: Duration::from_millis(3), ..Default::default() }).await;
    let flush = |timeout_s| FlushCacheReqInput { rid: "f".into(), timeout_s };
    engine.request("a", (10..40).collect(), 1000);
    tokio::time::sleep(Duration::from_millis(20)).await;
    engine.to_scheduler.send(flush(None)).unwrap();
    let AnyMessage::FlushCacheReqOutput(reply) = engine.reply().await else { panic!("wrong reply") };
    assert!(!reply.success);
    engine.to_scheduler.send(flush(Some(10.0))).unwrap();
    let AnyMessage::FlushCacheReqOutput(reply) = engine.reply().await else { panic!("wrong reply") };
    assert!(reply.success, "{}", reply.message);
    engine.stop().unwrap();
}

#[tokio::test]
async fn a_resumed_request_goes_on_after_its_output() {
    let mut engine = Engine::start(Options::default()).await;
    let mut again = request("a", vec![10, 11, 12, 13], 100);
    again.resumed_output_ids = Some(TokenIds(vec![10, 11]));
    engine.to_scheduler.send(again).unwrap();
    loop {
        let Received::Message(AnyMessage::BatchTokenIDOutput(batch)) = next(&mut engine.at_detokenizer).await
        else {
            continue;
        };
        let [row] = &batch.rows[..] else { panic!("one row") };
        assert_eq!((row.output.output_offset, &row.output.output_ids.0[..]), (Some(2), &[12][..]));
        break;
    }
    engine.stop().unwrap();
}

#[tokio::test]
async fn with_metrics_outputs_bring_the_times_of_their_requests() {
    let unix = || std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs_f64();
    for metrics in [true, false] {
        let step = Duration::from_millis(5);
        let mut engine = Engine::start(Options { metrics, step, ..Default::default() }).await;
        let began = unix();
        engine.request("a", vec![10, 11, 12], 3);
        let mut told = Vec::new();
        loop {
            let Received::Message(AnyMessage::BatchTokenIDOutput(batch)) =
                next(&mut engine.at_detokenizer).await
            else {
                continue;
            };
            let output = &batch.rows[0].output;
            told.push(output.time_stats.clone());
            if output.finished_reason.is_some() {
                break;
            }
        }
        engine.stop().unwrap();
        let first = told.remove(0);
        assert_eq!(told, [None, None], "they do not change");
        let Some(times) = first.filter(|_| metrics) else {
            assert!(!metrics);
            continue;
        };
        let moments = [
            began,
            times.scheduler_recv_time,
            times.wait_queue_entry_time,
            times.forward_entry_time,
            times.prefill_finished_time - 0.005,
            unix(),
        ];
        // The loop's clock and the system's clock are not read at the same instant.
        assert!(moments.windows(2).all(|pair| pair[0] <= pair[1] + 1e-3), "{moments:?}");
        let wait = times.forward_entry_time - times.wait_queue_entry_time;
        assert!((times.queue_duration_s - wait).abs() < 1e-5);
    }
}

#[tokio::test]
async fn a_session_puts_earlier_turns_before_a_new_one() {
    let mut engine = Engine::start(Options::default()).await;
    let open = |id: &str| OpenSessionReqInput {
        rid: "o".into(),
        capacity_of_str_len: 100,
        session_id: Some(id.into()),
        ..Default::default()
    };
    for success in [true, false] {
        engine.to_scheduler.send(open("s")).unwrap();
        let AnyMessage::OpenSessionReqOutput(reply) = engine.reply().await else { panic!("wrong reply") };
        assert_eq!((reply.success, reply.session_id.as_deref()), (success, Some("s")));
    }
    let turn = |rid: &str, from: Option<&str>, ids: &[u32]| TokenizedGenerateReqInput {
        session_params: Some(SessionParams {
            id: Some("s".into()),
            rid: from.map(str::to_owned),
            ..Default::default()
        }),
        ..request(rid, ids.to_vec(), 8)
    };
    engine.to_scheduler.send(turn("a", None, &[10, 11])).unwrap();
    assert_eq!(engine.output_of("a").await.0, [10, 11, EOS]);
    engine.to_scheduler.send(turn("b", Some("a"), &[20])).unwrap();
    assert_eq!(engine.output_of("b").await.0, [10, 11, 10, 11, EOS], "prompt and output of the first turn");
    engine.to_scheduler.send(turn("c", Some("nobody"), &[20])).unwrap();
    let AnyMessage::AbortReq(refusal) = engine.reply().await else { panic!("wrong reply") };
    let expected = FinishReason::refused("Invalid request session id", 400, "BadRequestError");
    assert_eq!((refusal.rid.as_deref(), refusal.finished_reason), (Some("c"), Some(expected)));
    let close = CloseSessionReqInput { session_id: "s".into() };
    engine.to_scheduler.send(close).unwrap();
    engine.to_scheduler.send(turn("d", Some("a"), &[20])).unwrap();
    let AnyMessage::AbortReq(refusal) = engine.reply().await else { panic!("wrong reply") };
    let Some(FinishReason::Abort { message, .. }) = refusal.finished_reason else { panic!("no reason") };
    assert_eq!(message, "Invalid request: session id s does not exist");
    engine.stop().unwrap();
}

/// Number of cached tokens, and the hidden states from a request's messages.
async fn hidden_states_of(engine: &mut Engine, rid: &str) -> (u64, Vec<HiddenStateChunk>) {
    let mut all = Vec::new();
    loop {
        let Received::Message(AnyMessage::BatchTokenIDOutput(batch)) = next(&mut engine.at_detokenizer).await
        else {
            continue;
        };
        let mut end = None;
        for output in batch.rows.into_iter().map(|row| row.output) {
            let own = output.rid == rid;
            match output.hidden_states {
                Some(HiddenStates::List(new)) if own => all.extend(new),
                None if !own => {}
                wrong => panic!("{}: {wrong:?}", output.rid),
            }
            if own && output.finished_reason.is_some() {
                end = Some(output.counts.cached_tokens);
            }
        }
        if let Some(cached_tokens) = end {
            return (cached_tokens, all);
        }
    }
}

#[tokio::test]
async fn hidden_states_of_computed_positions_go_out_with_their_tokens() {
    // The worker's hidden state is the id at a position, and the position.
    let state = |id: u32, at: usize| vec![id as f32, at as f32];
    for (overlap, chunk) in [(true, None), (false, None), (true, Some(4))] {
        let mut engine = Engine::start(Options { overlap, chunk, ..Default::default() }).await;
        engine.request("warm", vec![10, 11, 12, 13], 1);
        engine.output_of("warm").await;
        let prompt: Vec<u32> = (10..24).collect();
        let mut wanting = request("a", prompt.clone(), 4);
        wanting.return_hidden_states = CaptureHiddenMode::Full;
        let neighbour = request("b", (40..60).collect(), 4);
        let batch = BatchTokenizedGenerateReqInput { batch: vec![wanting, neighbour] };
        engine.to_scheduler.send(batch).unwrap();
        let (cached, states) = hidden_states_of(&mut engine, "a").await;
        assert_eq!(cached, 4);
        let of_prompt = prompt.iter().enumerate().skip(4).map(|(at, id)| state(*id, at)).collect();
        let mut expected = vec![HiddenStateChunk::List(of_prompt)];
        // The output repeats the prompt; its fourth token ends it.
        expected.extend((0..3).map(|k| HiddenStateChunk::Vector(state(prompt[k], 14 + k))));
        assert_eq!(states, expected, "overlap {overlap}, chunks of {chunk:?}");
        engine.stop().unwrap();
    }
}
