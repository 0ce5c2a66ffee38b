//! The receiving end of a link.

use std::sync::Arc;

use sglang_proto::messages::{AnyMessage, ConfigureLoggingReq, Receivable};
use sglang_proto::wire::{self, Message, Origin, Role};
use tokio::sync::mpsc;
use zeromq::{PullSocket, Socket, SocketOptions, SocketRecv, ZmqMessage};

use crate::peers::{Peers, Verdict};
use crate::socket_file::SocketFile;
use crate::{Endpoints, IpcError, LinkStats, MAX_FRAME_BYTES};

/// Capacity of the queue to the owner. When it is full, nothing more is read from the socket.
const QUEUE: usize = 4096;

/// Something that arrived. `M` is the type of messages that the process can receive.
#[derive(Debug)]
pub enum Received<M = AnyMessage> {
    /// A message of the current life of its sender.
    Message(M),
    /// A peer introduces itself: on every new connection, and when it may have lost something itself.
    Hello(Greeting),
    /// Frames of this role never arrived. The frame that revealed the loss comes next.
    Lost(Role),
}

/// A peer's hello, with what the numbers of its frames show.
#[derive(Clone, Debug, PartialEq)]
pub struct Greeting {
    /// Role of the peer.
    pub role: Role,
    /// Number of its life.
    pub life: u64,
    /// How many times in this life something from its upstream may have been lost.
    pub epoch: u64,
    /// Number of operations of the log of desired state that it has applied.
    pub applied: u64,
    /// Facts about the peer.
    pub info: serde_json::Value,
    /// Whether this is the first frame of this role.
    pub first: bool,
    /// Whether it replaces an earlier life.
    pub restarted: bool,
    /// Whether frames before this one never arrived.
    pub lost: bool,
}

/// A bound PULL socket with its receiving task. Frames of classes that are not part of `M` are dropped.
#[derive(Debug)]
pub struct PullLink<M = AnyMessage> {
    queue: mpsc::Receiver<Received<M>>,
    stats: Arc<LinkStats>,
    task: tokio::task::JoinHandle<()>,
    _file: Option<SocketFile>,
}

impl<M: Receivable> PullLink<M> {
    /// Binds `endpoint`, replacing a socket file that an earlier life left, and starts receiving from processes of this
    /// user.
    ///
    /// # Errors
    /// [`IpcError::Bind`]: the address cannot be bound.
    pub async fn bind(endpoint: &str) -> Result<Self, IpcError> {
        let failed = |error: String| IpcError::Bind { endpoint: endpoint.into(), error };
        let mut options = SocketOptions::default();
        options.max_message_size(MAX_FRAME_BYTES).same_user_only(true);
        let mut socket = PullSocket::with_options(options);
        let file = match Endpoints::socket_path(endpoint) {
            Some(path) => {
                let (file, listener) = SocketFile::bind(&path).map_err(|e| failed(e.to_string()))?;
                socket.bind_listener(listener).await.map_err(|e| failed(e.to_string()))?;
                Some(file)
            }
            None => {
                socket.bind(endpoint).await.map_err(|e| failed(e.to_string()))?;
                None
            }
        };
        let stats = Arc::new(LinkStats::default());
        let (sender, queue) = mpsc::channel(QUEUE);
        let receiver =
            Receiver { endpoint: endpoint.into(), peers: Peers::default(), stats: stats.clone(), sender };
        let task = tokio::spawn(receiver.run(socket));
        Ok(Self { queue, stats, task, _file: file })
    }

    /// Waits for the next item; `None` when the link is closed.
    pub async fn recv(&mut self) -> Option<Received<M>> {
        self.queue.recv().await
    }

    /// Like [`PullLink::recv`], for a thread outside the runtime: blocks until something arrives.
    pub fn blocking_recv(&mut self) -> Option<Received<M>> {
        self.queue.blocking_recv()
    }

    /// The next item if it has already arrived.
    pub fn try_recv(&mut self) -> Option<Received<M>> {
        self.queue.try_recv().ok()
    }

    /// Counters of the link.
    pub fn stats(&self) -> &Arc<LinkStats> {
        &self.stats
    }
}

