//! Links survive what processes do to each other: late starts, restarts, garbage.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;
use std::time::Duration;

use sglang_ipc::{Endpoints, Identity, LinkStats, PullLink, PushLink, Received};
use sglang_proto::messages::{AbortReq, AnyMessage};
use tokio::time::timeout;
use zeromq::{PushSocket, Socket, SocketSend};

fn abort(rid: &str) -> AbortReq {
    AbortReq { rid: Some(rid.into()), ..Default::default() }
}

async fn next(link: &mut PullLink) -> Received {
    timeout(Duration::from_secs(5), link.recv()).await.unwrap().unwrap()
}

async fn next_rid(link: &mut PullLink) -> String {
    loop {
        if let Received::Message(AnyMessage::AbortReq(m)) = next(link).await {
            return m.rid.unwrap();
        }
    }
}

fn link_in(dir: &tempfile::TempDir) -> String {
    Endpoints::in_dir(dir.path()).scheduler_input
}

#[tokio::test]
async fn a_sender_may_start_before_its_receiver() {
    let dir = tempfile::tempdir().unwrap();
    let endpoint = link_in(&dir);
    let push = PushLink::connect(&endpoint, Arc::new(Identity::new("tokenizer_manager", 7.into())));
    push.send(abort("early")).unwrap();
    tokio::time::sleep(Duration::from_millis(50)).await;
    let mut pull = PullLink::bind(&endpoint, "").await.unwrap();
    match next(&mut pull).await {
        Received::Hello { hello, restarted } => {
            assert_eq!(
                (hello.role.as_str(), &hello.info, restarted),
                ("tokenizer_manager", &7.into(), false)
            );
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(next_rid(&mut pull).await, "early");
    assert_eq!(push.queued(), 0);
}

#[tokio::test]
async fn order_is_kept_over_many_messages() {
    let dir = tempfile::tempdir().unwrap();
    let endpoint = link_in(&dir);
    let mut pull = PullLink::bind(&endpoint, "").await.unwrap();
    let push = PushLink::connect(&endpoint, Arc::new(Identity::new("tokenizer_manager", 0.into())));
    for i in 0..10_000 {
        push.send(abort(&i.to_string())).unwrap();
    }
    for i in 0..10_000 {
        assert_eq!(next_rid(&mut pull).await, i.to_string());
    }
    assert_eq!(LinkStats::get(&pull.stats().lost), 0);
}

#[tokio::test]
async fn a_restarted_receiver_is_found_again() {
    let dir = tempfile::tempdir().unwrap();
    let endpoint = link_in(&dir);
    let push = PushLink::connect(&endpoint, Arc::new(Identity::new("tokenizer_manager", 0.into())));
    let mut pull = PullLink::bind(&endpoint, "").await.unwrap();
    push.send(abort("first life")).unwrap();
    assert_eq!(next_rid(&mut pull).await, "first life");
    drop(pull);
    let mut pull = PullLink::bind(&endpoint, "").await.unwrap();
    push.reset();
    push.send(abort("second life")).unwrap();
    assert!(matches!(next(&mut pull).await, Received::Hello { .. }));
    assert_eq!(next_rid(&mut pull).await, "second life");
}

#[tokio::test]
async fn a_receiver_that_vanishes_unannounced_is_found_again_within_a_few_messages() {
    let dir = tempfile::tempdir().unwrap();
    let endpoint = link_in(&dir);
    let push = PushLink::connect(&endpoint, Arc::new(Identity::new("scheduler", 0.into())));
    // The first receiver lives in a runtime of its own, whose end closes its sockets as the end of a process does.
    let first_life =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let bound = endpoint.clone();
    let pull = first_life.spawn(async move { PullLink::bind(&bound, "").await }).await.unwrap().unwrap();
    push.send(abort("x")).unwrap();
    let pull = first_life
        .spawn(async move {
            let mut pull = pull;
            assert_eq!(next_rid(&mut pull).await, "x");
            pull
        })
        .await
        .unwrap();
    drop(pull);
    // A process is gone before its successor starts.
    tokio::task::spawn_blocking(move || first_life.shutdown_timeout(Duration::from_secs(5))).await.unwrap();
    let mut pull = PullLink::bind(&endpoint, "").await.unwrap();
    for i in 0..20 {
        push.send(abort(&i.to_string())).unwrap();
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let first: u32 = next_rid(&mut pull).await.parse().unwrap();
    assert!(first < 10, "the first message that arrived was number {first}");
}

#[tokio::test]
async fn a_receiver_that_closes_late_leaves_its_successor_alone() {
    let dir = tempfile::tempdir().unwrap();
    let endpoint = link_in(&dir);
    let old = PullLink::bind(&endpoint, "").await.unwrap();
    let mut new = PullLink::bind(&endpoint, "").await.unwrap();
    drop(old);
    tokio::time::sleep(Duration::from_millis(50)).await;
    let push = PushLink::connect(&endpoint, Arc::new(Identity::new("tokenizer_manager", 0.into())));
    push.send(abort("x")).unwrap();
    assert_eq!(next_rid(&mut new).await, "x");
    drop(new);
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0, "the last life leaves no file");
}

#[tokio::test]
async fn a_restarted_sender_is_announced_and_its_older_life_shut_out() {
    let dir = tempfile::tempdir().unwrap();
    let endpoint = link_in(&dir);
    let mut pull = PullLink::bind(&endpoint, "").await.unwrap();
    let old = PushLink::connect(&endpoint, Arc::new(Identity::new("scheduler", 0.into())));
    assert!(matches!(next(&mut pull).await, Received::Hello { restarted: false, .. }));
    let new = PushLink::connect(&endpoint, Arc::new(Identity::new("scheduler", 0.into())));
    assert!(matches!(next(&mut pull).await, Received::Hello { restarted: true, .. }));
    old.send(abort("ghost")).unwrap();
    tokio::time::sleep(Duration::from_millis(50)).await;
    new.send(abort("living")).unwrap();
    assert_eq!(next_rid(&mut pull).await, "living");
    assert_eq!(LinkStats::get(&pull.stats().stale), 1);
}

#[tokio::test]
async fn garbage_is_counted_and_dropped() {
    let dir = tempfile::tempdir().unwrap();
    let endpoint = link_in(&dir);
    let mut pull = PullLink::bind(&endpoint, "run-1").await.unwrap();
    let mut raw = PushSocket::new();
    raw.connect(&endpoint).await.unwrap();
    let good = AnyMessage::from(abort("good")).encode(None).unwrap();
    let unknown = rmp_serde::to_vec(&("EvilReq", 1)).unwrap();
    let mut foreign = Identity::new("scheduler", 0.into());
    foreign.run_id = "run-2".into();
    let foreign = AnyMessage::from(foreign.hello()).encode(None).unwrap();
    for frame in [vec![], vec![0xc1], good[..good.len() - 1].to_vec(), unknown, foreign, good] {
        raw.send(frame.into()).await.unwrap();
    }
    assert_eq!(next_rid(&mut pull).await, "good");
    assert_eq!(LinkStats::get(&pull.stats().dropped), 5);
}

#[tokio::test]
async fn a_process_of_another_run_is_not_greeted() {
    let dir = tempfile::tempdir().unwrap();
    let endpoint = link_in(&dir);
    let mut pull = PullLink::bind(&endpoint, "run-1").await.unwrap();
    let mut identity = Identity::new("scheduler", 0.into());
    identity.run_id = "run-1".into();
    let _push = PushLink::connect(&endpoint, Arc::new(identity));
    assert!(matches!(next(&mut pull).await, Received::Hello { .. }));
}
