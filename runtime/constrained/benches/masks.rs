//! Measures how long masks and compiling take with a vocabulary of 49 152 tokens.
//!
//! `SGLANG_BENCH_TOKENIZER` may name a byte-level `tokenizer.json` whose vocabulary is used; otherwise one is made up.
//! Before criterion's means, the percentiles of the masks along a text are printed; the targets are p50 <= 50 us, p99
//! <= 1 ms.
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

/// A typical vocabulary: bytes, words with and without a leading space, punctuation, numbers, white space.
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

const SQL: &str = r#"root ::= "SELECT " list " FROM " name (" JOIN " name " ON " condition)? (" WHERE " condition)? (" ORDER BY " name (" DESC")?)? ";"
list ::= "*" | item (", " item)*
item ::= name | ("COUNT" | "SUM" | "AVG" | "MAX" | "MIN") "(" name ")"
name ::= [a-z_]+ ("." [a-z_]+)?
condition ::= comparison ((" AND " | " OR ") comparison)*
comparison ::= name (" = " | " < " | " > " | " LIKE ") value
value ::= name | [0-9]+ ("." [0-9]+)? | "'" [^']* "'""#;
const SQL_TEXT: &str = "SELECT users.name, COUNT(orders.id) FROM users JOIN orders ON users.id = orders.user WHERE \
    orders.total > 100.50 AND users.city LIKE 'San%' ORDER BY users.name DESC;";
const ARITHMETIC: &str = r#"root ::= expr
expr ::= term (ws ("+" | "-") ws term)*
term ::= factor (ws ("*" | "/") ws factor)*
factor ::= number | variable | "(" ws expr ws ")" | ("sin" | "cos" | "sqrt") "(" ws expr ws ")"
number ::= [0-9]+ ("." [0-9]+)?
variable ::= [a-z] [a-z0-9_]*
ws ::= " "?"#;

/// Names of countries: as long a list as schemas usually contain.
fn countries() -> Vec<String> {
    let first = ["North", "South", "East", "West", "New", "Upper", "Lower", "Great"];
    let second =
        ["land", "mark", "ia", "stan", "burg", "way", "field", "onia", "aria", "ovia", "wick", "shire"];
    let third = ["", " Republic", " Islands"];
    let all = first.iter().flat_map(|a| second.iter().map(move |b| format!("{a}{b}")));
    all.flat_map(|name| third.iter().map(move |c| format!("{name}{c}"))).collect()
}

/// Each grammar with a text that it accepts.
fn cases() -> Vec<(&'static str, GrammarSpec, String)> {
    let tag = json!({"structures": [{"begin": "<tool_call>", "schema": person(), "end": "</tool_call>"}],
        "triggers": ["<tool_call>"]});
    let text = "Let me look that up for you; one moment, please, while I ask the service about it.";
    let schema = |schema: Value| GrammarSpec::JsonSchema(schema.to_string());
    let object = |properties: Value| {
        let required: Vec<&String> =
            properties.as_object().into_iter().flatten().map(|(name, _)| name).collect();
        json!({"type": "object", "required": required, "properties": properties})
    };
    let enums = object(
        json!({"country": {"enum": countries()}, "status": {"enum": ["active", "inactive", "pending"]},
        "level": {"enum": [1, 2, 3, 5, 8]}, "others": {"type": "array", "items": {"enum": countries()}}}),
    );
    let numbers = object(
        json!({"id": {"type": "integer"}, "x": {"type": "number"}, "y": {"type": "number", "minimum": -90, "maximum": 90},
        "day": {"type": "string", "format": "date"}, "at": {"type": "string", "format": "date-time"}, "took": {"type": "string", "format": "duration"}}),
    );
    let addresses = object(
        json!({"mail": {"type": "string", "format": "email"}, "site": {"type": "string", "format": "uri"},
        "ip": {"type": "string", "format": "ipv4"}, "id": {"type": "string", "format": "uuid"}, "code": {"type": "string", "pattern": "^[A-Z]{2}-[a-z]{3,8}$"}}),
    );
    let short = object(json!({"title": {"type": "string", "minLength": 3, "maxLength": 40},
        "tags": {"type": "array", "minItems": 1, "maxItems": 4, "items": {"type": "string", "maxLength": 12}}}));
    let tool = |name: &str, schema: &Value| {
        json!({"type": "tag", "begin": format!("<tool_call>\n{{\"name\": \"{name}\", \"arguments\": "),
            "content": {"type": "json_schema", "json_schema": schema}, "end": "}\n</tool_call>"})
    };
    let tags = [
        tool("add_person", &person()),
        tool("set_place", &addresses),
        tool("measure", &numbers),
        tool("choose", &enums),
    ];
    let tools = json!({"type": "structural_tag", "format": {"type": "triggered_tags", "triggers": ["<tool_call>"],
        "at_least_one": false, "stop_after_first": false, "tags": tags}});
    let numbers_text = r#"{"id": 12345, "x": -3.25e-7, "y": 48.137, "day": "2024-05-17", "at": "2024-05-17T12:30:59Z", "took": "P3DT4H"}"#;
    let enums_text = r#"{"country": "Southonia Republic", "status": "inactive", "level": 5, "others": ["Newland", "Greatstan Islands"]}"#;
    let prose =
        "The quick brown fox — a clever one, \"Reynard\" — jumped over 13 lazy dogs; then it rested. ";
    vec![
        ("json_schema", schema(person()), JSON_TEXT.into()),
        ("any_json", GrammarSpec::JsonSchema("$$ANY$$".into()), JSON_TEXT.into()),
        ("schema_enums", schema(enums), enums_text.into()),
        ("schema_numbers_dates", schema(numbers), numbers_text.into()),
        (
            "schema_addresses",
            schema(addresses),
            r#"{"mail": "ada.lovelace@analytical-engine.org", "site": "https://example.org/library/windows?x=1", "ip": "192.168.10.254", "id": "123e4567-e89b-12d3-a456-426614174000", "code": "DE-bavaria"}"#.into(),
        ),
        (
            "schema_short_strings",
            schema(short),
            r#"{"title": "The library with the large windows", "tags": ["mathematics", "engines", "poetry"]}"#.into(),
        ),
        (
            "regex",
            GrammarSpec::Regex(r"(\w+ ){3,20}\d{4}-\d{2}-\d{2}\.".into()),
            "we met there once again on 2024-05-17.".into(),
        ),
        ("regex_alternation", GrammarSpec::Regex(format!("({})(, ({}))*", countries().join("|"), countries().join("|"))),
            "Newland, Southonia Republic, Greatstan, Upperwick Islands".into()),
        ("regex_sentences", GrammarSpec::Regex(r"([A-Z][a-z]*( [a-z]+){0,12}[.!?] ){1,5}".into()),
            "Once there was a fox. It lived in the wood! Nobody knew its name. ".into()),
        ("regex_anything", GrammarSpec::Regex(".*".into()), prose.into()),
        ("regex_no_tags", GrammarSpec::Regex("[^<>]*<end>".into()), format!("{prose}<end>")),
        ("regex_han_emoji", GrammarSpec::Regex("([一-鿿]{1,4}[，。]?|[😀-🙏])+".into()), "我们在图书馆见面，😀明天见。".into()),
        ("ebnf", GrammarSpec::Ebnf(EBNF.into()), JSON_TEXT.into()),
        ("ebnf_sql", GrammarSpec::Ebnf(SQL.into()), SQL_TEXT.into()),
        ("ebnf_arithmetic", GrammarSpec::Ebnf(ARITHMETIC.into()), "3.5 * (alpha + sqrt(beta_2 / 7) - 12) + sin(x * 0.25)".into()),
        (
            "structural_tag",
            GrammarSpec::StructuralTag(tag.to_string()),
            format!("{text}<tool_call>{JSON_TEXT}</tool_call>"),
        ),
        (
            "structural_tag_four",
            GrammarSpec::StructuralTag(tools.to_string()),
            format!("{text}<tool_call>\n{{\"name\": \"measure\", \"arguments\": {numbers_text}}}\n</tool_call>\n<tool_call>\n{{\"name\": \"choose\", \"arguments\": {enums_text}}}\n</tool_call>"),
        ),
    ]
}

/// The text, split into the longest tokens of the vocabulary.
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
