//! Checks `watermark` of a request. This server does not watermark (reference: `normalize_watermark_request` and
//! `resolve_watermark_request` in `sampling/watermarking/core.py`).

use serde_json::Value;

use crate::requests::ValueError;

/// The reference's default limit of `context_window`.
const MAX_CONTEXT_WINDOW: i64 = 4;
/// Fields of the object.
const FIELDS: [&str; 3] = ["enabled", "key", "context_window"];

/// Accepts a request only if it turns watermarking off.
///
/// # Errors
/// If the object is invalid or asks for a watermark; in the reference's words.
pub fn check(watermark: &Value) -> Result<(), ValueError> {
    let fail = |text: &str| Err(ValueError(text.to_owned()));
    let Some(fields) = watermark.as_object() else { return fail("watermark must be an object") };
    if fields.keys().any(|name| !FIELDS.contains(&name.as_str())) {
        return fail("watermark contains unknown fields");
    }
    let given = |name: &str| fields.get(name).filter(|value| !value.is_null());
    let enabled = given("enabled").map(Value::as_bool);
    if enabled == Some(None) {
        return fail("watermark enabled must be a boolean");
    }
    let key = given("key");
    if let Some(key) = key {
        check_key(key)?;
    }
    let window = given("context_window").map(|window| window.as_i64().filter(|window| *window >= 1));
    match window {
        Some(None) => return fail("watermark context_window must be a positive integer"),
        Some(Some(window)) if window > MAX_CONTEXT_WINDOW => {
            return fail(
                "request watermark context_window cannot exceed the server's watermark context_window",
            );
        }
        _ => {}
    }
    match (enabled.flatten(), key) {
        (Some(false), None) => Ok(()),
        (Some(false), Some(_)) => fail("request watermark key cannot be combined with enabled=false"),
        (None, None) => fail("request watermark must set enabled or key"),
        _ => fail("request watermarking requires the server to enable --enable-watermark"),
    }
}

fn check_key(key: &Value) -> Result<(), ValueError> {
    let fail = |text: &str| Err(ValueError(text.to_owned()));
    let Some(text) = key.as_str() else { return fail("watermark key must be a hex string") };
    let digits = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")).unwrap_or(text);
    if !(1..=16).contains(&digits.chars().count()) {
        return fail("watermark key must contain 1 to 16 hex digits");
    }
    if !digits.chars().all(|digit| digit.is_ascii_hexdigit()) {
        return fail("watermark key must contain only hex digits");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn requests_get_the_references_answers() {
        // The answers of the two functions in sglang 0.5.23 with watermarking off.
        let off = "request watermarking requires the server to enable --enable-watermark";
        for (watermark, answer) in [
            (json!([]), "watermark must be an object"),
            (json!({}), "request watermark must set enabled or key"),
            (json!({"enabled": false}), ""),
            (json!({"enabled": true}), off),
            (json!({"key": "a1"}), off),
            (json!({"key": "0X1f"}), off),
            (
                json!({"enabled": false, "key": "a1"}),
                "request watermark key cannot be combined with enabled=false",
            ),
            (json!({"enabled": null}), "request watermark must set enabled or key"),
            (json!({"context_window": 2}), "request watermark must set enabled or key"),
            (json!({"enabled": false, "context_window": 4}), ""),
            (
                json!({"enabled": false, "context_window": 5}),
                "request watermark context_window cannot exceed the server's watermark context_window",
            ),
            (
                json!({"enabled": false, "context_window": 0}),
                "watermark context_window must be a positive integer",
            ),
            (
                json!({"enabled": false, "context_window": true}),
                "watermark context_window must be a positive integer",
            ),
            (
                json!({"enabled": false, "context_window": 1.5}),
                "watermark context_window must be a positive integer",
            ),
            (json!({"enabled": 1}), "watermark enabled must be a boolean"),
            (json!({"key": 5}), "watermark key must be a hex string"),
            (json!({"key": ""}), "watermark key must contain 1 to 16 hex digits"),
            (json!({"key": "0x"}), "watermark key must contain 1 to 16 hex digits"),
            (json!({"key": "xyz"}), "watermark key must contain only hex digits"),
            (json!({"key": "12345678901234567"}), "watermark key must contain 1 to 16 hex digits"),
            (json!({"other": 1}), "watermark contains unknown fields"),
        ] {
            let error = check(&watermark).err().map(|e| e.0).unwrap_or_default();
            assert_eq!(error, answer, "{watermark}");
        }
    }
}
