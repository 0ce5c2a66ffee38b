//! How the tools of a request constrain its answer: the grammar, and the parser that reads the calls (reference:
//! `OpenAIServingChat._process_messages`, `FunctionCallParser.get_structure_constraint`).

use serde_json::Value;
use sglang_parsers::{Constraint, Function, Tool, ToolChoice as Choice, ToolParser};
use sglang_proto::sampling_params::{Given, SamplingRequest};

use super::fields::ToolChoice;
use super::request::ChatCompletionRequest;

/// A tool definition as the parsers expect it.
pub fn parser_tool(tool: &Value) -> Tool {
    let function = &tool["function"];
    Tool {
        r#type: "function".into(),
        function: Function {
            name: function["name"].as_str().unwrap_or_default().into(),
            description: function["description"].as_str().map(str::to_owned),
            parameters: function.get("parameters").filter(|p| !p.is_null()).cloned(),
            strict: function["strict"].as_bool(),
        },
    }
}

/// The tool definitions of a request and of its system messages, for the parsers.
pub fn effective_tools(request: &ChatCompletionRequest) -> Vec<Tool> {
    request.tool_definitions().map(parser_tool).collect()
}

fn constraint(parser: ToolParser, tools: &[Tool], request: &ChatCompletionRequest) -> Option<Constraint> {
    let choice = match &request.tool_choice {
        ToolChoice::None => return None,
        ToolChoice::Auto => Choice::Auto,
        ToolChoice::Required => Choice::Required,
        ToolChoice::Named(name) => Choice::Named(name.clone()),
    };
    parser.structural_tag(tools, &choice, request.parallel_tool_calls)
}

/// The parser for the calls of an answer: the server's, or the JSON array parser if a call is forced and the server's
/// format has no grammar.
pub fn answer_parser(parser: ToolParser, tools: &[Tool], request: &ChatCompletionRequest) -> ToolParser {
    match constraint(parser, tools, request) {
        Some(Constraint::JsonSchema(_)) => ToolParser::json_array(),
        _ => parser,
    }
}

/// Constrains the answer to the calls that the request demands: forced calls in the format of the server's `parser`, or
/// as a JSON array without one; with `auto`, only calls of `strict` tools.
pub fn bind(parser: Option<ToolParser>, request: &ChatCompletionRequest, sampling: &mut SamplingRequest) {
    let tools = effective_tools(request);
    let Some(constraint) = constraint(parser.unwrap_or_else(ToolParser::json_array), &tools, request) else {
        return;
    };
    let grammars = [&sampling.regex, &sampling.ebnf, &sampling.structural_tag, &sampling.json_schema];
    if grammars.iter().any(|grammar| grammar.value().is_some_and(|text| !text.is_empty())) {
        // Requests with a forced call and another grammar were refused earlier. An optional call yields to the other
        // grammar.
        tracing::warn!("the output is bound to another grammar, so that strict tools are not enforced");
        return;
    }
    let grammar = match constraint {
        Constraint::StructuralTag(_) => &mut sampling.structural_tag,
        Constraint::Ebnf(_) => &mut sampling.ebnf,
        Constraint::JsonSchema(_) => &mut sampling.json_schema,
    };
    *grammar = Given::Value(constraint.sampling_param().1);
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn bound(parser: &str, more: Value) -> SamplingRequest {
        let mut body = json!({"messages": [{"role": "user", "content": "x"}], "tools": [
            {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}},
            {"type": "function", "function": {"name": "g", "strict": true, "parameters": {"type": "object"}}}]});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let request = ChatCompletionRequest::from_json(body.as_object().unwrap()).unwrap();
        let mut sampling = SamplingRequest::default();
        bind(ToolParser::by_name(parser), &request, &mut sampling);
        sampling
    }

    fn names(tag: &SamplingRequest) -> Vec<bool> {
        let text = tag.structural_tag.value().unwrap();
        ["f", "g"].iter().map(|name| text.contains(&format!("\\\"name\\\":\\\"{name}\\\""))).collect()
    }

    #[test]
    fn forced_calls_are_bound_in_the_parsers_format_and_without_one_as_an_array() {
        let named = json!({"tool_choice": {"type": "function", "function": {"name": "g"}}});
        assert_eq!(names(&bound("qwen", json!({"tool_choice": "required"}))), [true, true]);
        assert_eq!(names(&bound("qwen", named.clone())), [false, true]);
        let array = bound("", named.clone()).json_schema.value().cloned().unwrap();
        let array: Value = serde_json::from_str(&array).unwrap();
        assert_eq!((&array["type"], &array["maxItems"]), (&json!("array"), &json!(1)));
        assert_eq!(array["items"]["anyOf"][0]["properties"]["name"]["enum"], json!(["g"]));
        assert_eq!(array["items"]["anyOf"].as_array().unwrap().len(), 1);
        let list = bound("pythonic", named).ebnf.value().cloned().unwrap();
        assert!(list.starts_with("root ::= \"[\" call \"]\"\ncall ::= \"g(\" "), "{list}");
    }

    #[test]
    fn where_the_model_decides_only_strict_tools_of_a_known_format_bind_it() {
        assert!(bound("qwen", json!({})).structural_tag.value().is_some());
        let nothing = SamplingRequest::default();
        assert_eq!(bound("", json!({})), nothing);
        assert_eq!(bound("pythonic", json!({})), nothing);
        assert_eq!(bound("qwen", json!({"tool_choice": "none"})), nothing);
        let lax = json!({"tools": [{"type": "function", "function": {"name": "f"}}]});
        assert_eq!(bound("qwen", lax), nothing);
    }

    #[test]
    fn tools_may_use_a_name_for_other_definitions() {
        let tool = |name: &str, kind: &str| {
            json!({"type": "function", "function": {"name": name, "parameters":
            {"$defs": {"D": {"type": kind}}, "properties": {"d": {"$ref": "#/$defs/D"}}}}})
        };
        let clash = json!({"tool_choice": "required", "tools": [tool("f", "string"), tool("g", "integer")]});
        assert!(bound("qwen", clash.clone()).structural_tag.value().is_some());
        let array = bound("", clash).json_schema.value().cloned().unwrap();
        let array: Value = serde_json::from_str(&array).unwrap();
        assert_eq!(
            (&array["$defs"]["D"]["type"], &array["$defs"]["D.2"]["type"]),
            (&json!("string"), &json!("integer"))
        );
    }
}
