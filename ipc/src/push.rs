//! The sending end of a link.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use sglang_proto::messages::{AnyMessage, ConfigureLoggingReq, Hello};
use sglang_proto::wire::Origin;
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval_at};
use zeromq::{PushSocket, Socket, SocketEvent, SocketOptions, SocketSend, ZmqError, ZmqMessage};

use crate::socket_file::Standing;
use crate::{Endpoints, Identity, IpcError, LinkStats, MAX_FRAME_BYTES};

/// Most messages that wait for a disconnected peer.
const MAX_QUEUED: usize = 100_000;
/// Longest time for one attempt to connect.
const CONNECT_TIMEOUT: Duration = Duration::from_millis(45);
/// First and longest pause between attempts to connect.
const RETRY: (Duration, Duration) = (Duration::from_millis(5), Duration::from_millis(200));
/// How often to check a receiver that seems about to be replaced, before connecting to it anyway.
const TORN_LOOKS: u32 = 10;

/// How often an idle link checks whether its receiver was replaced, and sends a ping.
const PING: Duration = Duration::from_millis(250);

enum Command {
    Send(AnyMessage),
    Announce(Hello),
    Refresh,
}

/// A connecting PUSH socket with its sending task. Cheap to clone; every clone feeds the same socket.
#[derive(Clone, Debug)]
pub struct PushLink {
    endpoint: Arc<str>,
    identity: Arc<Identity>,
    commands: mpsc::UnboundedSender<Command>,
    queued: Arc<AtomicUsize>,
    reads_extension: Arc<AtomicBool>,
    stats: Arc<LinkStats>,
}

impl PushLink {
    /// Starts a link to `endpoint`. It connects as soon as the peer listens, says hello, and sends queued messages.
    pub fn connect(endpoint: &str, identity: Arc<Identity>) -> Self {
        let hello = identity.hello(0, 0);
        Self::start(endpoint, identity, Some(hello))
    }

    /// Starts a link that does not say hello before [`PushLink::announce`]. It is for processes that pass data on: they
    /// are only ready when they have heard from their upstream.
    pub fn connect_silent(endpoint: &str, identity: Arc<Identity>) -> Self {
        Self::start(endpoint, identity, None)
    }

    fn start(endpoint: &str, identity: Arc<Identity>, hello: Option<Hello>) -> Self {
        let (commands, receiver) = mpsc::unbounded_channel();
        let queued = Arc::new(AtomicUsize::new(0));
        let reads_extension = Arc::new(AtomicBool::new(false));
        let stats = Arc::new(LinkStats::default());
        let sender = Sender {
            endpoint: endpoint.into(),
            path: Endpoints::socket_path(endpoint),
            identity: identity.clone(),
            hello,
            receiver: Standing::default(),
            commands: receiver,
            queued: queued.clone(),
            reads_extension: reads_extension.clone(),
            stats: stats.clone(),
            next_seq: 0,
            unsent: None,
        };
        tokio::spawn(sender.run());
        Self { endpoint: endpoint.into(), identity, commands, queued, reads_extension, stats }
    }

    /// Queues a message; never waits.
    ///
    /// # Errors
    /// [`IpcError::Full`]: the peer has been disconnected for too long. [`IpcError::Closed`]: the runtime is ending.
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

    /// Says hello, in order with the messages, and repeats it on every later connection. `epoch` counts how often
    /// something from upstream may have been lost; `applied` is the number of operations of the log of desired state
    /// that have been applied.
    pub fn announce(&self, epoch: u64, applied: u64) {
        // A closed link has no receiver to tell.
        let _ = self.commands.send(Command::Announce(self.identity.hello(epoch, applied)));
    }

    /// Checks at once whether the receiver was replaced, and if so connects to the new one. Call it when that is
    /// likely. A connection to the current receiver stays open.
    pub fn refresh(&self) {
        // A closed link has no receiver to check.
        let _ = self.commands.send(Command::Refresh);
    }

    /// Number of this process's life.
    pub fn life(&self) -> u64 {
        self.identity.life
    }

    /// Whether the receiver reads our extension, as of the last connection.
    pub fn reads_extension(&self) -> bool {
        self.reads_extension.load(Ordering::Relaxed)
    }

    /// Number of messages not yet passed to the socket.
    pub fn queued(&self) -> usize {
        self.queued.load(Ordering::Relaxed)
    }

    /// Counters of the link.
    pub fn stats(&self) -> &Arc<LinkStats> {
        &self.stats
    }
}

struct Sender {
    endpoint: String,
    path: Option<PathBuf>,
    identity: Arc<Identity>,
    /// First message on every connection.
    hello: Option<Hello>,
    /// The receiver it is connected to.
    receiver: Standing,
    commands: mpsc::UnboundedReceiver<Command>,
    queued: Arc<AtomicUsize>,
    reads_extension: Arc<AtomicBool>,
    stats: Arc<LinkStats>,
    next_seq: u64,
    /// A message taken from the queue that the socket refused.
    unsent: Option<AnyMessage>,
}

