use serde_json::{Value, json};

use super::*;

fn tools() -> Vec<Tool> {
    let tool = |name: &str, properties: Value, strict: Option<bool>| Tool {
        r#type: "function".into(),
        function: Function {
            name: name.into(),
            description: None,
            parameters: Some(json!({"type": "object", "properties": properties})),
            strict,
        },
    };
    vec![
        tool("get_weather", json!({"city": {"type": "string"}, "days": {"type": "integer"}}), None),
        tool("search", json!({"query": {"type": "string"}}), Some(true)),
    ]
}

fn parse(name: &str, text: &str) -> (String, Vec<(i32, String, String)>) {
    let parser =
        if name == "json_array" { ToolParser::json_array() } else { ToolParser::by_name(name).unwrap() };
    let parsed = parser.parse(text, &tools(), ToolParserOptions::default());
    let calls = parsed.calls.into_iter().map(|c| (c.tool_index, c.name.unwrap(), c.parameters)).collect();
    (parsed.normal_text, calls)
}

fn call(index: i32, name: &str, parameters: &str) -> (i32, String, String) {
    (index, name.to_owned(), parameters.to_owned())
}

#[test]
fn a_name_comes_first_and_its_arguments_follow_in_pieces() {
    let mut stream = ToolParser::by_name("qwen").unwrap().stream(&tools(), ToolParserOptions::default());
    let mut items = Vec::new();
    for piece in [
        "Sure.\n<tool",
        "_call>\n{\"name\":\"search\"",
        ",\"arguments\":{\"query\"",
        ":\"a b",
        "c\"}}\n</tool_call>",
    ] {
        items.push(stream.push(piece));
    }
    let item = |name: Option<&str>, parameters: &str| {
        StreamItem::Call(ToolCallItem {
            tool_index: 0,
            name: name.map(Into::into),
            parameters: parameters.into(),
        })
    };
    assert_eq!(items[0], [StreamItem::Text("Sure.".into())]);
    assert_eq!(items[1], [item(Some("search"), "")]);
    assert_eq!(items[2], [item(None, "{\"query\"")]);
    assert_eq!(items[3], [item(None, ": \"a b")]);
    assert_eq!(items[4], [item(None, "c\"}")]);
    assert!(stream.finish().is_empty() && stream.incomplete_calls().is_empty());
}

#[test]
fn arguments_before_the_name_wait_for_it() {
    let text = "<tool_call>\n{\"arguments\":{\"query\":\"x\"},\"name\":\"search\"}\n</tool_call>";
    assert_eq!(parse("qwen25", text).1, [call(1, "search", "{\"query\": \"x\"}")]);
}

#[test]
fn empty_parameters_give_way_to_arguments() {
    let text =
        "<tool_call>{\"name\":\"search\",\"parameters\":{},\"arguments\":{\"query\":\"x\"}}</tool_call>";
    assert_eq!(parse("hermes", text).1, [call(1, "search", "{\"query\": \"x\"}")]);
    let none = "<tool_call>{\"name\":\"search\",\"parameters\":null}</tool_call>";
    assert_eq!(parse("hermes", none).1, [call(1, "search", "{}")]);
}

#[test]
fn an_unknown_function_is_dropped_unless_the_server_forwards_it() {
    let text = "hm <tool_call>{\"name\":\"nope\",\"arguments\":{}}</tool_call>";
    assert_eq!(parse("hermes", text), ("hm".into(), vec![]));
    let options = ToolParserOptions { forward_unknown_tools: true };
    let calls = ToolParser::by_name("hermes").unwrap().parse(text, &tools(), options).calls;
    assert_eq!((calls[0].tool_index, calls[0].name.as_deref()), (-1, Some("nope")));
}

#[test]
fn a_cut_off_call_is_reported_by_the_stream_and_left_out_of_the_whole() {
    let text = "<tool_call>{\"name\":\"search\",\"arguments\":{\"query\":\"x";
    let parser = ToolParser::by_name("hermes").unwrap();
    assert!(parser.has_tool_call(text));
    assert!(parse("hermes", text).1.is_empty());
    let mut stream = parser.stream(&tools(), ToolParserOptions::default());
    assert_eq!(stream.push(text).len(), 2);
    assert!(stream.finish().is_empty());
    assert_eq!(stream.incomplete_calls(), [0]);
}

#[test]
fn a_broken_call_does_not_take_the_next_one_with_it() {
    let good = "<tool_call>\n{\"name\":\"search\",\"arguments\":{}}\n</tool_call>";
    for bad in ["{\"name\":\"search\",}", "not json", "{\"name\":\"search\",\"arguments\":{\"a\":\"b"] {
        let text = format!("<tool_call>\n{bad}\n</tool_call>\n{good}");
        assert_eq!(parse("qwen", &text).1, [call(1, "search", "{}")], "{bad}");
    }
}

#[test]
fn json_that_is_no_call_stays_text_for_llama3() {
    for text in [
        "{\"answer\": 42}",
        "{\"name\": \"Alice\", \"age\": 3}",
        "{\"name\": \"Alice\"}",
        "{not json}",
        "text {\"name\": \"search\", \"parameters\": {}}",
    ] {
        assert_eq!(parse("llama3", text), (text.into(), vec![]));
    }
    assert_eq!(parse("llama3", "{\"name\": \"nope\", \"parameters\": {}}"), (String::new(), vec![]));
}

#[test]
fn llama3_reads_python_dicts_and_several_calls() {
    let text = "<|python_tag|>{'name': 'search', 'parameters': {'query': \"it's\", 'x': True}}; {\"name\": \"search\"} done";
    let want = [call(1, "search", "{\"query\": \"it's\", \"x\": true}"), call(1, "search", "{}")];
    assert_eq!(parse("llama3", text), ("done".into(), want.into()));
}

