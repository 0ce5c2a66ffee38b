//! A running loop with the echo worker, whose weight is visible in every token. The test plays the other two processes.
#![allow(dead_code, clippy::unwrap_used, clippy::panic)]

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use sglang_ipc::{Endpoints, Identity, PullLink, PushLink, Received};
use sglang_planner::{Planner, PlannerConfig};
use sglang_proto::SamplingParams;
use sglang_proto::messages::*;
use sglang_proto::wire::{Role, TokenIds};
use sglang_scheduler::event_loop::EventLoop;
use sglang_scheduler::links::{Incoming, Links};
use sglang_scheduler::progress::Progress;
use sglang_scheduler::test_workers::EchoWorker;
use sglang_scheduler::worker_thread::WorkerThread;
use sglang_scheduler::{SchedulerError, SchedulerSettings};

pub const EOS: u32 = 2;

/// A running loop; the test plays the two other processes.
pub struct Engine {
    pub to_scheduler: PushLink,
    pub at_detokenizer: PullLink,
    pub at_tokenizer: PullLink,
    pub inject: crossbeam_channel::Sender<Incoming>,
    pub thread: std::thread::JoinHandle<Result<(), SchedulerError>>,
    /// Token ids and version labels by request id.
    pub answers: HashMap<String, Answer>,
    dir: tempfile::TempDir,
}

#[derive(Default)]
pub struct Answer {
    pub ids: Vec<u32>,
    pub spans: Option<Vec<WeightVersionSpan>>,
}

impl Engine {
    pub async fn start(step: Duration) -> Self {
        Self::start_from("shift:0", step).await
    }

    /// Starts with another path of the weights.
    pub async fn start_from(model_path: &str, step: Duration) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let endpoints = Endpoints::in_dir(dir.path());
        let at_detokenizer = PullLink::bind(&endpoints.detokenizer).await.unwrap();
        let at_tokenizer = PullLink::bind(&endpoints.tokenizer).await.unwrap();
        let config = PlannerConfig {
            max_total_num_tokens: 4096,
            max_running_requests: 8,
            context_length: 2048,
            vocab_size: 10_000,
            eos_token_ids: vec![EOS],
            ..Default::default()
        };
        let settings = SchedulerSettings {
            decode_log_interval: 1000,
            watchdog_timeout: Duration::from_secs(30),
            model_path: model_path.into(),
            load_format: "auto".into(),
            weight_version: "v0".into(),
            skip_tokenizer_init: false,
            random_seed: 1,
            enable_metrics: false,
            adapters: Vec::new(),
        };
        let progress = Arc::new(Progress::default());
        let identity = Identity::of_life(Role::Scheduler, 1, serde_json::Value::Null);
        let links = Links::open(dir.path(), identity, progress.clone()).unwrap();
        let inject = links.inject.clone();
        let thread = std::thread::spawn(move || {
            let echo = EchoWorker::new(10_000, EOS, 2048, 4096, 8, step);
            let worker = WorkerThread::spawn(Box::new(echo)).unwrap();
            let planner = Planner::new(config).unwrap();
            EventLoop::new(planner, worker, links, settings, progress, None).run().map(drop)
        });
        let identity = Arc::new(Identity::of_life(Role::TokenizerManager, 1, serde_json::Value::Null));
        let to_scheduler = PushLink::connect(&endpoints.scheduler_input, identity);
        let answers = HashMap::new();
        Self { to_scheduler, at_detokenizer, at_tokenizer, inject, thread, answers, dir }
    }

    pub fn request(&mut self, rid: &str, ids: Vec<u32>, max_new_tokens: i64) {
        let sampling_params = SamplingParams {
            max_new_tokens: Some(max_new_tokens),
            is_normalized: true,
            ..Default::default()
        };
        let request = TokenizedGenerateReqInput {
            rid: rid.into(),
            input_ids: Some(TokenIds(ids)),
            sampling_params,
            logprob_start_len: -1,
            stream: true,
            ..Default::default()
        };
        self.to_scheduler.send(request).unwrap();
        self.answers.insert(rid.into(), Answer::default());
    }

    pub fn update(&self, path: &str, change: impl FnOnce(&mut UpdateWeightFromDiskReqInput)) {
        let mut request = UpdateWeightFromDiskReqInput { model_path: path.into(), ..Default::default() };
        change(&mut request);
        self.to_scheduler.send(request).unwrap();
    }

    pub async fn reply(&mut self) -> AnyMessage {
        loop {
            if let Received::Message(message) = next(&mut self.at_tokenizer).await {
                return message;
            }
        }
    }

    pub async fn updated(&mut self) -> (bool, String, u64) {
        match self.reply().await {
            AnyMessage::UpdateWeightFromDiskReqOutput(r) => (r.success, r.message, r.num_paused_requests),
            other => panic!("{other:?}"),
        }
    }

    /// The worker's current shift.
    pub async fn shift(&mut self) -> u64 {
        self.to_scheduler
            .send(GetWeightsByNameReqInput { name: "shift".into(), ..Default::default() })
            .unwrap();
        match self.reply().await {
            AnyMessage::GetWeightsByNameReqOutput(r) => r.parameter[0].as_f64().unwrap() as u64,
            other => panic!("{other:?}"),
        }
    }

    /// Receives one batch of outputs.
    pub async fn take(&mut self) {
        let Received::Message(AnyMessage::BatchTokenIDOutput(batch)) = next(&mut self.at_detokenizer).await
        else {
            return;
        };
        for output in batch.rows.into_iter().map(|row| row.output) {
            let answer = self.answers.get_mut(&output.rid).unwrap();
            answer.ids.extend_from_slice(&output.output_ids);
            answer.spans = output.weight_versions;
            assert_eq!(output.finished_reason.is_some(), answer.spans.is_some());
        }
    }

    pub async fn take_all(&mut self) {
        while self.answers.values().any(|a| a.spans.is_none()) {
            self.take().await;
        }
    }

    pub fn spans(&self, rid: &str) -> Vec<(&str, u64, u64)> {
        let spans = self.answers[rid].spans.as_ref().unwrap();
        spans.iter().map(|s| (s.version.as_str(), s.start, s.end)).collect()
    }

    /// The folder of the sockets.
    pub fn dir(&self) -> &std::path::Path {
        self.dir.path()
    }

    pub fn stop(self) {
        self.inject.send(Incoming::Shutdown).unwrap();
        self.thread.join().unwrap().unwrap();
    }
}

pub async fn next(link: &mut PullLink) -> Received {
    tokio::time::timeout(Duration::from_secs(20), link.recv()).await.unwrap().unwrap()
}

pub fn prompt(i: u32) -> Vec<u32> {
    (0..10 + i % 7).map(|k| 10 + (i * 31 + k * 7) % 900).collect()
}

/// The expected answer to a prompt with this weight.
pub fn answer(prompt: &[u32], shift: u32) -> Vec<u32> {
    prompt.iter().map(|id| id + shift).chain([EOS]).collect()
}
