//! A mask allows exactly the tokens that would be accepted. Every token of a typical vocabulary is tried, at many
//! points of many grammars.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::sync::Arc;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::json;
use sglang_constrained::{
    CompiledGrammar, CompilerConfig, GrammarCompiler, GrammarSpec, TokenEnvironment, mask_allows,
};

/// Bytes, punctuation, and runs of every kind and length, with and without a punctuation character in front.
fn vocabulary() -> Vec<Vec<u8>> {
    let mut rng = StdRng::seed_from_u64(5);
    let mut words: Vec<Vec<u8>> = (0..=255u8).map(|byte| vec![byte]).collect();
    let mut random = |from: &[char], length: usize| -> String {
        (0..length).map(|_| from[rng.random_range(0..from.len())]).collect()
    };
    let chars = |range: std::ops::RangeInclusive<char>| range.collect::<Vec<char>>();
    let (lower, upper, digits) = (chars('a'..='z'), chars('A'..='Z'), chars('0'..='9'));
    let mixed: Vec<char> = lower.iter().chain(&upper).copied().collect();
    let (han, beyond) = (chars('一'..='丿'), vec!['é', 'ö', 'ж', '😀', 'あ', '’']);
    for prefix in ["", " ", "_"] {
        for length in (1..=14).chain([20]) {
            for _ in 0..4 {
                let title = random(&upper, 1) + &random(&lower, length - 1);
                for run in [random(&lower, length), title, random(&upper, length), random(&mixed, length)] {
                    words.push(format!("{prefix}{run}").into_bytes());
                }
                if length < 5 {
                    for from in [&digits, &han, &beyond] {
                        words.push(format!("{prefix}{}", random(from, length)).into_bytes());
                    }
                }
            }
        }
    }
    let marks = [
        "\"",
        "\",",
        "\": \"",
        "{\"",
        "\"}",
        "}}",
        "]",
        ", ",
        ": ",
        " = ",
        "();",
        "\n\n",
        "\\n",
        "a1",
        "x-",
        "</",
        "<tool",
        "tool_call>",
        "日",
        "ab\"",
        "é, a!",
        "世界\", \"",
        "a line of more than thirty plain characters",
    ];
    words.extend(marks.iter().map(|mark| mark.as_bytes().to_vec()));
    words.sort();
    words.dedup();
    words
}

fn grammars() -> Vec<(&'static str, GrammarSpec)> {
    let schema = |schema: serde_json::Value| GrammarSpec::JsonSchema(schema.to_string());
    let regex = |pattern: &str| GrammarSpec::Regex(pattern.into());
    let person = json!({"type": "object", "properties": {"name": {"type": "string", "maxLength": 12},
        "email": {"type": "string", "format": "email"}, "code": {"type": "string", "pattern": "^[A-Z]{2,5}[0-9]+$"},
        "kind": {"enum": ["Alpha", "alphabet", "beta"]}, "n": {"type": "integer"}}, "required": ["name", "email", "code", "kind"]});
    let tag = json!({"structures": [{"begin": "<tool_call>", "schema": person, "end": "</tool_call>"}],
        "triggers": ["<tool_call>"]});
    let sql = r#"root ::= "SELECT " list " FROM " name (" WHERE " name " = " value)? ";"
list ::= name (", " name)*
name ::= [a-z_]+
value ::= [0-9]+ | "'" [^']* "'""#;
    let nested = r#"root ::= expr
expr ::= term (" + " term)*
term ::= [a-z]+ | [0-9]{1,4} | "(" expr ")""#;
    vec![
        ("words and a date", regex(r"(\w+ ){3,20}\d{4}-\d{2}-\d{2}\.")),
        ("counted letters", regex("[a-z]{3,9}( [A-Z][a-z]{2,12})*")),
        ("anything", regex(".*")),
        ("anything but", regex("[^<>]{0,40}<end>")),
        ("han", regex("[一-丯]+|[а-я]+|[😀-😏]{1,3}")),
        ("words", regex("(yes|no|yesterday|nobody|maybe) *(Alpha|alphabet|ALPHA)+")),
        ("identifiers", regex(r"([A-Za-z_]\w*\.)*[A-Za-z_]\w*\(\)")),
        ("schema", schema(person)),
        ("any json", schema(json!({}))),
        (
            "pattern",
            schema(
                json!({"type": "array", "items": {"type": "string", "pattern": "^ ?[a-z]+$", "maxLength": 7}}),
            ),
        ),
        (
            "short strings",
            schema(json!({"type": "array", "minItems": 6, "items": {"type": "string", "maxLength": 3}})),
        ),
        (
            "strings of a length",
            schema(
                json!({"type": "array", "minItems": 6, "items": {"type": "string", "minLength": 9, "maxLength": 9}}),
            ),
        ),
        ("strings of some lengths", schema(json!({"enum": ["ab", "é, a!", "another"], "type": "string"}))),
        ("text that may go on behind its length", regex(r#"([^"\\\x00-\x1f\x7f]{4}|[a-z]{7})(","[^"]{2})*"#)),
        ("a line", schema(json!({"type": "string", "maxLength": 44}))),
        ("tags", GrammarSpec::StructuralTag(tag.to_string())),
        ("sql", GrammarSpec::Ebnf(sql.into())),
        ("recursion", GrammarSpec::Ebnf(nested.into())),
    ]
}

/// Follows the masks at random and compares each with what is accepted.
fn follow(grammar: &Arc<CompiledGrammar>, size: u32, rng: &mut StdRng, name: &str) {
    let mut matcher = grammar.matcher();
    let mut mask = vec![0; grammar.environment().mask_words()];
    for step in 0..14 {
        matcher.fill_mask(&mut mask).unwrap();
        let allowed: Vec<u32> = (0..size).filter(|&id| mask_allows(&mask, id)).collect();
        for id in 0..size {
            let accepted = matcher.accept(id).is_ok();
            if accepted {
                matcher.rollback(1).unwrap();
            }
            assert_eq!(mask_allows(&mask, id), accepted, "{name}: token {id} at step {step}");
        }
        let id = allowed[rng.random_range(0..allowed.len())];
        matcher.accept(id).unwrap();
        if matcher.is_terminated() {
            break;
        }
    }
}

#[test]
fn a_mask_holds_exactly_the_tokens_that_are_accepted() {
    let words = vocabulary();
    let (eos, size) = (words.len() as u32, words.len() + 1);
    let vocab = words.into_iter().enumerate().map(|(id, word)| (id as u32, word, false));
    let special = [(eos, b"</s>".to_vec(), true)];
    let env = TokenEnvironment::new(vocab.chain(special), size, &[eos]).unwrap();
    let compiler = GrammarCompiler::new(env, CompilerConfig::default()).unwrap();
    let mut rng = StdRng::seed_from_u64(11);
    for (name, spec) in grammars() {
        let grammar = compiler.compile(spec).wait().unwrap_or_else(|e| panic!("{name}: {e}"));
        for _ in 0..4 {
            follow(&grammar, size as u32, &mut rng, name);
        }
    }
}
