//! A compiled grammar, from which each request gets its own matcher.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use llguidance::api::{GrammarInit, TopLevelGrammar};
use llguidance::{Matcher as Parser, ParserFactory};
use parking_lot::Mutex;

use crate::environment::TokenEnvironment;
use crate::library_text::first_lines;
use crate::slices::SliceBias;
use crate::trim;

/// Used matchers that a grammar keeps for reuse: their lexers have already built the grammar's states.
const MAX_SPARE: usize = 8;
/// A matcher that has read more tokens is dropped instead of kept, to free its grown lexer tables.
const MAX_SPARE_TOKENS: usize = 4096;

/// A grammar ready for use, shared by all requests that ask for it.
pub struct CompiledGrammar {
    env: TokenEnvironment,
    template: Mutex<Parser>,
    spare: Mutex<Vec<Parser>>,
    compile_time: Duration,
}

impl std::fmt::Debug for CompiledGrammar {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CompiledGrammar").field("compile_time", &self.compile_time).finish_non_exhaustive()
    }
}

impl CompiledGrammar {
    /// Builds the parser of `grammar`. `Err` is the library's message.
    pub(crate) fn build(
        env: &TokenEnvironment,
        factory: &ParserFactory,
        slices: &Arc<SliceBias>,
        grammar: TopLevelGrammar,
    ) -> Result<Self, String> {
        let started = std::time::Instant::now();
        let grammar = trim::trim(GrammarInit::Serialized(grammar), env.tok_env(), factory.limits())
            .map_err(|e| first_lines(&e))?;
        let parser = factory.create_parser_from_init_default(grammar);
        let mut parser = parser.map_err(|e| first_lines(&format!("{e:#}")))?;
        parser.bias_computer = Arc::<SliceBias>::clone(slices);
        let mut template = Parser::new(Ok(parser));
        // The first mask shows whether anything can be generated at all, and warms up the lexer for every request.
        let mask = template.compute_mask_or_eos().map_err(|e| first_lines(&e.to_string()))?;
        if mask.is_zero() {
            return Err("no text of this vocabulary can start the grammar".into());
        }
        let compile_time = started.elapsed();
        Ok(Self {
            env: env.clone(),
            template: Mutex::new(template),
            spare: Mutex::new(Vec::new()),
            compile_time,
        })
    }

    /// A parser at the start of the grammar, reused if possible.
    pub(crate) fn parser(&self) -> Parser {
        let spare = self.spare.lock().pop();
        spare.unwrap_or_else(|| self.template.lock().deep_clone())
    }

    /// Keeps a request's parser for the next request, if it has not failed and is small.
    pub(crate) fn give_back(&self, mut parser: Parser, tokens: usize) {
        if tokens > MAX_SPARE_TOKENS || parser.is_error() || self.spare.lock().len() >= MAX_SPARE {
            return;
        }
        let reset = catch_unwind(AssertUnwindSafe(|| parser.reset().is_ok() && !parser.is_stopped()));
        if reset.unwrap_or(false) {
            let mut spare = self.spare.lock();
            if spare.len() < MAX_SPARE {
                spare.push(parser);
            }
        }
    }

    /// The vocabulary that the masks are over.
    pub fn environment(&self) -> &TokenEnvironment {
        &self.env
    }

    /// How long compiling took, without the time in the queue.
    pub fn compile_time(&self) -> Duration {
        self.compile_time
    }
}
