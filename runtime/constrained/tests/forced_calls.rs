//! The parser of a format reads every text that the format's grammar of forced calls accepts, whole and however the
//! stream is cut, as calls whose arguments follow the tool's schema.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::sync::Arc;

use common::{EOS, bytes, compiler};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};
use sglang_constrained::{CompiledGrammar, GrammarSpec, Matcher, mask_allows};
use sglang_parsers::{
    Constraint, Function, StreamItem, Tool, ToolCallItem, ToolChoice, ToolParser, ToolParserOptions,
};

/// The strings that end free text in the formats.
const ENDS: [&str; 16] = [
    "\n</parameter>\n",
    "</parameter>\n",
    "</steptml:parameter>\n",
    "</｜DSML｜parameter>\n",
    "</｜DSML｜ parameter>\n",
    "</｜GCML｜parameter>\n",
    "</arg_value>\n",
    "</arg_value>",
    "</param>",
    "</function>",
    "</tool_call>",
    "\"}",
    "\"",
    "')]",
    "'",
    "}",
];
const PATIENCE: usize = 160;
const LIMIT: usize = 1500;

fn tools() -> Vec<Tool> {
    let tool = |name: &str, parameters: Value| Tool {
        r#type: "function".into(),
        function: Function { name: name.into(), parameters: Some(parameters), ..Default::default() },
    };
    vec![
        tool(
            "get_weather",
            json!({"type": "object", "required": ["city", "days"], "properties": {
                "city": {"type": "string"},
                "unit": {"enum": ["celsius", "fahrenheit"]},
                "days": {"type": "integer", "minimum": 1, "maximum": 9},
                "exact": {"type": "boolean"},
                "near": {"type": "array", "items": {"type": "object", "required": ["n"], "properties":
                    {"n": {"type": "number"}, "s": {"type": "string", "maxLength": 4}}}, "maxItems": 2},
            }}),
        ),
        tool(
            "note",
            json!({"type": "object", "required": ["text"], "properties": {
                "text": {"type": "string", "minLength": 2, "maxLength": 9},
                "level": {"anyOf": [{"type": "integer"}, {"type": "null"}]},
                "kind": {"$ref": "#/$defs/K"},
            }, "$defs": {"K": {"enum": ["a", "b c"]}}}),
        ),
        tool("now", json!({"type": "object", "properties": {}})),
        tool(
            "plan",
            json!({"$ref": "#/$defs/Plan", "$defs": {
                "Plan": {"type": "object", "required": ["n", "who"], "properties": {
                    "n": {"allOf": [{"$ref": "#/$defs/N"}]},
                    "who": {"anyOf": [{"$ref": "#/$defs/Who"}, {"type": "null"}]},
                    "mixed": {"enum": ["a", 1, null]},
                    "near": {"$ref": "#/$defs/Near"},
                }},
                "N": {"type": "integer", "minimum": 1, "maximum": 9},
                "Who": {"enum": ["x", "y z"]},
                "Near": {"type": "array", "items": {"$ref": "#/$defs/N"}, "maxItems": 2},
            }}),
        ),
    ]
}

/// Reads `text` if the grammar accepts all of it.
fn try_text(matcher: &mut Matcher, text: &str, out: &mut Vec<u8>) {
    let taken = text.bytes().take_while(|byte| matcher.accept(u32::from(*byte)).is_ok()).count();
    match taken == text.len() {
        true => out.extend(text.bytes()),
        false => matcher.rollback(taken).unwrap(),
    }
}

/// A random text of the grammar, or `None` if it did not end.
fn walk(grammar: &Arc<CompiledGrammar>, rng: &mut StdRng) -> Option<String> {
    let mut matcher = grammar.matcher();
    let mut text = Vec::new();
    let mut mask = vec![0; grammar.environment().mask_words()];
    for step in 0..LIMIT {
        if rng.random_bool(if step < PATIENCE { 0.15 } else { 0.7 }) {
            try_text(&mut matcher, ENDS[rng.random_range(0..ENDS.len())], &mut text);
        }
        matcher.fill_mask(&mut mask).unwrap();
        let allowed: Vec<u32> = (0..=EOS).filter(|&id| mask_allows(&mask, id)).collect();
        let ends = allowed.contains(&EOS) && (step > PATIENCE || rng.random_bool(0.3));
        let id = if ends { EOS } else { allowed[rng.random_range(0..allowed.len())] };
        matcher.accept(id).unwrap();
        if matcher.is_terminated() {
            return Some(String::from_utf8(text).expect("the text is UTF-8"));
        }
        text.extend(bytes(id));
    }
    None
}

/// The calls of a text that arrives in random pieces.
fn streamed(parser: ToolParser, tools: &[Tool], text: &str, rng: &mut StdRng) -> Vec<(String, String)> {
    let mut stream = parser.stream(tools, ToolParserOptions::default());
    let mut items = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let length = rng.random_range(1..9);
        let cut = rest.char_indices().nth(length).map_or(rest.len(), |(at, _)| at);
        items.extend(stream.push(&rest[..cut]));
        rest = &rest[cut..];
    }
    items.extend(stream.finish());
    let mut calls: Vec<(String, String)> = Vec::new();
    for item in items {
        match item {
            StreamItem::Text(_) => {}
            StreamItem::Call(ToolCallItem { name: Some(name), .. }) => calls.push((name, String::new())),
            StreamItem::Call(ToolCallItem { parameters, .. }) => {
                calls.last_mut().unwrap().1.push_str(&parameters);
            }
        }
    }
    assert_eq!(stream.incomplete_calls(), [0; 0], "{text:?}");
    calls
}

