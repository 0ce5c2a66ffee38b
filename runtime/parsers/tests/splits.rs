//! However a text is cut, its pieces add up to the whole. The texts combine the formats' own parts in any order,
//! complete or not.

mod common;

use common::{call_list, stream_reasoning, stream_tools, tool_fixture};
use proptest::prelude::*;
use sglang_parsers::{ReasoningOptions, ReasoningParser, ToolParser, ToolParserOptions};

/// Parts of every format, and text that looks like them.
const PARTS: &[&str] = &[
    "<tool_call>",
    "<tool_call>\n",
    "\n</tool_call>",
    "</tool_call>",
    "<|python_tag|>",
    ";",
    " ",
    "\n",
    "word",
    "[TOOL_CALLS]",
    "[TOOL_CALLS] [",
    "[ARGS]",
    "]",
    "[",
    "{",
    "}",
    "{}",
    ",",
    "search",
    "get_weather",
    "nope",
    "{\"name\": \"search\", \"arguments\": {\"query\": \"a\\u00e9\"}}",
    "{\"name\":\"get_weather\",\"parameters\":{\"days\":1.50}}",
    "{\"name\": \"nope\", \"arguments\": {}}",
    "{\"arguments\": [1, {\"a\": null}], \"name\": \"search\"}",
    "{\"name\": \"search\", ",
    "{'name': 'search', 'parameters': {'query': True}}",
    "\"query\": \"x",
    "\\",
    "\"",
    "'",
    "[search(query='a, b')]",
    "[get_weather(days=-1), search()]",
    "search(",
    "<|python_start|>",
    "<|python_end|>",
    "<｜tool▁calls▁begin｜>",
    "<｜tool▁call▁begin｜>",
    "function",
    "<｜tool▁sep｜>",
    "\n```json\n",
    "\n```",
    "<｜tool▁call▁end｜>",
    "<｜tool▁calls▁end｜>",
    "<function=",
    "<function=search>",
    "</function>",
    "<parameter=query>",
    "<parameter=",
    "</parameter>",
    ">",
    "search\n",
    "<arg_key>",
    "query",
    "</arg_key>",
    "<arg_value>",
    "[1, 2]",
    "</arg_value>",
    "\\n",
    "<|tool_calls_section_begin|>",
    "<|tool_call_begin|>",
    "functions.search:0",
    "7",
    "<|tool_call_argument_begin|>",
    "{\"query\":\"x\"}",
    "<|tool_call_end|>",
    "<|tool_calls_section_end|>",
    "<|start|>",
    "assistant",
    "<|channel|>",
    "analysis",
    "commentary",
    "commentary to=functions.search ",
    "final",
    "<|constrain|>",
    "json",
    "<|message|>",
    "<|end|>",
    "<|call|>",
    "<|return|>",
    "assistantfinal",
    "<minimax:tool_call>",
    "</minimax:tool_call>",
    "<invoke name=\"search\">",
    "<invoke name=\"",
    "</invoke>",
    "<parameter name=\"query\">",
    "<dots_function_call>",
    "</dots_function_call>",
    "<｜tool_calls_begin｜>",
    "<｜tool_call_begin｜>function<｜tool_sep｜>",
    "<steptml:invoke name=\"search\">",
    "<steptml:parameter name=\"limit\">",
    "</steptml:parameter>",
    "</steptml:invoke>",
    "<｜tool_calls_end｜>",
    "<｜DSML｜function_calls>",
    "<｜DSML｜tool_calls>",
    "<｜DSML｜invoke name=\"search\">",
    "<｜DSML｜invoke name=\"search\"/>",
    "<｜DSML｜parameter name=\"query\" string=\"true\">",
    "<｜DSML｜parameter name=\"limit\">",
    "</｜DSML｜parameter>",
    "</｜DSML｜invoke>",
    "</｜DSML｜function_calls>",
    "<｜GCML｜tool_calls>",
    "<｜GCML｜invoke name=\"get_weather\">",
    "<｜GCML｜parameter name=\"days\" string=\"false\">",
    "</｜GCML｜parameter>",
    "</｜GCML｜invoke>",
    "<tool_calls>",
    "<tool_sep>",
    "</tool_calls>",
    "<iquest_tool_call>",
    "</iquest_tool_call>",
    "<function name=\"search\">",
    "<param name=\"query\">",
    "<![CDATA[a]]>",
    "</param>",
    "<|action_start|> <|plugin|>",
    "<|action_end|>",
    "<|START_ACTION|>",
    "[{\"tool_call_id\": \"0\", \"tool_name\": \"search\", \"parameters\": {\"query\": \"x\"}}]",
    "<|END_ACTION|>",
    "<|function_call|>",
    "function call<|role_sep|>\n",
    "<|message_sep|>",
    "</s>",
    "<|tool_call_start|>",
    "<|tool_call_end|>",
    "&lt;&#65;",
    "[THINK]",
    "[/THINK]",
    "<think>",
    "</think>",
    "◁think▷",
    "◁/think▷",
    "<",
    "<|",
    "é",
    "😀",
    "NaN",
    "1e999",
];

