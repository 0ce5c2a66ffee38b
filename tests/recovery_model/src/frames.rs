//! What goes over the links, with what the protocol needs of it and nothing else.
//!
//! Fields named `request` and [`Piece`] are not on the wire: they say whose prompt a frame was made from, so that a
//! foreign frame is seen.

/// Requests of a setup, and ids that they may have.
pub const REQUESTS: usize = 2;
/// Control operations of a setup, at most.
pub const OPS: usize = 2;

/// Numbers one try to serve a request. Every submission takes a new one, larger than all before it: lives of the
/// tokenizer manager come first in the order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Attempt {
    /// Life of the tokenizer manager that submitted.
    pub life: u8,
    /// Number within that life, from 1.
    pub number: u8,
}

/// What the link layer found out about a frame from its sequence number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mark {
    /// The one that was expected.
    InOrder,
    /// Something before it is missing.
    AfterGap,
    /// It was here before.
    Repeat,
}

/// A frame on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Envelope<F> {
    /// Life of the sender.
    pub from: u8,
    /// Verdict of the link layer.
    pub mark: Mark,
    /// What is said.
    pub frame: F,
}

/// From the tokenizer manager to the scheduler.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ToScheduler {
    /// First on every connection.
    Hello,
    /// The operation at this place of the log of desired state, from 1.
    Control {
        /// Place in the log.
        index: u8,
    },
    /// Serve this request, from where its client stands.
    Submit {
        /// Id.
        rid: u8,
        /// Whose prompt it is.
        request: u8,
        /// This try.
        attempt: Attempt,
        /// Frames that the client has.
        accepted: u8,
        /// Operations that must be applied before it runs.
        needs: u8,
    },
    /// End this request.
    Abort {
        /// Id.
        rid: u8,
        /// The try that the answer names.
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
        /// Whose output it is.
        request: u8,
        /// The try that it belongs to.
        attempt: Attempt,
        /// Position of the first new id.
        offset: u8,
        /// The first of its attempt: brings the context that decoding starts from.
        first: bool,
        /// The request is finished with it.
        last: bool,
    },
    /// The request has ended without new ids.
    End {
        /// Id.
        rid: u8,
        /// The try that has ended.
        attempt: Attempt,
        /// It is a poison request.
        failed: bool,
    },
}

/// Text as the client will see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Piece {
    /// Whose output it is.
    pub request: u8,
    /// Position of its ids.
    pub position: u8,
    /// Whether the decoder that made it stood at this position of this request.
    pub whole: bool,
}

/// From the detokenizer to the tokenizer manager.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Text {
    /// First on every connection, and again whenever something from the scheduler may be lost.
    Hello {
        /// How often in this life something may have been lost, from 1: the first contact counts.
        epoch: u8,
    },
    /// New text.
    Frame {
        /// Id.
        rid: u8,
        /// The try that it belongs to.
        attempt: Attempt,
        /// Position of the first new id.
        offset: u8,
        /// The text.
        piece: Piece,
        /// The request is finished with it.
        last: bool,
    },
    /// The request has ended without new text.
    End {
        /// Id.
        rid: u8,
        /// The try that has ended.
        attempt: Attempt,
        /// It is a poison request.
        failed: bool,
    },
}

/// What the launcher holds against a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Accusation {
    /// Position of the step in which the scheduler died.
    pub position: u8,
    /// How often.
    pub times: u8,
}

/// Accusations by request.
pub type Accused = [Option<Accusation>; REQUESTS];

/// From the scheduler straight to the tokenizer manager.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reply {
    /// First on every connection, and again whenever something from the tokenizer manager may be lost.
    Hello {
        /// How often in this life something may have been lost, from 1: the first contact counts.
        epoch: u8,
        /// Operations of the log that are applied.
        applied: u8,
    },
    /// Answer to a [`ToScheduler::Control`].
    Applied {
        /// Operations of the log that are applied.
        count: u8,
    },
    /// An end that bypasses the detokenizer. Nobody sends it but a planted fault.
    End {
        /// Id.
        rid: u8,
        /// The try that has ended.
        attempt: Attempt,
    },
}

/// How a request ends for its client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ending {
    /// With all its text.
    Finished,
    /// Its client wanted it.
    Aborted,
    /// It kills schedulers.
    Failed,
    /// The tokenizer manager died, and the connection with it.
    Disconnected,
}
