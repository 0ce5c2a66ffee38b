//! Settings of the HTTP server from the environment, and limits for slow clients.

pub mod client;
pub mod moved_routes;

use std::time::Duration;

use sglang_process::env;

use client::TrustedProxies;
use moved_routes::MovedRoutes;

/// Limits for slow clients.
#[derive(Clone, Copy, Debug)]
pub struct ClientLimits {
    /// Time for the head of a request, from its first byte to its last.
    pub head: Duration,
    /// Longest wait for the next piece of a body.
    pub piece: Duration,
    /// Time for a body before its rate is checked.
    pub body: Duration,
    /// Average bytes per second that a body must reach.
    pub body_rate: f64,
    /// How long an answer may stay unread before the connection is closed.
    pub unread: Duration,
}

impl Default for ClientLimits {
    fn default() -> Self {
        Self {
            head: Duration::from_secs(30),
            piece: Duration::from_secs(30),
            body: Duration::from_secs(60),
            body_rate: 8192.0,
            unread: Duration::from_secs(300),
        }
    }
}

impl ClientLimits {
    /// The time for the next piece of a body, `elapsed` after its start and with `received` bytes of it.
    pub fn wait_for_piece(&self, elapsed: Duration, received: usize) -> Duration {
        let whole = self.body.as_secs_f64() + received as f64 / self.body_rate;
        let left = Duration::try_from_secs_f64(whole).unwrap_or(Duration::MAX).saturating_sub(elapsed);
        left.min(self.piece)
    }
}

/// Values of environment variables, and limits that only tests change.
#[derive(Clone, Debug)]
pub struct EnvSettings {
    /// `SGLANG_HEALTH_CHECK_TIMEOUT`, seconds.
    pub health_check_timeout: Duration,
    /// `SGLANG_ENABLE_HEALTH_ENDPOINT_GENERATION`.
    pub health_endpoint_generation: bool,
    /// `SGLANG_TIMEOUT_KEEP_ALIVE`, seconds.
    pub keep_alive: Duration,
    /// Limits for slow clients.
    pub clients: ClientLimits,
    /// The paths of routes that can be moved.
    pub moved_routes: MovedRoutes,
    /// `SGLANG_FORWARD_UNKNOWN_TOOLS`: pass calls of functions that a request does not list to the client.
    pub forward_unknown_tools: bool,
    /// `DISABLE_OPENAPI_DOC`, inverted: whether `/openapi.json` and `/docs` exist.
    pub openapi_doc: bool,
    /// `SGLANG_ENABLE_REQUEST_HEADER_OVERRIDES`: `x-override-…` headers set fields of requests.
    pub request_header_overrides: bool,
    /// `SGLANG_RERANK_RESULTS`: `/v1/rerank` always answers in Cohere's and Jina's form.
    pub rerank_results: bool,
    /// `SGLANG_ENABLE_REQUEST_DECOMPRESSION`: bodies may be compressed (`x-body-compressed`).
    pub request_decompression: bool,
    /// `FORWARDED_ALLOW_IPS`: proxies that are trusted to name the client.
    pub trusted_proxies: TrustedProxies,
}

impl Default for EnvSettings {
    fn default() -> Self {
        Self {
            health_check_timeout: Duration::from_secs(20),
            health_endpoint_generation: true,
            keep_alive: Duration::from_secs(5),
            clients: ClientLimits::default(),
            moved_routes: MovedRoutes::default(),
            forward_unknown_tools: false,
            openapi_doc: true,
            request_header_overrides: false,
            rerank_results: false,
            request_decompression: false,
            trusted_proxies: TrustedProxies::default(),
        }
    }
}

impl EnvSettings {
    /// Reads the environment.
    pub fn from_env() -> Self {
        let default = Self::default();
        Self {
            health_check_timeout: env::seconds("SGLANG_HEALTH_CHECK_TIMEOUT")
                .unwrap_or(default.health_check_timeout),
            health_endpoint_generation: env::switch("SGLANG_ENABLE_HEALTH_ENDPOINT_GENERATION")
                .unwrap_or(default.health_endpoint_generation),
            keep_alive: env::seconds("SGLANG_TIMEOUT_KEEP_ALIVE").unwrap_or(default.keep_alive),
            clients: default.clients,
            moved_routes: MovedRoutes::new(|name| std::env::var(name).ok()),
            forward_unknown_tools: env::switch("SGLANG_FORWARD_UNKNOWN_TOOLS")
                .unwrap_or(default.forward_unknown_tools),
            openapi_doc: !env::switch("DISABLE_OPENAPI_DOC").unwrap_or(!default.openapi_doc),
            request_header_overrides: env::switch("SGLANG_ENABLE_REQUEST_HEADER_OVERRIDES")
                .unwrap_or(default.request_header_overrides),
            rerank_results: env::switch("SGLANG_RERANK_RESULTS").unwrap_or(default.rerank_results),
            request_decompression: env::switch("SGLANG_ENABLE_REQUEST_DECOMPRESSION")
                .unwrap_or(default.request_decompression),
            trusted_proxies: TrustedProxies::from_env(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_that_keeps_its_rate_may_take_as_long_as_it_needs() {
        let limits = ClientLimits::default();
        let second = Duration::from_secs;
        assert_eq!(limits.wait_for_piece(second(0), 0), second(30));
        assert_eq!(limits.wait_for_piece(second(50), 0), second(10));
        assert_eq!(limits.wait_for_piece(second(70), 60), Duration::ZERO);
        assert_eq!(limits.wait_for_piece(second(1000), 8192 * 1000), second(30));
        assert_eq!(limits.wait_for_piece(second(1000), 8192 * 945), second(5));
    }
}
