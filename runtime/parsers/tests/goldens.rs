//! Compares whole texts with the results of the reference's own parsers (`scripts/fixtures.d/parsers.py`), and every
//! way of cutting those texts with the whole.

mod common;

use common::{Fixture, ReasoningCase, call_list, fixture, stream_reasoning, stream_tools, tool_fixture};
use sglang_parsers::{ReasoningOptions, ReasoningParser, ToolCallItem, ToolParser, ToolParserOptions};

/// A text that this crate intentionally reads differently from the reference.
struct Difference {
    parser: &'static str,
    text: &'static str,
    normal_text: &'static str,
    calls: &'static [(&'static str, &'static str)],
}

const W: &str = r#"{"city": "Paris", "days": 3}"#;

const DIFFERENCES: &[Difference] = &[
    // A call whose object is complete counts even if its closing tag is missing: a stream has already sent it.
    Difference {
        parser: "qwen25",
        text: "<tool_call>\n{\"name\":\"get_weather\",\"arguments\":{\"city\":\"Paris\",\"days\":3}}",
        normal_text: "",
        calls: &[("get_weather", W)],
    },
    // White space at the start of the text stays, since a stream cannot know whether a call follows.
    Difference {
        parser: "qwen25",
        text: "  padded <tool_call>\n{\"name\":\"get_weather\",\"arguments\":{\"city\":\"Paris\",\"days\":3}}\n</tool_call>",
        normal_text: "  padded",
        calls: &[("get_weather", W)],
    },
    // One bad call does not turn the good ones back into text.
    Difference {
        parser: "hermes",
        text: "<tool_call>{\"name\":\"get_weather\",\"arguments\":{\"city\":\"Paris\",\"days\":3}}</tool_call><tool_call>bad</tool_call>",
        normal_text: "",
        calls: &[("get_weather", W)],
    },
    Difference {
        parser: "mistral",
        text: "[TOOL_CALLS] [{\"name\":\"get_weather\",\"arguments\":{\"city\":\"Paris\",\"days\":3}}, bad]",
        normal_text: "",
        calls: &[("get_weather", W)],
    },
    Difference {
        parser: "deepseekv3",
        text: "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>search\n```json\n{}\n```<｜tool▁call▁end｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>search\n```json\nbad\n```<｜tool▁call▁end｜><｜tool▁calls▁end｜>",
        normal_text: "",
        calls: &[("search", "{}")],
    },
    // An answer that is JSON but not a call is not lost.
    Difference { parser: "llama3", text: "{\"answer\": 42}", normal_text: "{\"answer\": 42}", calls: &[] },
    // The first letter after a call is not lost either.
    Difference {
        parser: "llama3",
        text: "<|python_tag|>{\"name\":\"get_weather\",\"arguments\":{\"city\":\"Paris\",\"days\":3}}Thanks",
        normal_text: "Thanks",
        calls: &[("get_weather", W)],
    },
    // Negative numbers are literals too.
    Difference {
        parser: "pythonic",
        text: "[get_weather(days=-1)]",
        normal_text: "",
        calls: &[("get_weather", "{\"days\": -1}")],
    },
    // A second list is read like the first, as in the reference's streams.
    Difference {
        parser: "pythonic",
        text: "[search()] and [search()]",
        normal_text: " and ",
        calls: &[("search", "{}"), ("search", "{}")],
    },
    // A call that was cut off inside an argument is incomplete.
    Difference {
        parser: "qwen3_coder",
        text: "<tool_call>\n<function=search>\n<parameter=query>\ncut o",
        normal_text: "",
        calls: &[],
    },
    // A string argument keeps its spelling.
    Difference {
        parser: "glm45",
        text: "<tool_call>search\n<arg_key>query</arg_key>\n<arg_value>true</arg_value>\n</tool_call>",
        normal_text: "",
        calls: &[("search", "{\"query\": \"true\"}")],
    },
    // No line break is needed after a name.
    Difference {
        parser: "glm45",
        text: "<tool_call>search</tool_call>",
        normal_text: "",
        calls: &[("search", "{}")],
    },
    // Arguments are always JSON.
    Difference {
        parser: "kimi_k2",
        text: "<|tool_calls_section_begin|><|tool_call_begin|>functions.search:0<|tool_call_argument_begin|>{bad}<|tool_call_end|><|tool_calls_section_end|>",
        normal_text: "",
        calls: &[],
    },
    // The prompt may end with `<|start|>assistant`, as in the reference's streams.
    Difference {
        parser: "gpt-oss",
        text: "<|channel|>commentary to=functions.search <|constrain|>json<|message|>{\"query\":\"x\"}<|call|>",
        normal_text: "",
        calls: &[("search", "{\"query\": \"x\"}")],
    },
    // A nullable argument need not be null.
    Difference {
        parser: "minimax-m2",
        text: "Let me look.<minimax:tool_call>\n<invoke name=\"search\">\n<parameter name=\"query\">café 😀</parameter>\n<parameter name=\"limit\">5</parameter>\n</invoke>\n</minimax:tool_call>",
        normal_text: "Let me look.",
        calls: &[("search", "{\"query\": \"café 😀\", \"limit\": 5}")],
    },
    // A value may contain text that looks like the beginning of a tag.
    Difference {
        parser: "step3",
        text: "<｜tool_calls_begin｜>\n<｜tool_call_begin｜>function<｜tool_sep｜><steptml:invoke name=\"search\">\n<steptml:parameter name=\"query\">a < b & c</steptml:parameter>\n</steptml:invoke><｜tool_call_end｜>\n<｜tool_calls_end｜>",
        normal_text: "",
        calls: &[("search", "{\"query\": \"a < b & c\"}")],
    },
    // A type in a branch of a schema counts, too.
    Difference {
        parser: "step3",
        text: "Let me look.<｜tool_calls_begin｜>\n<｜tool_call_begin｜>function<｜tool_sep｜><steptml:invoke name=\"search\">\n<steptml:parameter name=\"query\">café 😀</steptml:parameter>\n<steptml:parameter name=\"limit\">5</steptml:parameter>\n</steptml:invoke><｜tool_call_end｜>\n<｜tool_calls_end｜>",
        normal_text: "Let me look.",
        calls: &[("search", "{\"query\": \"café 😀\", \"limit\": 5}")],
    },
    Difference {
        parser: "step3",
        text: "<｜tool_calls_begin｜>\n<｜tool_call_begin｜>function<｜tool_sep｜><steptml:invoke name=\"search\">\n<steptml:parameter name=\"other\">[1, 2]</steptml:parameter>\n<steptml:parameter name=\"limit\">null</steptml:parameter>\n</steptml:invoke><｜tool_call_end｜>\n<｜tool_calls_end｜>",
        normal_text: "",
        calls: &[("search", "{\"other\": \"[1, 2]\", \"limit\": null}")],
    },
    // Arguments are always an object.
    Difference {
        parser: "qwen25",
        text: "<tool_call>\n{\"name\":\"search\",\"arguments\":\"text\"}\n</tool_call>",
        normal_text: "",
        calls: &[],
    },
    Difference {
        parser: "hermes",
        text: "<tool_call>{\"name\":\"search\",\"arguments\":\"text\"}</tool_call>",
        normal_text: "",
        calls: &[],
    },
    Difference {
        parser: "spark25",
        text: "<tool_call>search\n<arg_key>other</arg_key><arg_value>plain text</arg_value>\n<arg_key>limit</arg_key><arg_value>5</arg_value>\n</tool_call>",
        normal_text: "",
        calls: &[("search", "{\"other\": \"plain text\", \"limit\": 5}")],
    },
];

