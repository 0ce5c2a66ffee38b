//! The compiler: error messages, limits, the cache, and hostile grammars.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use common::{accepts, allowed, compile, compiler};
use serde_json::json;
use sglang_constrained::{GrammarError, GrammarSpec, MatchError};

fn regex(pattern: &str) -> GrammarSpec {
    GrammarSpec::Regex(pattern.into())
}

#[test]
fn refusals_name_the_language_and_the_place() {
    let tag = |value: serde_json::Value| GrammarSpec::StructuralTag(value.to_string());
    let cases = [
        (
            GrammarSpec::JsonSchema("{not json".into()),
            "Failed to compile json grammar: Expecting property name enclosed in double quotes: line 1 column 2 (char 1)",
        ),
        (
            GrammarSpec::JsonSchema(json!({"items": {"$ref": "#/$defs/none"}}).to_string()),
            "Failed to compile json grammar: JSON Schema at #/items/$ref: Pointer '/$defs/none' does not exist",
        ),
        (regex("a(b"), "Failed to compile regex grammar: Regex parsing error at position 2: unclosed group"),
        (
            GrammarSpec::Ebnf("root ::= (((".into()),
            "Failed to compile ebnf grammar: EBNF parser error at line 1, column 13: Expect element, but got end of input",
        ),
        (
            GrammarSpec::StructuralTag("[1".into()),
            "Failed to compile structural_tag grammar: Expecting ',' delimiter: line 1 column 3 (char 2)",
        ),
        (
            tag(json!({"structures": [{"begin": "<a>", "end": "</a>"}], "triggers": ["["]})),
            "Failed to compile structural_tag grammar: at /structures/0/begin: it does not start with any of the triggers",
        ),
        (
            tag(json!({"format": {"type": "sequence", "elements": [{"type": "qwen"}]}})),
            "Failed to compile structural_tag grammar: at /format/elements/0/type: the format \"qwen\" is not supported",
        ),
        (
            tag(json!({"format": {"type": "tag", "begin": 1, "content": {"type": "any_text"}, "end": ""}})),
            "Failed to compile structural_tag grammar: at /format/begin: expected a string or a token format, got a number",
        ),
        (
            tag(json!({"format": {"type": "token", "token": "<nope>"}})),
            "Failed to compile structural_tag grammar: \"<nope>\" is not a special token of the model",
        ),
        (
            tag(json!({"format": {"type": "sequence", "elements": [{"type": "regex", "pattern": "ab("}]}})),
            "Failed to compile structural_tag grammar: at /format/elements/0/pattern: Regex parsing error at position 3: unclosed group",
        ),
        (
            tag(json!({"format": {"type": "grammar", "grammar": "root ::= x"}})),
            "Failed to compile structural_tag grammar: at /format/grammar: EBNF parser error at line 1, column 10: Rule \"x\" is not defined",
        ),
        (
            GrammarSpec::JsonSchema(json!({"properties": {"a": {"type": "thing"}}}).to_string()),
            "Failed to compile json grammar: JSON Schema at #/properties/a/type: Invalid type: thing",
        ),
        (regex("a\0"), "Failed to compile regex grammar: Invalid regex: NUL bytes (\\u0000) are not allowed"),
    ];
    for (spec, message) in cases {
        assert_eq!(compile(spec).unwrap_err().to_string(), message);
    }
}

#[test]
fn equal_grammars_are_compiled_once_and_refusals_are_remembered() {
    let compiler = compiler(|c| c.cache_entries = 2);
    let first = compiler.compile(regex("ab")).wait().unwrap();
    let again = compiler.compile(regex("ab")).poll().expect("a remembered grammar is there at once").unwrap();
    assert!(Arc::ptr_eq(&first, &again));
    let refused = compiler.compile(regex("(")).wait().unwrap_err();
    assert_eq!(compiler.cached(&regex("(")).unwrap().unwrap_err(), refused);
    compiler.compile(regex("cd")).wait().unwrap();
    assert!(compiler.cached(&regex("ab")).is_none(), "the one used longest ago made room");
    let stats = compiler.stats();
    assert_eq!((stats.hits, stats.misses, stats.cached, stats.in_flight), (1, 3, 2, 0));
    compiler.clear();
    assert!(compiler.cached(&regex("cd")).is_none());
    assert!(accepts(&first, "ab"), "a request keeps its grammar");
}

