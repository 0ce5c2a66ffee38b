//! Fields that only chat requests have: tool choice, reasoning effort.

use serde_json::Value;
use sglang_tokenizer_manager::requests::validation::{Fields, Mismatch, Read, boolean, float, object};

/// Which tools the model may or must call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ToolChoice {
    /// No tools; they are left out of the prompt.
    None,
    /// The model decides.
    Auto,
    /// At least one tool must be called.
    Required,
    /// This tool must be called.
    Named(String),
}

/// Reads `tool_choice`.
pub fn tool_choice(value: &Value) -> Read<ToolChoice> {
    match value {
        Value::String(word) => match word.as_str() {
            "none" => Ok(ToolChoice::None),
            "auto" => Ok(ToolChoice::Auto),
            "required" => Ok(ToolChoice::Required),
            _ => Err(Mismatch::literal(&["auto", "required", "none"], value)),
        },
        _ => {
            let map = object(value)?;
            let function = map.get("function").ok_or_else(|| Mismatch::missing("function", value))?;
            let function = object(function).map_err(|m| m.under("function"))?;
            Ok(ToolChoice::Named(function.get("name").and_then(Value::as_str).unwrap_or_default().to_owned()))
        }
    }
}

const EFFORTS: [&str; 8] = ["none", "minimal", "low", "medium", "high", "xhigh", "ultra", "max"];

fn effort(value: &Value) -> Read<Value> {
    match value {
        Value::String(word) if EFFORTS.contains(&word.as_str()) => Ok(value.clone()),
        Value::Bool(_) => Err(Mismatch::rule("reasoning_effort must not be a boolean", value)),
        _ => match float(value)? {
            x if (0.0..=0.99).contains(&x) => Ok(x.into()),
            _ => Err(Mismatch::new(
                "less_than_equal",
                "Input should be a tier such as 'low', or a number from 0 to 0.99",
                value,
            )),
        },
    }
}

/// `reasoning` and `reasoning_effort`, combined into one effort, and whether they turn thinking on or off.
pub fn reasoning(f: &mut Fields<'_>) -> (Option<Value>, Option<bool>) {
    let nested = f.optional("reasoning", object).unwrap_or_default();
    let inner =
        ["effort", "reasoning_effort"].iter().find_map(|key| nested.get(*key).filter(|v| !v.is_null()));
    let effort = match inner.map(effort) {
        Some(Ok(value)) => Some(value),
        Some(Err(mismatch)) => {
            f.push("reasoning", mismatch);
            None
        }
        None => f.optional("reasoning_effort", effort),
    };
    let enabled = ["enabled", "enable"].iter().find_map(|key| nested.get(*key).filter(|v| !v.is_null()));
    let enabled = enabled.is_some_and(|v| boolean(v).unwrap_or_default());
    let thinking = match &effort {
        Some(value) => Some(value != "none"),
        None => enabled.then_some(true),
    };
    (effort, thinking)
}