#[test]
fn whole_texts_give_the_calls_and_the_text_of_the_reference() {
    let fixture = tool_fixture();
    let mut wrong = Vec::new();
    for case in &fixture.cases {
        if DIFFERENCES.iter().any(|d| d.parser == case.parser && d.text == case.text) {
            continue;
        }
        let parser = ToolParser::by_name(&case.parser).unwrap();
        let parsed = parser.parse(&case.text, &fixture.tools, ToolParserOptions::default());
        // Only Spark's reference parser writes no space after commas and colons.
        let value = |call: &ToolCallItem| {
            let arguments: serde_json::Value = serde_json::from_str(&call.parameters).unwrap();
            (call.tool_index, call.name.clone(), arguments)
        };
        let same = match case.parser.as_str() {
            "spark25" => parsed.calls.iter().map(value).eq(case.calls.iter().map(value)),
            _ => parsed.calls == case.calls,
        };
        if parsed.normal_text != case.normal_text || !same {
            wrong.push(format!("{case:#?}\nhere: {parsed:#?}"));
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), fixture.cases.len(), wrong.join("\n"));
    assert!(fixture.cases.len() - DIFFERENCES.len() > 340);
}

#[test]
fn the_intended_differences_from_the_reference_are_these() {
    let fixture = tool_fixture();
    for difference in DIFFERENCES {
        let case = fixture
            .cases
            .iter()
            .find(|c| c.parser == difference.parser && c.text == difference.text)
            .unwrap();
        let parser = ToolParser::by_name(difference.parser).unwrap();
        let parsed = parser.parse(difference.text, &fixture.tools, ToolParserOptions::default());
        let calls = call_list(&parsed);
        let calls: Vec<(&str, &str)> =
            calls.iter().map(|(name, args)| (name.as_str(), args.as_str())).collect();
        assert_eq!(parsed.normal_text, difference.normal_text, "{}", difference.text);
        assert_eq!(calls, difference.calls, "{}", difference.text);
        assert!(parsed.normal_text != case.normal_text || parsed.calls != case.calls, "{}", difference.text);
    }
}

