use serde_json::json;
use sglang_parsers::DetectedParsers;
use sglang_server_args::ServerArgs;

use super::*;

fn format(parser: &str, parallel: bool) -> AnswerFormat {
    let args = ServerArgs::parse_from(["x", "--model-path", "m", "--tool-call-parser", parser]);
    let args = args.unwrap_or_else(|_| panic!("flags"));
    let parsers = Parsers::new(&args, &DetectedParsers::default(), ToolParserOptions::default());
    let tool = |name: &str| {
        json!({"type": "function", "function": {"name": name, "parameters":
        {"type": "object", "properties": {"a": {"type": "string"}, "n": {"type": "integer"}}}}})
    };
    let body = json!({"messages": [{"role": "user", "content": "x"}], "tools": [tool("f"), tool("g")],
        "parallel_tool_calls": parallel});
    let chat = ChatCompletionRequest::from_json(body.as_object().unwrap()).unwrap();
    AnswerFormat::new(&parsers, &chat, None)
}

type Told = (String, Vec<(String, String)>, &'static str);

fn whole(format: &AnswerFormat, text: &str, reason: &FinishReason) -> Told {
    let answer = format.parse(text, Some(reason));
    let calls = answer.tool_calls.into_iter().map(|call| {
        assert!(call.id.is_some());
        (call.function.name.unwrap(), call.function.arguments)
    });
    (answer.content, calls.collect(), answer.finish_reason.unwrap())
}

fn streamed(format: &AnswerFormat, text: &str, reason: &FinishReason) -> Told {
    let mut stream = format.stream();
    let mut pieces: Vec<Event> = text.chars().flat_map(|c| stream.push(&c.to_string())).collect();
    pieces.extend(stream.finish());
    let (mut content, mut calls) = (String::new(), Vec::<(String, String)>::new());
    for piece in pieces {
        match piece {
            Event::Text(text) => content.push_str(&text),
            Event::Call(ToolCall { function: FunctionCall { name: Some(name), arguments }, .. }) => {
                calls.push((name, arguments));
            }
            Event::Call(call) => calls.last_mut().unwrap().1.push_str(&call.function.arguments),
            Event::Started | Event::Reasoning(_) | Event::End(_) => {}
        }
    }
    (content, calls, stream.finish_word(reason))
}

const LENGTH: FinishReason = FinishReason::Length { length: 9 };

#[test]
fn a_call_that_is_cut_off_anywhere_is_told_alike_in_both_forms_and_taken_back() {
    let texts = [
        (
            "qwen",
            "So:<tool_call>\n{\"name\": \"f\", \"arguments\": {\"a\": \"x\\u00e9\", \"n\": 5}}\n</tool_call>",
        ),
        (
            "qwen3_coder",
            "<tool_call>\n<function=f>\n<parameter=a>\nx\n</parameter>\n<parameter=n>\n5\n</parameter>\n</function>\n</tool_call>",
        ),
        ("pythonic", "[f(a=\"x\", n=5)]"),
        ("glm45", "<tool_call>f\n<arg_key>a</arg_key>\n<arg_value>x</arg_value>\n</tool_call>"),
    ];
    let mut cut_calls = 0;
    for (parser, text) in texts {
        for parallel in [true, false] {
            let format = format(parser, parallel);
            for (cut, _) in text.char_indices() {
                let told = whole(&format, &text[..cut], &LENGTH);
                assert_eq!(told, streamed(&format, &text[..cut], &LENGTH), "{parser}: {}", &text[..cut]);
                assert_eq!(told.2, "length");
                for (_, arguments) in told.1 {
                    cut_calls += usize::from(serde_json::from_str::<Value>(&arguments).is_err());
                    assert!(arguments.is_empty() || arguments.starts_with('{'), "{arguments}");
                    sglang_tokenizer_manager::requests::call_arguments::read(&Value::from(arguments))
                        .unwrap();
                }
            }
            assert_eq!(whole(&format, text, &FinishReason::matched_token(2)).2, "tool_calls");
        }
    }
    assert!(cut_calls > 50, "{cut_calls}");
}

#[test]
fn arguments_are_an_object_and_broken_calls_are_told_alike_in_both_forms() {
    let call = |name: &str, arguments: &str| {
        format!("<tool_call>\n{{\"name\": \"{name}\", \"arguments\": {arguments}}}\n</tool_call>")
    };
    let stop = FinishReason::matched_token(2);
    let told = |text: &str| {
        let format = format("qwen", true);
        let told = whole(&format, text, &stop);
        assert_eq!(told, streamed(&format, text, &stop), "{text}");
        let calls: Vec<String> = told.1.into_iter().map(|(name, arguments)| name + &arguments).collect();
        (calls.join(" "), told.2)
    };
    for nothing in ["null", "\"\"", "{}", "\"null\""] {
        assert_eq!(told(&call("f", nothing)), ("f{}".to_owned(), "tool_calls"), "{nothing}");
    }
    let twice = Value::from("{\"n\": 5}").to_string();
    assert_eq!(told(&call("f", &twice)), ("f{\"n\": 5}".to_owned(), "tool_calls"));
    assert_eq!(told(&call("f", "[1]")), ("f".to_owned(), "stop"));
    assert_eq!(told(&call("f", "{\"n\": oops}")), ("f{\"n\": ".to_owned(), "stop"));
    let both = call("f", "{\"n\": oops}") + &call("g", "{}");
    assert_eq!(told(&both), ("f{\"n\":  g{}".to_owned(), "tool_calls"));
}
