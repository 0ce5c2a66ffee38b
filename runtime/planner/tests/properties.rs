//! Random traffic with random configurations. After every move each KV page has exactly one owner and pins match
//! admitted requests, and each request gets the same output as if it ran alone.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use common::{Driver, prompt, request};
use proptest::prelude::*;
use sglang_planner::policy::PolicyKind;
use sglang_planner::radix_cache::EvictionPolicy;
use sglang_planner::simulator::{NoText, alone, hidden_states};
use sglang_planner::{AbortCause, NewRequest, PauseMode, PlannerConfig, RetractionPolicy};
use sglang_proto::messages::FinishReason;
use sglang_proto::{CaptureHiddenMode, HiddenStateChunk};

const EOS: u32 = 3;
const VOCAB: u32 = 200;

#[derive(Clone, Debug)]
enum Move {
    Add(Spec),
    Abort(usize),
    AbortAll,
    Pause(PauseMode),
    Flush,
    Steps(usize),
}

#[derive(Clone, Debug)]
struct Spec {
    family: u32,
    shared: u32,
    own: u32,
    max_new: i64,
    seed: u64,
    namespace: u8,
    priority: i64,
    stream: bool,
    ignore_eos: bool,
    stop: Option<i64>,
    logprob_start: Option<u32>,
    hidden_states: bool,
    resumed: usize,
}

impl Spec {
    fn request(&self, i: usize, pool: usize) -> NewRequest {
        let longest = (pool / 3) as u32;
        let mut ids = prompt(self.family, self.shared.min(longest));
        ids.extend((0..self.own.min(longest)).map(|t| (self.seed as u32 * 31 + t * 7) % VOCAB));
        ids.iter_mut().for_each(|id| *id %= VOCAB);
        let mut r = request(&format!("r{i}"), ids, self.max_new);
        r.sampling_params.sampling_seed = Some(self.seed as i64);
        r.stream = self.stream;
        r.priority = Some(self.priority);
        r.extra_key = (self.namespace == 1).then(|| "k".to_owned());
        r.sampling_params.ignore_eos = self.ignore_eos;
        r.sampling_params.stop_token_ids = self.stop.map(|id| vec![id]);
        if let Some(start) = self.logprob_start {
            r.return_logprob = true;
            r.logprob_start_len = i64::from(start % (r.input_ids.len() as u32 + 1));
            r.top_logprobs_num = 2;
        }
        if self.hidden_states {
            r.return_hidden_states = CaptureHiddenMode::Full;
        }
        // A resumed request comes with the output that it would have generated before.
        let all = self.expected(&r, usize::MAX);
        r.resumed_output_ids = all[..self.resumed.min(all.len().saturating_sub(1))].to_vec();
        r
    }

    fn expected(&self, r: &NewRequest, limit: usize) -> Vec<u32> {
        let mut stops = Vec::new();
        if !self.ignore_eos {
            stops.push(EOS);
            stops.extend(self.stop.map(|id| id as u32));
        }
        alone(&r.input_ids, r.sampling_params.seed(), limit.min(self.max_new as usize), &stops, VOCAB)
    }
}

prop_compose! {
    fn spec()(
        family in 0u32..3, shared in 0u32..60, own in 1u32..40, max_new in 0i64..40, seed in 0u64..50,
        namespace in 0u8..4, priority in 0i64..40, stream: bool, ignore_eos: bool,
        stop in prop::option::of(0i64..200), logprob_start in prop::option::of(0u32..80),
        hidden_states in prop::bool::weighted(0.3), resumed in 0usize..12,
    ) -> Spec {
        let resumed = resumed.saturating_sub(8);
        Spec {
            family, shared, own, max_new, seed, namespace, priority, stream, ignore_eos, stop, logprob_start,
            hidden_states, resumed,
        }
    }
}

fn moves() -> impl Strategy<Value = Vec<Move>> {
    let one = prop_oneof![
        8 => spec().prop_map(Move::Add),
        2 => (0usize..40).prop_map(Move::Abort),
        1 => prop_oneof![Just(PauseMode::Abort), Just(PauseMode::Retract), Just(PauseMode::InPlace)].prop_map(Move::Pause),
        1 => Just(Move::Flush),
        6 => (1usize..8).prop_map(Move::Steps),
        1 => (1usize..60).prop_map(Move::Steps),
    ];
    let rare = prop_oneof![60 => one, 1 => Just(Move::AbortAll)];
    prop::collection::vec(rare, 1..80)
}

