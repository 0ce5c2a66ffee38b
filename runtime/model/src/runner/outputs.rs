//! Results of a step, indexed by request.

use crate::error::{ModelError, Result};

/// Stores the result of request `i`.
///
/// # Errors
/// The step has no such request.
pub(super) fn set<T>(values: &mut [T], i: usize, value: T) -> Result<()> {
    let requests = values.len();
    let slot = values.get_mut(i);
    *slot.ok_or_else(|| ModelError::Kernel(format!("request {i} of a step with {requests}")))? = value;
    Ok(())
}
