//! Active requests that are submitted again, because output of them may have been lost.

use sglang_planner::simulator::{NoText, SimWorker, alone};
use sglang_planner::{AbortCause, NewRequest, OutputEvent, Planner, PlannerConfig};
use sglang_proto::CaptureHiddenMode;
use sglang_proto::messages::Attempt;

use crate::common::{prompt, request, small};

const fn attempt(number: u64) -> Attempt {
    Attempt { life: 1, number }
}

struct Engine {
    planner: Planner,
    worker: SimWorker,
}

impl Engine {
    fn new(config: PlannerConfig) -> Self {
        Self { worker: SimWorker::new(&config), planner: Planner::new(config).unwrap() }
    }

    /// Runs a step and returns its events.
    fn step(&mut self) -> Vec<OutputEvent> {
        if let Some(batch) = self.planner.plan(0.0).batch {
            self.planner.on_result(self.worker.run(&batch).unwrap(), &mut NoText).unwrap();
        }
        self.planner.verify().unwrap();
        self.planner.take_events()
    }

    fn run(&mut self) -> Vec<OutputEvent> {
        let mut all = Vec::new();
        while !self.planner.is_idle() {
            all.extend(self.step());
        }
        all.extend(self.planner.take_events());
        all
    }
}

fn streaming(rid: &str, max_new_tokens: i64) -> NewRequest {
    NewRequest {
        stream: true,
        return_logprob: true,
        logprob_start_len: 0,
        attempt: Some(attempt(1)),
        ..request(rid, prompt(1, 12), max_new_tokens)
    }
}

#[test]
fn what_was_lost_is_sent_again_and_nothing_is_computed_twice() {
    let all = alone(&prompt(1, 12), 7, 10, &[], 1000);
    for lost_from in 0..5 {
        let mut engine = Engine::new(small(512));
        engine.planner.add_request(streaming("a", 10), 0.0).unwrap();
        let mut before = Vec::new();
        let mut steps = 0;
        while before.len() < 5 {
            steps += 1;
            before.extend(engine.step());
        }
        assert!(engine.planner.resubmit("a", attempt(2), lost_from, lost_from > 0));
        let mut after = engine.planner.take_events();
        while !engine.planner.is_idle() {
            steps += 1;
            after.extend(engine.step());
        }
        assert_eq!(steps, 10, "one step per token");
        let first = &after[0];
        assert!(first.first && first.output_offset == lost_from);
        assert_eq!(first.request.resumed_output_ids, all[..lost_from]);
        assert_eq!(first.input_logprobs.is_some(), lost_from == 0, "once for the client");
        assert!(after.iter().all(|event| event.request.attempt == Some(attempt(2))));
        let ids: Vec<u32> = after.iter().flat_map(|event| event.output_ids.clone()).collect();
        assert_eq!(ids, all[lost_from..]);
        let rows = after.iter().map(|event| event.output_logprobs.len()).sum::<usize>();
        assert_eq!(rows, ids.len(), "a row for each id that is sent");
        // The rows are the same as the first time.
        let flat = |events: &[OutputEvent]| -> Vec<_> {
            events.iter().flat_map(|event| event.output_logprobs.clone()).collect()
        };
        assert_eq!(flat(&before)[lost_from..], flat(&after)[..5 - lost_from]);
        assert!(after.last().unwrap().finish_reason.is_some());
        assert_eq!(after.iter().filter(|event| event.finish_reason.is_some()).count(), 1);
    }
}

#[test]
fn an_older_try_changes_nothing_and_an_unknown_request_is_the_callers_to_add() {
    let mut engine = Engine::new(small(512));
    engine.planner.add_request(streaming("a", 3), 0.0).unwrap();
    engine.step();
    assert!(engine.planner.resubmit("a", attempt(5), 1, true));
    assert!(engine.planner.resubmit("a", attempt(4), 0, true));
    assert!(engine.planner.resubmit("a", attempt(5), 0, true));
    assert!(engine.planner.take_events().is_empty());
    assert!(!engine.planner.resubmit("b", attempt(6), 0, false));
    let ids: Vec<u32> = engine.run().into_iter().flat_map(|event| event.output_ids).collect();
    assert_eq!(ids, alone(&prompt(1, 12), 7, 3, &[], 1000)[1..]);
    assert!(!engine.planner.resubmit("a", attempt(7), 3, true), "it has ended");
}

#[test]
fn a_request_whose_hidden_states_went_out_begins_anew() {
    let mut engine = Engine::new(small(512));
    let wanting = |number, ids: &[u32]| NewRequest {
        return_hidden_states: CaptureHiddenMode::Full,
        attempt: Some(attempt(number)),
        resumed_output_ids: ids.to_vec(),
        ..streaming("a", 4)
    };
    engine.planner.add_request(wanting(1, &[]), 0.0).unwrap();
    engine.step();
    let all = alone(&prompt(1, 12), 7, 4, &[], 1000);
    assert!(!engine.planner.resubmit("a", attempt(2), 1, true));
    assert!(engine.planner.forget("a") && !engine.planner.forget("a"));
    assert!(engine.planner.take_events().is_empty(), "nobody is told");
    engine.planner.add_request(wanting(2, &all[..1]), 0.0).unwrap();
    let events = engine.run();
    let ids: Vec<u32> = events.iter().flat_map(|event| event.output_ids.clone()).collect();
    assert_eq!(ids, all[1..]);
    assert_eq!(events.iter().map(|event| event.hidden_states.len()).sum::<usize>(), 3);
    assert!(engine.planner.flush_cache());
}

#[test]
fn requests_that_were_accepted_before_do_not_count_against_the_queue() {
    let config = PlannerConfig { max_queued_requests: Some(1), max_running_requests: 1, ..small(512) };
    let mut engine = Engine::new(config);
    for i in 0..5 {
        let again = NewRequest { resubmitted: true, ..streaming(&i.to_string(), 2) };
        engine.planner.add_request(again, 0.0).unwrap();
    }
    engine.planner.add_request(streaming("new", 2), 0.0).unwrap();
    let refused = engine.planner.take_events();
    assert_eq!((refused.len(), refused[0].rid()), (1, "new"));
    let ended: Vec<String> = engine
        .run()
        .iter()
        .filter(|event| event.finish_reason.is_some())
        .map(|event| event.rid().to_owned())
        .collect();
    assert_eq!(ended, ["0", "1", "2", "3", "4"], "in their order");
}

#[test]
fn the_end_of_a_request_belongs_to_the_try_that_its_abort_names() {
    let mut engine = Engine::new(small(512));
    engine.planner.add_request(streaming("a", 9), 0.0).unwrap();
    engine.step();
    assert!(engine.planner.take_attempt("a", attempt(3)));
    assert!(!engine.planner.take_attempt("b", attempt(3)));
    assert!(engine.planner.abort("a", &AbortCause::Client));
    let events = engine.planner.take_events();
    assert_eq!((events.len(), events[0].request.attempt), (1, Some(attempt(3))));
}

#[test]
fn a_request_without_output_says_nothing_when_it_is_submitted_again() {
    let mut engine = Engine::new(small(512));
    engine.planner.add_request(NewRequest { stream: false, ..streaming("a", 3) }, 0.0).unwrap();
    assert!(engine.planner.resubmit("a", attempt(2), 0, false));
    assert!(engine.planner.take_events().is_empty());
    let events = engine.run();
    assert!(events[0].first && events.iter().all(|event| !event.output_ids.is_empty()));
}