fn spec(constraint: &Constraint) -> GrammarSpec {
    match constraint.sampling_param() {
        ("structural_tag", text) => GrammarSpec::StructuralTag(text),
        ("ebnf", text) => GrammarSpec::Ebnf(text),
        (_, text) => GrammarSpec::JsonSchema(text),
    }
}

#[test]
fn every_text_of_a_forced_grammar_is_calls_that_hold_to_their_schemas() {
    let tools = tools();
    let validators: Vec<(String, jsonschema::Validator)> = tools
        .iter()
        .map(|tool| {
            let schema = tool.function.parameters.clone().unwrap();
            (tool.function.name.clone(), jsonschema::validator_for(&schema).unwrap())
        })
        .collect();
    let compiler = compiler(|_| {});
    let mut rng = StdRng::seed_from_u64(3);
    let mut native = Vec::new();
    for name in ToolParser::names() {
        let parser = ToolParser::by_name(name).unwrap();
        let mut ended = 0;
        for (choice, parallel) in [
            (ToolChoice::Required, true),
            (ToolChoice::Required, false),
            (ToolChoice::Named("note".into()), true),
        ] {
            let constraint = parser.structural_tag(&tools, &choice, parallel).unwrap();
            let reader = match &constraint {
                Constraint::JsonSchema(_) => ToolParser::json_array(),
                _ => parser,
            };
            if reader == parser && !native.contains(&name) {
                native.push(name);
            }
            let grammar =
                compiler.compile(spec(&constraint)).wait().unwrap_or_else(|e| panic!("{name}: {e}"));
            for _ in 0..6 {
                let Some(text) = walk(&grammar, &mut rng) else { continue };
                ended += 1;
                let whole = reader.parse(&text, &tools, ToolParserOptions::default());
                assert!(!whole.calls.is_empty(), "{name}: no call in {text:?}");
                let single = !parallel || choice != ToolChoice::Required;
                assert!(!single || whole.calls.len() == 1, "{name}: {text:?}");
                let mut calls = Vec::new();
                for call in whole.calls {
                    let function = call.name.unwrap();
                    // The number may exceed this reader's range.
                    let arguments: Value = match serde_json::from_str(&call.parameters) {
                        Err(error) if error.to_string().starts_with("number out of range") => json!(null),
                        arguments => arguments.unwrap(),
                    };
                    if arguments.is_null() {
                        calls.push((function, call.parameters));
                        continue;
                    }
                    let (_, validator) = validators.iter().find(|(name, _)| *name == function).unwrap();
                    let fits = validator.validate(&arguments);
                    assert!(
                        fits.is_ok(),
                        "{name}: {arguments} in {text:?}: {:?}",
                        fits.err().map(|e| e.to_string())
                    );
                    assert!(choice == ToolChoice::Required || function == "note", "{name}: {text:?}");
                    calls.push((function, call.parameters));
                }
                assert_eq!(streamed(reader, &tools, &text, &mut rng), calls, "{name}: {text:?}");
            }
        }
        assert!(ended >= 6, "{name}: only {ended} texts came to an end");
    }
    assert_eq!(native, ToolParser::names().collect::<Vec<_>>(), "every format has a grammar of its own");
}

#[test]
fn the_elements_of_an_array_of_calls_have_a_name_and_parameters_only() {
    let tools = tools();
    let parser = ToolParser::json_array();
    let constraint = parser.structural_tag(&tools, &ToolChoice::Required, true).unwrap();
    let compiler = compiler(|_| {});
    let grammar = compiler.compile(spec(&constraint)).wait().unwrap();
    let takes = |text: &str| {
        let mut matcher = grammar.matcher();
        text.bytes().all(|byte| matcher.accept(u32::from(byte)).is_ok())
    };
    assert!(takes(r#"[{"name":"now","parameters":{}},{"name":"plan","parameters":{"n":1,"who":"y z""#));
    for more in [
        r#"[{"name":"now","action""#,
        r#"[{"name":"now","parameters":{},"#,
        r#"[{"name":"now","parameters":[]"#,
        r#"[{"action""#,
        r#"[{"name":"plan","parameters":{"n":"1"#,
        r#"[{"name":"plan","parameters":{"n":1,"who":"z"#,
    ] {
        assert!(!takes(more), "{more}");
    }
    let mut rng = StdRng::seed_from_u64(5);
    let texts: Vec<String> = (0..24).filter_map(|_| walk(&grammar, &mut rng)).collect();
    assert!(texts.len() >= 6, "{texts:?}");
    for text in texts {
        let calls: Vec<serde_json::Map<String, Value>> = serde_json::from_str(&text).unwrap();
        for call in calls {
            assert_eq!(call.keys().collect::<Vec<_>>(), ["name", "parameters"], "{text}");
        }
    }
}
