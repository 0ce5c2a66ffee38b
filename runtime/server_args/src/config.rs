//! `--config file.yaml`: flags from a file, with the flag's name (or its snake_case name) as the key.

use std::collections::BTreeMap;

use serde_json::Value;

use super::exit::Exit;
use super::flags::flags;
use super::spec::{FlagSpec, Kind};

/// Reads the file into the texts that would have been typed, by field name. A switch that the file sets to false
/// counts as not given.
pub(super) fn read(path: &str) -> Result<BTreeMap<&'static str, Vec<String>>, Exit> {
    let fail = |why: String| Exit::usage(format!("--config {path}: {why}"));
    let text = std::fs::read_to_string(path).map_err(|e| fail(format!("cannot be read: {e}")))?;
    let parsed: Value = serde_saphyr::from_str(&text).map_err(|e| fail(format!("is not YAML: {e}")))?;
    let map = match parsed {
        Value::Object(map) => map,
        Value::Null => return Ok(BTreeMap::new()),
        _ => return Err(fail("expected lines such as `port: 30000`".to_owned())),
    };
    let mut typed = BTreeMap::new();
    for (key, value) in map {
        let Some(flag) = find(&key) else {
            let hint = closest(&key).map(|f| format!("; did you mean `{}`?", f.long)).unwrap_or_default();
            return Err(fail(format!("unknown key `{key}`{hint}")));
        };
        if let Some(texts) = texts(flag, value).map_err(|why| fail(format!("{key}: {why}")))? {
            typed.insert(flag.field, texts);
        }
    }
    Ok(typed)
}

/// Finds the flag of a key: its long name, an alias or its field name, with dashes or underscores.
fn find(key: &str) -> Option<&'static FlagSpec> {
    let kebab = key.replace('_', "-");
    flags().find(|f| f.long == kebab || f.aliases.contains(&kebab.as_str()) || f.field == key)
}

/// The flag with the most similar name, if one is close enough to suggest.
fn closest(key: &str) -> Option<&'static FlagSpec> {
    let kebab = key.replace('_', "-");
    flags()
        .map(|f| (edit_distance(&kebab, f.long), f))
        .filter(|(distance, f)| *distance <= (f.long.len() / 3).max(2) && *distance < f.long.len())
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, f)| f)
}

/// Levenshtein distance in bytes; flag names are ASCII.
fn edit_distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        for (cell, y) in row.iter_mut().skip(1).zip(b.bytes()) {
            let best = (diagonal + usize::from(x != y)).min(left + 1).min(*cell + 1);
            diagonal = std::mem::replace(cell, best);
            left = best;
        }
        if let Some(first) = row.first_mut() {
            *first = i + 1;
        }
    }
    row.last().copied().unwrap_or(0)
}

/// Converts a YAML value to the texts that would be typed after the flag; `None` for null and for a switch set to false.
fn texts(flag: &FlagSpec, value: Value) -> Result<Option<Vec<String>>, String> {
    let scalar = |value: Value| match value {
        Value::String(text) => Ok(text),
        Value::Number(number) => Ok(number.to_string()),
        Value::Bool(flag) => Ok(flag.to_string()),
        _ => Err("expected a single value".to_owned()),
    };
    Ok(match (flag.kind, value) {
        (_, Value::Null) | (Kind::Switch, Value::Bool(false)) => None,
        (Kind::Switch, Value::Bool(true)) => Some(Vec::new()),
        (Kind::Switch, _) => return Err("expected true or false".to_owned()),
        (Kind::List, Value::Array(items)) => {
            // `lora-paths` may hold objects, which the command line takes as JSON.
            let item = |item: Value| if item.is_object() { Ok(item.to_string()) } else { scalar(item) };
            Some(items.into_iter().map(item).collect::<Result<_, _>>()?)
        }
        (Kind::Json, object @ Value::Object(_)) => Some(vec![object.to_string()]),
        (_, value) => Some(vec![scalar(value)?]),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edit_distance_counts_single_character_changes() {
        assert_eq!(edit_distance("", "abc"), 3);
        assert_eq!(edit_distance("kitten", "sitting"), 3);
        assert_eq!(edit_distance("port", "port"), 0);
    }

    #[test]
    fn keys_are_found_by_any_of_their_names() {
        for key in ["tp-size", "tp_size", "tensor-parallel-size", "tensor_parallel_size"] {
            assert_eq!(find(key).map(|f| f.field), Some("tp_size"), "{key}");
        }
        assert!(find("tp-sise").is_none());
        assert_eq!(closest("tp-sise").map(|f| f.field), Some("tp_size"));
    }
}
