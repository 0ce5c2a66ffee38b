//! Keywords that the library does not support: what can be enforced is enforced, and the rest does not affect other
//! keywords.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use common::{accepts, compile, compiler, json, open_compiler, sample};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};
use sglang_constrained::{GrammarSpec, JsonOptions};

/// Schemas that are fully enforced: texts that they allow, and texts that they do not.
fn enforced() -> Vec<(Value, Vec<Value>, Vec<Value>)> {
    let ab = json!({"a": {"const": 1}, "b": {"const": 2}});
    let object = |more: Value| {
        let mut schema = json!({"type": "object", "properties": ab, "additionalProperties": false});
        schema.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        schema
    };
    let (none, a, b, both) = (json!({}), json!({"a": 1}), json!({"b": 2}), json!({"a": 1, "b": 2}));
    let (x, y) = (json!({"k": "x", "v": 1}), json!({"k": "y", "v": "s"}));
    let by_kind = json!({"type": "object", "required": ["k", "v"], "additionalProperties": false,
        "properties": {"k": {"enum": ["x", "y"]}, "v": {"type": ["integer", "string"], "maxLength": 3}},
        "if": {"properties": {"k": {"const": "x"}}}, "then": {"properties": {"v": {"type": "integer"}}},
        "else": {"properties": {"v": {"type": "string"}}}});
    vec![
        (
            object(json!({"dependentRequired": {"a": ["b"]}})),
            vec![none.clone(), b.clone(), both.clone()],
            vec![a.clone()],
        ),
        (object(json!({"dependencies": {"b": ["a"]}})), vec![a.clone(), both.clone()], vec![b.clone()]),
        (
            object(json!({"dependentSchemas": {"a": {"required": ["b"]}}})),
            vec![none.clone(), both.clone()],
            vec![a.clone()],
        ),
        (
            object(json!({"required": ["a"], "dependentRequired": {"a": ["b"]}})),
            vec![both.clone()],
            vec![a.clone()],
        ),
        (
            object(json!({"if": {"required": ["a"]}, "then": {"required": ["b"]}})),
            vec![none.clone(), both.clone()],
            vec![a.clone()],
        ),
        (
            object(json!({"not": {"required": ["a", "b"]}})),
            vec![none.clone(), a.clone(), b.clone()],
            vec![both.clone()],
        ),
        (
            object(json!({"not": {"required": ["a"]}})),
            vec![none.clone(), b.clone()],
            vec![a.clone(), both.clone()],
        ),
        (
            object(json!({"not": {"anyOf": [{"required": ["a"]}, {"required": ["b"]}]}})),
            vec![none.clone()],
            vec![a.clone(), b.clone()],
        ),
        (object(json!({"minProperties": 1})), vec![a.clone(), b.clone(), both.clone()], vec![none.clone()]),
        (object(json!({"maxProperties": 1})), vec![none.clone(), a.clone(), b.clone()], vec![both.clone()]),
        (object(json!({"minProperties": 2})), vec![both.clone()], vec![none.clone(), a.clone()]),
        (
            object(json!({"propertyNames": {"pattern": "^a$"}})),
            vec![none.clone(), a.clone()],
            vec![b.clone()],
        ),
        (by_kind, vec![x.clone(), y.clone()], vec![json!({"k": "x", "v": "s"}), json!({"k": "y", "v": 1})]),
        (
            json!({"type": "object", "properties": {"a": {"const": 1}}, "unevaluatedProperties": false}),
            vec![a.clone()],
            vec![b.clone()],
        ),
        (
            json!({"allOf": [{"properties": {"a": {"const": 1}}}, {"$ref": "#/$defs/B"}], "type": "object", "unevaluatedProperties": false,
            "$defs": {"B": {"properties": {"b": {"const": 2}}}}}),
            vec![both.clone(), none.clone()],
            vec![json!({"c": 3}), json!({"a": 1, "c": 3})],
        ),
        (
            json!({"type": "object", "propertyNames": {"pattern": "^[a-z]{1,3}$"}, "additionalProperties": {"type": "boolean"}}),
            vec![json!({"ab": true}), none.clone()],
            vec![json!({"A": true}), json!({"abcd": true}), a.clone()],
        ),
        (
            json!({"type": "object", "propertyNames": {"enum": ["a", "é"]}, "additionalProperties": {"const": 1}}),
            vec![json!({"é": 1}), a.clone()],
            vec![json!({"b": 1})],
        ),
        (
            json!({"type": "object", "propertyNames": {"maxLength": 2}, "maxProperties": 1}),
            vec![a.clone()],
            vec![json!({"abc": 1})],
        ),
        (
            json!({"type": "array", "items": {"type": "integer", "maximum": 9, "minimum": 0}, "maxItems": 3, "contains": {"const": 5}}),
            vec![json!([5]), json!([1, 5]), json!([1, 2, 5])],
            vec![json!([]), json!([1, 2]), json!([1, 2, 3])],
        ),
        (
            json!({"type": "array", "prefixItems": [{"const": 1}], "unevaluatedItems": false}),
            vec![json!([1]), json!([])],
            vec![json!([1, 2])],
        ),
        (
            json!({"type": "string", "maxLength": 4, "not": {"enum": ["a", "ab"]}}),
            vec![json!(""), json!("b"), json!("abc")],
            vec![json!("a"), json!("ab")],
        ),
        (
            json!({"enum": ["a", "b", "c"], "not": {"const": "b"}}),
            vec![json!("a"), json!("c")],
            vec![json!("b")],
        ),
        (
            json!({"type": "integer", "minimum": 0, "maximum": 4, "not": {"const": 2}}),
            vec![json!(1), json!(3)],
            vec![json!(2), json!(5)],
        ),
        (
            json!({"type": ["string", "integer", "null"], "maxLength": 2, "minimum": 0, "maximum": 9, "not": {"type": ["integer", "null"]}}),
            vec![json!("a")],
            vec![json!(1), json!(null)],
        ),
        (
            json!({"type": "string", "maxLength": 5, "not": {"pattern": "^ab"}}),
            vec![json!("ba"), json!("a")],
            vec![json!("ab"), json!("abc")],
        ),
        (
            json!({"type": "string", "maxLength": 6, "pattern": r"^(?!^[-+.]*$)[+-]?0*\d*\.?\d*$"}),
            vec![json!("1.5"), json!("-2")],
            vec![json!("-"), json!("."), json!("x")],
        ),
        (
            json!({"type": "string", "maxLength": 6, "pattern": r"^(?=.*[A-Z])(?=.*\d)[A-Za-z\d]+$"}),
            vec![json!("aB1")],
            vec![json!("ab1"), json!("AB")],
        ),
        (
            json!({"type": "string", "maxLength": 6, "pattern": "^$|^[a-z]+@[a-z]+$"}),
            vec![json!(""), json!("a@b")],
            vec![json!("a")],
        ),
        (
            json!({"type": "string", "maxLength": 6, "format": "json-pointer"}),
            vec![json!(""), json!("/a/~0")],
            vec![json!("a"), json!("/~2")],
        ),
        (
            json!({"type": "integer", "minimum": i64::MIN, "maximum": i64::MAX}),
            vec![json!(-5), json!(1e18 as i64)],
            vec![json!(1.5)],
        ),
        (
            json!({"type": "integer", "minimum": 0, "maximum": u64::MAX}),
            vec![json!(0), json!(7)],
            vec![json!(-1)],
        ),
        (
            json!({"type": "number", "minimum": -3.402_823_5e38, "maximum": 3.402_823_5e38}),
            vec![json!(-1.25), json!(7)],
            vec![json!("a")],
        ),
        (
            json!({"type": "integer", "minimum": 2_000_000_000_000_000_000_i64}),
            vec![json!(2_000_000_000_000_000_000_i64)],
            vec![json!(5)],
        ),
        (
            json!({"type": "array", "items": {"type": "boolean"}, "maxItems": 2, "uniqueItems": false}),
            vec![json!([true, true])],
            vec![json!([1])],
        ),
    ]
}

