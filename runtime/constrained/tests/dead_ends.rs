//! From every state that a mask allows, the output can end.
//!
//! The test walks the masks at random and, in every state on the way, searches for a text that ends the output.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::sync::Arc;

use common::{allowed, bytes, compile, compiler, open_compiler};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};
use sglang_constrained::{CompiledGrammar, GrammarCompiler, GrammarSpec, Matcher};

/// Walks per grammar.
const WALKS: u64 = 8;
/// Tokens per walk.
const STEPS: usize = 30;
/// Attempts to find an end from one state, and tokens per attempt.
const TRIES: usize = 40;
const TRY_STEPS: usize = 300;

/// Whether a random text ends the output from here; it prefers tokens that close things, else takes anything but white
/// space. The matcher returns to where it was.
fn ends(matcher: &mut Matcher, random: &mut StdRng) -> bool {
    let mut steps = 0;
    let found = loop {
        if matcher.can_end() {
            break true;
        }
        if steps == TRY_STEPS {
            break false;
        }
        let ids = allowed(matcher);
        // A quote ends a string before a bracket can make it longer.
        let closing = b"\"}]>".iter().map(|byte| u32::from(*byte)).find(|id| ids.contains(id));
        let dark = |id: &u32| bytes(*id).iter().any(|byte| !byte.is_ascii_whitespace());
        let others: Vec<u32> = ids.iter().copied().filter(dark).collect();
        let choice = if others.is_empty() { &ids } else { &others };
        let id = closing.or_else(|| choice.get(random.random_range(0..choice.len().max(1))).copied());
        let Some(id) = id else { break false };
        matcher.accept(id).unwrap();
        steps += 1;
    };
    matcher.rollback(steps).unwrap();
    found
}

fn can_finish(matcher: &mut Matcher, random: &mut StdRng) -> bool {
    (0..TRIES).any(|_| ends(matcher, random))
}

/// The first text on a walk after which the output cannot end.
fn dead_end(grammar: &Arc<CompiledGrammar>, walks: u64) -> Option<String> {
    (0..walks).find_map(|seed| {
        let mut random = StdRng::seed_from_u64(seed);
        let (mut matcher, mut text) = (grammar.matcher(), Vec::new());
        for step in 0..STEPS {
            if !can_finish(&mut matcher, &mut random) {
                return Some(String::from_utf8_lossy(&text).into_owned());
            }
            let mut ids = allowed(&mut matcher);
            assert!(!ids.is_empty(), "an empty mask after {:?}", String::from_utf8_lossy(&text));
            // Half of the steps close or separate, so that walks reach the ends of objects and lists.
            if step % 2 == 0 {
                let marks: Vec<u32> = ids
                    .iter()
                    .copied()
                    .filter(|id| b",:\"{}[]".contains(&(*id as u8)) && *id < 256)
                    .collect();
                if !marks.is_empty() {
                    ids = marks;
                }
            }
            let id = ids[random.random_range(0..ids.len())];
            matcher.accept(id).unwrap();
            if matcher.is_terminated() {
                break;
            }
            text.extend(bytes(id));
        }
        None
    })
}

fn check(compilers: &[GrammarCompiler], schema: &Value) {
    for compiler in compilers {
        let compiled = compiler.compile(GrammarSpec::JsonSchema(schema.to_string())).wait();
        let grammar = compiled.unwrap_or_else(|error| panic!("{schema}: {error}"));
        if let Some(text) = dead_end(&grammar, WALKS) {
            panic!("nothing ends {text:?} by {schema}");
        }
    }
}

fn compilers() -> [GrammarCompiler; 3] {
    [compiler(|_| {}), open_compiler(), compiler(|c| c.json.any_whitespace = false)]
}

#[test]
fn no_comma_follows_the_last_possible_property() {
    let compilers = compilers();
    for schema in [
        json!({"properties": {"a": {"type": "integer"}, "b": {"type": "integer"}}, "required": ["a", "b"],
            "additionalProperties": false, "patternProperties": {"^[ab]$": {"maximum": 9}}}),
        json!({"properties": {"a": {"const": 1}}, "patternProperties": {"^a$": {}}, "additionalProperties": false}),
        // Every name matches the pattern, so none is additional.
        json!({"properties": {"a": {"const": 1}}, "patternProperties": {"": {"const": 2}}}),
        json!({"properties": {"a": {"const": 1}}, "patternProperties": {"^[\\s\\S]*$": false}}),
        json!({"required": ["x"], "patternProperties": {"^x$": {"type": "null"}}, "additionalProperties": false}),
        json!({"properties": {"a": {"const": 1}},
            "patternProperties": {"^b$": {"type": "integer", "multipleOf": 4, "minimum": 5, "maximum": 7}},
            "additionalProperties": false}),
        json!({"allOf": [{"properties": {"a": {"const": 1}, "b": {"const": 2}}, "additionalProperties": false},
            {"patternProperties": {"^a": {}}}]}),
    ] {
        check(&compilers, &schema);
    }
}

