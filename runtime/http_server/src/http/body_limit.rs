//! The size limit of bodies.

use super::errors::ApiError;

/// Largest accepted body in bytes.
pub const MAX_BODY_BYTES: usize = 64 << 20;

/// The error for a body that is too large.
pub(super) fn too_large() -> ApiError {
    ApiError::Http { status: 413, detail: format!("The body is larger than {MAX_BODY_BYTES} bytes.") }
}
