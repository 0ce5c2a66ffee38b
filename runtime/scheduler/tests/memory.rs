//! Release and resume of memory, delayed steps and changed settings, with a worker that cannot run without its weight
//! and slots.
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use std::time::{Duration, Instant};

use common::{Engine, answer, prompt};
use sglang_proto::messages::*;

const STEP: Duration = Duration::from_micros(200);

fn tags(names: &[&str]) -> Option<Vec<String>> {
    (!names.is_empty()).then(|| names.iter().map(|name| (*name).to_owned()).collect())
}

/// Whether it succeeded, the message, and whether any memory is released now.
type Outcome = (bool, String, bool);

fn ok(released: bool) -> Outcome {
    (true, String::new(), released)
}

impl Engine {
    async fn release(&mut self, names: &[&str]) -> Outcome {
        let request = ReleaseMemoryOccupationReqInput { tags: tags(names), ..Default::default() };
        self.to_scheduler.send(request).unwrap();
        match self.reply().await {
            AnyMessage::ReleaseMemoryOccupationReqOutput(r) => (r.success, r.message, r.released),
            other => panic!("{other:?}"),
        }
    }

    async fn resume(&mut self, names: &[&str]) -> Outcome {
        let request = ResumeMemoryOccupationReqInput { tags: tags(names), ..Default::default() };
        self.to_scheduler.send(request).unwrap();
        match self.reply().await {
            AnyMessage::ResumeMemoryOccupationReqOutput(r) => (r.success, r.message, r.released),
            other => panic!("{other:?}"),
        }
    }

    async fn state(&mut self) -> serde_json::Value {
        self.to_scheduler.send(GetInternalStateReq::default()).unwrap();
        match self.reply().await {
            AnyMessage::GetInternalStateReqOutput(r) => r.internal_state,
            other => panic!("{other:?}"),
        }
    }

    async fn set(&mut self, name: &str, value: f64) -> bool {
        let server_args = [(name.to_owned(), value)].into();
        self.to_scheduler.send(SetInternalStateReq { server_args, ..Default::default() }).unwrap();
        match self.reply().await {
            AnyMessage::SetInternalStateReqOutput(r) => r.updated,
            other => panic!("{other:?}"),
        }
    }