#[test]
fn every_waiter_is_answered_exactly_once() {
    let compiler = compiler(|_| {});
    let answers = Arc::new(AtomicUsize::new(0));
    let (sender, receiver) = std::sync::mpsc::channel();
    for _ in 0..50 {
        let (answers, sender) = (Arc::clone(&answers), sender.clone());
        compiler.compile_with(regex("[a-z]{1,40}x"), move |result| {
            assert!(result.is_ok());
            answers.fetch_add(1, Ordering::SeqCst);
            let _ = sender.send(());
        });
    }
    (0..50).for_each(|_| receiver.recv_timeout(Duration::from_secs(20)).unwrap());
    assert_eq!(answers.load(Ordering::SeqCst), 50);
}

/// A schema that takes long to compile: many strings with length limits under many names.
fn slow() -> GrammarSpec {
    let properties: serde_json::Map<String, serde_json::Value> = (0..3000)
        .map(|i| {
            (
                format!("property_{i}"),
                json!({"type": "string", "pattern": format!("^[a-f]{{1,{}}}x$", i + 1)}),
            )
        })
        .collect();
    GrammarSpec::JsonSchema(json!({"type": "object", "properties": properties}).to_string())
}

#[test]
fn a_grammar_that_takes_too_long_is_refused_and_others_go_on() {
    let compiler = compiler(|c| {
        c.workers = 1;
        c.timeout = Duration::from_millis(30);
        c.lexer_fuel = u64::MAX;
        c.max_grammar_symbols = usize::MAX;
    });
    let started = Instant::now();
    let error = compiler.compile(slow()).wait().unwrap_err();
    assert!(matches!(error, GrammarError::TimedOut { .. }), "{error}");
    assert_eq!(
        error.to_string(),
        "Failed to compile json grammar: Grammar preprocessing timed out after 30 ms"
    );
    assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
    let deadline = Instant::now() + Duration::from_secs(20);
    while compiler.compile(regex("quick")).wait().is_err() {
        assert!(Instant::now() < deadline, "the compiler is still blocked");
        compiler.clear();
    }
    assert_eq!(compiler.stats().timeouts.min(1), 1);
}

#[test]
fn a_full_queue_and_a_long_text_are_refused_at_once() {
    let busy = compiler(|c| {
        c.workers = 1;
        c.max_waiting = 1;
    });
    let handles: Vec<_> = (0..40).map(|i| busy.compile(regex(&format!("[a-z]{{1,{}}}", 100 + i)))).collect();
    let refused = handles.into_iter().map(|h| h.wait()).filter_map(Result::err);
    let refused: Vec<GrammarError> = refused.collect();
    assert!(!refused.is_empty());
    assert!(refused.iter().all(|e| matches!(e, GrammarError::Busy { waiting: 1, .. })), "{refused:?}");
    let small = compiler(|c| c.max_bytes = 10);
    let error = small.compile(regex("aaaaaaaaaaaa")).poll().unwrap().unwrap_err();
    assert_eq!(
        error.to_string(),
        "Failed to compile regex grammar: the grammar has 12 bytes, at most 10 are allowed"
    );
}

#[test]
fn a_closed_compiler_answers_what_waits() {
    let closing = compiler(|c| c.workers = 1);
    let handles: Vec<_> =
        (0..20).map(|i| closing.compile(regex(&format!("[a-z]{{1,{}}}", 300 + i)))).collect();
    drop(closing);
    for handle in handles {
        match handle.wait() {
            Ok(_) | Err(GrammarError::Closed { .. }) => {}
            Err(other) => panic!("{other}"),
        }
    }
}

