//! What a row of the table of routes says: path, methods, and who may call it.

use actix_web::Route;

use crate::app::App;

/// Who may call a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuthTier {
    /// Whoever has the API key, if there is one.
    Normal,
    /// Whoever has the admin key; the API key when there is no admin key.
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

/// `--fastapi-root-path` without a slash at its end; empty when there is none.
pub fn root_path(app: &App) -> &str {
    app.args.fastapi_root_path.trim_end_matches('/')
}

/// A path or pattern without the root path that a proxy may leave in front of it.
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
