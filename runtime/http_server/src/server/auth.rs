//! Bearer keys (reference: `utils/auth.py`).

use actix_web::Error;
use actix_web::body::{BoxBody, EitherBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::Method;
use actix_web::http::header::AUTHORIZATION;
use actix_web::middleware::Next;
use actix_web::{ResponseError, web};

use super::routes;
use crate::app::App;
use crate::http::errors::ApiError;
use crate::http::route::{AuthTier, root_path, without_root};

/// Whether a call is allowed. Paths for probes are always open.
pub fn allowed(
    tier: AuthTier,
    method: &Method,
    path: &str,
    authorization: Option<&str>,
    api_key: Option<&str>,
    admin_api_key: Option<&str>,
) -> bool {
    let open_path = ["/health", "/ready", "/metrics"].iter().any(|open| path.starts_with(open));
    if *method == Method::OPTIONS || open_path {
        return true;
    }
    let needed = match tier {
        AuthTier::Open => None,
        AuthTier::Normal => api_key,
        AuthTier::AdminOptional => admin_api_key.or(api_key),
    };
    match (needed, authorization.and_then(bearer)) {
        (None, _) => true,
        (Some(needed), Some(given)) => equal(needed.as_bytes(), given.as_bytes()),
        (Some(_), None) => false,
    }
}

fn bearer(header: &str) -> Option<&str> {
    let (scheme, token) = header.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// Compares in constant time.
fn equal(a: &[u8], b: &[u8]) -> bool {
    let mut difference = u8::from(a.len() != b.len());
    for i in 0..a.len().max(b.len()) {
        let (x, y) = (a.get(i).copied().unwrap_or_default(), b.get(i).copied().unwrap_or_default());
        difference = std::hint::black_box(difference | (x ^ y));
    }
    difference == 0
}

/// Middleware: refuses calls without the right key.
///
/// # Errors
/// The route's errors.
pub async fn authorize<B: MessageBody + 'static>(
    req: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<EitherBody<B, BoxBody>>, Error> {
    let passes = req.app_data::<web::Data<App>>().is_some_and(|app| {
        let root = root_path(app);
        let pattern = req.match_pattern();
        let tier = routes::tier(pattern.as_deref().map(|pattern| without_root(pattern, root)));
        let header = req.headers().get(AUTHORIZATION).and_then(|v| v.to_str().ok());
        let (key, admin) = (app.args.api_key.as_deref(), app.args.admin_api_key.as_deref());
        allowed(tier, req.method(), without_root(req.path(), root), header, key, admin)
    });
    if passes {
        return Ok(next.call(req).await?.map_into_left_body());
    }
    Ok(req.into_response(ApiError::Unauthorized.error_response()).map_into_right_body())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(
        tier: AuthTier,
        path: &str,
        header: Option<&str>,
        key: Option<&str>,
        admin: Option<&str>,
    ) -> bool {
        allowed(tier, &Method::GET, path, header, key, admin)
    }

    #[test]
    fn tiers_want_the_right_key() {
        use AuthTier::{AdminOptional, Normal};
        let (k, a) = (Some("k"), Some("a"));
        assert!(call(Normal, "/v1/models", Some("Bearer k"), k, a));
        assert!(call(Normal, "/v1/models", Some("bearer k"), k, a));
        assert!(!call(Normal, "/v1/models", Some("Bearer a"), k, a));
        assert!(!call(Normal, "/v1/models", Some("Basic k"), k, a));
        assert!(!call(Normal, "/v1/models", None, k, a));
        assert!(call(AdminOptional, "/flush_cache", Some("Bearer a"), k, a));
        assert!(!call(AdminOptional, "/flush_cache", Some("Bearer k"), k, a));
        assert!(call(AdminOptional, "/flush_cache", Some("Bearer k"), k, None));
        assert!(call(Normal, "/v1/models", None, None, a));
    }

    #[test]
    fn probes_and_preflights_pass_without_a_key() {
        for path in ["/health", "/health_generate", "/ready", "/metrics"] {
            assert!(call(AuthTier::Normal, path, None, Some("k"), None), "{path}");
        }
        assert!(!call(AuthTier::Normal, "/ping", None, Some("k"), None));
        assert!(allowed(AuthTier::Normal, &Method::OPTIONS, "/generate", None, Some("k"), None));
    }

    #[test]
    fn keys_are_compared_whole() {
        assert!(equal(b"secret", b"secret"));
        assert!(!equal(b"secret", b"secre") && !equal(b"secret", b"secrets") && !equal(b"", b"x"));
    }
}
