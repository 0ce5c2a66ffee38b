//! Faults that can be planted in the protocol, to test that the checker finds them.

/// A mistake in the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Fault {
    /// The tokenizer manager accepts outputs of any attempt.
    AttemptsIgnored,
    /// A request is submitted again from one position too far ahead.
    ResumeTooFar,
    /// A request is submitted again from one position too early.
    ResumeTooEarly,
    /// The tokenizer manager accepts outputs at any offset.
    OffsetsIgnored,
    /// A control operation is answered before the scheduler has applied it.
    AnswerBeforeApplied,
    /// The launcher gets a control operation only after the scheduler has applied it.
    KeptAfterApplied,
    /// The log of control operations is replayed from its end, and the scheduler accepts any order.
    LogReplayedBackwards,
    /// A restarted scheduler is not sent the log of control operations.
    LogNotReplayed,
    /// The scheduler runs requests before the state that they need is applied.
    NeedsIgnored,
    /// An aborted request is submitted again after a restart.
    AbortedSubmittedAgain,
    /// The tokenizer manager forgets aborted requests when a scheduler starts.
    AbortsEndLocally,
    /// The scheduler does not answer an abort of an unknown request.
    UnknownAbortUnanswered,
    /// Ends of aborted requests go directly to the tokenizer manager.
    AbortBypassesDetokenizer,
    /// The detokenizer identifies decoders only by id.
    DecodersByIdAlone,
    /// A duplicated frame is accepted as a new one.
    RepeatsTaken,
    /// A gap in the sequence numbers is not noticed.
    GapsIgnored,
    /// Frames of an earlier life of a peer are accepted.
    OldLivesTaken,
    /// The tokenizer manager does not react to a new detokenizer.
    DetokenizerIgnored,
    /// The tokenizer manager does not react to a new scheduler.
    SchedulerIgnored,
    /// The scheduler keeps running the requests of a dead tokenizer manager.
    OrphansKept,
    /// A suspected request shares steps with others.
    SuspectsRunTogether,
    /// A request that has killed two schedulers is run again.
    PoisonRunAgain,
    /// A scheduler that was killed from outside accuses the requests that it was running.
    OutsideKillsAccuse,
    /// A new detokenizer says hello before it has heard the scheduler, and not again afterwards.
    HelloTooSoon,
}

/// All faults.
pub const ALL: [Fault; 24] = [
    Fault::AttemptsIgnored,
    Fault::ResumeTooFar,
    Fault::ResumeTooEarly,
    Fault::OffsetsIgnored,
    Fault::AnswerBeforeApplied,
    Fault::KeptAfterApplied,
    Fault::LogReplayedBackwards,
    Fault::LogNotReplayed,
    Fault::NeedsIgnored,
    Fault::AbortedSubmittedAgain,
    Fault::AbortsEndLocally,
    Fault::UnknownAbortUnanswered,
    Fault::AbortBypassesDetokenizer,
    Fault::DecodersByIdAlone,
    Fault::RepeatsTaken,
    Fault::GapsIgnored,
    Fault::OldLivesTaken,
    Fault::DetokenizerIgnored,
    Fault::SchedulerIgnored,
    Fault::OrphansKept,
    Fault::SuspectsRunTogether,
    Fault::PoisonRunAgain,
    Fault::OutsideKillsAccuse,
    Fault::HelloTooSoon,
];

/// A set of faults.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Faults(u32);

impl Faults {
    /// The correct protocol.
    pub const NONE: Self = Self(0);

    /// These faults.
    pub fn of(faults: &[Fault]) -> Self {
        Self(faults.iter().fold(0, |set, fault| set | 1 << *fault as u32))
    }

    /// Whether this fault is planted.
    pub fn has(self, fault: Fault) -> bool {
        self.0 & 1 << fault as u32 != 0
    }
}
