//! Links between processes: ZeroMQ PUSH and PULL sockets over Unix sockets, carrying the frames of
//! [`sglang_proto::messages`].
//!
//! The socket library accepts a message locally and says nothing when the peer dies, so this crate owns what is needed
//! to survive a restart of either end:
//!
//! * [`PushLink`] queues, connects, and connects again when its peer is lost or has been replaced ([`PushLink::reset`]).
//! * Every life of a process has an incarnation number; a [`Hello`](sglang_proto::messages::Hello) announces it, and
//!   [`PullLink`] drops what still arrives from an older life of the same role.
//! * Every frame carries a sequence number; gaps are counted. What was lost is sent again by the owner of the request
//!   state, which knows better than a socket what still matters.
//! * A frame that is too large, torn or of an unknown class is counted, logged and dropped.
//!
//! Receivers bind and senders connect, so that a restarted receiver comes up under the same path and every sender
//! finds it. Needs a tokio runtime.

mod endpoints;
mod identity;
mod peers;
mod pull;
mod push;
mod socket_file;
mod stats;

pub use endpoints::Endpoints;
pub use identity::Identity;
pub use pull::{PullLink, Received};
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
    /// The message cannot be written in the wire form.
    #[error(transparent)]
    Frame(#[from] sglang_proto::wire::FrameError),
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
