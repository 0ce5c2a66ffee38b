//! Routes that environment variables move: Ollama's and Vertex AI's.

use std::borrow::Cow;

/// The new paths of routes by their usual paths.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MovedRoutes(Vec<(&'static str, String)>);

/// The path of the root route.
pub const ROOT: &str = "/";

const VARIABLES: [(&str, &str); 6] = [
    ("SGLANG_OLLAMA_ROOT_ROUTE", ROOT),
    ("SGLANG_OLLAMA_CHAT_ROUTE", "/api/chat"),
    ("SGLANG_OLLAMA_GENERATE_ROUTE", "/api/generate"),
    ("SGLANG_OLLAMA_TAGS_ROUTE", "/api/tags"),
    ("SGLANG_OLLAMA_SHOW_ROUTE", "/api/show"),
    // Vertex AI sets this variable to the path that it will call.
    ("AIP_PREDICT_ROUTE", "/vertex_generate"),
];

impl MovedRoutes {
    /// Reads the variables; a value that is not a path is ignored.
    pub fn new(variable: impl Fn(&str) -> Option<String>) -> Self {
        let moved = VARIABLES.into_iter().filter_map(|(name, usual)| {
            let path = variable(name)?;
            // Braces would make it a pattern.
            if path.starts_with('/') && !path.contains(['{', '}']) {
                return Some((usual, path));
            }
            tracing::warn!("{name} is not used: a path such as {usual} would be valid, not {path:?}");
            None
        });
        Self(moved.collect())
    }

    /// The path of the route whose usual path is `path`.
    pub fn path(&self, path: &'static str) -> Cow<'static, str> {
        match self.0.iter().find(|(usual, _)| *usual == path) {
            Some((_, moved)) => moved.clone().into(),
            None => path.into(),
        }
    }

    /// Whether the root route is Ollama's.
    pub fn ollama_has_root(&self) -> bool {
        self.0.iter().any(|(usual, _)| *usual == ROOT)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_moved_and_what_is_no_path_is_ignored() {
        let routes = MovedRoutes::new(|name| match name {
            "SGLANG_OLLAMA_ROOT_ROUTE" => Some("/ollama".into()),
            "SGLANG_OLLAMA_CHAT_ROUTE" => Some("chat".into()),
            "SGLANG_OLLAMA_SHOW_ROUTE" => Some("/{".into()),
            "AIP_PREDICT_ROUTE" => Some("/v1/endpoints/7:predict".into()),
            _ => None,
        });
        assert!(routes.ollama_has_root() && !MovedRoutes::default().ollama_has_root());
        assert_eq!((routes.path("/"), routes.path("/api/chat")), ("/ollama".into(), "/api/chat".into()));
        assert_eq!(
            (routes.path("/api/show"), routes.path("/generate")),
            ("/api/show".into(), "/generate".into())
        );
        assert_eq!(routes.path("/vertex_generate"), "/v1/endpoints/7:predict");
    }
}