#[test]
fn what_is_enforced_is_enforced_wholly() {
    let compilers = [compiler(|_| {}), open_compiler()];
    for (schema, good, bad) in enforced() {
        let judge = jsonschema::options().should_validate_formats(true).build(&schema).unwrap();
        for compiler in &compilers {
            let compiled = compiler.compile(GrammarSpec::JsonSchema(schema.to_string())).wait();
            let grammar = compiled.unwrap_or_else(|error| panic!("{schema}: {error}"));
            for value in &good {
                assert!(judge.is_valid(value), "{value} {schema}");
                assert!(accepts(&grammar, &value.to_string()), "{value} is to be taken by {schema}");
            }
            for value in &bad {
                assert!(!judge.is_valid(value), "{value} {schema}");
                assert!(!accepts(&grammar, &value.to_string()), "{value} is not to be taken by {schema}");
            }
            for seed in 0..6 {
                let mut random = StdRng::seed_from_u64(seed);
                let Some(text) = sample(&grammar, 60, |n| random.random_range(0..n)) else { continue };
                let value: Value =
                    serde_json::from_str(&text).unwrap_or_else(|e| panic!("{text}: {e}, {schema}"));
                assert!(judge.is_valid(&value), "{text} is not an instance of {schema}");
            }
        }
    }
}

