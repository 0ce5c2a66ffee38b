//! A small byte-level vocabulary, and helpers that follow masks.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used)]

use std::sync::Arc;

use sglang_constrained::{
    CompiledGrammar, CompilerConfig, GrammarCompiler, GrammarError, GrammarSpec, JsonOptions, Matcher,
    TokenEnvironment, mask_allows,
};

/// Tokens of several bytes, so that masks concern tokens and not only bytes.
const WORDS: [&str; 22] = [
    "{\"",
    "\":",
    "\", \"",
    "\"}",
    "}}",
    "]}",
    "[[",
    ", ",
    ": ",
    "  ",
    "\n\n",
    "true",
    "false",
    "null",
    "abc",
    "12",
    "0.",
    "<tool",
    "<tool_call>",
    "</",
    "é",
    "日本",
];
/// A special token that does not end the output.
pub const TOOL: u32 = 256 + WORDS.len() as u32;
/// The end-of-sequence id.
pub const EOS: u32 = TOOL + 1;
/// Larger than the tokenizer's vocabulary, as in real models.
pub const VOCAB: usize = 300;

/// The text of a token; special tokens have none.
pub fn bytes(id: u32) -> Vec<u8> {
    match id {
        0..=255 => vec![id as u8],
        _ => WORDS.get(id as usize - 256).map(|w| w.as_bytes().to_vec()).unwrap_or_default(),
    }
}

pub fn environment() -> TokenEnvironment {
    let plain = (0..256 + WORDS.len() as u32).map(|id| (id, bytes(id), false));
    let special = [(TOOL, b"<|tool|>".to_vec(), true), (EOS, b"</s>".to_vec(), true)];
    TokenEnvironment::new(plain.chain(special), VOCAB, &[EOS]).unwrap()
}

pub fn compiler(change: impl FnOnce(&mut CompilerConfig)) -> GrammarCompiler {
    let mut config = CompilerConfig::default();
    change(&mut config);
    GrammarCompiler::new(environment(), config).unwrap()
}

/// A compiler that follows JSON Schema to the letter: unlisted properties are allowed.
pub fn open_compiler() -> GrammarCompiler {
    compiler(|c| c.json = JsonOptions { strict_mode: false, ..JsonOptions::default() })
}

pub fn compile(spec: GrammarSpec) -> Result<Arc<CompiledGrammar>, GrammarError> {
    compiler(|_| {}).compile(spec).wait()
}

pub fn json(schema: &str) -> Arc<CompiledGrammar> {
    compile(GrammarSpec::JsonSchema(schema.into())).unwrap()
}

/// The ids that the mask allows.
pub fn allowed(matcher: &mut Matcher) -> Vec<u32> {
    let mut mask = vec![0; matcher.grammar().environment().mask_words()];
    matcher.fill_mask(&mut mask).unwrap();
    (0..VOCAB as u32).filter(|&id| mask_allows(&mask, id)).collect()
}

/// Whether the grammar accepts the whole text, byte by byte, and can end after it.
pub fn accepts(grammar: &Arc<CompiledGrammar>, text: &str) -> bool {
    let mut matcher = grammar.matcher();
    text.bytes().all(|byte| matcher.accept(u32::from(byte)).is_ok()) && matcher.can_end()
}

/// Whether the grammar accepts the tokens and can end after them.
pub fn accepts_tokens(grammar: &Arc<CompiledGrammar>, tokens: &[u32]) -> bool {
    let mut matcher = grammar.matcher();
    tokens.iter().all(|&token| matcher.accept(token).is_ok()) && matcher.can_end()
}

/// The ids of a text, one per byte.
pub fn ids(text: &str) -> Vec<u32> {
    text.bytes().map(u32::from).collect()
}

/// Follows masks at random until the output ends; `choose` picks an index below its argument. After `patience` tokens
/// it prefers tokens that close things. `None` if the output does not end within twice that number.
pub fn sample(
    grammar: &Arc<CompiledGrammar>,
    patience: usize,
    mut choose: impl FnMut(usize) -> usize,
) -> Option<String> {
    let mut matcher = grammar.matcher();
    let mut text = Vec::new();
    for step in 0..patience * 2 {
        let ids = allowed(&mut matcher);
        assert!(!ids.is_empty(), "an empty mask after {:?}", String::from_utf8_lossy(&text));
        let closing = [EOS, b'}'.into(), b']'.into(), b'"'.into()];
        let close = if step > patience { closing.iter().find(|id| ids.contains(id)) } else { None };
        let id = close.copied().unwrap_or_else(|| ids[choose(ids.len())]);
        matcher.accept(id).unwrap();
        if matcher.is_terminated() {
            return Some(String::from_utf8(text).expect("the text is UTF-8"));
        }
        text.extend(bytes(id));
    }
    None
}
