//! Links survive late starts, restarts and invalid frames of their peers.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;
use std::time::Duration;

use sglang_ipc::{Endpoints, Identity, LinkStats, PullLink, PushLink, Received};
use sglang_proto::messages::{AbortReq, AnyMessage, Attempt, ConfigureLoggingReq, Hello, Receivable};
use sglang_proto::wire::{Origin, Role};
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

fn life_of(role: Role, life: u64) -> Arc<Identity> {
    Arc::new(Identity::of_life(role, life, 0.into()))
}

fn link_in(dir: &tempfile::TempDir) -> String {
    Endpoints::in_dir(dir.path()).scheduler_input
}

#[tokio::test]
async fn a_sender_may_start_before_its_receiver() {
    let dir = tempfile::tempdir().unwrap();
    let endpoint = link_in(&dir);
    let push = PushLink::connect(&endpoint, Arc::new(Identity::of_life(Role::TokenizerManager, 1, 7.into())));
    push.send(abort("early")).unwrap();
    tokio::time::sleep(Duration::from_millis(50)).await;
    let mut pull = PullLink::bind(&endpoint).await.unwrap();
    match next(&mut pull).await {
        Received::Hello(hello) => {
            assert_eq!((hello.role, &hello.info), (Role::TokenizerManager, &7.into()));
            assert!(hello.first && !hello.restarted && !hello.lost);
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
    let mut pull = PullLink::bind(&endpoint).await.unwrap();
    let push = PushLink::connect(&endpoint, life_of(Role::TokenizerManager, 1));
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
    let push = PushLink::connect(&endpoint, life_of(Role::TokenizerManager, 1));
    let mut pull = PullLink::bind(&endpoint).await.unwrap();
    push.send(abort("first life")).unwrap();
    assert_eq!(next_rid(&mut pull).await, "first life");
    drop(pull);
    let mut pull = PullLink::bind(&endpoint).await.unwrap();
    push.refresh();
    push.send(abort("second life")).unwrap();
    assert!(matches!(next(&mut pull).await, Received::Hello(_)));
    assert_eq!(next_rid(&mut pull).await, "second life");
}

/// A receiver in a separate runtime, whose end closes its sockets like the end of a process.
async fn killed_receiver(endpoint: &str, until: &str) {
    let life = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let (endpoint, until) = (endpoint.to_owned(), until.to_owned());
    let pull = life
        .spawn(async move {
            let mut pull = PullLink::bind(&endpoint).await.unwrap();
            assert_eq!(next_rid(&mut pull).await, until);
            pull
        })
        .await
        .unwrap();
    drop(pull);
    // A process ends before its successor starts.
    tokio::task::spawn_blocking(move || life.shutdown_timeout(Duration::from_secs(5))).await.unwrap();
}

#[tokio::test]
async fn an_idle_link_notices_the_end_of_its_receiver_and_loses_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let endpoint = link_in(&dir);
    let push = PushLink::connect(&endpoint, life_of(Role::Scheduler, 1));
    push.send(abort("x")).unwrap();
    killed_receiver(&endpoint, "x").await;
    // The sender notices the end of the connection at once, before it loses a message.
    tokio::time::sleep(Duration::from_millis(50)).await;
    let mut pull = PullLink::bind(&endpoint).await.unwrap();
    match next(&mut pull).await {
        Received::Hello(hello) => assert!(hello.first, "{hello:?}"),
        other => panic!("{other:?}"),
    }
    push.send(abort("first")).unwrap();
    assert_eq!(next_rid(&mut pull).await, "first");
}

#[tokio::test]
async fn a_receiver_that_still_lives_when_another_takes_its_place_is_left() {
    let dir = tempfile::tempdir().unwrap();
    let endpoint = link_in(&dir);
    let push = PushLink::connect(&endpoint, life_of(Role::Scheduler, 1));
    let mut stopped: PullLink = PullLink::bind(&endpoint).await.unwrap();
    push.send(abort("x")).unwrap();
    assert_eq!(next_rid(&mut stopped).await, "x");
    let mut pull = PullLink::bind(&endpoint).await.unwrap();
    // No message is sent: the link itself checks its receiver.
    assert!(matches!(next(&mut pull).await, Received::Hello(_)));
    push.send(abort("y")).unwrap();
    assert_eq!(next_rid(&mut pull).await, "y");
}

#[tokio::test]
async fn a_lost_last_frame_shows_although_nothing_follows() {
    let dir = tempfile::tempdir().unwrap();
    let endpoint = link_in(&dir);
    let mut pull = PullLink::bind(&endpoint).await.unwrap();
    let mut raw = PushSocket::new();
    raw.connect(&endpoint).await.unwrap();
    let origin = |seq| Some(Origin { role: Role::Scheduler, life: 4, seq });
    let hello = ConfigureLoggingReq::hello(Hello { epoch: 3, ..Default::default() });
    let ping = ConfigureLoggingReq::ping();
    for (message, seq) in [(hello.clone(), 0), (ping.clone(), 1), (ping.clone(), 3), (ping, 3), (hello, 9)] {
        raw.send(AnyMessage::from(message).encode(origin(seq)).unwrap().into()).await.unwrap();
    }
    match next(&mut pull).await {
        Received::Hello(hello) => assert_eq!((hello.life, hello.epoch, hello.lost), (4, 3, false)),
        other => panic!("{other:?}"),
    }
    assert!(matches!(next(&mut pull).await, Received::Lost(Role::Scheduler)));
    match next(&mut pull).await {
        Received::Hello(hello) => assert!(hello.lost && !hello.first && !hello.restarted),
        other => panic!("{other:?}"),
    }
    assert_eq!(LinkStats::get(&pull.stats().lost), 1 + 5);
    assert_eq!(LinkStats::get(&pull.stats().stale), 1);
}

#[tokio::test]
async fn an_idle_link_pings_and_one_without_a_hello_does_not() {
    let dir = tempfile::tempdir().unwrap();
    let endpoint = link_in(&dir);
    let mut pull = PullLink::bind(&endpoint).await.unwrap();
    let silent = PushLink::connect_silent(&endpoint, life_of(Role::Detokenizer, 1));
    tokio::time::sleep(Duration::from_millis(600)).await;
    assert_eq!(LinkStats::get(&pull.stats().frames), 0);
    silent.announce(1, 0);
    match next(&mut pull).await {
        Received::Hello(hello) => assert_eq!((hello.role, hello.epoch), (Role::Detokenizer, 1)),
        other => panic!("{other:?}"),
    }
    tokio::time::sleep(Duration::from_millis(800)).await;
    assert!(LinkStats::get(&pull.stats().frames) >= 3);
    assert_eq!(LinkStats::get(&pull.stats().lost), 0);
}

#[tokio::test]
async fn a_receiver_of_the_reference_gets_its_own_fields_alone() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("scheduler_input.sock");
    // Left by an earlier process of ours.
    std::fs::write(dir.path().join("scheduler_input.version"), "1 7 0\n").unwrap();
    let mut foreign = zeromq::PullSocket::new();
    let endpoint = format!("ipc://{}", path.display());
    foreign.bind(&endpoint).await.unwrap();
    let push = PushLink::connect(&endpoint, life_of(Role::TokenizerManager, 1));
    let message = AbortReq { attempt: Some(Attempt { life: 1, number: 1 }), ..abort("x") };
    push.send(message.clone()).unwrap();
    tokio::time::sleep(Duration::from_millis(600)).await;
    let mut frames = Vec::new();
    while let Ok(frame) = timeout(Duration::from_millis(100), zeromq::SocketRecv::recv(&mut foreign)).await {
        frames.push(frame.unwrap().get(0).unwrap().clone());
    }
    let (hello, _) = AnyMessage::decode(&frames[0]).unwrap();
    assert!(matches!(hello, AnyMessage::ConfigureLoggingReq(said) if said.hello.is_some()));
    assert_eq!(frames[1], AnyMessage::from(message).encode(None).unwrap());
    assert_eq!(frames.len(), 2, "nobody pings a process that cannot read it");
}

