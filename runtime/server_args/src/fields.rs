//! The names of all server arguments of the reference, in the order in which `/get_server_info` lists them.
//!
//! `fields.txt` has one name per line. A name without a value belongs to a flag, whose field or row gives the value. A
//! name with a JSON value is a constant in this version: it belongs to a feature that this server lacks, or its row
//! states the default less exactly than the reference shows it.

use serde_json::Value;

use super::JsonObject;

const FIELDS: &str = include_str!("fields.txt");

/// The names, each with its value if it is a constant.
fn rows() -> impl Iterator<Item = (&'static str, Option<Value>)> {
    FIELDS.lines().map(|line| match line.split_once(' ') {
        // The tests keep the file readable.
        Some((name, text)) => (name, Some(serde_json::from_str(text).unwrap_or_default())),
        None => (line, None),
    })
}

/// All arguments in the reference's order, then those of `own` that the reference lacks. `of_flag` returns the value of a
/// flag that is known by name only.
pub(super) fn complete(mut own: JsonObject, of_flag: impl Fn(&str) -> Option<Value>) -> JsonObject {
    let mut all = JsonObject::new();
    for (name, value) in rows() {
        let value = value.or_else(|| own.shift_remove(name)).or_else(|| of_flag(name));
        all.insert(name.to_owned(), value.unwrap_or_default());
    }
    all.extend(own);
    all
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::{flags, no_effect, not_yet, table};
    use super::*;

    #[test]
    fn every_name_has_exactly_one_source_and_every_flag_a_name() {
        let mut names = BTreeSet::new();
        for (name, value) in rows() {
            assert!(names.insert(name), "{name} is there twice");
            let has_field = table::FLAGS.iter().any(|flag| flag.field == name);
            let is_known = not_yet::FLAGS.iter().chain(no_effect::FLAGS).any(|flag| flag.field == name);
            assert!(value.is_some() || has_field || is_known, "{name} has no value");
            assert!(value.is_none() || !has_field, "{name} has a value although a flag gives it");
        }
        for line in FIELDS.lines() {
            if let Some((name, text)) = line.split_once(' ') {
                serde_json::from_str::<Value>(text).unwrap_or_else(|error| panic!("{name}: {error}"));
            }
        }
        let ours = [
            "model_files",
            "tokenizer_files",
            "ipc_dir",
            "scheduler_threads",
            "strict_json_schema",
            "restart_policy",
            "max_restarts",
            "restart_window",
            "restart_wait",
        ];
        for flag in flags() {
            assert!(names.contains(flag.field) != ours.contains(&flag.field), "{}", flag.field);
        }
    }
}
