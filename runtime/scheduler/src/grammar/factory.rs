//! The worker's view of a compiled grammar.

use std::sync::Arc;

use sglang_constrained::{AsyncMatcher, CompiledGrammar, MaskPool, ReasonerGrammar};
use sglang_proto::grammar::{GrammarFactory, GrammarState};

/// A compiled grammar, the threads for its masks, and the ids that end reasoning before it applies.
#[derive(Debug)]
pub(super) struct Factory {
    pub(super) grammar: Arc<CompiledGrammar>,
    pub(super) masks: Arc<MaskPool>,
    pub(super) think_end_ids: Arc<[u32]>,
}

impl GrammarFactory for Factory {
    fn start(&self, output_ids: &[u32]) -> Result<Box<dyn GrammarState>, String> {
        let mut matcher = self.grammar.matcher();
        if self.think_end_ids.is_empty() {
            // Replay the output before the first mask is requested, so that only the mask that is needed is computed.
            matcher.replay(output_ids.iter().copied()).map_err(|e| e.to_string())?;
            let matcher = AsyncMatcher::new(matcher, Arc::clone(&self.masks));
            return Ok(Box::new(State(ReasonerGrammar::immediate(matcher))));
        }
        let matcher = AsyncMatcher::new(matcher, Arc::clone(&self.masks));
        let mut grammar = ReasonerGrammar::after_thinking(matcher, &self.think_end_ids);
        grammar.replay(output_ids).map_err(|e| e.to_string())?;
        Ok(Box::new(State(grammar)))
    }
}

/// The worker's view of a request's matcher.
#[derive(Debug)]
struct State(ReasonerGrammar);

impl GrammarState for State {
    fn allowed(&mut self) -> Result<Option<&[u32]>, String> {
        self.0.allowed().map_err(|e| e.to_string())
    }

    fn accept(&mut self, token: u32) -> Result<(), String> {
        self.0.accept(token).map_err(|e| e.to_string())
    }

    fn is_terminated(&self) -> bool {
        self.0.is_terminated()
    }
}
