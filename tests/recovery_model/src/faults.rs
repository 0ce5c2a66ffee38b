//! Faults that can be planted in the protocol, to see whether the checker finds them.

/// One way to get the protocol wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Fault {
    /// The tokenizer manager takes outputs of any attempt.
    AttemptsIgnored,
    /// A request is submitted again from one position too far.
    ResumeTooFar,
    /// A request is submitted again from one position too early.
    ResumeTooEarly,
    /// The tokenizer manager takes outputs at any offset.
    OffsetsIgnored,
    /// The client of a control operation gets its answer before the scheduler has applied the operation.
    AnswerBeforeApplied,
    /// The launcher gets a control operation only when the scheduler has applied it.
    KeptAfterApplied,
    /// The log of control operations is replayed from its end, and the scheduler takes any order.
    LogReplayedBackwards,
    /// A restarted scheduler is not sent the log of control operations.
    LogNotReplayed,
    /// The scheduler runs requests before the state that they need is there.
    NeedsIgnored,
    /// A request that is being aborted is submitted again after a restart.
    AbortedSubmittedAgain,
    /// The tokenizer manager forgets requests that are being aborted when a scheduler comes up.
    AbortsEndLocally,
    /// The scheduler does not answer an abort of a request that it does not know.
    UnknownAbortUnanswered,
    /// Ends by abort go straight to the tokenizer manager.
    AbortBypassesDetokenizer,
    /// The detokenizer knows its decoders by id alone.
    DecodersByIdAlone,
    /// A doubled frame is taken as a new one.
    RepeatsTaken,
    /// A gap in the sequence numbers is not noticed.
    GapsIgnored,
    /// Frames of an earlier life of a peer are taken.
    OldLivesTaken,
    /// The tokenizer manager does nothing when another detokenizer comes up.
    DetokenizerIgnored,
    /// The tokenizer manager does nothing when another scheduler comes up.
    SchedulerIgnored,
    /// The scheduler goes on with the requests of a dead tokenizer manager.
    OrphansKept,
    /// A request that may have killed a scheduler runs together with others.
    SuspectsRunTogether,
    /// A request that has killed two schedulers is run again.
    PoisonRunAgain,
    /// A scheduler that was killed from outside accuses the requests that it ran.
    OutsideKillsAccuse,
    /// A new detokenizer says hello before it has heard the scheduler, and not when it does.
    HelloTooSoon,
}

/// All of them.
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
    /// The protocol as it is meant.
    pub const NONE: Self = Self(0);

    /// These faults.
    pub fn of(faults: &[Fault]) -> Self {
        Self(faults.iter().fold(0, |set, fault| set | 1 << *fault as u32))
    }

    /// Whether this one is planted.
    pub fn has(self, fault: Fault) -> bool {
        self.0 & 1 << fault as u32 != 0
    }
}
