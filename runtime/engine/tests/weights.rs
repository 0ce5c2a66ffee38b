//! Weights that are exchanged while requests run, with a worker whose weight shows in every token.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use sglang_engine::event_loop::EventLoop;
use sglang_engine::links::{Incoming, Links};
use sglang_engine::progress::Progress;
use sglang_engine::test_workers::EchoWorker;
use sglang_engine::worker_thread::WorkerThread;
use sglang_engine::{EngineError, EngineSettings};
use sglang_ipc::{Endpoints, Identity, PullLink, PushLink, Received};
use sglang_proto::SamplingParams;
use sglang_proto::messages::*;
use sglang_proto::wire::TokenIds;
use sglang_sched::{Scheduler, SchedulerConfig};

const EOS: u32 = 2;

/// A running loop, and the test in the place of the two other processes.
struct Engine {
    to_scheduler: PushLink,
    at_detokenizer: PullLink,
    at_tokenizer: PullLink,
    inject: crossbeam_channel::Sender<Incoming>,
    thread: std::thread::JoinHandle<Result<(), EngineError>>,
    /// Ids and labels of requests by their id.
    answers: HashMap<String, Answer>,
    _dir: tempfile::TempDir,
}

#[derive(Default)]
struct Answer {
    ids: Vec<u32>,
    spans: Option<Vec<WeightVersionSpan>>,
}

impl Engine {
    async fn start(step: Duration) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let endpoints = Endpoints::in_dir(dir.path());
        let at_detokenizer = PullLink::bind(&endpoints.detokenizer, "").await.unwrap();
        let at_tokenizer = PullLink::bind(&endpoints.tokenizer, "").await.unwrap();
        let config = SchedulerConfig {
            max_total_num_tokens: 4096,
            max_running_requests: 8,
            context_length: 2048,
            vocab_size: 10_000,
            eos_token_ids: vec![EOS],
            ..Default::default()
        };
        let settings = EngineSettings {
            decode_log_interval: 1000,
            watchdog_timeout: Duration::from_secs(30),
            weight_version: "v0".into(),
            skip_tokenizer_init: false,
            random_seed: 1,
            adapters: Vec::new(),
        };
        let progress = Arc::new(Progress::default());
        let identity = Identity::new("scheduler", serde_json::Value::Null);
        let links = Links::open(dir.path(), identity, progress.clone()).unwrap();
        let inject = links.inject.clone();
        let thread = std::thread::spawn(move || {
            let echo = EchoWorker::new(10_000, EOS, 2048, 4096, 8, step);
            let worker = WorkerThread::spawn(Box::new(echo)).unwrap();
            let scheduler = Scheduler::new(config).unwrap();
            EventLoop::new(scheduler, worker, links, settings, progress, None).run().map(drop)
        });
        let identity = Arc::new(Identity::new("tokenizer_manager", serde_json::Value::Null));
        let to_scheduler = PushLink::connect(&endpoints.scheduler_input, identity);
        let answers = HashMap::new();
        Self { to_scheduler, at_detokenizer, at_tokenizer, inject, thread, answers, _dir: dir }
    }

    fn request(&mut self, rid: &str, ids: Vec<u32>, max_new_tokens: i64) {
        let sampling_params = SamplingParams {
            max_new_tokens: Some(max_new_tokens),
            is_normalized: true,
            ..Default::default()
        };
        let request = TokenizedGenerateReqInput {
            rid: Some(rid.into()),
            input_ids: Some(TokenIds(ids)),
            sampling_params,
            logprob_start_len: -1,
            stream: true,
            ..Default::default()
        };
        self.to_scheduler.send(request).unwrap();
        self.answers.insert(rid.into(), Answer::default());
    }

    fn update(&self, path: &str, change: impl FnOnce(&mut UpdateWeightFromDiskReqInput)) {
        let mut request = UpdateWeightFromDiskReqInput { model_path: path.into(), ..Default::default() };
        change(&mut request);
        self.to_scheduler.send(request).unwrap();
    }

    async fn reply(&mut self) -> AnyMessage {
        loop {
            if let Received::Message(message) = next(&mut self.at_tokenizer).await {
                return message;
            }
        }
    }

    async fn updated(&mut self) -> (bool, String, u64) {
        match self.reply().await {
            AnyMessage::UpdateWeightFromDiskReqOutput(r) => (r.success, r.message, r.num_paused_requests),
            other => panic!("{other:?}"),
        }
    }

    /// The shift that the worker has now.
    async fn shift(&mut self) -> u64 {
        self.to_scheduler
            .send(GetWeightsByNameReqInput { name: "shift".into(), ..Default::default() })
            .unwrap();
        match self.reply().await {
            AnyMessage::GetWeightsByNameReqOutput(r) => r.parameter[0].as_f64().unwrap() as u64,
            other => panic!("{other:?}"),
        }
    }

    /// Takes one batch of outputs.
    async fn take(&mut self) {
        let Received::Message(AnyMessage::BatchTokenIDOutput(batch)) = next(&mut self.at_detokenizer).await
        else {
            return;
        };
        for (i, rid) in batch.rids.as_ref().unwrap().iter().enumerate() {
            let answer = self.answers.get_mut(rid).unwrap();
            answer.ids.extend_from_slice(&batch.output_ids.as_ref().unwrap()[i]);
            answer.spans = batch.weight_versions.as_ref().unwrap()[i].clone();
            assert_eq!(batch.finished_reasons[i].is_some(), answer.spans.is_some());
        }
    }

    async fn take_all(&mut self) {
        while self.answers.values().any(|a| a.spans.is_none()) {
            self.take().await;
        }
    }

    fn spans(&self, rid: &str) -> Vec<(&str, u64, u64)> {
        let spans = self.answers[rid].spans.as_ref().unwrap();
        spans.iter().map(|s| (s.version.as_str(), s.start, s.end)).collect()
    }

    fn stop(self) {
        self.inject.send(Incoming::Shutdown).unwrap();
        self.thread.join().unwrap().unwrap();
    }
}