#[test]
fn grammars_made_to_hurt_are_refused_or_compiled_but_never_fatal() {
    let compiler = compiler(|c| c.timeout = Duration::from_secs(60));
    let nested = |open: &str, close: &str, n: usize| format!("{}a{}", open.repeat(n), close.repeat(n));
    let chain: String = (0..3000).map(|i| format!("r{i} ::= \"a\" r{} \"b\"\n", i + 1)).collect();
    let regular: String = (0..3000).map(|i| format!("r{i} ::= \"a\" r{}\n", i + 1)).collect();
    let deep_schema = format!("{}true{}", "{\"items\":".repeat(120), "}".repeat(120));
    let specs = [
        regex("((((a{1000}){1000}){1000}){1000})"),
        regex(&nested("(", ")", 240)),
        regex(&nested("(", ")", 20_000)),
        regex(&"(a|b)".repeat(20_000)),
        regex(&(0..5000).map(|i| format!("w{i}")).collect::<Vec<_>>().join("|")),
        regex("(.*a){30}(.*b){30}"),
        regex("(a?){500}a{500}"),
        regex(r"\p{L}{1,3000}"),
        GrammarSpec::Ebnf(format!("root ::= r0\n{chain}r3000 ::= \"x\"")),
        GrammarSpec::Ebnf(format!("root ::= r0\n{regular}r3000 ::= \"x\"")),
        GrammarSpec::Ebnf("root ::= root root | \"a\" | \"\"".into()),
        GrammarSpec::Ebnf("root ::= root".into()),
        GrammarSpec::Ebnf("root ::= (\"a\"*)* (\"a\"*)* | ((\"a\" root \"b\")*)*".into()),
        GrammarSpec::Ebnf("root ::= ((\"a\" | root){1000}){1000}".into()),
        GrammarSpec::JsonSchema(deep_schema),
        GrammarSpec::JsonSchema("{\"items\":".repeat(100_000)),
        GrammarSpec::JsonSchema(json!({"$ref": "#"}).to_string()),
        GrammarSpec::JsonSchema(
            json!({"allOf": [{"$ref": "#/$defs/a"}], "$defs": {"a": {"$ref": "#"}}}).to_string(),
        ),
        GrammarSpec::JsonSchema(json!({"type": "string", "minLength": 1_000_000}).to_string()),
        GrammarSpec::JsonSchema(json!({"type": "array", "minItems": 100_000_000}).to_string()),
        GrammarSpec::JsonSchema(
            json!({"enum": (0..20_000).map(|i| format!("value {i}")).collect::<Vec<_>>()}).to_string(),
        ),
        slow(),
    ];
    for spec in specs {
        let shown: String = spec.text().chars().take(60).collect();
        let started = Instant::now();
        match compiler.compile(spec).wait() {
            Ok(grammar) => {
                let mut matcher = grammar.matcher();
                let ids = allowed(&mut matcher);
                assert!(!ids.is_empty(), "{shown}");
            }
            Err(error) => assert!(error.to_string().starts_with("Failed to compile "), "{error}"),
        }
        assert!(started.elapsed() < Duration::from_secs(30), "{shown}: {:?}", started.elapsed());
    }
    assert!(accepts(&compiler.compile(regex("still here")).wait().unwrap(), "still here"));
}

#[test]
fn a_mask_that_needs_too_much_work_fails_for_its_request_alone() {
    let compiler = compiler(|c| {
        c.mask_lexer_fuel = 2_000;
        c.mask_parser_items = 200;
    });
    let grammar = compiler.compile(regex("a|.*(x|y)[a-z]{200}(.*b){20}")).wait().unwrap();
    let mut matcher = grammar.matcher();
    let mut mask = vec![0; grammar.environment().mask_words()];
    let failed = (0..500)
        .find_map(|_| matcher.accept(b'x'.into()).err().or_else(|| matcher.fill_mask(&mut mask).err()));
    assert!(matches!(failed, Some(MatchError::Parser(_))), "{failed:?}");
    assert!(matches!(matcher.accept(b'x'.into()), Err(MatchError::Parser(_))), "it stays failed");
    drop(matcher);
    assert!(!allowed(&mut grammar.matcher()).is_empty(), "the next request is not touched");
}
