//! The backend that compiles grammars: a trie of the vocabulary, and threads.

use std::path::PathBuf;
use std::sync::Arc;

use sglang_constrained::{
    CompileResult, CompiledGrammar, CompilerConfig, GrammarCompiler, GrammarSpec, JsonOptions, MaskPool,
    TokenEnvironment,
};
use sglang_proto::grammar::GrammarHandle;
use sglang_server_args::ServerArgs;
use sglang_tokenizer::Tokenizer;

use super::factory::Factory;
use crate::environment::grammar_timeout;

/// Threads that compute masks while the model runs.
const MASK_THREADS: usize = 2;

/// The compiler of grammars and the threads that compute masks.
#[derive(Debug)]
pub struct GrammarBackend {
    compiler: GrammarCompiler,
    masks: Arc<MaskPool>,
    /// Ids that end the reasoning of a request. If empty, grammars apply from the first token.
    think_end_ids: Arc<[u32]>,
}

/// Creates the backend; called at most once.
pub type StartBackend = Box<dyn FnOnce() -> Result<GrammarBackend, String> + Send>;

impl GrammarBackend {
    /// Starts the threads for a vocabulary. `helper` is the program that tries each new grammar first.
    ///
    /// # Errors
    /// The vocabulary is invalid, or the system cannot start a thread.
    pub fn new(env: TokenEnvironment, json: JsonOptions, helper: Option<PathBuf>) -> Result<Self, String> {
        let mut config = CompilerConfig { json, helper, ..Default::default() };
        config.timeout = grammar_timeout().unwrap_or(config.timeout);
        Ok(Self {
            compiler: GrammarCompiler::new(env, config).map_err(|e| e.to_string())?,
            masks: Arc::new(MaskPool::new(MASK_THREADS).map_err(|e| e.to_string())?),
            think_end_ids: Arc::default(),
        })
    }

    /// Makes the grammars of reasoning requests apply only after these ids.
    #[must_use]
    pub fn after_thinking(mut self, think_end_ids: &[u32]) -> Self {
        self.think_end_ids = think_end_ids.into();
        self
    }

    /// Compiles a grammar on one of the threads, which passes the result to `done`.
    pub(super) fn compile(&self, spec: GrammarSpec, done: impl FnOnce(CompileResult) + Send + 'static) {
        self.compiler.compile_with(spec, done);
    }

    /// A compiled grammar for the worker. For a reasoning request, it applies after the reasoning.
    pub(super) fn handle_of(&self, grammar: Arc<CompiledGrammar>, thinks: bool) -> GrammarHandle {
        let think_end_ids = if thinks { Arc::clone(&self.think_end_ids) } else { Arc::default() };
        GrammarHandle::new(Arc::new(Factory { grammar, masks: Arc::clone(&self.masks), think_end_ids }))
    }

    /// Clears the cache of compiled grammars.
    pub(super) fn clear(&self) {
        self.compiler.clear();
    }

    /// The function that creates a server's backend; `None` with `--grammar-backend none`. Masks cover `vocab_size`
    /// ids, like the model's logits. `think_end_ids` end the reasoning of requests.
    pub fn of_server(
        args: &ServerArgs,
        tokenizer: Option<&Arc<Tokenizer>>,
        vocab_size: u32,
        eos: &[u32],
        think_end_ids: Vec<u32>,
    ) -> Option<StartBackend> {
        let tokenizer = Arc::clone(tokenizer.filter(|_| args.grammar_backend != "none")?);
        let json = JsonOptions {
            any_whitespace: !args.constrained_json_disable_any_whitespace,
            whitespace_pattern: args.constrained_json_whitespace_pattern.clone(),
            refuse_unenforced: args.strict_json_schema,
            ..Default::default()
        };
        let eos: Vec<u32> = eos.iter().copied().filter(|id| *id < vocab_size).collect();
        Some(Box::new(move || {
            let env = environment(&tokenizer, vocab_size, &eos)?;
            Ok(Self::new(env, json, helper())?.after_thinking(&think_end_ids))
        }))
    }
}

