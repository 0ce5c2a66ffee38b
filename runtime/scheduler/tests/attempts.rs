//! Attempts of requests: they can be submitted again, end exactly once, and end when the tokenizer manager restarts.
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use std::sync::Arc;
use std::time::Duration;

use common::{Engine, answer, next, prompt};
use sglang_ipc::{Identity, PushLink, Received};
use sglang_proto::SamplingParams;
use sglang_proto::messages::*;
use sglang_proto::wire::{Role, TokenIds};

const STEP: Duration = Duration::from_millis(3);

const fn attempt(number: u64) -> Attempt {
    Attempt { life: 1, number }
}

/// A request for a long answer.
fn request(number: u64, accepted: Option<&[u32]>) -> TokenizedGenerateReqInput {
    let sampling_params = SamplingParams {
        max_new_tokens: Some(60),
        ignore_eos: true,
        is_normalized: true,
        ..Default::default()
    };
    TokenizedGenerateReqInput {
        rid: "r".into(),
        input_ids: Some(TokenIds(prompt(1))),
        sampling_params,
        logprob_start_len: -1,
        stream: true,
        attempt: Some(attempt(number)),
        resubmitted: accepted.is_some(),
        resumed_output_ids: accepted.map(|ids| TokenIds(ids.to_vec())),
        ..Default::default()
    }
}

fn expected() -> Vec<u32> {
    answer(&prompt(1), 0).into_iter().cycle().take(60).collect()
}

/// The next rows for the detokenizer. An end without output is returned as a row without ids.
async fn rows(engine: &mut Engine) -> Vec<TokenIdOutput> {
    loop {
        match next(&mut engine.at_detokenizer).await {
            Received::Message(AnyMessage::BatchTokenIDOutput(batch)) => return batch.rows,
            Received::Message(AnyMessage::AbortReq(end)) => {
                let output = GenerationOutput {
                    rid: end.rid.unwrap(),
                    attempt: end.attempt,
                    finished_reason: end.finished_reason,
                    ..Default::default()
                };
                return vec![TokenIdOutput { output, ..Default::default() }];
            }
            _ => {}
        }
    }
}

/// Rows of the attempt `number`, up to its end or until there are `enough` ids.
async fn until(engine: &mut Engine, number: u64, enough: usize) -> Vec<TokenIdOutput> {
    let mut all = Vec::new();
    let mut ids = 0;
    while ids < enough {
        for row in rows(engine).await.into_iter().filter(|row| row.output.attempt == Some(attempt(number))) {
            ids += row.output.output_ids.len();
            let ended = row.output.finished_reason.is_some();
            all.push(row);
            if ended {
                return all;
            }
        }
    }
    all
}

fn ids(rows: &[TokenIdOutput]) -> Vec<u32> {
    rows.iter().flat_map(|row| row.output.output_ids.0.clone()).collect()
}

#[tokio::test]
async fn a_known_request_goes_on_from_where_its_client_stands() {
    let mut engine = Engine::start(STEP).await;
    engine.to_scheduler.send(request(1, None)).unwrap();
    until(&mut engine, 1, 8).await;
    engine.to_scheduler.send(request(2, Some(&expected()[..3]))).unwrap();
    let again = until(&mut engine, 2, 1000).await;
    assert_eq!(again[0].output.output_offset, Some(3));
    // The context consists of the prompt and the ids that the client has.
    let context = again[0].decode_ids.len() - again[0].output.output_ids.len();
    assert_eq!(context as u64, again[0].read_offset);
    assert!(again[0].decode_ids[..context].ends_with(&expected()[..3]));
    assert_eq!(ids(&again), expected()[3..]);
    // The request has ended and is unknown now: only the ids that the client lacks are generated again.
    engine.to_scheduler.send(request(3, Some(&expected()[..58]))).unwrap();
    let last = until(&mut engine, 3, 1000).await;
    assert_eq!(ids(&last), expected()[58..]);
    assert_eq!(last.last().unwrap().output.finished_reason, Some(FinishReason::Length { length: 60 }));
    engine.stop();
}

#[tokio::test]
async fn every_abort_is_answered_by_exactly_one_end_of_the_try_that_it_names() {
    let mut engine = Engine::start(STEP).await;
    let abort =
        |number| AbortReq { rid: Some("r".into()), attempt: Some(attempt(number)), ..Default::default() };
    engine.to_scheduler.send(request(1, None)).unwrap();
    until(&mut engine, 1, 3).await;
    // The request is known the first time and unknown the other two times.
    for number in [5, 6, 7] {
        engine.to_scheduler.send(abort(number)).unwrap();
        let end = until(&mut engine, number, 1000).await;
        assert_eq!(end.len(), 1);
        assert!(matches!(end[0].output.finished_reason, Some(FinishReason::Abort { .. })));
    }
    engine.to_scheduler.send(request(8, None)).unwrap();
    assert_eq!(ids(&until(&mut engine, 8, 1000).await), expected());
    engine.stop();
}

#[tokio::test]
async fn requests_of_a_tokenizer_manager_that_has_gone_end_for_the_detokenizer() {
    let mut engine = Engine::start(STEP).await;
    engine.to_scheduler.send(request(1, None)).unwrap();
    until(&mut engine, 1, 3).await;
    match next(&mut engine.at_tokenizer).await {
        Received::Hello(hello) => assert_eq!((hello.role, hello.epoch), (Role::Scheduler, 1)),
        other => panic!("{other:?}"),
    }
    let endpoint = sglang_ipc::Endpoints::in_dir(engine.dir()).scheduler_input;
    let identity = Identity::of_life(Role::TokenizerManager, 2, serde_json::Value::Null);
    let next_life = PushLink::connect(&endpoint, Arc::new(identity));
    let end = until(&mut engine, 1, 1000).await;
    assert!(matches!(end.last().unwrap().output.finished_reason, Some(FinishReason::Abort { .. })));
    // Late messages of the earlier life are dropped.
    engine.to_scheduler.send(request(9, None)).unwrap();
    next_life.send(TokenizedGenerateReqInput { rid: "new".into(), ..request(2, None) }).unwrap();
    let served = until(&mut engine, 2, 1000).await;
    assert!(served.iter().all(|row| row.output.rid == "new"));
    assert_eq!(ids(&served), expected());
    engine.stop();
}
