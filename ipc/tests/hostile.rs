//! What a malicious peer can send.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::time::Duration;

use sglang_ipc::{Endpoints, PullLink, Received};
use sglang_proto::messages::{AbortReq, AnyMessage};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::time::timeout;

/// Says hello in ZeroMQ's own protocol (ZMTP 3.0, no security), as a PUSH socket does.
async fn greeted(path: &std::path::Path) -> UnixStream {
    let mut stream = UnixStream::connect(path).await.unwrap();
    let mut greeting = [0; 64];
    greeting[..11].copy_from_slice(&[0xff, 0, 0, 0, 0, 0, 0, 0, 1, 0x7f, 3]);
    greeting[12..16].copy_from_slice(b"NULL");
    stream.write_all(&greeting).await.unwrap();
    let mut ready = vec![4, 0, 5];
    ready.extend_from_slice(b"READY\x0bSocket-Type\0\0\0\x04PUSH");
    ready[1] = (ready.len() - 2) as u8;
    stream.write_all(&ready).await.unwrap();
    stream
}

/// Whether the other side closes the connection within a second.
async fn is_hung_up(stream: &mut UnixStream) -> bool {
    let read_all = async {
        let mut buffer = [0; 256];
        while !matches!(stream.read(&mut buffer).await, Ok(0) | Err(_)) {}
    };
    timeout(Duration::from_secs(1), read_all).await.is_ok()
}

#[tokio::test]
async fn a_length_that_cannot_be_true_costs_its_sender_the_connection_and_nobody_else_anything() {
    let dir = tempfile::tempdir().unwrap();
    let endpoint = Endpoints::in_dir(dir.path()).tokenizer;
    let mut pull: PullLink = PullLink::bind(&endpoint).await.unwrap();
    let path = Endpoints::socket_path(&endpoint).unwrap();
    let good = AnyMessage::from(AbortReq { rid: Some("good".into()), ..Default::default() });
    let good = good.encode(None).unwrap();
    for len in [1_u64 << 40, u64::MAX, i64::MAX as u64 - 100, (256 << 20) + 1] {
        for flags in [2, 3, 6] {
            let mut hostile = greeted(&path).await;
            let mut honest = greeted(&path).await;
            hostile.write_all(&[flags]).await.unwrap();
            hostile.write_all(&len.to_be_bytes()).await.unwrap();
            assert!(is_hung_up(&mut hostile).await, "{flags} {len}");
            honest.write_all(&[0, good.len() as u8]).await.unwrap();
            honest.write_all(&good).await.unwrap();
            let received = timeout(Duration::from_secs(1), pull.recv()).await.unwrap().unwrap();
            assert!(matches!(received, Received::Message(AnyMessage::AbortReq(_))), "{received:?}");
        }
    }
}

#[tokio::test]
async fn the_parts_of_a_message_are_limited_together() {
    let dir = tempfile::tempdir().unwrap();
    let endpoint = Endpoints::in_dir(dir.path()).tokenizer;
    let _pull: PullLink = PullLink::bind(&endpoint).await.unwrap();
    let path = Endpoints::socket_path(&endpoint).unwrap();
    let mut hostile = greeted(&path).await;
    let part = vec![0; 1 << 20];
    // Each part is short, and says that another follows.
    for _ in 0..255 {
        hostile.write_all(&[3]).await.unwrap();
        hostile.write_all(&(part.len() as u64).to_be_bytes()).await.unwrap();
        hostile.write_all(&part).await.unwrap();
    }
    hostile.write_all(&[3]).await.unwrap();
    hostile.write_all(&(2_u64 << 20).to_be_bytes()).await.unwrap();
    assert!(is_hung_up(&mut hostile).await);
}
