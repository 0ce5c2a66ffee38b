//! Every text that follows a schema's masks is an instance of the schema.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::cell::Cell;

use common::{accepts, compiler, json, open_compiler, sample};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Value, json};
use sglang_constrained::{ANY_JSON, GrammarSpec, JsonOptions};

/// Schemas with instances of limited size, so that random walks end.
fn schema(depth: u32) -> BoxedStrategy<Value> {
    let leaf = prop_oneof![
        Just(json!({"type": "boolean"})),
        Just(json!({"type": "null"})),
        Just(json!({"enum": ["red", "grün", 7, null]})),
        Just(json!({"const": {"a": [1, "x"]}})),
        (0i64..50, 0i64..1000)
            .prop_map(|(min, more)| { json!({"type": "integer", "minimum": min, "maximum": min + more}) }),
        (-9i64..9).prop_map(|min| json!({"type": "number", "minimum": min, "exclusiveMaximum": min + 3})),
        (0u32..3, 0u32..4)
            .prop_map(|(min, more)| { json!({"type": "string", "minLength": min, "maxLength": min + more}) }),
        Just(json!({"type": "string", "pattern": "^[a-z]{1,4}-\\d$"})),
        Just(json!({"type": "string", "format": "ipv4"})),
        Just(json!({"type": "integer", "multipleOf": 3, "minimum": 1, "maximum": 99})),
    ];
    if depth == 0 {
        return leaf.boxed();
    }
    let part = schema(depth - 1);
    let object = (prop::collection::vec(part.clone(), 1..4), any::<u8>()).prop_map(|(parts, required)| {
        let names: Vec<String> = (0..parts.len()).map(|i| format!("k{i}")).collect();
        let required: Vec<&String> =
            names.iter().enumerate().filter(|(i, _)| required >> i & 1 == 1).map(|(_, n)| n).collect();
        let properties: serde_json::Map<String, Value> = names.iter().cloned().zip(parts).collect();
        json!({"type": "object", "properties": properties, "required": required})
    });
    let array = (part.clone(), 0u32..2, 0u32..3).prop_map(|(items, min, more)| {
        json!({"type": "array", "items": items, "minItems": min, "maxItems": min + more})
    });
    let union = prop::collection::vec(part.clone(), 1..3).prop_map(|parts| json!({"anyOf": parts}));
    let tuple =
        prop::collection::vec(part, 1..3).prop_map(|parts| json!({"type": "array", "prefixItems": parts}));
    prop_oneof![1 => leaf, 2 => object, 1 => array, 1 => union, 1 => tuple].boxed()
}

#[test]
fn every_text_that_follows_the_masks_is_an_instance() {
    let ended = Cell::new(0);
    let compilers = [compiler(|_| {}), compiler(|c| c.json.any_whitespace = false)];
    let mut runner = TestRunner::new(Config { cases: 200, failure_persistence: None, ..Config::default() });
    let strategy = (schema(2), any::<bool>(), prop::collection::vec(any::<prop::sample::Index>(), 400));
    runner
        .run(&strategy, |(schema, spaced, choices)| {
            let spec = GrammarSpec::JsonSchema(schema.to_string());
            let grammar = compilers[usize::from(spaced)].compile(spec).wait().unwrap();
            let mut choices = choices.iter();
            let text = sample(&grammar, 200, |n| choices.next().map_or(0, |choice| choice.index(n)));
            if let Some(text) = text {
                let instance: Value = serde_json::from_str(&text).map_err(|e| {
                    TestCaseError::fail(format!("{text:?} is no JSON ({e}), schema {schema}"))
                })?;
                let validator = jsonschema::options().should_validate_formats(true).build(&schema).unwrap();
                prop_assert!(validator.is_valid(&instance), "{text} is not an instance of {schema}");
                ended.set(ended.get() + 1);
            }
            Ok(())
        })
        .unwrap();
    assert!(ended.get() >= 150, "only {} of 200 random walks ended", ended.get());
}

#[test]
fn texts_that_are_no_instances_are_refused() {
    let grammar = json(
        r#"{"type": "object", "properties": {"colour": {"enum": ["red", "green"]}},
        "required": ["colour"], "additionalProperties": false}"#,
    );
    for text in [
        "{\"colour\": \"red\"}",
        "{\n            \"colour\": \"red\"\n        }",
        "{\n  \"colour\"\n\n:\n\n\"red\"\n\n}",
    ] {
        assert!(accepts(&grammar, text), "{text:?}");
    }
    for text in
        ["{}", "{\"colour\": \"blue\"}", "{\"colour\": \"red\", \"x\": 1}", "[]", "{\"colour\": \"red\"", ""]
    {
        assert!(!accepts(&grammar, text), "{text:?}");
    }
}

#[test]
fn strict_mode_keeps_to_the_listed_properties() {
    let schema = r#"{"properties": {"a": {"type": "integer"}}, "type": "object"}"#;
    let open = open_compiler().compile(GrammarSpec::JsonSchema(schema.into())).wait().unwrap();
    assert!(accepts(&open, "{\"a\": 1, \"b\": 2}"));
    let strict = json(schema);
    assert!(accepts(&strict, "{\"a\": 1}") && !accepts(&strict, "{\"a\": 1, \"b\": 2}"));
}

#[test]
fn any_json_is_any_object_or_array() {
    let grammar = json(ANY_JSON);
    for text in ["{}", "[]", " {\"a\": [1, {\"b\": null}]}"] {
        assert!(accepts(&grammar, text.trim_start()), "{text:?}");
    }
    for text in ["1", "\"a\"", "null", "{\"a\"}", "[1,]"] {
        assert!(!accepts(&grammar, text), "{text:?}");
    }
}

#[test]
fn white_space_follows_the_flags() {
    let schema = r#"{"type": "object", "properties": {"a": {"type": "integer"}, "b": {"type": "null"}}, "required": ["a", "b"]}"#;
    let compiled = |json: JsonOptions| {
        compiler(|c| c.json = json).compile(GrammarSpec::JsonSchema(schema.into())).wait().unwrap()
    };
    let tight = compiled(JsonOptions { any_whitespace: false, ..JsonOptions::default() });
    assert!(accepts(&tight, "{\"a\": 1, \"b\": null}"));
    assert!(!accepts(&tight, "{\"a\":1, \"b\": null}") && !accepts(&tight, "{ \"a\": 1, \"b\": null}"));
    let pattern = compiled(JsonOptions { whitespace_pattern: Some(" ".into()), ..JsonOptions::default() });
    assert!(accepts(&pattern, "{ \"a\" : 1,\"b\": null}") && !accepts(&pattern, "{\n\"a\": 1, \"b\": null}"));
}