async fn next(link: &mut PullLink) -> Received {
    tokio::time::timeout(Duration::from_secs(20), link.recv()).await.unwrap().unwrap()
}

fn prompt(i: u32) -> Vec<u32> {
    (0..10 + i % 7).map(|k| 10 + (i * 31 + k * 7) % 900).collect()
}

/// The answer to a prompt with a weight.
fn answer(prompt: &[u32], shift: u32) -> Vec<u32> {
    prompt.iter().map(|id| id + shift).chain([EOS]).collect()
}

#[tokio::test]
async fn every_request_under_load_is_answered_by_one_set_of_weights_and_none_is_lost() {
    let mut engine = Engine::start(Duration::from_micros(200)).await;
    let mut number = 0;
    for round in 1..=20_u32 {
        for _ in 0..10 {
            engine.request(&format!("r{number}"), prompt(number), 100);
            number += 1;
        }
        let version = format!("v{round}");
        engine.update(&format!("shift:{}", 1000 * (round % 5)), |r| r.weight_version = Some(version));
        for _ in 0..5 {
            engine.request(&format!("r{number}"), prompt(number), 100);
            number += 1;
        }
        let (success, message, _) = engine.updated().await;
        assert!(success && message == "Succeeded to update model weights.", "{message}");
    }
    engine.request("last", prompt(3), 100);
    engine.take_all().await;
    assert_eq!(engine.answers["last"].ids, answer(&prompt(3), 0));
    for i in 0..number {
        let rid = format!("r{i}");
        let spans = engine.spans(&rid);
        let [(version, 0, end)] = spans[..] else { panic!("{spans:?}") };
        let round: u32 = version[1..].parse().unwrap();
        let expected = answer(&prompt(i), 1000 * (round % 5));
        assert_eq!(engine.answers[&rid].ids, expected, "{rid} by {version}");
        assert_eq!(end as usize, expected.len());
    }
    engine.stop();
}

