//! The receiving end of a link.

use std::sync::Arc;

use sglang_proto::messages::{AnyMessage, Hello};
use tokio::sync::mpsc;
use zeromq::{PullSocket, Socket, SocketRecv, ZmqMessage};

use crate::peers::{Peers, Verdict};
use crate::socket_file::SocketFile;
use crate::{Endpoints, IpcError, LinkStats, MAX_FRAME_BYTES};

/// Frames that wait for a slow owner before the socket is left alone.
const QUEUE: usize = 4096;

/// Something that arrived.
#[derive(Debug)]
pub enum Received {
    /// A message of the current life of its sender.
    Message(AnyMessage),
    /// A peer has come up. `restarted` tells that an earlier life of it was known.
    Hello {
        /// What it says of itself.
        hello: Hello,
        /// Whether this replaces an earlier life.
        restarted: bool,
    },
}

/// A bound PULL socket with its receiving task.
#[derive(Debug)]
pub struct PullLink {
    queue: mpsc::Receiver<Received>,
    stats: Arc<LinkStats>,
    task: tokio::task::JoinHandle<()>,
    _file: Option<SocketFile>,
}

impl PullLink {
    /// Binds `endpoint` (replacing a socket file left by an earlier life) and starts receiving. Frames of a run other
    /// than `run_id` are refused; an empty id on either side is not compared.
    ///
    /// # Errors
    /// [`IpcError::Bind`].
    pub async fn bind(endpoint: &str, run_id: &str) -> Result<Self, IpcError> {
        let failed = |error: String| IpcError::Bind { endpoint: endpoint.into(), error };
        let mut socket = PullSocket::new();
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
        let receiver = Receiver {
            endpoint: endpoint.into(),
            run_id: run_id.into(),
            peers: Peers::default(),
            stats: stats.clone(),
            sender,
        };
        let task = tokio::spawn(receiver.run(socket));
        Ok(Self { queue, stats, task, _file: file })
    }

    /// The next thing that arrives; `None` once the link is closed.
    pub async fn recv(&mut self) -> Option<Received> {
        self.queue.recv().await
    }

    /// The same for a thread outside the runtime: waits until something arrives.
    pub fn blocking_recv(&mut self) -> Option<Received> {
        self.queue.blocking_recv()
    }

    /// Whatever has already arrived.
    pub fn try_recv(&mut self) -> Option<Received> {
        self.queue.try_recv().ok()
    }

    /// Counters.
    pub fn stats(&self) -> &Arc<LinkStats> {
        &self.stats
    }
}

impl Drop for PullLink {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Receiver {
    endpoint: String,
    run_id: String,
    peers: Peers,
    stats: Arc<LinkStats>,
    sender: mpsc::Sender<Received>,
}

impl Receiver {
    async fn run(mut self, mut socket: PullSocket) {
        loop {
            let message = tokio::select! {
                received = socket.recv() => received,
                () = self.sender.closed() => return,
            };
            match message {
                Ok(message) => {
                    if let Some(received) = self.accept(message)
                        && self.sender.send(received).await.is_err()
                    {
                        return;
                    }
                }
                Err(error) => {
                    // A peer that broke the protocol has been disconnected; the others go on.
                    LinkStats::add(&self.stats.dropped, 1);
                    tracing::warn!(endpoint = self.endpoint, "dropped a peer: {error}");
                }
            }
        }
    }

    fn accept(&mut self, message: ZmqMessage) -> Option<Received> {
        LinkStats::add(&self.stats.frames, 1);
        let frame = match message.get(0) {
            Some(frame) if message.len() == 1 && frame.len() <= MAX_FRAME_BYTES => frame,
            Some(frame) => {
                return self.drop_frame(format_args!("{} parts, {} bytes", message.len(), frame.len()));
            }
            None => return self.drop_frame(format_args!("an empty message")),
        };
        let (message, trailer) = match AnyMessage::decode(frame) {
            Ok(decoded) => decoded,
            Err(error) => return self.drop_frame(format_args!("{error}")),
        };
        if let AnyMessage::Hello(hello) = message {
            if !self.run_id.is_empty() && !hello.run_id.is_empty() && hello.run_id != self.run_id {
                return self.drop_frame(format_args!("a {} of another run said hello", hello.role));
            }
            return match self.peers.hello(&hello, trailer) {
                Some(restarted) => Some(Received::Hello { hello: *hello, restarted }),
                None => {
                    LinkStats::add(&self.stats.stale, 1);
                    None
                }
            };
        }
        match self.peers.judge(trailer) {
            Verdict::Accept => {}
            Verdict::AcceptAfterGap(gap) => {
                LinkStats::add(&self.stats.lost, gap);
                tracing::debug!(
                    endpoint = self.endpoint,
                    "{gap} frames before {} were lost",
                    message.class()
                );
            }
            Verdict::Stale => {
                LinkStats::add(&self.stats.stale, 1);
                return None;
            }
        }
        Some(Received::Message(message))
    }

    fn drop_frame(&self, why: std::fmt::Arguments<'_>) -> Option<Received> {
        LinkStats::add(&self.stats.dropped, 1);
        tracing::warn!(endpoint = self.endpoint, "dropped a frame: {why}");
        None
    }
}
