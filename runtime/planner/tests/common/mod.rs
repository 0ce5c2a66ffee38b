//! Drives a planner with a simulated worker like the scheduler process does, and verifies its state after every move.

#![allow(dead_code, reason = "every test file uses a part")]

use std::collections::{BTreeMap, HashSet, VecDeque};

use sglang_planner::simulator::{NoText, SimWorker};
use sglang_planner::{NewRequest, OutputEvent, Plan, Planner, PlannerConfig, TailDecoder};
use sglang_proto::forward::ForwardBatch;
use sglang_proto::messages::FinishReason;
use sglang_proto::{CaptureHiddenMode, HiddenStateChunk, SamplingParams};

/// All events of a request, combined.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Answer {
    pub output: Vec<u32>,
    pub finish: Option<FinishReason>,
    pub events: usize,
    pub event_sizes: Vec<usize>,
    pub cached_tokens: usize,
    pub retractions: u64,
    pub input_logprobs: Vec<sglang_planner::InputLogprobs>,
    pub output_logprobs: usize,
    pub hidden_states: Vec<HiddenStateChunk>,
    pub last: Option<OutputEvent>,
}

impl Answer {
    pub fn aborted(&self) -> bool {
        matches!(self.finish, Some(FinishReason::Abort { .. }))
    }

    pub fn abort_message(&self) -> &str {
        match &self.finish {
            Some(FinishReason::Abort { message, .. }) => message,
            _ => "",
        }
    }

    pub fn status(&self) -> Option<u16> {
        match &self.finish {
            Some(FinishReason::Abort { status_code, .. }) => *status_code,
            _ => None,
        }
    }
}

pub struct Driver {
    pub planner: Planner,
    pub worker: SimWorker,
    pub flying: VecDeque<ForwardBatch>,
    pub answers: BTreeMap<String, Answer>,
    pub plans: Vec<Plan>,
    /// Requests in the order they ended.
    pub ends: Vec<String>,
    pub steps: usize,
    pub now: f64,
}

impl Driver {
    pub fn new(config: PlannerConfig) -> Self {
        Self {
            worker: SimWorker::new(&config),
            planner: Planner::new(config).unwrap(),
            flying: VecDeque::new(),
            answers: BTreeMap::new(),
            plans: Vec::new(),
            ends: Vec::new(),
            steps: 0,
            now: 0.0,
        }
    }

    pub fn add(&mut self, request: NewRequest) {
        let resumed = request.resumed_output_ids.clone();
        let rid = request.rid.clone();
        self.answers.insert(rid, Answer { output: resumed, ..Answer::default() });
        self.planner.add_request(request, self.now).unwrap();
        self.collect();
    }

    /// Plans once. If enough is in flight or there is nothing to plan, processes one result. Returns whether anything
    /// happened.
    pub fn step(&mut self, tail: &mut dyn TailDecoder) -> bool {
        self.now += 1.0;
        let plan = self.planner.plan(self.now);
        self.check();
        self.collect();
        let planned = plan.batch.is_some();
        if let Some(batch) = &plan.batch {
            self.steps += 1;
            for earlier in &self.flying {
                let slots: HashSet<u32> = earlier.out_cache_loc.iter().copied().collect();
                assert!(
                    batch.out_cache_loc.iter().all(|slot| !slots.contains(slot)),
                    "a slot of a batch in flight was given out again"
                );
            }
            self.flying.push_back(batch.clone());
        }
        self.plans.push(plan);
        let room = usize::from(self.planner.config().enable_overlap);
        let landed = (self.flying.len() > room || !planned) && self.land(tail);
        planned || landed
    }

    /// Processes the oldest result.
    pub fn land(&mut self, tail: &mut dyn TailDecoder) -> bool {
        let Some(batch) = self.flying.pop_front() else { return false };
        let result = self.worker.run(&batch).expect("the batch keeps the contract");
        self.planner.on_result(result, tail).unwrap();
        self.check();
        self.collect();
        true
    }

    pub fn check(&self) {
        self.planner.verify().unwrap();
    }

    /// Runs until nothing more happens.
    pub fn run(&mut self) {
        let mut moves = 0;
        while self.step(&mut NoText) {
            moves += 1;
            assert!(moves < 200_000, "the planner does not come to an end");
        }
        self.collect();
    }

    pub fn collect(&mut self) {
        for event in self.planner.take_events() {
            let answer = self.answers.get_mut(event.rid()).expect("events belong to requests");
            assert_eq!(answer.finish, None, "{} was told its end twice, or more after its end", event.rid());
            assert_eq!(event.output_offset, answer.output.len(), "{}: a gap or a repeat", event.rid());
            assert_eq!(event.first, answer.events == 0);
            answer.events += 1;
            answer.event_sizes.push(event.output_ids.len());
            answer.output.extend(&event.output_ids);
            assert_eq!(event.completion_tokens, answer.output.len());
            answer.finish = event.finish_reason.clone();
            answer.cached_tokens = event.cached_tokens;
            answer.retractions = event.retraction_count;
            answer.output_logprobs += event.output_logprobs.len();
            answer.input_logprobs.extend(event.input_logprobs.clone());
            if event.request.return_hidden_states == CaptureHiddenMode::Last {
                answer.hidden_states.clear();
            }
            answer.hidden_states.extend(event.hidden_states.clone());
            if event.finish_reason.is_some() {
                self.ends.push(event.rid().to_owned());
            }
            answer.last = Some(event);
        }
    }

    pub fn answer(&self, rid: &str) -> &Answer {
        &self.answers[rid]
    }

    /// Checks that all requests have ended and nothing is left behind.
    pub fn assert_clean(&mut self) {
        assert!(self.planner.is_idle(), "{:?}", self.planner.stats());
        for (rid, answer) in &self.answers {
            assert!(answer.finish.is_some(), "{rid} was never told its end");
        }
        let stats = self.planner.stats();
        assert_eq!((stats.num_used_tokens, stats.num_protected_tokens), (0, 0));
        assert!(self.planner.flush_cache());
        assert_eq!(self.planner.stats().num_evictable_tokens, 0);
        self.check();
    }
}

/// A configuration for small tests: no end-of-sequence ids, vocabulary of 1,000.
pub fn small(pool: usize) -> PlannerConfig {
    PlannerConfig {
        max_total_num_tokens: pool,
        max_running_requests: 16,
        context_length: 4096,
        vocab_size: 1000,
        enable_overlap: false,
        ..PlannerConfig::default()
    }
}

/// `len` ids; all prompts of a `family` share their prefix.
pub fn prompt(family: u32, len: u32) -> Vec<u32> {
    (0..len).map(|i| (family * 211 + i * 17) % 1000).collect()
}

pub fn request(rid: &str, input_ids: Vec<u32>, max_new_tokens: i64) -> NewRequest {
    let mut request = NewRequest::new(rid, input_ids);
    request.sampling_params = SamplingParams {
        sampling_seed: Some(7),
        max_new_tokens: Some(max_new_tokens),
        is_normalized: true,
        ..SamplingParams::default()
    };
    request
}
