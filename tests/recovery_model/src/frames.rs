//! The frames on the links, reduced to what the protocol needs.
//!
//! Fields named `request` and [`Piece`] are not on the wire. They record which prompt a frame came from, so that frames
//! of another request are detected.

/// Number of requests in a setup, and of ids.
pub const REQUESTS: usize = 2;
/// Maximum number of control operations in a setup.
pub const OPS: usize = 2;

/// Numbers one attempt to serve a request. Every submission gets a new, larger one; attempts are ordered by the
/// tokenizer manager's life first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Attempt {
    /// Life of the tokenizer manager that submitted the request.
    pub life: u8,
    /// Number within that life, from 1.
    pub number: u8,
}

/// What the link layer concluded from a frame's sequence number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mark {
    /// The expected frame.
    InOrder,
    /// A frame before it is missing.
    AfterGap,
    /// It was received before.
    Repeat,
}

/// A frame in transit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Envelope<F> {
    /// Life of the sender.
    pub from: u8,
    /// The link layer's conclusion.
    pub mark: Mark,
    /// The contents.
    pub frame: F,
}

/// From the tokenizer manager to the scheduler.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ToScheduler {
    /// First on every connection.
    Hello,
    /// The operation at this index of the log of desired state.
    Control {
        /// Index in the log, from 1.
        index: u8,
    },
    /// Serve this request from its client's position.
    Submit {
        /// Id.
        rid: u8,
        /// The request whose prompt it is.
        request: u8,
        /// This attempt.
        attempt: Attempt,
        /// Number of frames that the client has.
        accepted: u8,
        /// Number of operations that must be applied before it runs.
        needs: u8,
    },
    /// End this request.
    Abort {
        /// Id.
        rid: u8,
        /// The attempt that the answer must name.
        attempt: Attempt,
    },
}

/// From the scheduler to the detokenizer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Output {
    /// First on every connection.
    Hello,
    /// New ids.
    Frame {
        /// Id.
        rid: u8,
        /// The request whose output it is.
        request: u8,
        /// The attempt to which it belongs.
        attempt: Attempt,
        /// Position of the first new id.
        offset: u8,
        /// The first frame of its attempt: it brings the context for decoding.
        first: bool,
        /// The last frame of the request.
        last: bool,
    },
    /// The request has ended without new ids.
    End {
        /// Id.
        rid: u8,
        /// The attempt that has ended.
        attempt: Attempt,
        /// Whether it is a poison request.
        failed: bool,
    },
}

/// Text as the client sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Piece {
    /// The request whose output it is.
    pub request: u8,
    /// Position of its ids.
    pub position: u8,
    /// Whether its decoder was at this position of this request.
    pub whole: bool,
}

/// From the detokenizer to the tokenizer manager.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Text {
    /// First on every connection, and again whenever something from the scheduler may have been lost.
    Hello {
        /// How often in this life something may have been lost, counting the first contact as 1.
        epoch: u8,
    },
    /// New text.
    Frame {
        /// Id.
        rid: u8,
        /// The attempt to which it belongs.
        attempt: Attempt,
        /// Position of the first new id.
        offset: u8,
        /// The text.
        piece: Piece,
        /// The last text of the request.
        last: bool,
    },
    /// The request has ended without new text.
    End {
        /// Id.
        rid: u8,
        /// The attempt that has ended.
        attempt: Attempt,
        /// Whether it is a poison request.
        failed: bool,
    },
}

/// The launcher's accusation against a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Accusation {
    /// Position of the step in which the scheduler died.
    pub position: u8,
    /// How often it was accused.
    pub times: u8,
}

/// Accusations by request.
pub type Accused = [Option<Accusation>; REQUESTS];

/// From the scheduler directly to the tokenizer manager.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reply {
    /// First on every connection, and again whenever something from the tokenizer manager may have been lost.
    Hello {
        /// How often in this life something may have been lost, counting the first contact as 1.
        epoch: u8,
        /// Number of applied operations.
        applied: u8,
    },
    /// Answer to a [`ToScheduler::Control`].
    Applied {
        /// Number of applied operations.
        count: u8,
    },
    /// An end that bypasses the detokenizer. Only a planted fault sends it.
    End {
        /// Id.
        rid: u8,
        /// The attempt that has ended.
        attempt: Attempt,
    },
}

/// How a request ends for its client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ending {
    /// With its complete text.
    Finished,
    /// By its client's abort.
    Aborted,
    /// As a poison request.
    Failed,
    /// With the tokenizer manager's death, which closed the connection.
    Disconnected,
}
