//! Ids of calls.

use uuid::Uuid;

/// `call_` and 24 random hex digits.
pub(crate) fn random_call_id() -> String {
    let hex = Uuid::new_v4().simple().to_string();
    format!("call_{}", hex.get(..24).unwrap_or_default())
}

/// Kimi K2's own form, which its chat template expects back: `functions.NAME:INDEX`, with `index` counted over the
/// whole conversation.
pub(crate) fn kimi_k2_call_id(name: &str, index: usize) -> String {
    format!("functions.{name}:{index}")
}
