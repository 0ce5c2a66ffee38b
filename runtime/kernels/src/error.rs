//! Errors of the kernels.

/// A failed kernel call. When the arguments are invalid, nothing is written; after [`KernelError::Task`] the output is
/// unspecified.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KernelError {
    /// A slice's length does not fit the shapes.
    #[error("{name} holds {got} values where {want} are needed ({why})")]
    Length {
        /// The argument.
        name: &'static str,
        /// Its length.
        got: usize,
        /// The length that would fit.
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
    /// A task panicked.
    #[error("a kernel task panicked: {0}")]
    Task(String),
    /// A thread could not be started.
    #[error("a kernel thread cannot be started: {0}")]
    Spawn(String),
}

/// Result of a kernel.
pub type Result<T> = std::result::Result<T, KernelError>;

/// Returns an error if a slice has the wrong length.
pub(crate) fn check_len(name: &'static str, got: usize, want: usize, why: &'static str) -> Result<()> {
    if got == want { Ok(()) } else { Err(KernelError::Length { name, got, want, why }) }
}
