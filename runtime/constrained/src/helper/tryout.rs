//! Tries a grammar before a compiler thread compiles it.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Instant;

use super::client::{Helper, StartError, Verdict};
use super::frame::{self, StartFrame};
use crate::compiler_config::CompilerConfig;
use crate::environment::TokenEnvironment;
use crate::error::GrammarError;
use crate::spec::GrammarSpec;

/// Starts helpers; shared by the compiler's threads.
pub(crate) struct HelperSource {
    program: PathBuf,
    /// The start frame, made for the first helper.
    start: OnceLock<Vec<u8>>,
}

impl HelperSource {
    /// For helpers that run `program`.
    pub(crate) fn new(program: &Path) -> Self {
        Self { program: program.to_owned(), start: OnceLock::new() }
    }

    /// Compiles `spec` in the helper of this thread. The helper is started if there is none, and dropped once it cannot
    /// be used again.
    ///
    /// # Errors
    /// If the grammar was refused, took too much time or memory, or no helper can be started.
    pub(crate) fn check(
        &self,
        helper: &mut Option<Helper>,
        spec: &GrammarSpec,
        env: &TokenEnvironment,
        config: &CompilerConfig,
        deadline: Instant,
    ) -> Result<(), GrammarError> {
        let kind = spec.kind();
        loop {
            let mut current = match helper.take() {
                Some(helper) => helper,
                None => match self.start(env, config, deadline) {
                    Ok(started) => started,
                    Err(StartError::TimedOut) => {
                        return Err(GrammarError::TimedOut { kind, limit: config.timeout });
                    }
                    Err(StartError::Unavailable(why)) => {
                        tracing::error!("A grammar helper cannot be started: {why}");
                        return Err(GrammarError::Unavailable { kind });
                    }
                },
            };
            match current.check(spec, deadline) {
                Verdict::Fine => {
                    *helper = Some(current);
                    return Ok(());
                }
                Verdict::Refused(message) => {
                    *helper = Some(current);
                    return Err(GrammarError::Invalid { kind, message });
                }
                Verdict::TimedOut => return Err(GrammarError::TimedOut { kind, limit: config.timeout }),
                // Earlier grammars may have left the helper little memory.
                Verdict::Died(_) if !current.is_fresh() => {}
                Verdict::Died(how) => {
                    let bytes = spec.text().len();
                    tracing::warn!(%kind, bytes, "A grammar ended its helper process: {how}");
                    return Err(GrammarError::Invalid { kind, message: TOO_MUCH.to_owned() });
                }
            }
        }
    }

    fn start(
        &self,
        env: &TokenEnvironment,
        config: &CompilerConfig,
        deadline: Instant,
    ) -> Result<Helper, StartError> {
        if self.start.get().is_none() {
            let frame = frame::encode(&StartFrame::of(env, config));
            let frame = frame.map_err(|e| StartError::Unavailable(e.to_string()))?;
            // Another thread may have been first, with the same bytes.
            let _ = self.start.set(frame);
        }
        Helper::start(&self.program, self.start.get().map(Vec::as_slice).unwrap_or_default(), deadline)
    }
}

/// The error for a grammar that overflowed the stack or the memory of a helper.
const TOO_MUCH: &str = "the grammar is nested too deeply or takes too much memory to compile";