#[test]
fn pythonic_text_with_brackets_stays_text() {
    for text in ["see [1] and [link](x)", "[get_weather", "a[0](b) [x for x in y]", "[f()"] {
        assert_eq!(parse("pythonic", text), (text.into(), vec![]));
    }
    let text = "<|python_start|>[get_weather(city='[x]', days=-1), nope(), search(query=f(1))]<|python_end|>";
    assert_eq!(
        parse("pythonic", text),
        (String::new(), vec![call(0, "get_weather", "{\"city\": \"[x]\", \"days\": -1}")])
    );
}

#[test]
fn without_tools_everything_is_text() {
    let text = " <tool_call>{\"name\":\"search\"}</tool_call> ";
    let parsed = ToolParser::by_name("hermes").unwrap().parse(text, &[], ToolParserOptions::default());
    assert_eq!(parsed, Parsed { normal_text: text.into(), calls: vec![] });
}

#[test]
fn a_json_array_is_read_as_calls() {
    let text = "[{\"name\":\"search\",\"parameters\":{\"query\":\"x\"}}, {\"name\":\"get_weather\",\"parameters\":{}}]";
    assert_eq!(
        parse("json_array", text).1,
        [call(0, "search", "{\"query\": \"x\"}"), call(1, "get_weather", "{}")]
    );
    assert_eq!(parse("json_array", "sorry"), ("sorry".into(), vec![]));
}

#[test]
fn names_and_ids() {
    assert_eq!(ToolParser::by_name("qwen25").unwrap().reported_name(), "qwen");
    assert!(ToolParser::by_name("auto").is_none());
    assert!(ToolParser::names().all(|name| ToolParser::by_name(name).is_some()));
    let id = ToolParser::by_name("qwen").unwrap().call_id("f", 0, 0);
    assert!(id.len() == 29 && id.starts_with("call_") && id[5..].bytes().all(|b| b.is_ascii_hexdigit()));
    assert_eq!(ToolParser::by_name("kimi_k2").unwrap().call_id("f", 1, 2), "functions.f:3");
}

#[test]
fn a_constraint_names_the_allowed_tools_in_the_format_of_the_parser() {
    let parser = ToolParser::by_name("qwen").unwrap();
    let named = ToolChoice::Named("search".into());
    let Some(Constraint::StructuralTag(tag)) = parser.structural_tag(&tools(), &named, false) else {
        panic!()
    };
    assert_eq!(tag.structures.len(), 1);
    assert_eq!(tag.structures[0].begin, "<tool_call>\n{\"name\":\"search\", \"arguments\":");
    assert_eq!(
        tag.structures[0].content,
        StructureContent::Json(tools()[1].function.parameters.clone().unwrap())
    );
    assert_eq!(
        (tag.triggers, tag.at_least_one, tag.stop_after_first),
        (vec!["<tool_call>".to_owned()], true, true)
    );

    let Some(Constraint::StructuralTag(auto)) = parser.structural_tag(&tools(), &ToolChoice::Auto, true)
    else {
        panic!()
    };
    assert!(!auto.at_least_one && auto.structures.len() == 2);
    assert_eq!(auto.structures[0].content, StructureContent::Json(json!({"type": "object"})));
    assert_eq!(parser.structural_tag(&tools()[..1], &ToolChoice::Auto, true), None);
    assert_eq!(parser.structural_tag(&tools(), &ToolChoice::Named("nope".into()), true), None);
}

#[test]
fn what_a_python_list_cannot_say_asks_for_a_json_array() {
    let parser = ToolParser::by_name("pythonic").unwrap();
    let Some(Constraint::Ebnf(list)) = parser.structural_tag(&tools(), &ToolChoice::Required, false) else {
        panic!()
    };
    assert!(list.starts_with("root ::= \"[\" call \"]\"\ncall ::= "), "{list}");
    let mut patterned = tools();
    patterned[1].function.parameters =
        Some(json!({"properties": {"query": {"type": "string", "pattern": "^a"}}}));
    let Some(Constraint::JsonSchema(schema)) =
        parser.structural_tag(&patterned, &ToolChoice::Required, false)
    else {
        panic!()
    };
    assert_eq!(schema["maxItems"], 1);
    assert_eq!(schema["items"]["anyOf"][1]["properties"]["name"]["enum"], json!(["search"]));
    assert_eq!(parser.structural_tag(&tools(), &ToolChoice::Auto, true), None);
}

#[test]
fn every_structure_is_read_back_by_its_own_parser() {
    for name in ToolParser::names() {
        let parser = ToolParser::by_name(name).unwrap();
        let Some(Constraint::StructuralTag(tag)) =
            parser.structural_tag(&tools(), &ToolChoice::Required, true)
        else {
            assert_eq!(name, "pythonic");
            continue;
        };
        for (structure, tool) in tag.structures.iter().zip(tools()) {
            let arguments = match structure.content {
                StructureContent::Json(_) => "{\"query\": \"x\"}".to_owned(),
                StructureContent::Tagged(_, tags) => {
                    format!("{}query{}x{}", tags.open, tags.then, tags.close)
                }
            };
            if name == "minicpm5" && tool.function.name != "search" {
                // This parser rejects arguments that the schema does not list.
                continue;
            }
            let text = format!("{}{arguments}{}", structure.begin, structure.end);
            assert!(tag.triggers.iter().any(|t| text.starts_with(t)), "{name}");
            let calls = parse(name, &text).1;
            assert_eq!(calls.len(), 1, "{name}: {text}");
            assert_eq!(
                (calls[0].1.as_str(), calls[0].2.as_str()),
                (tool.function.name.as_str(), "{\"query\": \"x\"}")
            );
        }
    }
}
