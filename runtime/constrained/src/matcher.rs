//! The position of one request in its grammar (reference: `GuidanceGrammar` in `llguidance_backend.py`).

use std::sync::Arc;

use llguidance::Matcher as Parser;

use crate::bitmask;
use crate::compiled::CompiledGrammar;
use crate::error::MatchError;
use crate::library_text::first_lines;

/// The position of one request in its grammar. Never shared: every request has its own parser and lexer.
pub struct Matcher {
    grammar: Arc<CompiledGrammar>,
    /// `Some` until the matcher is dropped.
    parser: Option<Parser>,
    accepted: usize,
    /// The output has ended with an end-of-sequence id.
    terminated: bool,
    /// The end-of-sequence id came after the parser had stopped, so the parser has not read it.
    eos_unseen: bool,
    /// Why the parser cannot continue.
    failed: Option<MatchError>,
}

impl std::fmt::Debug for Matcher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Matcher")
            .field("accepted", &self.accepted)
            .field("terminated", &self.terminated)
            .field("failed", &self.failed)
            .finish_non_exhaustive()
    }
}

impl CompiledGrammar {
    /// A matcher at the grammar's start, for one request.
    pub fn matcher(self: &Arc<Self>) -> Matcher {
        Matcher {
            grammar: Arc::clone(self),
            parser: Some(self.parser()),
            accepted: 0,
            terminated: false,
            eos_unseen: false,
            failed: None,
        }
    }
}

impl Matcher {
    fn with_parser<T>(
        &mut self,
        run: impl FnOnce(&mut Parser) -> Result<T, String>,
    ) -> Result<T, MatchError> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        let result = match &mut self.parser {
            Some(parser) => run(parser),
            None => Err("it is gone".into()),
        };
        result.map_err(|text| {
            let error = MatchError::Parser(first_lines(&text));
            self.failed = Some(error.clone());
            error
        })
    }

    /// Reads the sampled token. Once the output [has ended](Self::is_terminated), further tokens are ignored, as in the
    /// reference.
    ///
    /// # Errors
    /// If the mask does not allow the token (the matcher's position is unchanged), or the parser failed.
    pub fn accept(&mut self, token: u32) -> Result<(), MatchError> {
        if self.terminated {
            return Ok(());
        }
        let eos = self.grammar.environment().eos().contains(&token);
        let in_vocabulary = (token as usize) < self.grammar.environment().vocab_size();
        let (taken, stopped) = self.with_parser(|parser| {
            if parser.is_stopped() {
                return Ok((eos, true));
            }
            let taken = if in_vocabulary {
                parser.try_consume_tokens(&[token]).map_err(|e| e.to_string())? == 1
            } else {
                false
            };
            Ok((taken, false))
        })?;
        if !taken {
            return Err(MatchError::NotAccepted { token, accepted: self.accepted });
        }
        self.accepted += 1;
        self.terminated = eos;
        self.eos_unseen = eos && stopped;
        Ok(())
    }

    /// Reads the output that a resumed request already has (after a retraction, or on another worker).
    ///
    /// # Errors
    /// As [`Self::accept`].
    pub fn replay(&mut self, output_ids: impl IntoIterator<Item = u32>) -> Result<(), MatchError> {
        output_ids.into_iter().try_for_each(|token| self.accept(token))
    }

    /// Writes the mask of the ids that may come next. After the grammar's end only end-of-sequence ids are allowed;
    /// words beyond the vocabulary are cleared.
    ///
    /// # Errors
    /// If the buffer has fewer than [`mask_words`](crate::TokenEnvironment::mask_words) words, or the parser failed or
    /// reached a limit on its work.
    pub fn fill_mask(&mut self, mask: &mut [u32]) -> Result<(), MatchError> {
        let (needed, len) = (self.grammar.environment().mask_words(), mask.len());
        if len < needed {
            return Err(MatchError::MaskTooSmall { needed, len });
        }
        let vocab_size = self.grammar.environment().vocab_size();
        let allowed = self.with_parser(|parser| parser.compute_mask_or_eos().map_err(|e| e.to_string()))?;
        bitmask::copy(allowed.as_slice(), mask, vocab_size);
        Ok(())
    }

    /// Whether the output has ended: an end-of-sequence id was accepted. The request then finishes with type `stop`.
    pub fn is_terminated(&self) -> bool {
        self.terminated
    }

    /// Whether the output may end here.
    pub fn can_end(&mut self) -> bool {
        self.terminated
            || self
                .with_parser(|parser| {
                    Ok(parser.is_stopped() || parser.is_accepting().map_err(|e| e.to_string())?)
                })
                .unwrap_or(false)
    }

    /// Number of tokens accepted.
    pub fn accepted(&self) -> usize {
        self.accepted
    }

    /// The grammar that the matcher follows.
    pub fn grammar(&self) -> &Arc<CompiledGrammar> {
        &self.grammar
    }

    /// Undoes the last `count` tokens.
    ///
    /// # Errors
    /// If fewer tokens were accepted, or the parser failed.
    pub fn rollback(&mut self, count: usize) -> Result<(), MatchError> {
        if count > self.accepted {
            return Err(MatchError::Rollback { wanted: count, accepted: self.accepted });
        }
        if count == 0 {
            return Ok(());
        }
        let for_parser = count - usize::from(self.eos_unseen);
        self.with_parser(|parser| parser.rollback(for_parser).map_err(|e| e.to_string()))?;
        self.accepted -= count;
        self.terminated = false;
        self.eos_unseen = false;
        Ok(())
    }
}

impl Drop for Matcher {
    fn drop(&mut self) {
        if let (Some(parser), None) = (self.parser.take(), &self.failed) {
            self.grammar.give_back(parser, self.accepted);
        }
    }
}
