//! What can go wrong between the planner and the process around it.

/// A call that the planner cannot honour. Requests that are merely refused (queue full, prompt too long) are not
/// errors: they end with an [`crate::OutputEvent`] that carries the reason.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlannerError {
    /// The message has no request id.
    #[error("the request has no rid")]
    MissingRid,
    /// A request with this id is still live. The new one was not taken; the live one goes on.
    #[error("Duplicate request ID detected: {0}")]
    DuplicateRid(String),
    /// A result belongs to no batch in flight, or to one that is not the oldest.
    #[error(
        "result of step {got} does not belong to the oldest batch in flight ({})",
        expected.map_or_else(|| "there is none".to_owned(), |step| format!("step {step}"))
    )]
    UnexpectedResult {
        /// Step of the result.
        got: u64,
        /// Step that was due.
        expected: Option<u64>,
    },
    /// A setting that the planner cannot work with.
    #[error("{setting} is {value}: {valid}")]
    InvalidConfig {
        /// The flag's name.
        setting: &'static str,
        /// Its value.
        value: String,
        /// What would have been valid.
        valid: String,
    },
}
