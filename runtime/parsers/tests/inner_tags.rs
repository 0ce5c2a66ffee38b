//! A value may contain the tags of its own format.

// A helper that panics fails its test.
#![allow(clippy::unwrap_used)]

mod common;

use common::calls::{calls, parsers, structure, tool, write};
use proptest::prelude::*;
use serde_json::{Value, json};
use sglang_parsers::{StructureContent, Tool, ToolParser};

fn tools() -> Vec<Tool> {
    vec![
        tool(
            "f",
            json!({"type": "object", "properties": {"a": {"type": "string"}, "n": {"type": "integer"},
            "o": {"type": "object"}}}),
        ),
        tool("g", json!({"type": "object", "properties": {"q": {"type": "string"}}})),
    ]
}

/// The formats whose end tags are plain text; those of gpt-oss are tokens, which a string cannot contain.
fn formats() -> impl Iterator<Item = ToolParser> {
    parsers().filter(|parser| parser.name() != "gpt-oss" && structure(*parser, "f").is_some())
}

/// Texts that contain the tags of this format.
fn values(parser: ToolParser) -> Vec<String> {
    let g = structure(parser, "g").unwrap();
    let end = g.end.trim();
    let mut values = vec![format!("x {end} y"), end.to_owned() + " y"];
    if let StructureContent::Tagged(_, tags) = &g.content {
        let close = tags.close.trim();
        let inner = write(parser, "g", &[("q", json!("v")), ("r", json!("w"))]).unwrap();
        values.extend([
            format!("x{close}y"),
            format!("{close} y"),
            format!("x {close}\n{close} y {close}z"),
            format!("x {}zz{}v{close} y", tags.open, tags.then),
            format!("x {} y", tags.open),
            format!("{inner} y"),
            format!("x\n{inner}\ny {close} z"),
        ]);
    }
    values
}

#[test]
fn a_closing_tag_inside_a_text_belongs_to_it() {
    let tools = tools();
    for parser in formats() {
        for value in values(parser) {
            let both = json!({"a": value, "n": 5});
            let first = write(parser, "f", &[("a", json!(value)), ("n", json!(5))]).unwrap();
            let last = write(parser, "f", &[("n", json!(5)), ("a", json!(value))]).unwrap();
            for text in [first, last] {
                let got = calls(parser, &tools, &text);
                assert_eq!(got, [("f".to_owned(), both.clone())], "{}: {text}", parser.name());
            }
        }
    }
}

#[test]
fn a_closing_tag_inside_json_belongs_to_it() {
    let tools = tools();
    for parser in formats() {
        let g = structure(parser, "g").unwrap();
        let mut inner = vec![g.end.clone()];
        if let StructureContent::Tagged(_, tags) = &g.content {
            inner.push(format!("{}{}", tags.close, g.end));
            inner.push(format!("{}{}q", tags.close, tags.open));
        }
        for tag in inner {
            let object = json!({"k": [tag, 1]});
            let text = write(parser, "f", &[("o", object.clone()), ("n", json!(5))]).unwrap();
            let got = calls(parser, &tools, &text);
            assert_eq!(got, [("f".to_owned(), json!({"o": object, "n": 5}))], "{}: {text}", parser.name());
        }
    }
}

/// Pieces of values: text, and the tags of the format.
fn pieces(parser: ToolParser) -> Vec<String> {
    let g = structure(parser, "g").unwrap();
    let mut pieces: Vec<String> = ["x", " ", "\n", "<", "é", "{", "\"", "5"].map(str::to_owned).into();
    pieces.extend([g.begin.clone(), g.end.clone(), g.end.trim().to_owned()]);
    if let StructureContent::Tagged(_, tags) = &g.content {
        pieces.extend([tags.open, tags.then, tags.close, tags.close.trim()].map(str::to_owned));
        pieces.extend([format!("{}n{}", tags.open, tags.then), format!("{}zz{}", tags.open, tags.then)]);
        pieces.extend(tags.never.iter().map(|tag| (*tag).to_owned()));
    }
    pieces
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn whatever_a_value_holds_every_cut_gives_the_whole(
        which in any::<prop::sample::Index>(), parts in prop::collection::vec(any::<prop::sample::Index>(), 0..12),
    ) {
        let formats: Vec<ToolParser> = formats().collect();
        let parser = *which.get(&formats);
        let all = pieces(parser);
        let value: String = parts.iter().map(|part| part.get(&all).as_str()).collect();
        let text = write(parser, "f", &[("a", Value::from(value)), ("n", json!(5))]).unwrap();
        let second = write(parser, "g", &[("q", json!("v"))]).unwrap();
        // `calls` compares every cut with the whole.
        calls(parser, &tools(), &format!("{text}\n{second}"));
    }
}