#[tokio::test]
async fn a_receiver_that_closes_late_leaves_its_successor_alone() {
    let dir = tempfile::tempdir().unwrap();
    let endpoint = link_in(&dir);
    let old: PullLink = PullLink::bind(&endpoint).await.unwrap();
    let mut new = PullLink::bind(&endpoint).await.unwrap();
    drop(old);
    tokio::time::sleep(Duration::from_millis(50)).await;
    let push = PushLink::connect(&endpoint, life_of(Role::TokenizerManager, 1));
    push.send(abort("x")).unwrap();
    assert_eq!(next_rid(&mut new).await, "x");
    drop(new);
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0, "the last life leaves no file");
}

#[tokio::test]
async fn a_restarted_sender_is_announced_and_its_older_life_shut_out() {
    let dir = tempfile::tempdir().unwrap();
    let endpoint = link_in(&dir);
    let mut pull = PullLink::bind(&endpoint).await.unwrap();
    let hello = async |pull: &mut PullLink| match next(pull).await {
        Received::Hello(hello) => (hello.role, hello.first, hello.restarted),
        other => panic!("{other:?}"),
    };
    // Another role on the same socket, whose life has a smaller number.
    let _other = PushLink::connect(&endpoint, life_of(Role::Detokenizer, 1));
    assert_eq!(hello(&mut pull).await, (Role::Detokenizer, true, false));
    let old = PushLink::connect(&endpoint, life_of(Role::Scheduler, 2));
    assert_eq!(hello(&mut pull).await, (Role::Scheduler, true, false));
    let new = PushLink::connect(&endpoint, life_of(Role::Scheduler, 3));
    assert_eq!(hello(&mut pull).await, (Role::Scheduler, false, true));
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
    let mut pull = PullLink::bind(&endpoint).await.unwrap();
    let mut raw = PushSocket::new();
    raw.connect(&endpoint).await.unwrap();
    let good = AnyMessage::from(abort("good")).encode(None).unwrap();
    let unknown = rmp_serde::to_vec(&("EvilReq", 1)).unwrap();
    for frame in [vec![], vec![0xc1], good[..good.len() - 1].to_vec(), unknown, good] {
        raw.send(frame.into()).await.unwrap();
    }
    assert_eq!(next_rid(&mut pull).await, "good");
    assert_eq!(LinkStats::get(&pull.stats().dropped), 4);
}
