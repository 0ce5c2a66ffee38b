//! Structural tags as grammars (reference: `dispatch_structural_tag`): free text in which certain openings bring the
//! output under a grammar until the matching end.

mod emit;
mod format;
mod text;

use serde_json::Value;

use crate::environment::TokenEnvironment;
use crate::json::JsonOptions;
use crate::lark::Lark;
use crate::python_json;

/// Translates the JSON text of a structural tag.
///
/// # Errors
/// The mistake and its place: line and column in the JSON text, or a JSON pointer into it.
pub(crate) fn to_lark(text: &str, json: &JsonOptions, env: &TokenEnvironment) -> Result<String, String> {
    let value: Value = serde_json::from_str(text)
        .map_err(|e| python_json::explain(text).unwrap_or_else(|| e.to_string()))?;
    let format = format::parse(&value)?;
    let mut emitter = emit::Emitter { lark: Lark::default(), json, env };
    let start = emitter.emit(&format, &[])?;
    Ok(emitter.lark.finish(&start))
}
