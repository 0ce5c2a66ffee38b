//! Delays the grammar until the model has stopped thinking (reference: `ReasonerGrammarObject` in
//! `reasoner_grammar_backend.py`).

use crate::async_matcher::AsyncMatcher;
use crate::error::MatchError;

/// A request's grammar, optionally preceded by thinking. Until the ids that end the thinking were generated, every
/// token is allowed and none is fed to the grammar.
#[derive(Debug)]
pub struct ReasonerGrammar {
    matcher: AsyncMatcher,
    /// The ids that end the thinking.
    think_end_ids: Box<[u32]>,
    /// Tokens read up to and including the end of the thinking.
    thinking: Vec<u32>,
    in_think: bool,
}

impl ReasonerGrammar {
    /// A grammar that applies from the first token.
    pub fn immediate(matcher: AsyncMatcher) -> Self {
        Self { matcher, think_end_ids: Box::default(), thinking: Vec::new(), in_think: false }
    }

    /// A grammar that applies after `think_end_ids`; from the first token if these are empty.
    pub fn after_thinking(matcher: AsyncMatcher, think_end_ids: &[u32]) -> Self {
        let in_think = !think_end_ids.is_empty();
        Self { matcher, think_end_ids: think_end_ids.into(), thinking: Vec::new(), in_think }
    }

    /// Reads the sampled token.
    ///
    /// # Errors
    /// As [`AsyncMatcher::accept`], once the grammar applies.
    pub fn accept(&mut self, token: u32) -> Result<(), MatchError> {
        if !self.in_think {
            return self.matcher.accept(token);
        }
        self.thinking.push(token);
        self.in_think = !self.thinking.ends_with(&self.think_end_ids);
        Ok(())
    }

    /// Reads the output that a resumed request already has.
    ///
    /// # Errors
    /// As [`AsyncMatcher::replay`].
    pub fn replay(&mut self, output_ids: &[u32]) -> Result<(), MatchError> {
        let mut rest = output_ids.iter();
        while self.in_think {
            match rest.next() {
                Some(&token) => self.accept(token)?,
                None => return Ok(()),
            }
        }
        let rest = rest.as_slice();
        if rest.is_empty() { Ok(()) } else { self.matcher.replay(rest) }
    }

    /// Undoes the last `count` tokens, also across the end of the thinking.
    ///
    /// # Errors
    /// If fewer tokens were accepted, or the parser failed.
    pub fn rollback(&mut self, count: usize) -> Result<(), MatchError> {
        let accepted = self.matcher.accepted() + self.thinking.len();
        if count > accepted {
            return Err(MatchError::Rollback { wanted: count, accepted });
        }
        let from_grammar = count.min(self.matcher.accepted());
        if from_grammar > 0 {
            self.matcher.rollback(from_grammar)?;
        }
        if count > from_grammar {
            self.thinking.truncate(self.thinking.len() - (count - from_grammar));
            self.in_think = true;
        }
        Ok(())
    }

    /// The mask for the sampler; `None` while every token is allowed.
    ///
    /// # Errors
    /// As [`AsyncMatcher::mask`].
    pub fn allowed(&mut self) -> Result<Option<&[u32]>, MatchError> {
        if self.in_think { Ok(None) } else { self.matcher.mask().map(Some) }
    }

    /// Whether the model is still thinking.
    pub fn is_thinking(&self) -> bool {
        self.in_think
    }

    /// Whether the output has ended; see [`crate::Matcher::is_terminated`].
    pub fn is_terminated(&self) -> bool {
        self.matcher.is_terminated()
    }
}
