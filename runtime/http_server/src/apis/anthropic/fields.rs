//! Fields that only the Messages API has: thinking and the output format.

use serde_json::{Map, Value};
use sglang_tokenizer_manager::requests::validation::{Mismatch, Read, given, int, object, optional_key};

/// Smallest thinking budget that a client may request.
const LEAST_BUDGET: i64 = 1024;

fn one_of(
    map: &Map<String, Value>,
    key: &'static str,
    known: &'static [&'static str],
) -> Read<Option<&'static str>> {
    let Some(value) = given(map, key) else { return Ok(None) };
    let found = value.as_str().and_then(|word| known.iter().find(|k| **k == word));
    found.copied().map(Some).ok_or_else(|| Mismatch::literal(known, value).under(key))
}

/// Reads `thinking`: whether it is turned on.
pub fn thinking(value: &Value) -> Read<bool> {
    let map = object(value)?;
    if !map.contains_key("type") {
        return Err(Mismatch::missing("type", value));
    }
    let kinds = &["enabled", "disabled", "adaptive"];
    let kind = one_of(&map, "type", kinds)?.unwrap_or_default();
    let display = one_of(&map, "display", &["summarized", "omitted"])?;
    let budget = optional_key(&map, "budget_tokens", int)?;
    let rule = |text: String| Err(Mismatch::rule(text, value));
    match (kind, budget) {
        ("enabled", None) => {
            return rule("thinking.budget_tokens is required when thinking.type is 'enabled'".into());
        }
        ("enabled", Some(budget)) if budget < LEAST_BUDGET => {
            return rule(format!("thinking.budget_tokens must be >= {LEAST_BUDGET} (got {budget})"));
        }
        ("enabled", _) | (_, None) => {}
        (kind, Some(_)) => {
            return rule(format!("thinking.budget_tokens is not allowed when thinking.type is '{kind}'"));
        }
    }
    if kind == "disabled" && display.is_some() {
        return rule("thinking.display is not allowed when thinking.type is 'disabled'".into());
    }
    Ok(kind != "disabled")
}

/// `output_config`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct OutputConfig {
    /// Reasoning effort, like that of chat completions.
    pub effort: Option<&'static str>,
    /// JSON schema of the answer.
    pub schema: Option<Map<String, Value>>,
}

/// Reads `output_config`.
pub fn output_config(value: &Value) -> Read<OutputConfig> {
    let map = object(value)?;
    let efforts = &["minimal", "low", "medium", "high", "xhigh", "max"];
    let effort = one_of(&map, "effort", efforts)?;
    let schema = optional_key(&map, "format", json_schema)?;
    optional_key(&map, "task_budget", task_budget)?;
    Ok(OutputConfig { effort: effort.map(|word| if word == "xhigh" { "max" } else { word }), schema })
}

fn json_schema(value: &Value) -> Read<Map<String, Value>> {
    let map = object(value)?;
    if map.get("type").is_none_or(|kind| kind != "json_schema") {
        return Err(
            Mismatch::literal(&["json_schema"], map.get("type").unwrap_or(&Value::Null)).under("type")
        );
    }
    let schema = map.get("schema").ok_or_else(|| Mismatch::missing("schema", value))?;
    object(schema).map_err(|m| m.under("schema"))
}

/// A hint that has no effect here; only its form is checked.
fn task_budget(value: &Value) -> Read<()> {
    let map = object(value)?;
    if map.get("type").is_none_or(|kind| kind != "tokens") {
        return Err(Mismatch::literal(&["tokens"], map.get("type").unwrap_or(&Value::Null)).under("type"));
    }
    let total = map.get("total").ok_or_else(|| Mismatch::missing("total", value))?;
    match int(total).map_err(|m| m.under("total"))? {
        1.. => Ok(()),
        _ => Err(Mismatch::new("greater_than", "Input should be greater than 0", total).under("total")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn thinking_has_three_shapes() {
        assert_eq!(thinking(&json!({"type": "enabled", "budget_tokens": 1024})), Ok(true));
        assert_eq!(thinking(&json!({"type": "adaptive", "display": "omitted"})), Ok(true));
        assert_eq!(thinking(&json!({"type": "disabled"})), Ok(false));
        for wrong in [
            json!({"type": "enabled"}),
            json!({"type": "enabled", "budget_tokens": 5}),
            json!({"type": "adaptive", "budget_tokens": 2000}),
            json!({"type": "disabled", "budget_tokens": 2000}),
            json!({"type": "disabled", "display": "omitted"}),
            json!({"type": "maybe"}),
            json!({}),
        ] {
            assert!(thinking(&wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_highest_effort_is_max_and_a_format_needs_a_schema() {
        let read =
            output_config(&json!({"effort": "xhigh", "format": {"type": "json_schema", "schema": {}}}));
        assert_eq!(read.unwrap(), OutputConfig { effort: Some("max"), schema: Some(Map::new()) });
        for wrong in [
            json!({"effort": "huge"}),
            json!({"format": {"type": "json_schema"}}),
            json!({"format": {"type": "xml", "schema": {}}}),
            json!({"task_budget": {"type": "tokens", "total": 0}}),
        ] {
            assert!(output_config(&wrong).is_err(), "{wrong}");
        }
    }
}
