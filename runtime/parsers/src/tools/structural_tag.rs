//! What a grammar must enforce so that an answer calls the tools it has to, in the model's own format.

use serde_json::{Map, Value, json};

use super::parser::{ToolFormat, ToolParser};
use super::types::{Tool, ToolChoice};

/// How the part of a [`Structure`] between `begin` and `end` is written.
#[derive(Debug, Clone, PartialEq)]
pub enum StructureContent {
    /// A JSON value of this schema (`{}`: any).
    Json(Value),
    /// `<parameter=KEY>\nVALUE\n</parameter>\n` for properties of this object schema, strings without quotes.
    QwenXml(Value),
}

/// One way to call one tool.
#[derive(Debug, Clone, PartialEq)]
pub struct Structure {
    /// The literal text in front.
    pub begin: String,
    /// The arguments.
    pub content: StructureContent,
    /// The literal text behind.
    pub end: String,
}

/// Free text in which a trigger opens one of the structures.
#[derive(Debug, Clone, PartialEq)]
pub struct StructuralTag {
    /// One for each tool that may be called.
    pub structures: Vec<Structure>,
    /// Once one of these is written, it must go on as one of the structures that begin with it.
    pub triggers: Vec<String>,
    /// The answer starts with a structure, without text before.
    pub at_least_one: bool,
    /// The answer ends behind the first structure.
    pub stop_after_first: bool,
}

/// The constraint of an answer that has to call tools.
#[derive(Debug, Clone, PartialEq)]
pub enum Constraint {
    /// In the model's own format.
    StructuralTag(StructuralTag),
    /// As a JSON array of this schema, for formats that no tag describes; parse with [`ToolParser::json_array`].
    JsonSchema(Value),
}

impl ToolParser {
    /// The constraint for a request with these tools, or `None` where the model writes freely: `Auto` without a tool
    /// that is `strict`, or no tool to call.
    ///
    /// As in the reference the arguments of a tool follow its schema only if it is `strict`; unlike there, a named
    /// tool is the only one that can be called, and one call is enforced without `parallel_tool_calls`.
    pub fn structural_tag(
        &self,
        tools: &[Tool],
        tool_choice: &ToolChoice,
        parallel_tool_calls: bool,
    ) -> Option<Constraint> {
        let strict = tools.iter().any(|tool| tool.function.strict == Some(true));
        if *tool_choice == ToolChoice::Auto && !strict {
            return None;
        }
        let allowed: Vec<&Tool> = tools
            .iter()
            .filter(|tool| !matches!(tool_choice, ToolChoice::Named(name) if *name != tool.function.name))
            .collect();
        if allowed.is_empty() {
            return None;
        }
        let mut structures = Vec::new();
        let mut triggers: Vec<String> = Vec::new();
        for tool in &allowed {
            let Some((structure, trigger)) = self.structure(tool) else {
                let required = *tool_choice != ToolChoice::Auto;
                return required.then(|| Constraint::JsonSchema(array_schema(&allowed, parallel_tool_calls)));
            };
            structures.push(structure);
            if !triggers.iter().any(|t| t == trigger) {
                triggers.push(trigger.to_owned());
            }
        }
        Some(Constraint::StructuralTag(StructuralTag {
            structures,
            triggers,
            at_least_one: *tool_choice != ToolChoice::Auto,
            stop_after_first: !parallel_tool_calls,
        }))
    }

    /// How this format writes a call of `tool`, and the text that announces it.
    fn structure(&self, tool: &Tool) -> Option<(Structure, &'static str)> {
        let name = &tool.function.name;
        let quoted = crate::json::quote(name);
        let strict = tool.function.strict == Some(true);
        let schema = tool.function.parameters.clone().filter(|_| strict);
        let (begin, end, trigger) = match self.format() {
            ToolFormat::Qwen25 => (
                format!("<tool_call>\n{{\"name\":{quoted}, \"arguments\":"),
                "}\n</tool_call>",
                "<tool_call>",
            ),
            ToolFormat::Hermes => {
                (format!("<tool_call>{{\"name\":{quoted}, \"arguments\":"), "}</tool_call>", "<tool_call>")
            }
            ToolFormat::Llama3 => {
                (format!("<|python_tag|>{{\"name\":{quoted}, \"arguments\":"), "}", "<|python_tag|>")
            }
            ToolFormat::Mistral => {
                (format!("[TOOL_CALLS] [{{\"name\":{quoted}, \"arguments\":"), "}]", "[TOOL_CALLS]")
            }
            ToolFormat::DeepSeekV3 => (
                format!("<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>{name}\n```json\n"),
                "\n```<｜tool▁call▁end｜><｜tool▁calls▁end｜>",
                "<｜tool▁calls▁begin｜>",
            ),
            ToolFormat::DeepSeekV31 => (
                format!("<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>{name}<｜tool▁sep｜>"),
                "<｜tool▁call▁end｜><｜tool▁calls▁end｜>",
                "<｜tool▁calls▁begin｜>",
            ),
            ToolFormat::KimiK2 => (
                format!(
                    "<|tool_calls_section_begin|><|tool_call_begin|>functions.{name}:0<|tool_call_argument_begin|>"
                ),
                "<|tool_call_end|><|tool_calls_section_end|>",
                "<|tool_calls_section_begin|>",
            ),
            ToolFormat::GptOss => (
                format!("<|channel|>commentary to=functions.{name} <|constrain|>json<|message|>"),
                "<|call|>",
                "<|channel|>commentary to=",
            ),
            ToolFormat::Qwen3Coder => (
                format!("<tool_call>\n<function={name}>\n"),
                "</function>\n</tool_call>",
                "<tool_call>\n<function=",
            ),
            ToolFormat::Pythonic | ToolFormat::Glm45 | ToolFormat::JsonArray => return None,
        };
        let content = match self.format() {
            // These two parsers take nothing but an object.
            ToolFormat::Qwen3Coder => StructureContent::QwenXml(schema.unwrap_or_else(any_object)),
            ToolFormat::KimiK2 => StructureContent::Json(schema.unwrap_or_else(any_object)),
            _ => StructureContent::Json(schema.unwrap_or_else(|| json!({}))),
        };
        Some((Structure { begin, content, end: end.to_owned() }, trigger))
    }
}

fn any_object() -> Value {
    json!({"type": "object"})
}

/// A non-empty array of calls.
fn array_schema(tools: &[&Tool], parallel_tool_calls: bool) -> Value {
    let mut definitions = Map::new();
    let calls: Vec<Value> = tools
        .iter()
        .map(|tool| {
            let parameters = tool.function.parameters.clone().filter(|p| !p.is_null());
            if let Some(Value::Object(own)) = parameters.as_ref().and_then(|p| p.get("$defs")) {
                definitions.extend(own.clone());
            }
            json!({
                "properties": {
                    "name": {"type": "string", "enum": [tool.function.name]},
                    "parameters": parameters.unwrap_or_else(|| json!({"type": "object", "properties": {}})),
                },
                "required": ["name", "parameters"],
            })
        })
        .collect();
    let mut schema = json!({"type": "array", "minItems": 1, "items": {"type": "object", "anyOf": calls}});
    if let Value::Object(fields) = &mut schema {
        if !parallel_tool_calls {
            fields.insert("maxItems".to_owned(), json!(1));
        }
        if !definitions.is_empty() {
            fields.insert("$defs".to_owned(), Value::Object(definitions));
        }
    }
    schema
}
