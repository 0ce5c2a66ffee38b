//! What a thread of the compiler asks before it compiles.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Instant;

use super::client::{Helper, Verdict};
use super::frame::{self, StartFrame};
use crate::compiler_config::CompilerConfig;
use crate::environment::TokenEnvironment;
use crate::error::GrammarError;
use crate::spec::GrammarSpec;

/// Where helpers come from. Shared by the threads.
pub(crate) struct HelperSource {
    program: PathBuf,
    /// Made when the first helper starts.
    start: OnceLock<Vec<u8>>,
}

impl HelperSource {
    /// Helpers that run `program`.
    pub(crate) fn new(program: &Path) -> Self {
        Self { program: program.to_owned(), start: OnceLock::new() }
    }

    /// Has `spec` compiled in the helper of this thread, which is started where there is none, and dropped when it is of
    /// no more use.
    ///
    /// # Errors
    /// The grammar was refused, took too long or too much, or no helper can be started.
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
                    Err(Verdict::TimedOut) => {
                        return Err(GrammarError::TimedOut { kind, limit: config.timeout });
                    }
                    Err(verdict) => {
                        tracing::error!("A grammar helper cannot be started: {verdict:?}");
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
                // Earlier grammars may have left it little memory.
                Verdict::Died(_) | Verdict::Unavailable(_) if !current.is_fresh() => {}
                Verdict::Died(how) | Verdict::Unavailable(how) => {
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
    ) -> Result<Helper, Verdict> {
        if self.start.get().is_none() {
            let frame = frame::encode(&StartFrame::of(env, config));
            let frame = frame.map_err(|e| Verdict::Unavailable(e.to_string()))?;
            // Another thread may have been first, with the same bytes.
            let _ = self.start.set(frame);
        }
        Helper::start(&self.program, self.start.get().map(Vec::as_slice).unwrap_or_default(), deadline)
    }
}

/// What the sender of a grammar is told that overflowed the stack or the memory of a helper.
const TOO_MUCH: &str = "the grammar is nested too deeply or takes too much memory to compile";
