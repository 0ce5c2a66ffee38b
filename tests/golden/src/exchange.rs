use std::collections::BTreeMap;

use serde::Deserialize;

/// The recorded servers. The flags of each are in `tests/tests/e2e/golden`.
pub const SETS: [&str; 10] = [
    "generate",
    "special",
    "auth",
    "tool_parser",
    "reasoning_parser",
    "embedding",
    "rerank",
    "reward",
    "moe",
    "limits",
];

/// A request and the reference's answer.
#[derive(Clone, Debug, Deserialize)]
pub struct Exchange {
    /// The recorded server.
    pub set: String,
    /// Name within the set.
    pub name: String,
    /// Method of HTTP.
    pub method: String,
    /// Path with its query.
    pub path: String,
    /// Headers of the request.
    pub headers: BTreeMap<String, String>,
    /// Body as sent; empty if there was none.
    pub body: String,
    /// Status of the answer, `None` where the server ended without one.
    pub status: Option<u16>,
    /// Headers of the answer, except those about the connection.
    pub response_headers: BTreeMap<String, String>,
    /// Body of the answer; a stream is stored as a whole.
    pub response_body: String,
}

/// Our answer.
#[derive(Clone, Debug, Default)]
pub struct Answer {
    /// Status.
    pub status: u16,
    /// Headers, with lower-case names.
    pub headers: BTreeMap<String, String>,
    /// Body; streams as a whole.
    pub body: String,
}

/// The exchanges of a set in recording order, since some answers depend on earlier requests.
///
/// # Panics
/// For a name that is not in [`SETS`], or if the fixtures are broken.
#[allow(clippy::panic, reason = "code of tests")]
pub fn exchanges(set: &str) -> Vec<Exchange> {
    let text = match set {
        "generate" => include_str!("../../fixtures/golden/generate.json"),
        "special" => include_str!("../../fixtures/golden/special.json"),
        "auth" => include_str!("../../fixtures/golden/auth.json"),
        "tool_parser" => include_str!("../../fixtures/golden/tool_parser.json"),
        "reasoning_parser" => include_str!("../../fixtures/golden/reasoning_parser.json"),
        "embedding" => include_str!("../../fixtures/golden/embedding.json"),
        "rerank" => include_str!("../../fixtures/golden/rerank.json"),
        "reward" => include_str!("../../fixtures/golden/reward.json"),
        "moe" => include_str!("../../fixtures/golden/moe.json"),
        "limits" => include_str!("../../fixtures/golden/limits.json"),
        _ => panic!("no set {set}"),
    };
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{set}: {error}"))
}

/// One exchange, by name.
///
/// # Panics
/// If there is none.
#[allow(clippy::panic, reason = "code of tests")]
pub fn exchange(set: &str, name: &str) -> Exchange {
    let found = exchanges(set).into_iter().find(|exchange| exchange.name == name);
    found.unwrap_or_else(|| panic!("no exchange {set}/{name}"))
}
