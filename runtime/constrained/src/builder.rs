//! Builds compiled grammars for one vocabulary; used by the compiler's threads and the helper process.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use llguidance::ParserFactory;
use llguidance::api::ParserLimits;
use llguidance::toktrie::InferenceCapabilities;

use crate::compiled::CompiledGrammar;
use crate::compiler_config::CompilerConfig;
use crate::environment::TokenEnvironment;
use crate::error::TokenEnvironmentError;
use crate::json::JsonOptions;
use crate::slices::{PLAIN_REGEXES, SliceBias};
use crate::spec::GrammarSpec;
use crate::translate;

/// The library's factory, with the limits of a [`CompilerConfig`].
pub(crate) struct Builder {
    env: TokenEnvironment,
    json: JsonOptions,
    factory: ParserFactory,
    slices: Arc<SliceBias>,
}

impl Builder {
    /// Prepares the vocabulary.
    ///
    /// # Errors
    /// If the library does not support the vocabulary.
    pub(crate) fn new(env: TokenEnvironment, config: &CompilerConfig) -> Result<Self, TokenEnvironmentError> {
        let capabilities = InferenceCapabilities::default();
        let mut factory = ParserFactory::new(env.tok_env(), capabilities, &PLAIN_REGEXES.map(str::to_owned))
            .map_err(|e| TokenEnvironmentError::Library(e.to_string()))?;
        let slices = Arc::new(SliceBias::new(env.tok_env()));
        factory.quiet();
        *factory.limits_mut() = ParserLimits {
            initial_lexer_fuel: config.lexer_fuel,
            step_lexer_fuel: config.mask_lexer_fuel,
            step_max_items: config.mask_parser_items,
            max_lexer_states: config.max_lexer_states,
            max_grammar_size: config.max_grammar_symbols,
            verbose_errors: false,
            ..ParserLimits::default()
        };
        Ok(Self { env, json: config.json.clone(), factory, slices })
    }

    /// The vocabulary.
    pub(crate) fn environment(&self) -> &TokenEnvironment {
        &self.env
    }

    /// Compiles `spec`.
    ///
    /// # Errors
    /// The error in the grammar, and where.
    pub(crate) fn build(&self, spec: &GrammarSpec) -> Result<CompiledGrammar, String> {
        catch_unwind(AssertUnwindSafe(|| {
            translate::compile(spec, &self.json, &self.env, &self.factory, &self.slices)
        }))
        .unwrap_or_else(|_| Err("the compiler failed on this grammar".into()))
    }
}