#[test]
fn whole_texts_give_the_reasoning_of_the_reference() {
    let Fixture { cases, .. } = fixture::<ReasoningCase>("reasoning");
    let mut wrong = Vec::new();
    for case in &cases {
        let options = ReasoningOptions { force_reasoning: case.force_reasoning, ..Default::default() };
        let parsed = ReasoningParser::by_name(&case.parser).unwrap().parse(&case.text, &options);
        if (&parsed.reasoning, &parsed.normal) != (&case.reasoning, &case.normal) {
            wrong.push(format!("{case:#?}\nhere: {parsed:#?}"));
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
    assert!(cases.len() > 600);
}

#[test]
fn every_single_cut_gives_the_calls_and_the_text_of_the_whole() {
    let fixture = tool_fixture();
    for case in &fixture.cases {
        let parser = ToolParser::by_name(&case.parser).unwrap();
        let whole = parser.parse(&case.text, &fixture.tools, ToolParserOptions::default());
        for (cut, _) in case.text.char_indices() {
            let (before, after) = case.text.split_at(cut);
            let (text, calls) = stream_tools(parser, &fixture.tools, &[before, after]);
            assert_eq!(text, whole.normal_text, "{} cut at {cut}: {:?}", case.parser, case.text);
            assert_eq!(calls, call_list(&whole), "{} cut at {cut}: {:?}", case.parser, case.text);
        }
    }
}

#[test]
fn character_by_character_gives_the_calls_and_the_text_of_the_whole() {
    let fixture = tool_fixture();
    for case in &fixture.cases {
        let parser = ToolParser::by_name(&case.parser).unwrap();
        let whole = parser.parse(&case.text, &fixture.tools, ToolParserOptions::default());
        let pieces: Vec<String> = case.text.chars().map(String::from).collect();
        let pieces: Vec<&str> = pieces.iter().map(String::as_str).collect();
        let (text, calls) = stream_tools(parser, &fixture.tools, &pieces);
        assert_eq!((text, calls), (whole.normal_text.clone(), call_list(&whole)), "{}", case.text);
    }
}

#[test]
fn every_single_cut_gives_the_reasoning_of_the_whole() {
    let Fixture { cases, .. } = fixture::<ReasoningCase>("reasoning");
    for case in &cases {
        let parser = ReasoningParser::by_name(&case.parser).unwrap();
        for stream_it in [true, false] {
            let options = ReasoningOptions {
                force_reasoning: case.force_reasoning,
                stream_reasoning: stream_it,
                ..Default::default()
            };
            let whole = parser.parse(&case.text, &options);
            for (cut, _) in case.text.char_indices() {
                let (before, after) = case.text.split_at(cut);
                let streamed = stream_reasoning(parser, &options, &[before, after]);
                assert_eq!(streamed, whole, "{} cut at {cut}: {:?}", case.parser, case.text);
            }
        }
    }
}