impl<M> Drop for PullLink<M> {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Receiver<M> {
    endpoint: String,
    peers: Peers,
    stats: Arc<LinkStats>,
    sender: mpsc::Sender<Received<M>>,
}

impl<M: Receivable> Receiver<M> {
    async fn run(mut self, mut socket: PullSocket) {
        loop {
            let message = tokio::select! {
                received = socket.recv() => received,
                () = self.sender.closed() => return,
            };
            match message {
                Ok(message) => {
                    for received in self.accept(&message).into_iter().flatten() {
                        if self.sender.send(received).await.is_err() {
                            return;
                        }
                    }
                }
                Err(error) => {
                    // A peer that violated the protocol has been disconnected; the others stay connected.
                    LinkStats::add(&self.stats.dropped, 1);
                    tracing::warn!(endpoint = self.endpoint, "dropped a peer: {error}");
                }
            }
        }
    }

    /// The items of a frame: a report of missing frames before it, and the frame.
    fn accept(&mut self, message: &ZmqMessage) -> [Option<Received<M>>; 2] {
        LinkStats::add(&self.stats.frames, 1);
        let frame = match message.get(0) {
            Some(frame) if message.len() == 1 && frame.len() <= MAX_FRAME_BYTES => frame,
            Some(frame) => {
                return self.drop_frame(format_args!("{} parts, {} bytes", message.len(), frame.len()));
            }
            None => return self.drop_frame(format_args!("an empty message")),
        };
        if let Some((said, origin)) = said_of_itself(frame) {
            let Some(place) = self.judge(ConfigureLoggingReq::CLASS, origin) else { return [None, None] };
            return match said.hello {
                Some(hello) => {
                    let greeting = Greeting {
                        role: origin.role,
                        life: origin.life,
                        epoch: hello.epoch,
                        applied: hello.applied,
                        info: hello.info,
                        first: place.first,
                        restarted: place.restarted,
                        lost: place.lost > 0,
                    };
                    [None, Some(Received::Hello(greeting))]
                }
                None => [place.gap(origin), None],
            };
        }
        match M::decode(frame) {
            Ok((message, None)) => [None, Some(Received::Message(message))],
            Ok((message, Some(origin))) => match self.judge(message.class(), origin) {
                Some(place) => [place.gap(origin), Some(Received::Message(message))],
                None => [None, None],
            },
            Err(error) => self.drop_frame(format_args!("{error}")),
        }
    }

    /// The place of a frame in its sender's sequence; `None` if the frame must be dropped.
    fn judge(&mut self, class: &str, origin: Origin) -> Option<Place> {
        let (first, restarted, lost) = match self.peers.judge(origin) {
            Verdict::Take { first, restarted, lost } => (first, restarted, lost),
            Verdict::Stale => {
                LinkStats::add(&self.stats.stale, 1);
                return None;
            }
        };
        if lost > 0 {
            LinkStats::add(&self.stats.lost, lost);
            tracing::debug!(
                endpoint = self.endpoint,
                "{lost} frames of the {} before a {class} were lost",
                origin.role
            );
        }
        Some(Place { first, restarted, lost })
    }

    fn drop_frame(&self, why: std::fmt::Arguments<'_>) -> [Option<Received<M>>; 2] {
        LinkStats::add(&self.stats.dropped, 1);
        tracing::warn!(endpoint = self.endpoint, "dropped a frame: {why}");
        [None, None]
    }
}

/// Place of a frame in its sender's sequence.
struct Place {
    first: bool,
    restarted: bool,
    lost: u64,
}

impl Place {
    fn gap<M>(&self, origin: Origin) -> Option<Received<M>> {
        (self.lost > 0).then_some(Received::Lost(origin.role))
    }
}

/// Decodes a hello or a ping, which are for the link and not for the process.
fn said_of_itself(frame: &[u8]) -> Option<(ConfigureLoggingReq, Origin)> {
    if wire::class_of(frame).ok()? != ConfigureLoggingReq::CLASS {
        return None;
    }
    let (said, origin) = wire::decode::<ConfigureLoggingReq>(frame).ok()?;
    origin.filter(|_| said.hello.is_some() || said.ping).map(|origin| (said, origin))
}
