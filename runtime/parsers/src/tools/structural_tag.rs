//! What a grammar must enforce so that an answer calls the tools it has to, in the model's own format.

use std::collections::HashMap;

use serde_json::{Map, Value, json};

use super::parser::{ToolFormat, ToolParser};
use super::python_grammar::call_list;
use super::types::{Tool, ToolChoice};

/// How the part of a [`Structure`] between `begin` and `end` is written.
#[derive(Debug, Clone, PartialEq)]
pub enum StructureContent {
    /// A JSON value of this schema (`{}`: any).
    Json(Value),
    /// Each property of this object schema in tags of its own, strings without quotes.
    Tagged(Value, ArgumentTags),
}

/// How a format writes one argument: `open KEY then VALUE close`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ArgumentTags {
    /// In front of the key.
    pub open: &'static str,
    /// Between the key and a string.
    pub then: &'static str,
    /// Between the key and any other value, which is JSON.
    pub then_json: &'static str,
    /// Behind the value.
    pub close: &'static str,
    /// What a string must not hold, since a parser would take it for the format's own.
    pub never: &'static [&'static str],
}

const fn argument(open: &'static str, then: &'static str, close: &'static str) -> ArgumentTags {
    ArgumentTags { open, then, then_json: then, close, never: &[] }
}

const fn dsml(open: &'static str, close: &'static str) -> ArgumentTags {
    ArgumentTags { open, then: "\" string=\"true\">", then_json: "\" string=\"false\">", close, never: &[] }
}

