//! How large a body may be.

use super::errors::ApiError;

/// Largest body that is read, in bytes.
pub const MAX_BODY_BYTES: usize = 64 << 20;

/// More than a body may have.
pub(super) fn too_large() -> ApiError {
    ApiError::Http { status: 413, detail: format!("The body is larger than {MAX_BODY_BYTES} bytes.") }
}
