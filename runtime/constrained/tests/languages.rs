//! Regular expressions, EBNF and structural tags accept what they should, and nothing else.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use common::{EOS, TOOL, accepts, accepts_tokens, allowed, compile, ids};
use serde_json::json;
use sglang_constrained::GrammarSpec;

#[track_caller]
fn check(spec: GrammarSpec, good: &[&str], bad: &[&str]) {
    let grammar = compile(spec.clone()).unwrap();
    for text in good {
        assert!(accepts(&grammar, text), "{spec:?} must accept {text:?}");
    }
    for text in bad {
        assert!(!accepts(&grammar, text), "{spec:?} must refuse {text:?}");
    }
}

fn regex(pattern: &str) -> GrammarSpec {
    GrammarSpec::Regex(pattern.into())
}

fn ebnf(text: &str) -> GrammarSpec {
    GrammarSpec::Ebnf(text.into())
}

fn tag(value: serde_json::Value) -> GrammarSpec {
    GrammarSpec::StructuralTag(value.to_string())
}

#[test]
fn regular_expressions_match_the_whole_output() {
    check(regex("(Paris|Rome)"), &["Paris", "Rome"], &["Par", "Paris!", "", "ParisRome"]);
    check(regex(r"^\d{3}-\w+$"), &["123-a_1"], &["12-a", "123-", "٣٣٣-a"]);
    check(regex("a/b\\/c"), &["a/b/c"], &["a/b"]);
    check(regex("[^x]*"), &["", "é\n日"], &["axb"]);
    check(regex("(?i)abc"), &["aBc"], &["abd"]);
    check(regex("a.c"), &["abc", "a\nc"], &["ac"]);
    check(regex("^$"), &[""], &["a"]);
    check(regex("a{2,3}b?"), &["aa", "aaab"], &["a", "aaaa"]);
}

#[test]
fn ebnf_of_one_terminal() {
    check(ebnf("root ::= \"cat\" | \"dog\""), &["cat", "dog"], &["ca", "catdog", ""]);
    check(ebnf("root ::= [a-z]+ \"abc\" [0-9]{2,}"), &["xabc12", "abcabc123"], &["abc12", "xabc1"]);
    check(ebnf("root ::= \"\\x41\\u00e9\\n\\\"\""), &["Aé\n\""], &["Aé"]);
    check(ebnf("root ::= [^\\n\\]a-c]? \"-\""), &["-", "x-", "é-"], &["a-", "]-", "\n-"]);
    check(
        ebnf("root ::= \"a\"{0} \"b\"{2}\n  | () \"c\"{1,2} # end"),
        &["bb", "c", "cc"],
        &["a", "b", "ccc"],
    );
    check(ebnf("root ::= \"a\" (= \"b\")"), &["a"], &["ab"]);
}

#[test]
fn ebnf_with_recursion() {
    let arithmetic =
        "root ::= expr\nexpr ::= term (op term)*\nop ::= [-+*/]\nterm ::= [0-9]+ | \"(\" expr \")\"";
    check(ebnf(arithmetic), &["1", "12+(3*4)-5", "((7))"], &["", "1+", "(1", "1)"]);
    let json = r#"root ::= ws value ws
value ::= object | array | string | number | "true" | "false" | "null"
object ::= "{" ws (string ws ":" ws value (ws "," ws string ws ":" ws value)*)? ws "}"
array ::= "[" ws (value (ws "," ws value)*)? ws "]"
string ::= "\"" ([^"\\\x00-\x1f] | "\\" ["\\/bfnrt])* "\""
number ::= "-"? ("0" | [1-9] [0-9]*) ("." [0-9]+)?
ws ::= [ \t\n]*"#;
    check(
        ebnf(json),
        &["{}", " [1, 2.5, {\"a\\n\": [true, null]}] ", "\"x\"", "-0.5"],
        &["{,}", "[1,]", "01", "{\"a\"}", "[1"],
    );
}

#[test]
fn ebnf_written_by_recursion_instead_of_repetition() {
    check(ebnf("root ::= \"a\" root | \"b\""), &["b", "aaab"], &["a", "ba", "bb"]);
    check(ebnf("root ::= item | root \",\" item\nitem ::= [a-z]+"), &["a", "ab,c"], &["", "a,", ",a"]);
    let string = "root ::= [\"] rest\nrest ::= \"\\\"\" | [^\"\\\\] rest | \"\\\\\" [nt\"] rest";
    check(ebnf(string), &["\"\"", "\"a\\n\\\"b\""], &["\"", "\"\\x\"", "\"a\"b"]);
    let mutual = "root ::= \"(\" list \")\"\nlist ::= \"\" | root list";
    check(ebnf(mutual), &["()", "(()())"], &["", "(", "())"]);
}