#[test]
fn what_is_not_enforced_leaves_the_rest_in_force() {
    for (schema, good, bad) in [
        (json!({"type": "string", "format": "password", "maxLength": 2}), "\"a\"", "\"abc\""),
        (json!({"type": "integer", "format": "int64"}), "5", "\"a\""),
        (json!({"type": "string", "pattern": "^a(?!b)[a-c]$"}), "\"ac\"", "\"ad\""),
        (json!({"type": "string", "pattern": "^(a)\\1$", "maxLength": 3}), "\"aa\"", "\"aaaa\""),
        (json!({"type": "array", "items": {"type": "integer"}, "uniqueItems": true}), "[1, 2]", "[\"a\"]"),
        (json!({"type": "array", "items": {"enum": [1, 2]}, "uniqueItems": true}), "[1, 2]", "[1, 2, 1]"),
        (json!({"type": "array", "items": {"type": "integer"}, "contains": {"const": 1}}), "[1]", "[]"),
        (json!({"type": "integer", "not": {"multipleOf": 2}}), "3", "\"a\""),
        (json!({"type": "string", "maxLength": 9_007_199_254_740_991_u64}), "\"abc\"", "1"),
        (
            json!({"type": "array", "maxItems": 9_007_199_254_740_991_u64, "items": {"const": 1}}),
            "[1, 1]",
            "[2]",
        ),
        (json!({"type": "array", "maxItems": 2.0, "items": {"const": 1}}), "[1, 1]", "[1, 1, 1]"),
        (json!({"type": "integer", "$schema": "https://example.com/own"}), "1", "\"a\""),
        (json!({"$ref": "https://example.com/x.json", "type": "integer"}), "1", "\"a\""),
        (
            json!({"type": "object", "properties": {"n": {"$ref": "#", "type": "object"}, "v": {"const": 1}}}),
            "{\"n\": {\"v\": 1}}",
            "{\"n\": {\"v\": 2}}",
        ),
        (
            json!({"type": "object", "patternProperties": {"^a": {"type": "integer"}, "b$": {"type": "null"}}, "additionalProperties": false}),
            "{\"a\": 1}",
            "{\"a\": \"x\"}",
        ),
    ] {
        let grammar = json(&schema.to_string());
        assert!(accepts(&grammar, good), "{good} is to be taken by {schema}");
        assert!(!accepts(&grammar, bad), "{bad} is not to be taken by {schema}");
        let strict = compiler(|c| c.json = JsonOptions { refuse_unenforced: true, ..JsonOptions::default() });
        let strict = strict.compile(GrammarSpec::JsonSchema(schema.to_string())).wait();
        if let Err(error) = strict {
            let error = error.to_string();
            assert!(error.starts_with("Failed to compile json grammar: JSON Schema at #"), "{error}");
            assert!(error.contains(" is not enforced: "), "{error}");
        }
    }
}

#[test]
fn a_strict_server_refuses_what_it_cannot_enforce_and_nothing_else() {
    let strict = compiler(|c| c.json = JsonOptions { refuse_unenforced: true, ..JsonOptions::default() });
    let refused = |schema: Value| strict.compile(GrammarSpec::JsonSchema(schema.to_string())).wait().err();
    for (schema, ..) in enforced() {
        assert_eq!(refused(schema.clone()), None, "{schema}");
    }
    let error =
        refused(json!({"properties": {"a": {"type": "array", "uniqueItems": true}}})).unwrap().to_string();
    assert_eq!(
        error,
        "Failed to compile json grammar: JSON Schema at #/properties/a: uniqueItems is not enforced: items are not compared"
    );
}

#[test]
fn a_structural_tag_reads_schemas_alike() {
    let tag = json!({"type": "structural_tag", "format": {"type": "tag", "begin": "<a>", "end": "</a>", "content": {
        "type": "json_schema", "json_schema": {"type": "array", "items": {"$ref": "#/$defs/é x"}, "uniqueItems": true,
            "$defs": {"é x": {"type": "string", "format": "cuid2", "not": {"const": "no"}}}}}}});
    let grammar = compile(GrammarSpec::StructuralTag(tag.to_string())).unwrap();
    assert!(accepts(&grammar, "<a>[\"x\"]</a>") && !accepts(&grammar, "<a>[\"no\"]</a>"));
}
