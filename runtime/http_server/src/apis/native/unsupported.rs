//! Routes of the reference that this version does not implement. Their answers say so.

use actix_web::{HttpRequest, HttpResponse};

use crate::http::errors::ApiError;

/// 501 with the path.
pub async fn not_yet(req: HttpRequest) -> Result<HttpResponse, ApiError> {
    Err(ApiError::not_implemented(req.path()))
}
