//! Translates structural tags (reference: `dispatch_structural_tag`): free text in which certain openings start a
//! constrained part, which lasts until the matching end.

mod emit;
mod format;
mod text;

use serde_json::Value;

use crate::ebnf;
use crate::environment::TokenEnvironment;
use crate::json::JsonOptions;
use crate::lark::Lark;
use crate::python_json;
use crate::regex;

/// Translates the JSON text of a structural tag.
///
/// # Errors
/// The error and its place: line and column in the JSON text, or a JSON pointer into it.
pub(crate) fn to_lark(text: &str, json: &JsonOptions, env: &TokenEnvironment) -> Result<String, String> {
    let value: Value = serde_json::from_str(text)
        .map_err(|e| python_json::explain(text).unwrap_or_else(|| e.to_string()))?;
    let format = format::parse(&value)?;
    let mut emitter = emit::Emitter { lark: Lark::default(), json, env };
    let start = emitter.emit(&format, &[]).map_err(|message| match place_of(&value, "") {
        Some(place) => format!("at {place}: {message}"),
        None => message,
    })?;
    Ok(emitter.lark.finish(&start))
}

/// The pointer of the first invalid regular expression or grammar in the tag.
fn place_of(value: &Value, pointer: &str) -> Option<String> {
    match value {
        Value::Object(object) => {
            let text = |field: &str| object.get(field).and_then(Value::as_str);
            let wrong = match text("type") {
                Some("regex") if text("pattern").is_some_and(|p| regex::to_lark(p).is_err()) => {
                    Some("pattern")
                }
                Some("grammar")
                    if text("grammar").is_some_and(|g| ebnf::to_lark(g, &mut Lark::default()).is_err()) =>
                {
                    Some("grammar")
                }
                _ => None,
            };
            match wrong {
                Some(field) => Some(format!("{pointer}/{field}")),
                None => object.iter().find_map(|(name, value)| place_of(value, &format!("{pointer}/{name}"))),
            }
        }
        Value::Array(items) => {
            items.iter().enumerate().find_map(|(i, value)| place_of(value, &format!("{pointer}/{i}")))
        }
        _ => None,
    }
}
