//! How long a mask takes over a vocabulary of 49 152 tokens, and how long compiling takes.
//!
//! With `SGLANG_BENCH_TOKENIZER` naming a byte-level `tokenizer.json` its vocabulary is used, else a made-up one. Before
//! criterion's means the percentiles of the masks along a text are printed; the targets are p50 <= 50 us, p99 <= 1 ms.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use criterion::{BatchSize, Criterion};
use llguidance::token_bytes_from_tokenizer_json;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};
use sglang_constrained::{CompiledGrammar, CompilerConfig, GrammarCompiler, GrammarSpec, TokenEnvironment};

const VOCAB: usize = 49_152;
const EOS: u32 = 2;

/// A vocabulary of the usual make: bytes, words with and without a space, punctuation, numbers, white space.
fn made_up() -> Vec<Vec<u8>> {
    let mut rng = StdRng::seed_from_u64(7);
    let mut words: Vec<Vec<u8>> = vec![b"<|endoftext|>".to_vec(), b"<|start|>".to_vec(), b"<|end|>".to_vec()];
    words.extend((0..=255u8).map(|byte| vec![byte]));
    words.extend((2..40).map(|n| vec![b' '; n]));
    let marks = [",", ".", ":", "\"", "{", "}", "[", "]", "(", "\n", "\\", "/", "-", "_", "<", ">", "=", "'"];
    for a in marks {
        for b in marks {
            words.push(format!("{a}{b}").into_bytes());
            words.push(format!(" {a}{b}").into_bytes());
        }
    }
    words.extend((10..1000).map(|n| n.to_string().into_bytes()));
    let parts = [
        "an", "er", "in", "re", "on", "ti", "st", "ar", "en", "or", "al", "le", "qu", "sch", "pro", "ö", "的",
    ];
    while words.len() < VOCAB {
        let space = if rng.random_bool(0.5) { " " } else { "" };
        let body: String =
            (0..rng.random_range(1..5)).map(|_| parts[rng.random_range(0..parts.len())]).collect();
        words.push(format!("{space}{body}").into_bytes());
    }
    words.truncate(VOCAB);
    words
}

fn environment() -> TokenEnvironment {
    let words = match std::env::var("SGLANG_BENCH_TOKENIZER") {
        Ok(path) => {
            let text = std::fs::read_to_string(&path).expect("the tokenizer can be read");
            let json: Value = serde_json::from_str(&text).expect("the tokenizer is JSON");
            let words = token_bytes_from_tokenizer_json(&json).expect("the tokenizer is byte level");
            println!("vocabulary of {path}: {} tokens", words.len());
            words
        }
        Err(_) => made_up(),
    };
    let size = words.len();
    let vocab = words.into_iter().enumerate().map(|(id, word)| {
        // The reader marks special tokens with a leading 0xff.
        let special = word.len() > 1 && word[0] == 0xff || id < 3;
        (id as u32, if special { word.into_iter().filter(|b| *b != 0xff).collect() } else { word }, special)
    });
    TokenEnvironment::new(vocab.collect::<Vec<_>>(), size, &[EOS]).expect("the vocabulary is sound")
}

fn person() -> Value {
    json!({
        "type": "object",
        "properties": {
            "name": {"type": "string"},
            "age": {"type": "integer", "minimum": 0, "maximum": 150},
            "email": {"type": "string", "format": "email"},
            "tags": {"type": "array", "items": {"type": "string", "maxLength": 20}},
            "address": {"type": "object", "properties": {
                "street": {"type": "string"}, "country": {"enum": ["France", "Italy", "Germany"]}
            }, "required": ["street", "country"]},
        },
        "required": ["name", "age", "address"],
    })
}

const JSON_TEXT: &str = "{\n  \"name\": \"Ada \\\"the first\\\" Lovelace\",\n  \"age\": 36,\n  \"email\": \"ada@example.org\",\n  \
    \"tags\": [\"mathematics\", \"engines\", \"poetry\"],\n  \"address\": {\"street\": \"12 St James's Square, London, near \
    the library with the large windows\", \"country\": \"Italy\"}\n}";
const EBNF: &str = r#"root ::= ws value ws
value ::= object | array | string | number | "true" | "false" | "null"
object ::= "{" ws (string ws ":" ws value (ws "," ws string ws ":" ws value)*)? ws "}"
array ::= "[" ws (value (ws "," ws value)*)? ws "]"
string ::= "\"" ([^"\\\x00-\x1f] | "\\" ["\\/bfnrt])* "\""
number ::= "-"? ("0" | [1-9] [0-9]*) ("." [0-9]+)?
ws ::= [ \t\n]*"#;

