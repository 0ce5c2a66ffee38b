//! Handles recursive references that have other keywords beside them.
//!
//! The library merges a reference with its sibling keywords, which never ends if the definition contains itself. In
//! that case only the reference is kept, as in the reference's grammars.

use std::collections::{HashMap, HashSet};

use serde_json::{Map, Value};
use sglang_json_schema::{Holds, holds, is_annotation};

use super::common::escaped;

/// Removes the siblings of such references.
pub(super) fn cut(document: &mut Value, ignored: &mut Vec<String>) {
    let Some(Value::Object(definitions)) = document.get("$defs") else { return };
    let leads: HashMap<String, HashSet<String>> = definitions
        .iter()
        .map(|(name, schema)| {
            let mut found = HashSet::new();
            references(schema, &mut found);
            (name.clone(), found)
        })
        .collect();
    let reach: HashMap<String, HashSet<String>> =
        leads.keys().map(|name| (name.clone(), reachable(name, &leads))).collect();
    if let Some(Value::Object(definitions)) = document.get_mut("$defs") {
        for (name, schema) in definitions {
            let back = |target: &str| reach.get(target).is_some_and(|found| found.contains(name));
            bare(schema, &format!("#/$defs/{}", escaped(name)), &back, ignored);
        }
    }
}

fn name_of(value: &Value) -> Option<&str> {
    value.as_str()?.strip_prefix("#/$defs/")
}

fn parts(map: &Map<String, Value>) -> impl Iterator<Item = &Value> {
    map.iter().flat_map(|(keyword, value)| match (holds(keyword), value) {
        (Some(Holds::Map), Value::Object(map)) => map.values().collect::<Vec<_>>(),
        (Some(_), Value::Array(list)) => list.iter().collect(),
        (Some(Holds::One), schema) => vec![schema],
        _ => Vec::new(),
    })
}

fn references(schema: &Value, found: &mut HashSet<String>) {
    let Value::Object(map) = schema else { return };
    found.extend(map.get("$ref").and_then(name_of).map(str::to_owned));
    parts(map).for_each(|part| references(part, found));
}

/// The definitions that `name` leads to, including itself only if one of them leads back.
fn reachable(name: &str, leads: &HashMap<String, HashSet<String>>) -> HashSet<String> {
    let (mut found, mut open) = (HashSet::new(), vec![name]);
    while let Some(name) = open.pop() {
        for next in leads.get(name).into_iter().flatten() {
            if found.insert(next.clone()) {
                open.push(next);
            }
        }
    }
    found
}

fn bare(schema: &mut Value, place: &str, back: &dyn Fn(&str) -> bool, ignored: &mut Vec<String>) {
    let Value::Object(map) = schema else { return };
    let cyclic = |schema: &Value| schema.get("$ref").and_then(name_of).is_some_and(back);
    if map.get("$ref").and_then(name_of).is_some_and(back) {
        let beside: Vec<String> =
            map.keys().filter(|keyword| *keyword != "$ref" && !is_annotation(keyword)).cloned().collect();
        for keyword in beside {
            ignored.push(format!(
                "{place}: {keyword} is not enforced: it stands beside a reference to a schema that holds this one"
            ));
            map.shift_remove(&keyword);
        }
    }
    // The same for a list of schemas that must all hold.
    let alone = map.keys().all(|keyword| keyword == "allOf" || is_annotation(keyword));
    if let Some(Value::Array(all)) = map.get_mut("allOf")
        && (all.len() > 1 || !alone)
        && let Some(index) = all.iter().position(cyclic)
    {
        let reference = all.swap_remove(index);
        ignored.push(format!(
            "{place}: allOf is not enforced: only its reference to a schema that holds this one counts"
        ));
        map.retain(|keyword, _| is_annotation(keyword));
        map.insert("allOf".into(), vec![reference].into());
    }
    for (keyword, value) in map.iter_mut() {
        let here = format!("{place}/{}", escaped(keyword));
        match (holds(keyword), value) {
            (Some(Holds::Map), Value::Object(map)) => {
                for (name, part) in map.iter_mut() {
                    bare(part, &format!("{here}/{}", escaped(name)), back, ignored);
                }
            }
            (Some(_), Value::Array(list)) => {
                for (index, part) in list.iter_mut().enumerate() {
                    bare(part, &format!("{here}/{index}"), back, ignored);
                }
            }
            (Some(Holds::One), part) => bare(part, &here, back, ignored),
            _ => {}
        }
    }
}