fn text() -> impl Strategy<Value = String> {
    prop::collection::vec(prop::sample::select(PARTS), 0..24).prop_map(|parts| parts.concat())
}

/// Splits the text at the characters that `cuts` chooses.
fn pieces<'a>(text: &'a str, cuts: &[prop::sample::Index]) -> Vec<&'a str> {
    let bounds: Vec<usize> = text.char_indices().map(|(at, _)| at).chain([text.len()]).collect();
    let mut at: Vec<usize> = cuts.iter().map(|cut| bounds[cut.index(bounds.len())]).collect();
    at.extend([0, text.len()]);
    at.sort_unstable();
    at.windows(2).map(|pair| &text[pair[0]..pair[1]]).collect()
}

fn cuts() -> impl Strategy<Value = Vec<prop::sample::Index>> {
    prop::collection::vec(any::<prop::sample::Index>(), 0..12)
}

fn tool_parsers() -> Vec<ToolParser> {
    ToolParser::names().filter_map(ToolParser::by_name).chain([ToolParser::json_array()]).collect()
}

proptest! {
    #[test]
    fn tool_calls_do_not_depend_on_the_cuts(text in text(), cuts in cuts()) {
        let tools = tool_fixture().tools;
        for parser in tool_parsers() {
            let whole = parser.parse(&text, &tools, ToolParserOptions::default());
            let (streamed, calls) = stream_tools(parser, &tools, &pieces(&text, &cuts));
            prop_assert_eq!(&streamed, &whole.normal_text, "{}", parser.name());
            prop_assert_eq!(calls, call_list(&whole), "{}", parser.name());
        }
    }

    #[test]
    fn the_texts_of_the_goldens_do_not_depend_on_the_cuts(which in any::<prop::sample::Index>(), cuts in cuts()) {
        let fixture = tool_fixture();
        let case = which.get(&fixture.cases);
        let parser = ToolParser::by_name(&case.parser).unwrap();
        let whole = parser.parse(&case.text, &fixture.tools, ToolParserOptions::default());
        let (streamed, calls) = stream_tools(parser, &fixture.tools, &pieces(&case.text, &cuts));
        prop_assert_eq!(&streamed, &whole.normal_text);
        prop_assert_eq!(calls, call_list(&whole));
    }

    #[test]
    fn reasoning_does_not_depend_on_the_cuts(
        text in text(), cuts in cuts(), force in any::<Option<bool>>(), stream_it in any::<bool>(),
    ) {
        for parser in ReasoningParser::names().filter_map(ReasoningParser::by_name) {
            let options =
                ReasoningOptions { force_reasoning: force, stream_reasoning: stream_it, ..Default::default() };
            let whole = parser.parse(&text, &options);
            let streamed = stream_reasoning(parser, &options, &pieces(&text, &cuts));
            prop_assert_eq!(streamed, whole, "{}", parser.name());
        }
    }

    #[test]
    fn thinking_loses_no_character_but_its_end_tag(text in text()) {
        let text = format!("x{text}");
        let options = ReasoningOptions { force_reasoning: Some(true), ..Default::default() };
        for name in ["deepseek-r1", "qwen3", "glm45", "kimi_k2", "hunyuan", "mistral", "nemotron_3", "deepseek-v4", "ling3"] {
            let parser = ReasoningParser::by_name(name).unwrap();
            let parsed = parser.parse(&text, &options);
            let joined = [parsed.reasoning.clone() + &parsed.normal, parsed.reasoning + parser.think_end() + &parsed.normal];
            prop_assert!(joined.contains(&text), "{}: {:?}", name, joined);
        }
    }

    #[test]
    fn any_text_at_all_is_survived(text in ".{0,200}", cuts in cuts()) {
        let tools = tool_fixture().tools;
        for parser in tool_parsers() {
            stream_tools(parser, &tools, &pieces(&text, &cuts));
        }
    }
}