    async fn check(&mut self, action: &str) -> CheckWeightsReqOutput {
        let request = CheckWeightsReqInput { action: action.into(), ..Default::default() };
        self.to_scheduler.send(request).unwrap();
        match self.reply().await {
            AnyMessage::CheckWeightsReqOutput(r) => *r,
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn what_was_released_comes_back_and_requests_wait_meanwhile() {
    let mut engine = Engine::start(STEP).await;
    engine.update("shift:1000", |_| {});
    assert!(engine.updated().await.0);
    for names in [&[][..], &["weights"], &["kv_cache"], &["kv_cache", "weights"]] {
        engine.request("before", prompt(1), 100);
        engine.take_all().await;
        assert_eq!(engine.release(names).await, ok(true), "{names:?}");
        engine.request("meanwhile", prompt(2), 100);
        assert_eq!(engine.state().await["num_waiting_reqs"].as_u64().map(|n| n <= 1), Some(true));
        tokio::time::sleep(Duration::from_millis(30)).await;
        assert!(engine.answers["meanwhile"].spans.is_none(), "it waits");
        assert_eq!(engine.resume(names).await, ok(false), "{names:?}");
        engine.take_all().await;
        assert_eq!(engine.answers["meanwhile"].ids, answer(&prompt(2), 1000), "{names:?}");
        engine.request("after", prompt(1), 100);
        engine.take_all().await;
        assert_eq!(engine.answers["after"].ids, engine.answers["before"].ids, "{names:?}");
        assert_eq!(engine.shift().await, 1000, "the weights of the last update come back");
    }
    engine.stop();
}

#[tokio::test]
async fn a_release_is_refused_while_requests_run_and_nothing_happens_to_them() {
    let mut engine = Engine::start(Duration::from_millis(2)).await;
    let long: Vec<u32> = (10..100).collect();
    engine.request("long", long.clone(), 1000);
    while engine.answers["long"].ids.is_empty() {
        engine.take().await;
    }
    let (success, message, released) = engine.release(&[]).await;
    assert!(!success && !released && message.contains("only when server is idle"), "{message}");
    let pause = PauseGenerationReqInput { mode: "in_place".into() };
    engine.to_scheduler.send(pause).unwrap();
    assert!(
        !engine.release(&["kv_cache"]).await.0,
        "a request that stays in place needs its keys and values"
    );
    engine.to_scheduler.send(ContinueGenerationReqInput::default()).unwrap();
    engine.take_all().await;
    assert_eq!(engine.answers["long"].ids, answer(&long, 0));
    assert_eq!(engine.release(&[]).await, ok(true));
    engine.stop();
}

#[tokio::test]
async fn a_pause_that_retracts_lets_memory_go_and_the_request_goes_on_afterwards() {
    let mut engine = Engine::start(Duration::from_millis(2)).await;
    let long: Vec<u32> = (10..100).collect();
    engine.request("long", long.clone(), 1000);
    while engine.answers["long"].ids.len() < 3 {
        engine.take().await;
    }
    let pause = PauseGenerationReqInput { mode: "retract".into() };
    engine.to_scheduler.send(pause).unwrap();
    // Sent at once: the release waits for the batch in flight.
    assert_eq!(engine.release(&[]).await, ok(true));
    assert_eq!(engine.state().await["paused"], true);
    assert_eq!(engine.resume(&[]).await, ok(false));
    engine.to_scheduler.send(ContinueGenerationReqInput::default()).unwrap();
    engine.take_all().await;
    assert_eq!(engine.answers["long"].ids, answer(&long, 0));
    engine.stop();
}

#[tokio::test]
async fn what_makes_no_sense_is_refused_in_words() {
    let mut engine = Engine::start(STEP).await;
    let refused = |(success, message, released): Outcome| {
        assert!(!success, "{message}");
        (message, released)
    };
    let unknown = "Unknown tag 'cache'; expected some of: kv_cache, weights, cuda_graph.";
    assert_eq!(refused(engine.release(&["cache"]).await), (unknown.to_owned(), false));
    assert_eq!(refused(engine.resume(&[]).await).0, "No memory is released.");
    assert_eq!(engine.release(&["weights"]).await, ok(true));
    assert_eq!(refused(engine.release(&["weights"]).await), ("'weights' is released already.".into(), true));
    assert_eq!(refused(engine.resume(&["kv_cache"]).await).0, "'kv_cache' is not released.");
    assert_eq!(engine.release(&[]).await, ok(true), "the rest");
    assert_eq!(refused(engine.release(&[]).await).0, "All memory is released already.");
    let without = engine.check("checksum").await;
    assert!(!without.success && without.message.contains("released"), "{}", without.message);
    // Parts are resumed one by one; requests wait for the last.
    engine.request("a", prompt(1), 100);
    assert_eq!(engine.resume(&["kv_cache"]).await, ok(true));
    assert_eq!(engine.resume(&["weights"]).await, ok(false));
    engine.take_all().await;
    assert_eq!(engine.answers["a"].ids, answer(&prompt(1), 0));
    assert_eq!(engine.resume(&["cuda_graph"]).await, ok(false));
    engine.stop();
}

#[tokio::test]
async fn new_weights_take_the_place_of_released_ones_and_a_reload_that_fails_leaves_them_away() {
    let mut engine = Engine::start(STEP).await;
    assert_eq!(engine.release(&["weights"]).await, ok(true));
    engine.update("shift:7", |_| {});
    assert!(engine.updated().await.0);
    assert_eq!(engine.shift().await, 7);
    assert!(!engine.resume(&["weights"]).await.0, "they are there");
    engine.request("a", prompt(1), 100);
    engine.take_all().await;
    assert_eq!(engine.answers["a"].ids, answer(&prompt(1), 7));
    engine.stop();

    let mut engine = Engine::start_from("broken:disk", STEP).await;
    assert_eq!(engine.release(&["weights"]).await, ok(true));
    let (success, message, released) = engine.resume(&[]).await;
    assert!(!success && released && message.contains("disk"), "{message}");
    engine.update("shift:3", |_| {});
    assert!(engine.updated().await.0);
    engine.request("a", prompt(1), 100);
    engine.take_all().await;
    assert_eq!(engine.answers["a"].ids, answer(&prompt(1), 3));
    engine.stop();
}

#[tokio::test]
async fn checksums_tell_whether_the_weights_are_what_they_were() {
    let mut engine = Engine::start(STEP).await;
    let told = engine.check("checksum").await;
    let payload = told.payload.unwrap();
    assert_eq!(payload[0]["checksums"]["shift"], "0000000000000000");
    assert_eq!(payload[0]["per_gpu_checksum"].as_str().unwrap().len(), 64);
    assert_eq!(engine.check("compare").await.message, "there is no snapshot to compare with");
    assert!(engine.check("snapshot").await.success);
    assert!(engine.check("compare").await.success);
    assert!(engine.check("snapshot").await.success);
    engine.update("shift:1", |_| {});
    assert!(engine.updated().await.0);
    let changed = engine.check("compare").await;
    assert!(!changed.success && changed.message.contains("the first is shift"), "{}", changed.message);
    assert!(engine.check("reset_tensors").await.message.starts_with("Unsupported action='reset_tensors'"));
    engine.stop();
}

#[tokio::test]
async fn a_slower_pace_holds_until_it_is_taken_back() {
    let mut engine = Engine::start(Duration::ZERO).await;
    let mut timed = async |rid: &str, pause: Option<f64>| {
        let request = SlowDownReqInput { forward_sleep_time: pause, ..Default::default() };
        engine.to_scheduler.send(request).unwrap();
        assert!(matches!(engine.reply().await, AnyMessage::SlowDownReqOutput(_)));
        let began = Instant::now();
        engine.request(rid, prompt(1), 10);
        engine.take_all().await;
        began.elapsed()
    };
    let slow = timed("slow", Some(0.02)).await;
    assert!(slow >= Duration::from_millis(200), "{slow:?}");
    let fast = timed("fast", None).await;
    assert!(fast < Duration::from_millis(150), "{fast:?}");
    engine.stop();
}

#[tokio::test]
async fn a_smaller_micro_batch_holds_at_once_and_other_settings_are_not_known() {
    let mut engine = Engine::start(Duration::from_millis(1)).await;
    assert!(!engine.set("pp_max_micro_batch_size", 0.0).await);
    assert!(!engine.set("pp_max_micro_batch_size", 9.0).await, "8 requests can run");
    assert!(!engine.set("pp_max_micro_batch_size", 1.5).await);
    assert!(!engine.set("max_prefill_tokens", 100.0).await);
    assert!(engine.set("pp_max_micro_batch_size", 2.0).await);
    for i in 0..6 {
        engine.request(&format!("r{i}"), (10..60 + i).collect(), 1000);
    }
    let mut most = 0;
    while engine.answers.values().any(|a| a.spans.is_none()) {
        engine.take().await;
        let state = engine.state().await;
        assert_eq!(state["pp_max_micro_batch_size"], 2);
        most = most.max(state["num_running_reqs"].as_u64().unwrap());
    }
    assert_eq!(most, 2);
    engine.stop();
}
