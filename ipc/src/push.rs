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

/// Messages that may wait for a peer that is not there.
const MAX_QUEUED: usize = 100_000;
/// Longest one attempt to connect may take.
const CONNECT_TIMEOUT: Duration = Duration::from_millis(45);
/// First and longest pause between attempts to connect.
const RETRY: (Duration, Duration) = (Duration::from_millis(5), Duration::from_millis(200));
/// Looks at a receiver that seems about to be replaced, before it is taken as it is.
const TORN_LOOKS: u32 = 10;

/// How often an idle link looks whether its receiver is still there, and shows that it is there itself.
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
    /// Starts a link to `endpoint`. It connects as soon as the peer is there, says hello, and sends what is queued.
    pub fn connect(endpoint: &str, identity: Arc<Identity>) -> Self {
        let hello = identity.hello(0, 0);
        Self::start(endpoint, identity, Some(hello))
    }

    /// Starts a link that says nothing of this process before [`PushLink::announce`]: a process that passes on what it
    /// hears is not there before it has heard something.
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

    /// Says hello, in order with the messages, and says the same on every connection from now on. `epoch` counts how often
    /// something from upstream may have been lost, `applied` the operations of the log of desired state that are applied.
    pub fn announce(&self, epoch: u64, applied: u64) {
        // A closed link has nobody to tell.
        let _ = self.commands.send(Command::Announce(self.identity.hello(epoch, applied)));
    }

    /// Looks at once whether another receiver has taken the place of the one that it is connected to, and if so connects to
    /// that one. Call it when that is likely. A connection to the right receiver is left as it is.
    pub fn refresh(&self) {
        // A closed link has nothing to look at.
        let _ = self.commands.send(Command::Refresh);
    }

    /// Number of this process's life.
    pub fn life(&self) -> u64 {
        self.identity.life
    }

    /// Whether the receiver, as it was when the link was last connected, is a process of ours.
    pub fn reads_extension(&self) -> bool {
        self.reads_extension.load(Ordering::Relaxed)
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
    path: Option<PathBuf>,
    identity: Arc<Identity>,
    /// What is said first on every connection.
    hello: Option<Hello>,
    /// Whom it is connected to.
    receiver: Standing,
    commands: mpsc::UnboundedReceiver<Command>,
    queued: Arc<AtomicUsize>,
    reads_extension: Arc<AtomicBool>,
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

    /// Who is at the other end now.
    fn standing(&self) -> Standing {
        self.path.as_deref().map(Standing::of).unwrap_or_default()
    }

    async fn connected(&mut self) -> PushSocket {
        let mut pause = RETRY.0;
        let mut looks = 0;
        loop {
            let standing = self.standing();
            // Another receiver is taking the place of an earlier one, or a foreign one has done so some time ago.
            if standing.is_torn() && looks < TORN_LOOKS {
                looks += 1;
                tokio::time::sleep(RETRY.0).await;
                continue;
            }
            // The library's own retries slow down to 30 s; a short limit leaves the pace to this loop.
            let mut options = SocketOptions::default();
            options.connect_timeout(CONNECT_TIMEOUT).max_message_size(MAX_FRAME_BYTES);
            let mut socket = PushSocket::with_options(options);
            match socket.connect(&self.endpoint).await {
                // Else it may be one or the other that accepted.
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

    /// Shows a receiver that can read it that this process is there, and where its stream stands.
    async fn ping(&mut self, socket: &mut PushSocket) -> Result<(), ()> {
        if self.hello.is_none() || !self.receiver.reads_extension() {
            return Ok(());
        }
        self.put(socket, &ConfigureLoggingReq::ping().into()).await
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
        // A process of the reference gets its own fields alone, but for the hello, which it ignores.
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
                // It may have gone out: its number is not used again.
                self.next_seq += 1;
                Err(())
            }
        }
    }
}
