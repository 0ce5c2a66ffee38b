//! Links between processes: ZeroMQ PUSH and PULL sockets over Unix sockets, carrying the frames of
//! [`sglang_proto::messages`].
//!
//! The socket library accepts a message locally and reports no error when the peer dies. Therefore this crate does what
//! is needed to survive a restart of either end:
//!
//! * [`PushLink`] queues messages, connects, and reconnects when its receiver is lost or replaced. It learns this from
//!   the end of the connection; and it checks the socket's file every 250 ms, so an idle link notices too.
//! * Every life of a process has a number that does not depend on a clock: [`Identity`]. A hello on each connection
//!   announces it, and [`PullLink`] drops late frames of an earlier life of the same role.
//! * Every frame has a sequence number. A receiver drops frames that it has seen, and reports missing ones
//!   ([`Received::Lost`], [`Greeting::lost`]). An idle link sends pings, so that the loss of the last frame is noticed
//!   too. The owner of the request state sends lost data again, because a socket cannot know what is still needed.
//! * A frame that is too large, malformed or of an unknown class is counted, logged and dropped, without reserving
//!   memory for it.
//! * Life, sequence number and hello are sent in the extension of [`sglang_proto::wire`]. A process of the reference,
//!   which writes no version file beside its socket, only gets the hello.
//! * Only our user may have access to the folder ([`Identity::begin`] checks this), sockets have mode 0600, and
//!   connections of other users are refused.
//!
//! Receivers bind and senders connect. A restarted receiver binds the same path again, so every sender finds it. The
//! crate needs a tokio runtime.

mod endpoints;
mod identity;
mod life;
mod peers;
mod pull;
mod push;
mod socket_file;
mod stats;

pub use endpoints::Endpoints;
pub use identity::Identity;
pub use pull::{Greeting, PullLink, Received};
pub use push::PushLink;
pub use stats::LinkStats;

/// Largest frame that is accepted, in bytes.
pub const MAX_FRAME_BYTES: usize = 256 << 20;

/// Why a link cannot be opened or used.
#[derive(Debug, thiserror::Error)]
pub enum IpcError {
    /// The socket path cannot be bound.
    #[error("cannot bind {endpoint}: {error}")]
    Bind {
        /// The requested address.
        endpoint: String,
        /// Error of the system.
        error: String,
    },
    /// The folder of the sockets, or a file in it, is unusable.
    #[error("{path}: {why}")]
    Folder {
        /// The folder or file.
        path: std::path::PathBuf,
        /// Why it is unusable.
        why: String,
    },
    /// Another process has this role.
    #[error("another {role} that uses {dir} is running; end it, or name another folder")]
    Taken {
        /// The role.
        role: &'static str,
        /// Folder of the sockets.
        dir: std::path::PathBuf,
    },
    /// `SGLANG_LIFE` is not a whole number.
    #[error("SGLANG_LIFE: expected a whole number, found {0:?}")]
    LifeNumber(String),
    /// The queue for a disconnected peer is full.
    #[error("{endpoint}: {queued} messages are waiting for the peer, no more are taken")]
    Full {
        /// Address of the peer.
        endpoint: String,
        /// Messages in the queue.
        queued: usize,
    },
    /// The link's task has ended (its runtime is shutting down).
    #[error("{0}: the link is closed")]
    Closed(String),
}