#[test]
fn what_needs_itself_is_not_begun() {
    let compilers = compilers();
    let node = json!({"type": "object", "properties": {"next": {"$ref": "#/$defs/node"}}, "required": ["next"],
        "additionalProperties": false});
    for schema in [
        json!({"$defs": {"node": node}, "anyOf": [{"$ref": "#/$defs/node"}, {"type": "null"}]}),
        json!({"$defs": {"node": node}, "type": "object", "properties": {"a": {"const": 1}, "n": {"$ref": "#/$defs/node"}},
            "additionalProperties": false}),
        json!({"$defs": {"node": node}, "type": "array", "items": {"$ref": "#/$defs/node"}}),
        json!({"$defs": {"node": node}, "type": "array", "prefixItems": [{"const": 1}, {"$ref": "#/$defs/node"}],
            "minItems": 1, "items": false}),
        json!({"$defs": {"node": node}, "additionalProperties": {"$ref": "#/$defs/node"}, "type": "object"}),
        json!({"$defs": {"list": {"type": "array", "items": {"$ref": "#/$defs/list"}, "minItems": 1}},
            "anyOf": [{"$ref": "#/$defs/list"}, {"const": "x"}]}),
        json!({"$defs": {"a": {"type": "array", "items": {"$ref": "#/$defs/b"}, "minItems": 1},
            "b": {"type": "array", "items": {"$ref": "#/$defs/a"}, "minItems": 1}},
            "type": "object", "properties": {"x": {"$ref": "#/$defs/a"}}, "additionalProperties": false}),
    ] {
        check(&compilers, &schema);
    }
    for schema in [
        json!({"$ref": "#/$defs/node", "$defs": {"node": node}}),
        json!({"type": "array", "items": {"$ref": "#"}, "minItems": 1}),
    ] {
        let error = compile(GrammarSpec::JsonSchema(schema.to_string())).unwrap_err().to_string();
        assert!(error.contains("no text satisfies the grammar"), "{error}");
    }
}

#[test]
fn terminals_that_match_nothing_are_not_begun() {
    let compilers = compilers();
    let never = json!({"type": "integer", "multipleOf": 6, "minimum": 7, "maximum": 11});
    let word = json!({"type": "string", "pattern": "^[a-z]+$", "allOf": [{"pattern": "^[0-9]+$"}]});
    for part in [
        never,
        word,
        json!({"type": "number", "multipleOf": 0.5, "exclusiveMinimum": 1, "exclusiveMaximum": 1.5}),
    ] {
        for schema in [
            json!({"type": "array", "items": part}),
            json!({"type": "array", "prefixItems": [{"const": 1}, part]}),
            json!({"properties": {"a": {"const": 1}, "b": part}}),
            json!({"properties": {"a": {"const": 1}}, "additionalProperties": part}),
            json!({"anyOf": [part, {"type": "null"}]}),
            json!({"type": "array", "items": {"anyOf": [{"properties": {"x": part}, "required": ["x"]}, {"const": 0}]}}),
        ] {
            check(&compilers, &schema);
        }
    }
}

#[test]
fn ordinary_schemas_have_no_dead_ends() {
    let compilers = compilers();
    for schema in [
        json!({"type": "string", "pattern": "^(a|bc)*d{2,3}$", "maxLength": 9}),
        json!({"type": "string", "format": "date-time"}),
        json!({"type": "string", "format": "ipv6", "maxLength": 12}),
        json!({"type": "number", "minimum": -0.5, "exclusiveMaximum": 12.25}),
        json!({"type": "integer", "multipleOf": 7, "minimum": 100}),
        json!({"enum": ["a", "ab", "abc", 1, 12, 12.5, null, [1], {"k": "v"}]}),
        json!({"type": "object", "minProperties": 2, "additionalProperties": {"type": "integer"}}),
        json!({"type": "array", "items": {"type": "array", "items": {"type": "boolean"}, "maxItems": 2}, "minItems": 2}),
        json!({"type": "object", "properties": {"kind": {"const": "a"}, "tree": {"$ref": "#"}}, "required": ["kind"]}),
    ] {
        check(&compilers, &schema);
    }
}

#[test]
fn rules_of_ebnf_without_an_end_are_not_begun() {
    for text in [
        "root ::= \"x\" | \"a\" loop\nloop ::= \"b\" loop",
        "root ::= item (\",\" item)* \nitem ::= [0-9] | \"(\" never \")\"\nnever ::= \"-\" never \"+\"",
    ] {
        let grammar = compile(GrammarSpec::Ebnf(text.into())).unwrap();
        assert_eq!(dead_end(&grammar, WALKS), None, "{text}");
    }
    let error = compile(GrammarSpec::Ebnf("root ::= \"a\" root".into())).unwrap_err().to_string();
    assert!(error.contains("no text satisfies the grammar"), "{error}");
}

#[test]
fn schemas_inside_structural_tags_have_no_dead_ends() {
    let node =
        json!({"type": "object", "properties": {"next": {"$ref": "#/$defs/node"}}, "required": ["next"]});
    let schema = json!({"properties": {"a": {"const": 1}, "n": {"anyOf": [{"$ref": "#/$defs/node"}, {"const": 2}]}},
        "patternProperties": {"^a$": {}}, "additionalProperties": false, "type": "object", "$defs": {"node": node}});
    let tag = |schema: &Value| {
        let content = json!({"type": "json_schema", "json_schema": schema});
        let tag = json!({"type": "structural_tag",
            "format": {"type": "tag", "begin": "<a>", "content": content, "end": "</a>"}});
        compile(GrammarSpec::StructuralTag(tag.to_string()))
    };
    let grammar = tag(&schema).unwrap();
    assert!(common::accepts(&grammar, "<a>{\"a\": 1, \"n\": 2}</a>"));
    assert_eq!(dead_end(&grammar, WALKS), None);
    let error = tag(&json!({"$ref": "#/$defs/node", "$defs": {"node": node}})).unwrap_err().to_string();
    assert!(error.contains("no text satisfies the grammar"), "{error}");
}
