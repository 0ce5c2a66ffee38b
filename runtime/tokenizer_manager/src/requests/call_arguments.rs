//! Reads the arguments of calls in a conversation's history.
//!
//! Everything that this server returns is accepted: text, nothing, null, text inside text, and an incomplete object
//! from an answer that hit its limit.

use serde_json::{Map, Value};

/// Arguments may be JSON text inside a JSON string this many times.
const MAX_LAYERS: usize = 4;

/// Why a value cannot be arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoArguments {
    /// The text is not JSON.
    NotJson,
    /// It is JSON, but not an object.
    NotAnObject,
}

/// The object for arguments in any accepted form. If it was cut off, only its complete members.
///
/// # Errors
/// If they are not an object.
pub fn read(value: &Value) -> Result<Map<String, Value>, NoArguments> {
    match value {
        Value::Null => Ok(Map::new()),
        Value::Object(map) => Ok(map.clone()),
        Value::String(text) => read_text(text, MAX_LAYERS),
        _ => Err(NoArguments::NotAnObject),
    }
}

fn read_text(text: &str, layers: usize) -> Result<Map<String, Value>, NoArguments> {
    let text = text.trim();
    if text.is_empty() {
        return Ok(Map::new());
    }
    match serde_json::from_str(text) {
        Ok(Value::Null) => Ok(Map::new()),
        Ok(Value::Object(map)) => Ok(map),
        Ok(Value::String(inner)) if layers > 0 => {
            read_text(&inner, layers - 1).map_err(|_| NoArguments::NotAnObject)
        }
        Ok(_) => Err(NoArguments::NotAnObject),
        Err(error) if text.starts_with('{') && ends_early(text, &error) => Ok(begun(text)),
        Err(_) => Err(NoArguments::NotJson),
    }
}

/// Whether the text is valid up to its end, which is missing.
fn ends_early(text: &str, error: &serde_json::Error) -> bool {
    let last = text.lines().last().map_or(0, str::len);
    error.is_eof() || (error.line() == text.lines().count() && error.column() >= last)
}

/// The complete members of an object whose text is incomplete.
fn begun(text: &str) -> Map<String, Value> {
    // The positions after each value and each key of the outermost object.
    let mut ends = [0usize; 3];
    let (mut depth, mut in_string, mut escaped) = (0usize, false, false);
    for (at, c) in text.char_indices() {
        let end = match c {
            _ if escaped => {
                escaped = false;
                None
            }
            '\\' if in_string => {
                escaped = true;
                None
            }
            '"' => {
                in_string = !in_string;
                (!in_string && depth == 1).then_some(at + 1)
            }
            _ if in_string => None,
            '{' | '[' => {
                depth += 1;
                None
            }
            '}' | ']' => {
                depth = depth.saturating_sub(1);
                (depth == 1).then_some(at + 1)
            }
            ',' => (depth == 1).then_some(at),
            _ => None,
        };
        if let Some(end) = end {
            ends = [end, ends[0], ends[1]];
        }
    }
    let member = |end: usize| serde_json::from_str(&format!("{}}}", text.get(..end)?)).ok();
    ends.into_iter().find_map(member).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn every_form_that_is_handed_out_is_taken_back() {
        for nothing in
            [json!(null), json!(""), json!(" "), json!("null"), json!({}), json!("{}"), json!("\"\"")]
        {
            assert_eq!(read(&nothing), Ok(Map::new()), "{nothing}");
        }
        let one = json!({"a": {"b": [1]}});
        let text = one.to_string();
        let twice = json!(text).to_string();
        for form in [one.clone(), json!(text), json!(twice), json!(json!(twice).to_string())] {
            assert_eq!(read(&form).map(Value::Object), Ok(one.clone()), "{form}");
        }
        for (other, why) in [
            (json!(5), NoArguments::NotAnObject),
            (json!([1]), NoArguments::NotAnObject),
            (json!("[1]"), NoArguments::NotAnObject),
            (json!("\"text\""), NoArguments::NotAnObject),
            (json!("{oops"), NoArguments::NotJson),
            (json!("text"), NoArguments::NotJson),
            (json!("[1"), NoArguments::NotJson),
        ] {
            assert_eq!(read(&other), Err(why), "{other}");
        }
    }

    #[test]
    fn of_a_call_that_was_cut_off_the_complete_members_count() {
        let whole = r#"{"a": "x, \"y\"", "b": {"c": [1, "}"]}, "d": 12, "é": "\ud83d\ude00"}"#;
        let all: Map<String, Value> = serde_json::from_str(whole).unwrap();
        let mut seen = 0;
        for (cut, _) in whole.char_indices() {
            let map = read(&json!(whole[..cut])).unwrap_or_else(|_| panic!("{}", &whole[..cut]));
            assert!(map.iter().all(|(key, value)| all[key] == *value), "{}", &whole[..cut]);
            assert!(map.len() >= seen || map.len() + 1 == all.len(), "{}", &whole[..cut]);
            seen = seen.max(map.len());
        }
        assert_eq!(seen, 4);
        let keys = |text: &str| read(&json!(text)).unwrap().len();
        assert_eq!(keys("{"), 0);
        assert_eq!(keys("{\"a\""), 0);
        assert_eq!(keys("{\"a\": 1, \"b\": 2."), 1);
        assert_eq!(keys("{\"a\": 1, \"b\": \"\\ud83d\\u"), 1);
        assert_eq!(keys("{\n\"a\": 1,\n \"b\": -"), 1);
        assert_eq!(keys("{\"a\": 1"), 0);
        assert_eq!(keys("{\"a\": 1, "), 1);
        assert_eq!(keys("{\"a\": \"x\""), 1);
        assert_eq!(keys("{\"a\": [1], \"b\": {\"c\": 1"), 1);
    }
}
