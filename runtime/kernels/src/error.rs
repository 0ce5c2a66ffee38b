//! What can be wrong with a kernel's arguments.

/// An error of a kernel. No output is written when the arguments are refused; after [`KernelError::Task`] the output is
/// unspecified.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KernelError {
    /// A slice does not hold what the shapes say.
    #[error("{name} holds {got} values where {want} are needed ({why})")]
    Length {
        /// The argument.
        name: &'static str,
        /// Its length.
        got: usize,
        /// The length that fits.
        want: usize,
        /// Where that length comes from.
        why: &'static str,
    },
    /// A number is outside its range.
    #[error("{name} is {got}, not {want}")]
    Value {
        /// The argument.
        name: &'static str,
        /// Its value.
        got: usize,
        /// What would be valid.
        want: String,
    },
    /// A part of the work panicked.
    #[error("a kernel task panicked: {0}")]
    Task(String),
    /// A thread could not be started.
    #[error("a kernel thread cannot be started: {0}")]
    Spawn(String),
}

/// Result of a kernel.
pub type Result<T> = std::result::Result<T, KernelError>;

/// Refuses a slice of the wrong length.
pub(crate) fn check_len(name: &'static str, got: usize, want: usize, why: &'static str) -> Result<()> {
    if got == want { Ok(()) } else { Err(KernelError::Length { name, got, want, why }) }
}
