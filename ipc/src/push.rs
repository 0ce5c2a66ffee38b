//! The sending end of a link.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use sglang_proto::messages::AnyMessage;
use sglang_proto::wire::Trailer;
use tokio::sync::mpsc;
use zeromq::{PushSocket, Socket, SocketEvent, SocketOptions, SocketSend, ZmqError, ZmqMessage};

use crate::{Identity, IpcError, LinkStats};

/// Messages that may wait for a peer that is not there.
const MAX_QUEUED: usize = 100_000;
/// Longest one attempt to connect may take.
const CONNECT_TIMEOUT: Duration = Duration::from_millis(45);
/// First and longest pause between attempts to connect.
const RETRY: (Duration, Duration) = (Duration::from_millis(5), Duration::from_millis(200));

enum Command {
    Send(AnyMessage),
    Reset,
}

/// A connecting PUSH socket with its sending task. Cheap to clone; every clone feeds the same socket.
#[derive(Clone, Debug)]
pub struct PushLink {
    endpoint: Arc<str>,
    commands: mpsc::UnboundedSender<Command>,
    queued: Arc<AtomicUsize>,
    stats: Arc<LinkStats>,
}

impl PushLink {
    /// Starts a link to `endpoint`. It connects as soon as the peer is there, says hello, and sends what is queued.
    pub fn connect(endpoint: &str, identity: Arc<Identity>) -> Self {
        let (commands, receiver) = mpsc::unbounded_channel();
        let queued = Arc::new(AtomicUsize::new(0));
        let stats = Arc::new(LinkStats::default());
        let sender = Sender {
            endpoint: endpoint.into(),
            identity,
            commands: receiver,
            queued: queued.clone(),
            stats: stats.clone(),
            next_seq: 0,
            unsent: None,
        };
        tokio::spawn(sender.run());
        Self { endpoint: endpoint.into(), commands, queued, stats }
    }

    /// Queues a message; never waits.
    ///
    /// # Errors
    /// [`IpcError::Full`] when the peer has been away for too long, [`IpcError::Closed`] when the runtime is ending.
    pub fn send(&self, message: impl Into<AnyMessage>) -> Result<(), IpcError> {
        let queued = self.queued.fetch_add(1, Ordering::Relaxed);
        if queued >= MAX_QUEUED {
            self.queued.fetch_sub(1, Ordering::Relaxed);
            return Err(IpcError::Full { endpoint: self.endpoint.to_string(), queued });
        }
        self.commands
            .send(Command::Send(message.into()))
            .map_err(|_| IpcError::Closed(self.endpoint.to_string()))
    }

    /// Drops the connection and makes a new one: call it when the peer is known to have been replaced, because the old
    /// connection would swallow the next message. What is sent afterwards goes to the new peer.
    pub fn reset(&self) {
        // A closed link has nothing to reset.
        let _ = self.commands.send(Command::Reset);
    }

    /// Messages that have not been handed to the socket.
    pub fn queued(&self) -> usize {
        self.queued.load(Ordering::Relaxed)
    }

    /// Counters.
    pub fn stats(&self) -> &Arc<LinkStats> {
        &self.stats
    }
}

struct Sender {
    endpoint: String,
    identity: Arc<Identity>,
    commands: mpsc::UnboundedReceiver<Command>,
    queued: Arc<AtomicUsize>,
    stats: Arc<LinkStats>,
    next_seq: u64,
    /// Taken from the queue, but the socket refused it.
    unsent: Option<AnyMessage>,
}

/// Why a connection was given up.
enum Lost {
    Peer,
    Owner,
}

impl Sender {
    async fn run(mut self) {
        loop {
            let mut socket = self.connected().await;
            if let Lost::Owner = self.pump(&mut socket).await {
                // What was handed to the socket is written by its own task: give it a moment before closing.
                tokio::time::sleep(Duration::from_millis(50)).await;
                return;
            }
        }
    }

    async fn connected(&self) -> PushSocket {
        let mut pause = RETRY.0;
        loop {
            // The library's own retries slow down to 30 s; a short limit leaves the pace to this loop.
            let mut options = SocketOptions::default();
            options.connect_timeout(CONNECT_TIMEOUT);
            let mut socket = PushSocket::with_options(options);
            match socket.connect(&self.endpoint).await {
                Ok(()) => {
                    LinkStats::add(&self.stats.connects, 1);
                    return socket;
                }
                Err(error) => tracing::trace!(endpoint = self.endpoint, "not connected yet: {error}"),
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(RETRY.1);
        }
    }

    async fn pump(&mut self, socket: &mut PushSocket) -> Lost {
        let mut events = socket.monitor();
        let hello = AnyMessage::from(self.identity.hello());
        if self.put(socket, &hello).await.is_err() {
            return Lost::Peer;
        }
        if let Some(message) = self.unsent.take()
            && self.forward(socket, message).await.is_err()
        {
            return Lost::Peer;
        }
        loop {
            let command = tokio::select! {
                biased;
                event = events.next() => {
                    match event {
                        Some(SocketEvent::Disconnected(_)) | None => return Lost::Peer,
                        Some(_) => continue,
                    }
                }
                command = self.commands.recv() => command,
            };
            match command {
                None => return Lost::Owner,
                Some(Command::Reset) => return Lost::Peer,
                Some(Command::Send(message)) => {
                    if self.forward(socket, message).await.is_err() {
                        return Lost::Peer;
                    }
                }
            }
        }
    }

    /// Hands a queued message to the socket, or keeps it for the next connection.
    async fn forward(&mut self, socket: &mut PushSocket, message: AnyMessage) -> Result<(), ()> {
        match self.put(socket, &message).await {
            Ok(()) => {
                self.queued.fetch_sub(1, Ordering::Relaxed);
                Ok(())
            }
            Err(()) => {
                self.unsent = Some(message);
                Err(())
            }
        }
    }

    async fn put(&mut self, socket: &mut PushSocket, message: &AnyMessage) -> Result<(), ()> {
        let trailer = Trailer { incarnation: self.identity.incarnation, seq: self.next_seq };
        let frame = match message.encode(Some(trailer)) {
            Ok(frame) => frame,
            Err(error) => {
                LinkStats::add(&self.stats.dropped, 1);
                tracing::error!(endpoint = self.endpoint, "cannot send a message: {error}");
                return Ok(());
            }
        };
        match socket.send(ZmqMessage::from(Bytes::from(frame))).await {
            Ok(()) => {
                self.next_seq += 1;
                LinkStats::add(&self.stats.frames, 1);
                Ok(())
            }
            Err(ZmqError::ReturnToSender { .. }) => Err(()),
            Err(error) => {
                tracing::debug!(endpoint = self.endpoint, "peer lost: {error}");
                Err(())
            }
        }
    }
}
