//! The promises of the protocol.

/// A property that must hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Property {
    /// A client's text has no duplicated, lost or foreign frame.
    TextIsOneSequence,
    /// Every request ends exactly once, and for a reason.
    EndsOnce,
    /// The scheduler runs nothing that the ledger does not want, unless what will stop it is in transit.
    NoOrphans,
    /// The log of desired state is applied in order and completely, and nothing runs before an answered operation is in
    /// effect.
    DesiredStateHolds,
    /// The death of a detokenizer changes nothing in the scheduler.
    DetokenizerDiesAlone,
    /// Only a poison request fails.
    InnocentsComplete,
    /// A poison request kills at most two schedulers.
    TwoRestartsAtMost,
    /// Once no more failures happen, all requests end, and nothing of them remains in any process.
    ComesToRest,
    /// What happens to one request does not depend on another.
    RequestsAreIndependent,
    /// It gets there in any order of events: no cycle of events leads back to an earlier state.
    NoLivelock,
}
