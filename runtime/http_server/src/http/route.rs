//! One row of the table of routes: path, methods, and who may call it.

use actix_web::Route;

use crate::app::App;

/// Who may call a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuthTier {
    /// Anyone with the API key, if there is one.
    Normal,
    /// Anyone with the admin key, or with the API key if there is no admin key.
    AdminOptional,
    /// Everybody.
    Open,
}

/// One path.
pub struct RouteSpec {
    /// Path pattern.
    pub path: &'static str,
    /// Methods, in the order in which a 405 lists them.
    pub methods: &'static [&'static str],
    /// Who may call it.
    pub tier: AuthTier,
    /// Makes the handler.
    pub handler: fn() -> Route,
}

/// `--fastapi-root-path` without a final slash; empty if not set.
pub fn root_path(app: &App) -> &str {
    app.args.fastapi_root_path.trim_end_matches('/')
}

/// A path or pattern without the root path that a proxy may have left in front.
pub fn without_root<'a>(path: &'a str, root: &str) -> &'a str {
    path.strip_prefix(root).filter(|rest| rest.starts_with('/')).unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_root_path_is_taken_off_where_it_is_whole() {
        assert_eq!(without_root("/llm/health", "/llm"), "/health");
        assert_eq!(without_root("/llmhealth", "/llm"), "/llmhealth");
        assert_eq!(without_root("/health", ""), "/health");
    }
}