const QWEN_PARAMETER: ArgumentTags = ArgumentTags {
    never: &["<parameter=", "</function>", "</tool_call>"],
    ..argument("<parameter=", ">\n", "\n</parameter>\n")
};
const NAMED_PARAMETER: ArgumentTags = argument("<parameter name=\"", "\">", "</parameter>\n");
const LINES: ArgumentTags = ArgumentTags {
    never: &["</tool_call>", "</iquest_tool_call>"],
    ..argument("<arg_key>", "</arg_key>\n<arg_value>", "</arg_value>\n")
};
const PAIRS: ArgumentTags = ArgumentTags {
    then: "</arg_key><arg_value>",
    then_json: "</arg_key><arg_value>",
    close: "</arg_value>",
    ..LINES
};

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
    /// In the model's own format, as xgrammar's EBNF.
    Ebnf(String),
    /// As a JSON array of this schema, for formats that no grammar describes; parse with [`ToolParser::json_array`].
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
        let one_at_most = matches!(self.format(), ToolFormat::GigaChat3);
        let single = one_at_most || !parallel_tool_calls || matches!(tool_choice, ToolChoice::Named(_));
        if matches!(self.format(), ToolFormat::Pythonic)
            && *tool_choice != ToolChoice::Auto
            && let Some(ebnf) = call_list(&allowed, single)
        {
            return Some(Constraint::Ebnf(ebnf));
        }
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
            lead: matches!(self.format(), ToolFormat::GptOss).then_some("<|start|>assistant"),
        }))
    }

    /// How this format writes a call of `tool`, and the text that announces it.
    fn structure(&self, tool: &Tool, forced: bool) -> Option<(Structure, &'static str)> {
        let name = &tool.function.name;
        let quoted = crate::json::quote(name);
        let strict = forced || tool.function.strict == Some(true);
        let schema = tool.function.parameters.clone().filter(|_| strict);
        let (begin, end, trigger) = match self.format() {
            ToolFormat::Qwen25 | ToolFormat::Trinity => (
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
            ToolFormat::InternS1 => (
                format!("<|action_start|> <|plugin|>\n{{\"name\": {quoted}, \"parameters\": "),
                "}<|action_end|>",
                "<|action_start|> <|plugin|>",
            ),
            ToolFormat::Cohere => (
                format!(
                    "<|START_ACTION|>[{{\"tool_call_id\": \"0\", \"tool_name\": {quoted}, \"parameters\": "
                ),
                "}]<|END_ACTION|>",
                "<|START_ACTION|>",
            ),
            ToolFormat::GigaChat3 => {
                (format!("<|function_call|>{{\"name\": {quoted}, \"arguments\": "), "}", "<|function_call|>")
            }
            ToolFormat::Lfm2 => (
                format!("<|tool_call_start|>[{{\"name\": {quoted}, \"arguments\": "),
                "}]<|tool_call_end|>",
                "<|tool_call_start|>",
            ),
            ToolFormat::Qwen3Coder | ToolFormat::Glm45 | ToolFormat::Tagged(_) => {
                return self.tagged(name, schema.unwrap_or_else(|| json!({"type": "object"})));
            }
            ToolFormat::Pythonic | ToolFormat::JsonArray => return None,
        };
        let content = StructureContent::Json(schema.unwrap_or_else(|| json!({"type": "object"})));
        Some((Structure { begin, content, end: end.to_owned() }, trigger))
    }

    /// The same for the formats whose arguments stand in tags.
    fn tagged(&self, name: &str, schema: Value) -> Option<(Structure, &'static str)> {
        // What opens a call, stands between that and the name, behind the name, is an argument, and ends the call.
        type Shape = (&'static str, &'static str, &'static str, ArgumentTags, &'static str);
        let (trigger, before, after, tags, end): Shape = match self.name() {
            "qwen3_coder" | "step3p5" | "nanbeige" => {
                ("<tool_call>\n<function=", "", ">\n", QWEN_PARAMETER, "</function>\n</tool_call>")
            }
            "mimo" => (
                "<tool_call>\n<function=",
                "",
                ">\n",
                argument("<parameter=", ">", "</parameter>\n"),
                "</function>\n</tool_call>",
            ),
            "glm" | "glm45" | "ling3" | "poolside_v1" => ("<tool_call>", "", "\n", LINES, "</tool_call>"),
            "glm47" | "spark25" => ("<tool_call>", "", "", PAIRS, "</tool_call>"),
            "iquest_q1" => ("<iquest_tool_call>", "", "", PAIRS, "</iquest_tool_call>"),
            "hunyuan" => {
                ("<tool_calls>", "\n<tool_call>", "<tool_sep>\n", LINES, "</tool_call>\n</tool_calls>")
            }
            "minimax-m2" => (
                "<minimax:tool_call>",
                "\n<invoke name=\"",
                "\">\n",
                NAMED_PARAMETER,
                "</invoke>\n</minimax:tool_call>",
            ),
            "dots" => (
                "<dots_function_call>",
                "\n<invoke name=\"",
                "\">\n",
                NAMED_PARAMETER,
                "</invoke>\n</dots_function_call>",
            ),
            "step3" => (
                "<｜tool_calls_begin｜>",
                "\n<｜tool_call_begin｜>function<｜tool_sep｜><steptml:invoke name=\"",
                "\">\n",
                argument("<steptml:parameter name=\"", "\">", "</steptml:parameter>\n"),
                "</steptml:invoke><｜tool_call_end｜>\n<｜tool_calls_end｜>",
            ),
            "deepseekv32" => (
                "<｜DSML｜function_calls>",
                "\n<｜DSML｜invoke name=\"",
                "\">\n",
                dsml("<｜DSML｜parameter name=\"", "</｜DSML｜parameter>\n"),
                "</｜DSML｜invoke>\n</｜DSML｜function_calls>",
            ),
            "deepseekv4" => (
                "<｜DSML｜tool_calls>",
                "\n<｜DSML｜invoke name=\"",
                "\">\n",
                dsml("<｜DSML｜parameter name=\"", "</｜DSML｜parameter>\n"),
                "</｜DSML｜invoke>\n</｜DSML｜tool_calls>",
            ),
            "deepseekv41" => (
                "<｜DSML｜ calls>",
                "\n<｜DSML｜ invoke name=\"",
                "\">\n",
                dsml("<｜DSML｜ parameter name=\"", "</｜DSML｜ parameter>\n"),
                "</｜DSML｜ invoke>\n</｜DSML｜ calls>",
            ),
            "gigachat35" => (
                "<｜GCML｜tool_calls>",
                "\n<｜GCML｜invoke name=\"",
                "\">\n",
                dsml("<｜GCML｜parameter name=\"", "</｜GCML｜parameter>\n"),
                "</｜GCML｜invoke>\n</｜GCML｜tool_calls>",
            ),
            "minicpm5" => {
                ("<function name=\"", "", "\">", argument("<param name=\"", "\">", "</param>"), "</function>")
            }
            _ => return None,
        };
        let content = StructureContent::Tagged(schema, tags);
        let begin = format!("{trigger}{before}{name}{after}");
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