/// Each grammar with a text that it accepts.
fn cases() -> Vec<(&'static str, GrammarSpec, String)> {
    let tag = json!({"structures": [{"begin": "<tool_call>", "schema": person(), "end": "</tool_call>"}],
        "triggers": ["<tool_call>"]});
    let text = "Let me look that up for you; one moment, please, while I ask the service about it.";
    vec![
        ("json_schema", GrammarSpec::JsonSchema(person().to_string()), JSON_TEXT.into()),
        ("any_json", GrammarSpec::JsonSchema("$$ANY$$".into()), JSON_TEXT.into()),
        (
            "regex",
            GrammarSpec::Regex(r"(\w+ ){3,20}\d{4}-\d{2}-\d{2}\.".into()),
            "we met there once again on 2024-05-17.".into(),
        ),
        ("ebnf", GrammarSpec::Ebnf(EBNF.into()), JSON_TEXT.into()),
        (
            "structural_tag",
            GrammarSpec::StructuralTag(tag.to_string()),
            format!("{text}<tool_call>{JSON_TEXT}</tool_call>"),
        ),
    ]
}

/// The text as the longest tokens of the vocabulary.
fn tokens(env_words: &[Vec<u8>], text: &str) -> Vec<u32> {
    let bytes = text.as_bytes();
    let mut out = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let best = env_words
            .iter()
            .enumerate()
            .filter(|(_, word)| !word.is_empty() && bytes[at..].starts_with(word))
            .max_by_key(|(_, word)| word.len());
        let (id, word) = best.expect("every byte is a token");
        out.push(id as u32);
        at += word.len();
    }
    out
}

/// Times of every mask along the text, in the given number of rounds.
fn along(grammar: &Arc<CompiledGrammar>, ids: &[u32], rounds: usize) -> Vec<Duration> {
    let mut mask = vec![0; grammar.environment().mask_words()];
    let mut times = Vec::new();
    for _ in 0..rounds {
        let mut matcher = grammar.matcher();
        for &id in ids {
            let started = Instant::now();
            matcher.fill_mask(&mut mask).expect("the mask is computed");
            times.push(started.elapsed());
            matcher.accept(id).expect("the text follows the grammar");
        }
    }
    times.sort();
    times
}

fn percentile(times: &[Duration], p: f64) -> Duration {
    times[((times.len() - 1) as f64 * p) as usize]
}

fn main() {
    let env = environment();
    let words = match std::env::var("SGLANG_BENCH_TOKENIZER") {
        Ok(path) => {
            let json = serde_json::from_str(&std::fs::read_to_string(path).expect("read")).expect("JSON");
            token_bytes_from_tokenizer_json(&json).expect("byte level")
        }
        Err(_) => made_up(),
    };
    let mut criterion = Criterion::default().configure_from_args().sample_size(20);
    let started = Instant::now();
    let compiler = GrammarCompiler::new(env.clone(), CompilerConfig::default()).expect("the compiler starts");
    println!("compiler start: {:?} for {} tokens", started.elapsed(), env.vocab_size());
    for (name, spec, text) in cases() {
        let grammar = compiler.compile(spec.clone()).wait().expect("the grammar is sound");
        let ids = tokens(&words, &text);
        let (first, later) = (along(&grammar, &ids, 1), along(&grammar, &ids, 50));
        for (when, times) in [("first request", first), ("later requests", later)] {
            println!(
                "{name}, {when}: {} masks, p50 {:?}, p90 {:?}, p99 {:?}, max {:?}",
                times.len(),
                percentile(&times, 0.5),
                percentile(&times, 0.9),
                percentile(&times, 0.99),
                percentile(&times, 1.0),
            );
        }
        println!("{name}: compiled in {:?}", grammar.compile_time());
        criterion.bench_function(&format!("masks/{name}"), |b| {
            b.iter(|| black_box(along(&grammar, &ids, 1)).len());
        });
        criterion.bench_function(&format!("compile/{name}"), |b| {
            b.iter_batched(
                || compiler.clear(),
                |()| compiler.compile(spec.clone()).wait().expect("compiled"),
                BatchSize::PerIteration,
            );
        });
    }
    criterion.final_summary();
}
