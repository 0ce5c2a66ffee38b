//! Weight updates while requests run, with a worker whose weight is visible in every token.
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use std::time::Duration;

use common::{Engine, answer, prompt};
use sglang_proto::messages::*;

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
    let pause = PauseGenerationReqInput { mode: "in_place".into() };
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
async fn a_new_label_is_that_of_tokens_from_then_on() {
    let mut engine = Engine::start(Duration::from_millis(2)).await;
    let long: Vec<u32> = (10..200).collect();
    engine.request("long", long.clone(), 1000);
    while engine.answers["long"].ids.len() < 3 {
        engine.take().await;
    }
    let request = UpdateWeightVersionReqInput {
        rid: "call".into(),
        new_version: "v1".into(),
        abort_all_requests: false,
    };
    engine.to_scheduler.send(request).unwrap();
    let AnyMessage::UpdateWeightVersionReqOutput(reply) = engine.reply().await else { panic!("wrong reply") };
    assert_eq!(reply.rid.get(), Some("call"));
    engine.request("after", prompt(1), 100);
    engine.take_all().await;
    assert_eq!(engine.answers["long"].ids, answer(&long, 0), "the weights stay");
    let spans = engine.spans("long");
    let [("v0", 0, middle), ("v1", start, end)] = spans[..] else { panic!("{spans:?}") };
    assert_eq!((start, end as usize), (middle, long.len() + 1));
    let spans = engine.spans("after");
    assert!(matches!(spans[..], [("v1", 0, _)]), "{spans:?}");
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
