//! Writes calls in each format, by means of the grammars of forced calls.

use serde_json::{Value, json};
use sglang_parsers::{
    Constraint, Function, Structure, StructureContent, Tool, ToolChoice, ToolParser, ToolParserOptions,
};

use super::{call_list, stream_tools};

/// A tool of this name with this schema.
pub fn tool(name: &str, parameters: Value) -> Tool {
    let function = Function { name: name.into(), parameters: Some(parameters), ..Default::default() };
    Tool { r#type: "function".into(), function }
}

/// How the format writes a call of the tool; `None` unless it puts tags around JSON or around each argument.
pub fn structure(parser: ToolParser, name: &str) -> Option<Structure> {
    let tools = [tool(name, json!({"type": "object"}))];
    match parser.structural_tag(&tools, &ToolChoice::Required, true) {
        Some(Constraint::StructuralTag(tag)) => tag.structures.into_iter().next(),
        _ => None,
    }
}

/// The text of a call with these arguments.
pub fn write(parser: ToolParser, name: &str, arguments: &[(&str, Value)]) -> Option<String> {
    let structure = structure(parser, name)?;
    let body = match &structure.content {
        StructureContent::Json(_) => {
            let members: Vec<String> =
                arguments.iter().map(|(key, value)| format!("{key:?}: {value}")).collect();
            format!("{{{}}}", members.join(", "))
        }
        StructureContent::Tagged(_, tags) => arguments
            .iter()
            .map(|(key, value)| match value {
                Value::String(text) => format!("{}{key}{}{text}{}", tags.open, tags.then, tags.close),
                other => format!("{}{key}{}{other}{}", tags.open, tags.then_json, tags.close),
            })
            .collect(),
    };
    Some(format!("{}{body}{}", structure.begin, structure.end))
}

/// The calls of a whole text; asserts that every cut, and single characters, give the same.
pub fn calls(parser: ToolParser, tools: &[Tool], text: &str) -> Vec<(String, Value)> {
    let whole = parser.parse(text, tools, ToolParserOptions::default());
    let expected = (whole.normal_text.clone(), call_list(&whole));
    for (cut, _) in text.char_indices() {
        let (before, after) = text.split_at(cut);
        assert_eq!(
            stream_tools(parser, tools, &[before, after]),
            expected,
            "{} at {cut}: {text}",
            parser.name()
        );
    }
    let single: Vec<String> = text.chars().map(String::from).collect();
    let single: Vec<&str> = single.iter().map(String::as_str).collect();
    assert_eq!(stream_tools(parser, tools, &single), expected, "{}: {text}", parser.name());
    let read = |(name, arguments): (String, String)| (name, serde_json::from_str(&arguments).unwrap());
    expected.1.into_iter().map(read).collect()
}

/// Every parser.
pub fn parsers() -> impl Iterator<Item = ToolParser> {
    ToolParser::names().filter_map(ToolParser::by_name)
}
