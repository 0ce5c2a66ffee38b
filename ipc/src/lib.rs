//! Links between processes: ZeroMQ PUSH and PULL sockets over Unix sockets, carrying the frames of
//! [`sglang_proto::messages`].
//!
//! The socket library accepts a message locally and says nothing when the peer dies, so this crate owns what is needed
//! to survive a restart of either end:
//!
//! * [`PushLink`] queues, connects, and connects again when its receiver is lost or has been replaced. It sees that by the end
//!   of the connection, and every 250 ms by a look at the socket's file, so an idle link notices too.
//! * Every life of a process has a number, which no clock gives: [`Identity`]. A hello on each connection announces it, and
//!   [`PullLink`] drops what still arrives from an earlier life of the same role.
//! * Every frame carries a sequence number. A receiver drops what it has seen, and says when something is missing
//!   ([`Received::Lost`], [`Greeting::lost`]); an idle link pings, so that a lost last frame shows. What was lost is sent
//!   again by the owner of the request state, which knows better than a socket what still matters.
//! * A frame that is too large, torn or of an unknown class is counted, logged and dropped; memory is not reserved for it.
//! * Life, number and hello travel in the extension of [`sglang_proto::wire`]. A process of the reference, which leaves no
//!   version beside its socket, gets the hello alone.
//! * The folder must be ours alone ([`Identity::begin`] looks), sockets have mode 0600, and peers of other users are refused.
//!
//! Receivers bind and senders connect, so that a restarted receiver comes up under the same path and every sender
//! finds it. Needs a tokio runtime.

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

/// Why a link cannot be made or used.
#[derive(Debug, thiserror::Error)]
pub enum IpcError {
    /// The socket path cannot be bound.
    #[error("cannot bind {endpoint}: {error}")]
    Bind {
        /// Address that was asked for.
        endpoint: String,
        /// What the system said.
        error: String,
    },
    /// The folder of the sockets, or a file in it, cannot be used.
    #[error("{path}: {why}")]
    Folder {
        /// What cannot be used.
        path: std::path::PathBuf,
        /// Why not.
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
    /// `SGLANG_LIFE` is not what the launcher writes.
    #[error("SGLANG_LIFE: expected a whole number, found {0:?}")]
    LifeNumber(String),
    /// Too much is waiting for a peer that does not come back.
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
