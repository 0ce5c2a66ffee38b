//! What a grammar must enforce so that an answer calls the tools it has to, in the model's own format.

use std::collections::HashMap;

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
    /// What a model may write in front of a first structure that it must write: how it goes on behind its thinking.
    pub lead: Option<&'static str>,
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
    /// Unlike in the reference the arguments of a forced call follow the tool's schema even if it is not `strict` (and
    /// are an object in any case), a named tool is the only one that can be called, and that once, and one call is
    /// enforced without `parallel_tool_calls`.
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
        let single = !parallel_tool_calls || matches!(tool_choice, ToolChoice::Named(_));
        let mut structures = Vec::new();
        let mut triggers: Vec<String> = Vec::new();
        for tool in &allowed {
            let Some((structure, trigger)) = self.structure(tool, *tool_choice != ToolChoice::Auto) else {
                let required = *tool_choice != ToolChoice::Auto;
                return required.then(|| Constraint::JsonSchema(array_schema(&allowed, single)));
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
            stop_after_first: single,
            lead: (self.format() == ToolFormat::GptOss).then_some("<|start|>assistant"),
        }))
    }

    /// How this format writes a call of `tool`, and the text that announces it.
    fn structure(&self, tool: &Tool, forced: bool) -> Option<(Structure, &'static str)> {
        let name = &tool.function.name;
        let quoted = crate::json::quote(name);
        let strict = forced || tool.function.strict == Some(true);
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
        let schema = schema.unwrap_or_else(|| json!({"type": "object"}));
        let content = match self.format() {
            ToolFormat::Qwen3Coder => StructureContent::QwenXml(schema),
            _ => StructureContent::Json(schema),
        };
        Some((Structure { begin, content, end: end.to_owned() }, trigger))
    }
}

/// The keywords under which a schema keeps what its references point to.
const DEFINITIONS: [&str; 2] = ["$defs", "definitions"];

/// A definition that two tools give different meanings; in an array of calls, which has one place for both, it cannot
/// be honoured.
pub fn conflicting_definition(tools: &[Tool]) -> Option<&str> {
    let mut seen: HashMap<(&str, &str), &Value> = HashMap::new();
    for tool in tools {
        for keyword in DEFINITIONS {
            let own =
                tool.function.parameters.as_ref().and_then(|p| p.get(keyword)).and_then(Value::as_object);
            for (name, schema) in own.into_iter().flatten() {
                if *seen.entry((keyword, name)).or_insert(schema) != schema {
                    return Some(name);
                }
            }
        }
    }
    None
}

/// A non-empty array of calls.
fn array_schema(tools: &[&Tool], single: bool) -> Value {
    let mut definitions: Map<String, Value> = Map::new();
    let calls: Vec<Value> = tools
        .iter()
        .map(|tool| {
            let parameters = tool.function.parameters.clone().filter(|p| !p.is_null() && *p != json!({}));
            for keyword in DEFINITIONS {
                if let Some(Value::Object(own)) = parameters.as_ref().and_then(|p| p.get(keyword)) {
                    let all = definitions.entry(keyword).or_insert_with(|| json!({}));
                    if let Value::Object(all) = all {
                        all.extend(own.clone());
                    }
                }
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
        if single {
            fields.insert("maxItems".to_owned(), json!(1));
        }
        fields.extend(definitions);
    }
    schema
}
