//! The JSON-Schema-Test-Suite: valid instances can be generated, invalid ones cannot.
//!
//! Every difference is listed in `fixtures/json-schema-test-suite/expected.txt`; `UPDATE_EXPECTED=1` makes the test
//! rewrite that file.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::collections::BTreeSet;
use std::path::PathBuf;

use common::{accepts, compiler, open_compiler};
use serde_json::{Map, Value};
use sglang_constrained::{GrammarSpec, JsonOptions};

const DRAFTS: [(&str, &str); 5] = [
    ("draft4", "http://json-schema.org/draft-04/schema#"),
    ("draft6", "http://json-schema.org/draft-06/schema#"),
    ("draft7", "http://json-schema.org/draft-07/schema#"),
    ("draft2019-09", "https://json-schema.org/draft/2019-09/schema"),
    ("draft2020-12", "https://json-schema.org/draft/2020-12/schema"),
];
/// Objects are generated in the schema's order, so all orders of an instance are tried up to this many members.
const MAX_MEMBERS: usize = 5;

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/json-schema-test-suite")
}

/// The instance, with its members in every order.
fn orders(instance: &Value) -> Vec<String> {
    let Value::Object(object) = instance else { return vec![instance.to_string()] };
    if object.len() > MAX_MEMBERS {
        return vec![instance.to_string()];
    }
    let mut out: Vec<Vec<&String>> = vec![Vec::new()];
    for key in object.keys() {
        out = out
            .into_iter()
            .flat_map(|order| {
                (0..=order.len()).map(move |at| {
                    let mut order = order.clone();
                    order.insert(at, key);
                    order
                })
            })
            .collect();
    }
    let shown = |order: Vec<&String>| {
        let members = order.into_iter().map(|key| (key.clone(), object[key].clone()));
        Value::Object(members.collect::<Map<_, _>>()).to_string()
    };
    out.into_iter().map(shown).collect()
}

#[derive(Default)]
struct Count {
    tests: usize,
    passed: usize,
    unsupported: usize,
    /// Tests of schemas that are partly enforced; the log says so, and a strict server refuses them.
    partly: usize,
    narrow: usize,
    loose: usize,
}

#[test]
fn the_public_suite_comes_out_as_recorded() {
    let lenient = open_compiler();
    let json = JsonOptions { strict_mode: false, refuse_unenforced: true, ..JsonOptions::default() };
    let strict = compiler(|c| c.json = json);
    let mut differences = BTreeSet::new();
    for (draft, uri) in DRAFTS {
        let text = std::fs::read_to_string(folder().join(format!("{draft}.json"))).unwrap();
        let files: Map<String, Value> = serde_json::from_str(&text).unwrap();
        let mut count = Count::default();
        for (file, groups) in &files {
            for group in groups.as_array().unwrap() {
                let name = format!("{draft}/{file}: {}", group["description"].as_str().unwrap());
                let tests = group["tests"].as_array().unwrap();
                count.tests += tests.len();
                let mut schema = group["schema"].clone();
                if let Some(object) = schema.as_object_mut() {
                    object.entry("$schema").or_insert(uri.into());
                }
                let spec = GrammarSpec::JsonSchema(schema.to_string());
                let said = strict.compile(spec.clone()).wait().err().map(|error| error.to_string());
                let compiled = lenient.compile(spec).wait();
                let Ok(grammar) = compiled else {
                    // If nothing satisfies a schema, there is nothing to generate.
                    if tests.iter().all(|test| test["valid"] == false) {
                        count.passed += tests.len();
                    } else {
                        count.unsupported += tests.len();
                        differences.insert(format!("unsupported {name}"));
                    }
                    continue;
                };
                if said.is_some_and(|said| said.contains(" is not enforced: ")) {
                    count.partly += tests.len();
                    differences.insert(format!("partly {name}"));
                    continue;
                }
                for test in tests {
                    let valid = test["valid"] == true;
                    let made = orders(&test["data"]).iter().any(|text| accepts(&grammar, text));
                    let name = format!("{name} / {}", test["description"].as_str().unwrap());
                    match (valid, made) {
                        (true, true) | (false, false) => count.passed += 1,
                        (true, false) => {
                            count.narrow += 1;
                            differences.insert(format!("narrow {name}"));
                        }
                        (false, true) => {
                            count.loose += 1;
                            differences.insert(format!("loose {name}"));
                        }
                    }
                }
            }
        }
        let Count { tests, passed, unsupported, partly, narrow, loose } = count;
        println!(
            "{draft}: {passed} of {tests} pass, {unsupported} unsupported, {partly} partly, {narrow} narrow, {loose} loose"
        );
    }
    let path = folder().join("expected.txt");
    let found: String = differences.iter().map(|line| format!("{}\n", line.replace('\n', " "))).collect();
    if std::env::var_os("UPDATE_EXPECTED").is_some() {
        std::fs::write(&path, &found).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap();
    let (found, expected): (BTreeSet<&str>, BTreeSet<&str>) =
        (found.lines().collect(), expected.lines().collect());
    let new: Vec<_> = found.difference(&expected).collect();
    let gone: Vec<_> = expected.difference(&found).collect();
    assert!(new.is_empty() && gone.is_empty(), "new: {new:#?}\nno longer: {gone:#?}");
}
