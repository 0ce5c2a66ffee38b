//! The constraint that forces an answer to call tools in the model's own format.

use std::cell::RefCell;

use serde_json::{Value, json};
use sglang_json_schema::{Bundle, JsonType, Schema, Types};

use super::argument_tags::{ArgumentTags, call_tags};
use super::parser::{ToolFormat, ToolParser};
use super::python_grammar::call_list;
use super::types::{Tool, ToolChoice};

/// How a [`Structure`] writes the part between `begin` and `end`.
#[derive(Debug, Clone, PartialEq)]
pub enum StructureContent {
    /// A JSON value that follows this schema (`{}`: any value).
    Json(Value),
    /// Each property of this object schema in separate tags, strings without quotes.
    Tagged(Value, ArgumentTags),
}

/// One way to call one tool.
#[derive(Debug, Clone, PartialEq)]
pub struct Structure {
    /// Literal text before the arguments.
    pub begin: String,
    /// The arguments.
    pub content: StructureContent,
    /// Literal text after the arguments.
    pub end: String,
}

/// Free text in which a trigger must open one of the structures.
#[derive(Debug, Clone, PartialEq)]
pub struct StructuralTag {
    /// One for each tool that may be called.
    pub structures: Vec<Structure>,
    /// Once the model writes one of these, the text must continue as a structure that begins with it.
    pub triggers: Vec<String>,
    /// The answer starts with a structure, with no text before it.
    pub at_least_one: bool,
    /// The answer ends after the first structure.
    pub stop_after_first: bool,
    /// What a model may write after its thinking, before the first forced structure.
    pub lead: Option<&'static str>,
}

/// How an answer is forced to call tools.
#[derive(Debug, Clone, PartialEq)]
pub enum Constraint {
    /// In the model's own format.
    StructuralTag(StructuralTag),
    /// In the model's own format, as EBNF in xgrammar's syntax.
    Ebnf(String),
    /// As a JSON array that follows this schema, for formats that no grammar describes; parse it with
    /// [`ToolParser::json_array`].
    JsonSchema(Value),
}

impl ToolParser {
    /// The constraint for a request with these tools. `None` if the model may write freely: `Auto` without a `strict`
    /// tool, or no tool to call.
    ///
    /// Unlike in the reference, the arguments of a forced call follow the tool's schema (and are always an object) even
    /// if the tool is not `strict`; a named tool is the only one that can be called, and only once; and without
    /// `parallel_tool_calls` exactly one call is allowed.
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

    /// How this format writes a call of `tool`, and its trigger.
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
                let shape = call_tags(self.name())?;
                let schema = schema.unwrap_or_else(|| json!({"type": "object"}));
                let content = StructureContent::Tagged(schema, shape.argument);
                let begin = format!("{}{}{name}{}", shape.trigger, shape.before, shape.behind);
                return Some((Structure { begin, content, end: shape.end.to_owned() }, shape.trigger));
            }
            ToolFormat::Pythonic | ToolFormat::JsonArray => return None,
        };
        let schema = schema.unwrap_or_else(|| json!({"type": "object"}));
        let content = StructureContent::Json(arguments(&schema, &Schema::bundled));
        Some((Structure { begin, content, end: end.to_owned() }, trigger))
    }
}

/// The schema of a call's arguments, copied by `copy` and restricted to objects.
fn arguments<'s>(
    parameters: &'s Value,
    copy: &dyn Fn(&Schema<'s>) -> Result<Value, sglang_json_schema::TooLarge>,
) -> Value {
    let schema = Schema::new(parameters).plain();
    // A schema that is too large to copy is also too large for the grammar, which reports it.
    let mut own = copy(&schema).unwrap_or_else(|_| parameters.clone());
    match &mut own {
        Value::Object(map) if schema.types() != Types::only(JsonType::Object) => {
            map.insert("type".to_owned(), json!("object"));
        }
        Value::Object(_) => {}
        other => *other = json!({"type": "object"}),
    }
    own
}

