//! Errors of calls to the planner.

/// A call that the planner rejects. Refused requests (queue full, prompt too long) are not errors: they end with an
/// [`crate::OutputEvent`] that has the reason.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlannerError {
    /// A request with this id is still active. It continues, and the new one is not accepted.
    #[error("Duplicate request ID detected: {0}")]
    DuplicateRid(String),
    /// A result does not belong to the oldest batch in flight.
    #[error(
        "result of step {got} does not belong to the oldest batch in flight ({})",
        expected.map_or_else(|| "there is none".to_owned(), |step| format!("step {step}"))
    )]
    UnexpectedResult {
        /// Step number of the result.
        got: u64,
        /// Expected step number.
        expected: Option<u64>,
    },
    /// A setting is invalid.
    #[error("{setting} is {value}: {valid}")]
    InvalidConfig {
        /// Name of the flag.
        setting: &'static str,
        /// Its value.
        value: String,
        /// What would be valid.
        valid: String,
    },
}
