//! What must hold.

/// A promise of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Property {
    /// A client's text has no frame doubled, lost or foreign.
    TextIsOneSequence,
    /// Every request ends exactly once, and for a reason.
    EndsOnce,
    /// The scheduler runs nothing that the ledger does not want, unless what will stop it is under way.
    NoOrphans,
    /// The log of desired state is applied in order and whole, and nothing runs before what was answered is in effect.
    DesiredStateHolds,
    /// The death of a detokenizer changes nothing in the scheduler.
    DetokenizerDiesAlone,
    /// Only a poison request fails.
    InnocentsComplete,
    /// A poison request kills at most two schedulers.
    TwoRestartsAtMost,
    /// When nothing more goes wrong all requests come to their end, and nothing is left of them in any process.
    ComesToRest,
    /// What happens to one request does not depend on another.
    RequestsAreIndependent,
    /// It comes there whatever the order of events: no cycle of events leads back to where it began.
    NoLivelock,
}