#[tokio::test]
async fn after_a_failure_the_old_weights_and_their_label_go_on() {
    let mut engine = Engine::start(Duration::from_micros(200)).await;
    let cases = [
        ("nobody/nothing", "Failed to get weights iterator: nobody/nothing (repository not found)."),
        ("broken:it", "Failed to update weights: it.\nRolling back to original weights."),
    ];
    for (i, (path, expected)) in cases.into_iter().enumerate() {
        let rid = format!("r{i}");
        engine.request(&rid, prompt(1), 100);
        engine.update(path, |r| r.weight_version = Some("new".into()));
        assert_eq!(engine.updated().await, (false, expected.to_owned(), 0));
        engine.take_all().await;
        assert_eq!(engine.answers[&rid].ids, answer(&prompt(1), 0));
        assert_eq!(engine.spans(&rid)[0].0, "v0");
    }
    assert_eq!(engine.shift().await, 0);
    engine.stop();
}

#[tokio::test]
async fn a_second_update_at_the_same_time_is_refused() {
    let mut engine = Engine::start(Duration::from_millis(20)).await;
    engine.update("shift:1", |_| {});
    engine.update("shift:2", |_| {});
    let (success, message, _) = engine.updated().await;
    assert!(!success && message == "Another update of the weights is in progress.", "{message}");
    assert!(engine.updated().await.0);
    assert_eq!(engine.shift().await, 1);
    engine.stop();
}

#[tokio::test]
async fn a_paused_server_exchanges_at_once_and_tells_which_tokens_are_whose() {
    let mut engine = Engine::start(Duration::from_millis(2)).await;
    let long: Vec<u32> = (10..200).collect();
    engine.request("long", long.clone(), 1000);
    while engine.answers["long"].ids.len() < 3 {
        engine.take().await;
    }
    let pause = PauseGenerationReqInput { mode: "in_place".into(), ..Default::default() };
    engine.to_scheduler.send(pause).unwrap();
    engine.update("shift:1000", |r| r.weight_version = Some("v1".into()));
    let (success, message, held) = engine.updated().await;
    assert!(
        !success && message.starts_with("Weights were updated, but the cache was not flushed"),
        "{message}"
    );
    assert_eq!(held, 1);
    engine.update("shift:2000", |r| {
        r.weight_version = Some("v2".into());
        r.flush_cache = false;
    });
    assert!(engine.updated().await.0);
    engine.to_scheduler.send(ContinueGenerationReqInput::default()).unwrap();
    engine.take_all().await;
    let ids = &engine.answers["long"].ids;
    let spans = engine.spans("long");
    let [("v0", 0, middle), ("v2", start, end)] = spans[..] else { panic!("{spans:?}") };
    assert_eq!((start, end as usize), (middle, ids.len()));
    let middle = middle as usize;
    assert!(middle >= 3 && ids.len() == long.len() + 1);
    assert!(ids[..middle].iter().zip(&long).all(|(id, p)| id == p));
    assert!(ids[middle..].iter().zip(&long[middle..]).all(|(id, p)| *id == p + 2000));
    engine.stop();
}

#[tokio::test]
async fn keep_pause_leaves_the_server_paused() {
    let mut engine = Engine::start(Duration::from_micros(200)).await;
    engine.update("shift:5", |r| r.keep_pause = true);
    assert!(engine.updated().await.0);
    engine.request("a", prompt(1), 100);
    assert_eq!(engine.shift().await, 5);
    assert!(engine.answers["a"].ids.is_empty());
    engine.to_scheduler.send(ContinueGenerationReqInput::default()).unwrap();
    engine.take_all().await;
    assert_eq!(engine.answers["a"].ids, answer(&prompt(1), 5));
    engine.stop();
}