/// Why a connection ended.
enum Lost {
    Peer,
    Owner,
}

impl Sender {
    async fn run(mut self) {
        loop {
            let mut socket = self.connected().await;
            if let Lost::Owner = self.pump(&mut socket).await {
                // The socket's task writes messages in the background: give it time before closing.
                tokio::time::sleep(Duration::from_millis(50)).await;
                return;
            }
        }
    }

    /// The receiver that listens now.
    fn standing(&self) -> Standing {
        self.path.as_deref().map(Standing::of).unwrap_or_default()
    }

    async fn connected(&mut self) -> PushSocket {
        let mut pause = RETRY.0;
        let mut looks = 0;
        loop {
            let standing = self.standing();
            // Either a receiver is being replaced right now, or a process of the reference replaced ours some time ago.
            if standing.is_torn() && looks < TORN_LOOKS {
                looks += 1;
                tokio::time::sleep(RETRY.0).await;
                continue;
            }
            // The library's own retries slow down to 30 s; with a short limit, this loop decides when to retry.
            let mut options = SocketOptions::default();
            options.connect_timeout(CONNECT_TIMEOUT).max_message_size(MAX_FRAME_BYTES);
            let mut socket = PushSocket::with_options(options);
            match socket.connect(&self.endpoint).await {
                // If the receiver changed meanwhile, either the old or the new one may have accepted.
                Ok(()) if self.standing() == standing => {
                    LinkStats::add(&self.stats.connects, 1);
                    self.reads_extension.store(standing.reads_extension(), Ordering::Relaxed);
                    self.receiver = standing;
                    return socket;
                }
                Ok(()) => continue,
                Err(error) => tracing::trace!(endpoint = self.endpoint, "not connected yet: {error}"),
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(RETRY.1);
        }
    }

    async fn pump(&mut self, socket: &mut PushSocket) -> Lost {
        let mut events = socket.monitor();
        if let Some(hello) = self.hello.clone()
            && self.put(socket, &ConfigureLoggingReq::hello(hello).into()).await.is_err()
        {
            return Lost::Peer;
        }
        if let Some(message) = self.unsent.take()
            && self.forward(socket, message).await.is_err()
        {
            return Lost::Peer;
        }
        let mut idle = interval_at(Instant::now() + PING, PING);
        idle.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut sent_before = self.next_seq;
        loop {
            let command = tokio::select! {
                biased;
                event = events.next() => {
                    match event {
                        Some(SocketEvent::Disconnected(_)) | None => return Lost::Peer,
                        Some(_) => continue,
                    }
                }
                _ = idle.tick() => {
                    if self.standing() != self.receiver {
                        return Lost::Peer;
                    }
                    if self.next_seq == sent_before && self.ping(socket).await.is_err() {
                        return Lost::Peer;
                    }
                    sent_before = self.next_seq;
                    continue;
                }
                command = self.commands.recv() => command,
            };
            match command {
                None => return Lost::Owner,
                Some(Command::Refresh) => {
                    if self.standing() != self.receiver {
                        return Lost::Peer;
                    }
                }
                Some(Command::Announce(hello)) => {
                    self.hello = Some(hello.clone());
                    if self.put(socket, &ConfigureLoggingReq::hello(hello).into()).await.is_err() {
                        return Lost::Peer;
                    }
                }
                Some(Command::Send(message)) => {
                    if self.forward(socket, message).await.is_err() {
                        return Lost::Peer;
                    }
                }
            }
        }
    }

    /// Sends a ping, which shows that this process is alive and gives its next sequence number. Only receivers that
    /// read our extension get one.
    async fn ping(&mut self, socket: &mut PushSocket) -> Result<(), ()> {
        if self.hello.is_none() || !self.receiver.reads_extension() {
            return Ok(());
        }
        self.put(socket, &ConfigureLoggingReq::ping().into()).await
    }

    /// Passes a queued message to the socket, or keeps it for the next connection.
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
        // A process of the reference only gets the fields it knows, except for the hello, which it ignores.
        let is_hello = matches!(message, AnyMessage::ConfigureLoggingReq(said) if said.hello.is_some());
        let origin = (self.receiver.reads_extension() || is_hello).then_some(Origin {
            role: self.identity.role,
            life: self.identity.life,
            seq: self.next_seq,
        });
        let frame = match message.encode(origin) {
            Ok(frame) if frame.len() <= MAX_FRAME_BYTES => frame,
            refused => {
                LinkStats::add(&self.stats.dropped, 1);
                let why = match refused {
                    Ok(frame) => format!("{} bytes, of {MAX_FRAME_BYTES} at most", frame.len()),
                    Err(error) => error.to_string(),
                };
                tracing::error!(endpoint = self.endpoint, "cannot send a {}: {why}", message.class());
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
                // It may have been sent, so its number must not be used again.
                self.next_seq += 1;
                Err(())
            }
        }
    }
}
