//! Compares our grammars with those of xgrammar, the reference's engine: `scripts/fixtures schemas` records which
//! schemas it accepts, and which texts it accepts under each of them.
//!
//! Every difference is a row of `fixtures/xgrammar-differences.txt`, below a line that says why we want it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::collections::BTreeSet;

use common::{accepts, compiler};
use serde_json::Value;
use sglang_constrained::GrammarSpec;

fn fixture(name: &str) -> String {
    let path = format!("{}/tests/fixtures/{name}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The differences, one per line, and the texts that we accept although the schema forbids them.
fn compare(rows: &[Value]) -> (BTreeSet<String>, Vec<String>) {
    let compiler = compiler(|_| {});
    let (mut differences, mut wrong) = (BTreeSet::new(), Vec::new());
    for row in rows {
        let (name, schema) = (row["name"].as_str().unwrap(), &row["schema"]);
        let texts = |key: &str| {
            row[key].as_array().into_iter().flatten().map(|text| text.as_str().unwrap()).collect::<Vec<_>>()
        };
        let theirs = row["error"].as_str();
        let grammar = match (compiler.compile(GrammarSpec::JsonSchema(schema.to_string())).wait(), theirs) {
            (Err(_), Some(_)) => continue,
            (Err(error), None) => {
                let reason = error.to_string();
                let reason = reason.rsplit(": ").next().unwrap_or_default();
                differences.insert(format!("{name} | schema | we refuse: {}", reason.replace('\n', " ")));
                continue;
            }
            (Ok(grammar), theirs) => {
                if theirs.is_some() {
                    differences.insert(format!("{name} | schema | we take"));
                }
                grammar
            }
        };
        let judge = jsonschema::options().should_validate_formats(true).build(schema).ok();
        for (text, taken) in texts("takes").into_iter().map(|text| (text, Some(true))).chain(
            texts("refuses")
                .into_iter()
                .map(|text| (text, Some(false)))
                .chain(texts("texts").into_iter().map(|text| (text, None))),
        ) {
            let ours = accepts(&grammar, text);
            if taken.is_some_and(|taken| taken != ours) {
                let verb = if ours { "we take" } else { "we refuse" };
                differences.insert(format!("{name} | {text} | {verb}"));
            }
            let value: Option<Value> = serde_json::from_str(text).ok();
            let valid = value.zip(judge.as_ref()).map(|(value, judge)| judge.is_valid(&value));
            if ours && valid == Some(false) {
                wrong.push(format!("{name} | {text}"));
            }
        }
    }
    (differences, wrong)
}

#[test]
fn the_reference_takes_what_we_take_but_for_the_listed_rows() {
    let recorded: Value = serde_json::from_str(&fixture("xgrammar.json")).unwrap();
    let (differences, wrong) = compare(recorded["rows"].as_array().unwrap());
    let listed = fixture("xgrammar-differences.txt");
    let rows = |mark: &str| -> BTreeSet<String> {
        listed.lines().filter_map(|line| Some(line.strip_prefix(mark)?.to_owned())).collect()
    };
    let known = rows("- ");
    let new: Vec<_> = differences.difference(&known).collect();
    let gone: Vec<_> = known.difference(&differences).collect();
    assert!(new.is_empty() && gone.is_empty(), "new: {new:#?}\nno longer: {gone:#?}");
    // The rows marked "! " are not enforced, as documented in docs/structured-output.md.
    let loose = rows("! ");
    let wrong: BTreeSet<String> = wrong.into_iter().collect();
    let new: Vec<_> = wrong.difference(&loose).collect();
    let gone: Vec<_> = loose.difference(&wrong).collect();
    assert!(new.is_empty() && gone.is_empty(), "against the schema: {new:#?}\nno longer: {gone:#?}");
}