prop_compose! {
    fn config()(
        page_size in prop::sample::select(vec![1usize, 4, 16]), pages in 8usize..40, max_running_requests in 1usize..10,
        chunk_pages in prop::option::of(1usize..6), policy in 0usize..5, eviction in 0usize..7, bools in any::<[bool; 8]>(),
        conservativeness in prop::sample::select(vec![0.01, 0.3, 1.0]), prefill_max in prop::option::of(1usize..4),
        max_prefill_tokens in prop::sample::select(vec![8usize, 64, 1000]), stream_interval in 1usize..5,
        starvation_bound in prop::sample::select(vec![0u64, 4, 512]), by_priority in prop::bool::weighted(0.3),
    ) -> PlannerConfig {
        let [overlap, mixed, no_cache, low_first, preempt, retract_priority, small_pages, take_turns] = bools;
        let pages = if small_pages { pages } else { pages * 16 / page_size };
        PlannerConfig {
            max_total_num_tokens: pages.max(24) * page_size,
            max_running_requests,
            context_length: 100_000,
            vocab_size: VOCAB,
            eos_token_ids: vec![EOS],
            page_size,
            chunked_prefill_size: chunk_pages.map(|n| n * page_size),
            max_prefill_tokens,
            prefill_max_requests: prefill_max,
            schedule_policy: PolicyKind::ALL[policy].1,
            schedule_conservativeness: conservativeness,
            radix_eviction_policy: EvictionPolicy::ALL[eviction].1,
            disable_radix_cache: no_cache,
            enable_overlap: overlap,
            enable_mixed_chunk: mixed,
            contended_prefill_size: take_turns.then_some(page_size * 2),
            enable_priority_scheduling: by_priority,
            schedule_low_priority_values_first: low_first,
            enable_priority_preemption: preempt,
            retraction_policy: if retract_priority { RetractionPolicy::Priority } else { RetractionPolicy::Length },
            stream_interval,
            starvation_bound,
            ..PlannerConfig::default()
        }
    }
}

/// Plays the moves until all requests have ended. Returns the driver and the requests.
fn play(config: &PlannerConfig, moves: &[Move]) -> (Driver, Vec<(Spec, NewRequest)>) {
    let mut driver = Driver::new(config.clone());
    let mut requests: Vec<(Spec, NewRequest)> = Vec::new();
    for one in moves {
        match one {
            Move::Add(spec) => {
                let request = spec.request(requests.len(), config.max_total_num_tokens);
                driver.add(request.clone());
                requests.push((spec.clone(), request));
            }
            Move::Abort(i) => {
                let rid = format!("r{i}");
                let live = driver.answers.get(&rid).is_some_and(|answer| answer.finish.is_none());
                assert_eq!(driver.planner.abort(&rid, &AbortCause::Client), live);
                driver.collect();
                assert!(!driver.planner.abort(&rid, &AbortCause::Client), "a second abort finds nothing");
                assert!(!live || driver.answer(&rid).aborted());
            }
            Move::AbortAll => {
                driver.planner.abort_all(&AbortCause::Server("over".into()));
                driver.collect();
                assert!(driver.answers.values().all(|answer| answer.finish.is_some()));
            }
            Move::Pause(mode) => {
                driver.planner.pause(*mode);
                driver.check();
                driver.collect();
                while driver.step(&mut NoText) {}
                assert_eq!(driver.planner.num_in_flight(), 0);
                if *mode == PauseMode::Retract {
                    assert_eq!(driver.planner.stats().num_running_reqs, 0);
                    assert!(driver.planner.flush_cache());
                    driver.check();
                }
                driver.planner.resume();
            }
            Move::Flush => {
                let idle = driver.planner.is_idle();
                assert_eq!(driver.planner.flush_cache(), idle);
            }
            Move::Steps(n) => {
                for _ in 0..*n {
                    driver.step(&mut NoText);
                }
            }
        }
        driver.check();
    }
    driver.run();
    (driver, requests)
}

