use super::*;

fn parse(name: &str, text: &str) -> (String, String) {
    let out = ReasoningParser::by_name(name).unwrap().parse(text, &ReasoningOptions::default());
    (out.reasoning, out.normal)
}

fn pair(reasoning: &str, normal: &str) -> (String, String) {
    (reasoning.to_owned(), normal.to_owned())
}

#[test]
fn a_forced_parser_starts_inside_the_thinking_and_trims_nothing() {
    assert_eq!(parse("deepseek-r1", "a\n</think>\n\nb"), pair("a\n", "\n\nb"));
    assert_eq!(parse("deepseek-r1", "<think>\na</think>b</think>"), pair("\na", "b</think>"));
    assert_eq!(parse("step3", "never closed </thin"), pair("never closed </thin", ""));
    assert_eq!(parse("minimax", "a</think>b"), pair("a", "b"));
}

#[test]
fn an_unforced_parser_takes_untagged_text_as_text() {
    assert_eq!(parse("qwen3", "plain"), pair("", "plain"));
    assert_eq!(parse("qwen3", "<think>a</think>b"), pair("a", "b"));
    assert_eq!(parse("kimi", "◁think▷a◁/think▷b"), pair("a", "b"));
}

#[test]
fn a_forgotten_end_tag_is_mended_by_a_tool_call_but_a_mentioned_tool_tag_stays_thinking() {
    assert_eq!(parse("qwen3", "<think>a\n<tool_call>\n{}"), pair("a\n", "<tool_call>\n{}"));
    assert_eq!(parse("glm45", "<think>use <tool_call> here</think>b"), pair("use <tool_call> here", "b"));
}

#[test]
fn options_decide_where_an_answer_starts() {
    let qwen3 = ReasoningParser::by_name("Qwen3").unwrap();
    let forced = ReasoningOptions { force_reasoning: Some(true), ..Default::default() };
    assert_eq!(qwen3.parse("a</think>b", &forced).reasoning, "a");
    let resumed = ReasoningOptions { previous_content: "<think>x".into(), ..Default::default() };
    assert_eq!(qwen3.parse("a</think>b", &resumed).normal, "b");
    let over = ReasoningOptions { previous_content: "x</think>".into(), ..forced };
    assert_eq!(qwen3.parse("ab", &over).normal, "ab");
    assert!(qwen3.reasoning_default().enabled(None) && !qwen3.reasoning_default().enabled(Some(false)));
}

#[test]
fn without_stream_reasoning_thinking_comes_in_one_piece() {
    let parser = ReasoningParser::by_name("deepseek-r1").unwrap();
    let mut stream = parser.stream(&ReasoningOptions { stream_reasoning: false, ..Default::default() });
    assert_eq!(stream.push("abc"), Delta::default());
    let delta = stream.push("d</think>e");
    assert_eq!((delta.reasoning.as_str(), delta.normal.as_str()), ("abcd", "e"));
    let mut cut_off = parser.stream(&ReasoningOptions { stream_reasoning: false, ..Default::default() });
    assert_eq!(cut_off.push("abc"), Delta::default());
    assert_eq!(cut_off.finish().reasoning, "abc");
}

#[test]
fn force_nonempty_content_turns_an_answer_that_is_all_thinking_into_text() {
    let parser = ReasoningParser::by_name("deepseek-r1").unwrap();
    let options = ReasoningOptions { force_nonempty_content: true, ..Default::default() };
    assert_eq!(parser.parse("abc", &options).normal, "abc");
    let mut stream = parser.stream(&options);
    assert_eq!(stream.push("abc").reasoning, "abc");
    assert_eq!(stream.finish().normal, "abc");
}

#[test]
fn gpt_oss_reads_channels_and_the_bare_form() {
    let text =
        "<|channel|>analysis<|message|>hm<|end|><|start|>assistant<|channel|>final<|message|>Hi<|return|>";
    assert_eq!(parse("gpt-oss", text), pair("hm", "Hi"));
    assert_eq!(
        parse("gpt-oss", "analysis I think. assistantfinal The answer"),
        pair("I think.", "The answer")
    );
    assert_eq!(parse("gpt-oss", "assistantfinal  x "), pair("", "x"));
    assert_eq!(parse("gpt-oss", "Just text."), pair("", "Just text."));
    assert_eq!(parse("gpt-oss", "ana"), pair("", "ana"));
}

#[test]
fn a_gpt_oss_call_reaches_the_tool_parser_as_it_was_written() {
    let call =
        "<|start|>assistant<|channel|>commentary to=functions.f <|constrain|>json<|message|>{}<|call|>";
    let text = format!("<|channel|>analysis<|message|>hm<|end|>{call}");
    assert_eq!(parse("gpt-oss", &text), pair("hm", call));
}

#[test]
fn append_think_puts_the_tag_of_the_prompt_back() {
    assert_eq!(parse("minimax-append-think", "a</think>b"), pair("", "<think>a</think>b"));
}

#[test]
fn an_unknown_name_is_no_parser() {
    assert!(ReasoningParser::by_name("nope").is_none());
    assert!(ReasoningParser::names().all(|name| ReasoningParser::by_name(name).is_some()));
}