#[test]
fn legacy_structural_tags_bring_the_text_under_a_schema() {
    let schema = json!({"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]});
    let spec = tag(json!({
        "type": "structural_tag",
        "structures": [
            {"begin": "<f=one>", "schema": schema, "end": "</f>"},
            {"begin": "<f=two>", "schema": null, "end": "</f>"},
        ],
        "triggers": ["<f="],
    }));
    check(
        spec,
        &[
            "",
            "plain text",
            "a < b",
            "x<f=one>{\"a\": 1}</f> y",
            "<f=two>[1]</f><f=one>{\"a\":2}</f>",
            "tail <f",
        ],
        &["<f=", "<f=three>{}</f>", "<f=one>{}</f>", "<f=one>{\"a\": 1}", "x<f=one>{\"a\": \"b\"}</f>"],
    );
}

#[test]
fn triggered_tags_may_be_required_and_may_be_the_end() {
    let format = |at_least_one: bool, stop_after_first: bool| {
        tag(json!({"type": "structural_tag", "format": {
            "type": "triggered_tags", "triggers": ["<"],
            "tags": [{"begin": "<a>", "content": {"type": "regex", "pattern": "[0-9]"}, "end": "</a>"}],
            "at_least_one": at_least_one, "stop_after_first": stop_after_first,
        }}))
    };
    check(format(false, false), &["", "x", "x<a>1</a>y<a>2</a>"], &["<", "<a>x</a>"]);
    check(format(true, false), &["<a>1</a>", "<a>1</a>y<a>2</a>"], &["", "x<a>1</a>"]);
    check(format(false, true), &["", "x", "x<a>1</a>"], &["x<a>1</a>y"]);
    check(format(true, true), &["<a>1</a>"], &["", "<a>1</a>y", "x<a>1</a>"]);
}

#[test]
fn format_trees_combine() {
    let thinking = tag(json!({"type": "structural_tag", "format": {"type": "sequence", "elements": [
        {"type": "tag", "begin": "<think>", "content": {"type": "any_text"}, "end": "</think>"},
        {"type": "const_string", "value": "\n"},
        {"type": "or", "elements": [
            {"type": "json_schema", "json_schema": {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}},
            {"type": "const_string", "value": "none"},
        ]},
    ]}}));
    check(
        thinking,
        &["<think>so < so\n</think>\n{\"n\": 4}", "<think></think>\nnone"],
        &["<think>x", "<think>x</think>{\"n\": 4}", "<think>x</think>\n{}", "<think>a</think>\nnone!"],
    );
    let list = tag(json!({"type": "structural_tag", "format": {
        "type": "tags_with_separator", "separator": ",", "at_least_one": true,
        "tags": [{"type": "tag", "begin": "[", "content": {"type": "any_text", "excludes": ["!"]}, "end": ["]", ")"]}],
    }}));
    check(list, &["[a]", "[a),[b]"], &["", "[a],", "[a!]", "[a]x"]);
    let repeated = tag(json!({"type": "structural_tag", "format": {
        "type": "repeat", "min": 1, "max": 2, "content": {"type": "grammar", "grammar": "root ::= \"a\" | \"(\" root \")\""},
    }}));
    check(repeated, &["a", "(a)a"], &["", "aaa", "(a"]);
    for (kind, good, bad) in [
        ("star", vec!["", "xx"], vec!["y"]),
        ("plus", vec!["x", "xx"], vec![""]),
        ("optional", vec!["", "x"], vec!["xx"]),
    ] {
        let content = json!({"type": "const_string", "value": "x"});
        check(tag(json!({"format": {"type": kind, "content": content}})), &good, &bad);
    }
    let inner = tag(json!({"format": {"type": "tag", "begin": "(", "end": ")", "content": {
        "type": "triggered_tags", "triggers": ["<"],
        "tags": [{"begin": "<a>", "content": {"type": "const_string", "value": "1"}, "end": ""}],
    }}}));
    check(inner, &["()", "(text)", "(x<a>1y<a>1)"], &["(", "(<)", "(x<a>2)", "(x))"]);
}

#[test]
fn special_tokens_stand_for_their_names_in_tags_only() {
    let spec =
        tag(json!({"structures": [{"begin": "<|tool|>a", "schema": {"type": "integer"}, "end": "<|tool|>"}],
        "triggers": ["<|tool|>"]}));
    let grammar = compile(spec).unwrap();
    let call =
        |opening: &[u32], closing: &[u32]| [&ids("hi "), opening, &ids("a7"), closing, &ids(" ok")].concat();
    assert!(accepts_tokens(&grammar, &call(&[TOOL], &[TOOL])));
    assert!(accepts_tokens(&grammar, &call(&ids("<|tool|>"), &[TOOL])));
    assert!(accepts_tokens(&grammar, &call(&[TOOL], &ids("<|tool|>"))));
    assert!(!accepts_tokens(&grammar, &[&[TOOL][..], &ids("b")].concat()));
    let free = compile(regex("(?s).*")).unwrap();
    let mut matcher = free.matcher();
    assert!(!allowed(&mut matcher).contains(&TOOL), "text is never a special token");
    let token = tag(json!({"format": {"type": "tag", "begin": {"type": "token", "token": "<|tool|>"},
        "content": {"type": "any_text"}, "end": {"type": "token", "token": TOOL}}}));
    let grammar = compile(token).unwrap();
    assert!(accepts_tokens(&grammar, &[&[TOOL][..], &ids("x"), &[TOOL]].concat()));
    assert!(!accepts(&grammar, "<|tool|>x<|tool|>"), "a token is not its text");
}

#[test]
fn the_end_is_allowed_exactly_where_the_grammar_can_end() {
    let grammar = compile(regex("ab?")).unwrap();
    let mut matcher = grammar.matcher();
    assert_eq!(allowed(&mut matcher), [u32::from(b'a')]);
    matcher.accept(b'a'.into()).unwrap();
    assert_eq!(allowed(&mut matcher), [u32::from(b'b'), EOS]);
    matcher.accept(b'b'.into()).unwrap();
    assert_eq!(allowed(&mut matcher), [EOS], "nothing but the end is left");
    assert!(!matcher.is_terminated() && matcher.can_end());
    matcher.accept(EOS).unwrap();
    assert!(matcher.is_terminated());
}