/// The schema of a non-empty array of calls. The tools' definitions are merged into one `$defs`.
fn array_schema(tools: &[&Tool], single: bool) -> Value {
    let bundle = RefCell::new(Bundle::default());
    let calls: Vec<Value> = tools
        .iter()
        .map(|tool| {
            let given = tool.function.parameters.as_ref().filter(|p| !p.is_null() && **p != json!({}));
            let parameters = given.map_or_else(
                || json!({"type": "object", "properties": {}}),
                |given| arguments(given, &|schema| bundle.borrow_mut().add(schema)),
            );
            json!({
                "type": "object",
                "properties": {
                    "name": {"type": "string", "enum": [tool.function.name]},
                    "parameters": parameters,
                },
                "required": ["name", "parameters"],
                "additionalProperties": false,
            })
        })
        .collect();
    let mut schema = json!({"type": "array", "minItems": 1, "items": {"anyOf": calls}});
    if single {
        schema["maxItems"] = json!(1);
    }
    let definitions = bundle.into_inner().definitions();
    if !definitions.is_empty() {
        schema["$defs"] = definitions.into();
    }
    schema
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tools::Function;

    fn tool(name: &str, parameters: Value) -> Tool {
        let function = Function { name: name.into(), parameters: Some(parameters), ..Default::default() };
        Tool { r#type: "function".into(), function }
    }

    fn array(tools: &[Tool]) -> Value {
        match ToolParser::json_array().structural_tag(tools, &ToolChoice::Required, true) {
            Some(Constraint::JsonSchema(schema)) => schema,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_elements_of_an_array_of_calls_have_a_name_and_parameters_only() {
        let schema = array(&[tool("f", json!({"properties": {"a": {}}})), tool("g", json!({}))]);
        for (call, name) in schema["items"]["anyOf"].as_array().unwrap().iter().zip(["f", "g"]) {
            assert_eq!(call["additionalProperties"], false);
            assert_eq!(call["required"], json!(["name", "parameters"]));
            assert_eq!(call["properties"].as_object().unwrap().len(), 2);
            assert_eq!(call["properties"]["name"]["enum"], json!([name]));
            assert_eq!(call["properties"]["parameters"]["type"], "object");
        }
    }

    #[test]
    fn definitions_of_one_name_do_not_get_into_each_others_way() {
        let of =
            |kind: &str| json!({"$defs": {"D": {"type": kind}}, "properties": {"d": {"$ref": "#/$defs/D"}}});
        let schema = array(&[tool("f", of("string")), tool("g", of("integer"))]);
        let kind = |i: usize| {
            let property = schema["items"]["anyOf"][i].pointer("/properties/parameters/properties/d/$ref");
            schema.pointer(&property.unwrap().as_str().unwrap()[1..]).unwrap()["type"].clone()
        };
        assert_eq!((kind(0), kind(1)), (json!("string"), json!("integer")));
    }

    #[test]
    fn arguments_in_json_are_an_object_whose_references_hold() {
        let root = json!({"$ref": "#/definitions/A b", "definitions":
            {"A b": {"anyOf": [{"$ref": "#/definitions/Té"}, {"type": "null"}]}, "Té": {"properties": {"t": {"$ref": "#/definitions/Té"}}}}});
        let parser = ToolParser::by_name("qwen").unwrap();
        let constraint = parser.structural_tag(&[tool("f", root)], &ToolChoice::Required, true);
        let Some(Constraint::StructuralTag(tag)) = constraint else { panic!("{constraint:?}") };
        let StructureContent::Json(schema) = &tag.structures[0].content else { panic!("{tag:?}") };
        assert_eq!((&schema["type"], &schema["anyOf"][0]["$ref"]), (&json!("object"), &json!("#/$defs/T_")));
        assert_eq!(schema["$defs"]["T_"], json!({"properties": {"t": {"$ref": "#/$defs/T_"}}}));
    }
}