/// The file name of the program that tries grammars; it lies beside this one.
const HELPER: &str = "sglang-grammar-helper";

/// The helper's program. Without it grammars are compiled all the same: a request is worth more than the protection.
fn helper() -> Option<PathBuf> {
    let program = std::env::current_exe().ok()?.with_file_name(HELPER);
    if program.is_file() {
        return Some(program);
    }
    tracing::warn!(
        "{} is missing: grammars are compiled unprotected, and a hostile one can end this process",
        program.display()
    );
    None
}

/// The vocabulary in the form that masks need: the bytes of each token, and the names of special ones.
fn environment(tokenizer: &Tokenizer, vocab_size: u32, eos: &[u32]) -> Result<TokenEnvironment, String> {
    let vocab = (0..vocab_size).filter_map(|id| {
        let special = tokenizer.is_special(id);
        let bytes = match special {
            true => tokenizer.id_to_token(id)?.into_bytes(),
            false => tokenizer.id_to_bytes(id)?,
        };
        Some((id, bytes, special))
    });
    TokenEnvironment::new(vocab, vocab_size as usize, eos).map_err(|e| e.to_string())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::{Map, Value, json};

    use super::*;

    /// A tokenizer with a token for each printable character, and an end.
    fn tokenizer() -> Arc<Tokenizer> {
        let mut vocab: Map<String, Value> =
            (' '..='~').enumerate().map(|(id, c)| (c.to_string(), id.into())).collect();
        let end = vocab.len();
        vocab.insert("</s>".to_owned(), end.into());
        let file = json!({
            "version": "1.0", "truncation": null, "padding": null, "normalizer": null, "pre_tokenizer": null,
            "post_processor": null, "decoder": null,
            "added_tokens": [{"id": end, "content": "</s>", "special": true, "single_word": false, "lstrip": false,
                "rstrip": false, "normalized": false}],
            "model": {"type": "BPE", "vocab": vocab, "merges": []},
        });
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("tokenizer.json"), file.to_string()).unwrap();
        Arc::new(Tokenizer::from_path(dir.path()).unwrap())
    }

    /// Compiles a schema as a server with these flags does.
    fn compile(flags: &[&str], schema: &Value) -> Result<(), String> {
        let argv = ["x", "--model-path", "m"].iter().chain(flags).copied();
        let args = ServerArgs::parse_from(argv).map_err(|exit| exit.text)?;
        let tokenizer = tokenizer();
        let size = tokenizer.len() as u32;
        let start = GrammarBackend::of_server(&args, Some(&tokenizer), size, &[size - 1], Vec::new());
        let backend = start.ok_or("no grammars")?()?;
        let (sender, result) = crossbeam_channel::bounded(1);
        let spec = GrammarSpec::JsonSchema(schema.to_string());
        backend.compile(spec, move |compiled| drop(sender.send(compiled.map(|_| ()))));
        let compiled = result.recv_timeout(Duration::from_secs(30)).map_err(|e| e.to_string())?;
        compiled.map_err(|error| error.to_string())
    }

    #[test]
    fn strict_json_schema_refuses_what_cannot_be_enforced() {
        let partly = json!({"type": "array", "items": {"type": "integer"}, "uniqueItems": true});
        let wholly = json!({"type": "array", "items": {"type": "integer"}});
        assert_eq!(compile(&[], &partly), Ok(()));
        let refused = compile(&["--strict-json-schema"], &partly).unwrap_err();
        assert!(refused.contains("uniqueItems is not enforced"), "{refused}");
        assert_eq!(compile(&["--strict-json-schema"], &wholly), Ok(()));
        assert_eq!(compile(&["--grammar-backend", "none"], &wholly), Err("no grammars".to_owned()));
    }
}