/// A completed request has exactly the output of a request that runs alone; an aborted one has part of it.
fn assert_right(driver: &Driver, spec: &Spec, request: &NewRequest) {
    let answer = driver.answer(&request.rid);
    // An empty pool must have room for prompt, output and one more page.
    let config = driver.planner.config();
    let (pool, page_size) = (config.max_total_num_tokens, config.page_size);
    let limit = pool.saturating_sub(request.input_ids.len().next_multiple_of(page_size) + page_size + 1);
    let expected = spec.expected(request, limit.max(request.resumed_output_ids.len()));
    match answer.finish.as_ref().unwrap() {
        FinishReason::Abort { .. } => {
            assert!(expected.starts_with(&answer.output) || answer.output == request.resumed_output_ids);
        }
        finish => {
            assert_eq!(answer.output, expected, "{}", request.rid);
            let by_token = expected.last().is_some_and(|last| {
                !spec.ignore_eos && (*last == EOS || spec.stop == Some(i64::from(*last)))
            });
            assert_eq!(matches!(finish, FinishReason::Stop { .. }), by_token);
            assert_logprobs(answer, request);
            assert_hidden_states(answer, request);
        }
    }
}

fn assert_logprobs(answer: &common::Answer, request: &NewRequest) {
    if !request.return_logprob {
        assert!(answer.input_logprobs.is_empty() && answer.output_logprobs == 0);
        return;
    }
    let made = answer.output.len() - request.resumed_output_ids.len();
    assert_eq!(
        answer.output_logprobs,
        if request.sampling_params.max_new_tokens == Some(0) { 1 } else { made }
    );
    let [input] = answer.input_logprobs.as_slice() else { panic!("input log-probabilities are sent once") };
    let start = request.logprob_start_len as usize;
    assert_eq!(input.start, start);
    assert_eq!(input.token_ids, request.input_ids[start..]);
    assert_eq!(input.rows.len(), input.token_ids.len());
    assert!(input.rows.iter().enumerate().all(|(i, row)| row.is_none() == (i == 0)));
}

/// Checks that there is one state per computed position, in the right place.
fn assert_hidden_states(answer: &common::Answer, request: &NewRequest) {
    let mut rows = hidden_states(&[&request.input_ids[..], &answer.output].concat());
    rows.truncate(rows.len().saturating_sub(1));
    let prompt_len = request.input_ids.len();
    let mut expected = Vec::new();
    let made = answer.output.len() - request.resumed_output_ids.len();
    if request.return_hidden_states.need_capture() && made > 0 {
        let mut steps = rows.split_off(prompt_len + answer.output.len() - made);
        if request.resumed_output_ids.is_empty() {
            expected.push(HiddenStateChunk::List(rows.split_off(answer.cached_tokens)));
        } else {
            expected.push(HiddenStateChunk::Vector(rows.pop().unwrap()));
        }
        expected.extend(steps.drain(..).map(HiddenStateChunk::Vector));
    }
    assert_eq!(answer.hidden_states, expected, "{}", request.rid);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 800, max_shrink_iters: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_traffic_ends_rightly_and_leaves_nothing_behind(config in config(), moves in moves()) {
        let (mut driver, requests) = play(&config, &moves);
        for (spec, request) in &requests {
            assert_right(&driver, spec, request);
        }
        // No request waits forever: every step generates at least one token of some request, however often it is
        // retracted.
        let tokens: usize = requests.iter().map(|(s, r)| r.input_ids.len() + s.max_new as usize).sum();
        let retractions = driver.planner.stats().total_retractions as usize;
        prop_assert!(driver.steps <= (tokens + 2) * (retractions + 1) + 2, "{} steps", driver.steps);
        driver.assert_clean();
    }

    #[test]
    fn overlap_changes_nothing_for_the_client(config in config(), specs in prop::collection::vec(spec(), 1..16)) {
        let moves: Vec<Move> = specs.into_iter().flat_map(|spec| [Move::Add(spec), Move::Steps(1)]).collect();
        let outcomes = [false, true].map(|enable_overlap| {
            let (driver, _) = play(&PlannerConfig { enable_overlap, ..config.clone() }, &moves);
            let told = |a: &common::Answer| (a.output.clone(), a.finish.clone(), a.input_logprobs.clone());
            driver.answers.iter().map(|(rid, answer)| (rid.clone(), told(answer))).collect::<Vec<_>>()
        });
        prop_assert_eq!(&outcomes[0], &outcomes[1]);
    }
}
