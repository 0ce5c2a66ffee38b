//! Processes the result of a step.

use sglang_proto::forward::{Embedding, ForwardResult, HiddenStateRows, InputLogprobs, PositionLogprobs};
use sglang_proto::grammar::GrammarEnd;
use sglang_proto::messages::FinishReason;

use super::{Entry, InFlight, Planner};
use crate::events::TailDecoder;
use crate::finish::{NAN_MATCHED, check_finish, grammar_finish};
use crate::req::{Req, ReqState};
use crate::{PauseMode, PlannerError};

/// Error text for a request with a missing or invalid embedding.
const NO_VECTOR: &str = "The model gave no embedding, or one with numbers that are not finite.";

/// One request's part of a step's result.
struct Landed {
    token: Option<u32>,
    nan: bool,
    logprobs: Option<PositionLogprobs>,
    grammar_end: Option<GrammarEnd>,
    embedding: Option<Embedding>,
    hidden: Option<HiddenStateRows>,
}

impl Planner {
    /// Processes the result of the oldest batch in flight. `tail` decodes ids for stop strings.
    ///
    /// If the arrays of the result do not fit the batch, all requests of the batch end with 500, as after a failed
    /// step.
    ///
    /// # Errors
    /// [`PlannerError::UnexpectedResult`]; nothing changes then.
    pub fn on_result(
        &mut self,
        result: ForwardResult,
        tail: &mut dyn TailDecoder,
    ) -> Result<(), PlannerError> {
        let batch = self.pop_in_flight(result.forward_id)?;
        if let Err(why) = check_shape(&batch, &result) {
            self.fail_batch(&batch, &format!("The model worker gave a malformed result: {why}."));
        } else {
            let mut rows = result.input_logprobs.into_iter();
            let steps = result.next_token_ids.into_iter().zip(result.nan).zip(result.output_logprobs);
            let mut grammar_ends = result.grammar_ends.into_iter();
            let mut embeddings = result.embeddings.into_iter();
            let mut hidden_states = result.hidden_states.into_iter();
            for (entry, ((token, nan), logprobs)) in batch.entries.iter().zip(steps) {
                let input = if entry.logprob_rows > 0 { rows.next() } else { None };
                let grammar_end = grammar_ends.next().flatten();
                let embedding = embeddings.next().flatten();
                let hidden = if entry.hidden_rows > 0 { hidden_states.next() } else { None };
                let landed = Landed { token, nan, logprobs, grammar_end, embedding, hidden };
                self.land(*entry, landed, input, tail);
            }
        }
        self.settle();
        Ok(())
    }

    /// Handles the failure of the oldest batch in flight: its requests end with 500 and `message`. The KV that the step
    /// wrote is not used.
    ///
    /// # Errors
    /// [`PlannerError::UnexpectedResult`]; nothing changes then.
    pub fn on_failure(&mut self, forward_id: u64, message: &str) -> Result<(), PlannerError> {
        let batch = self.pop_in_flight(forward_id)?;
        self.fail_batch(&batch, message);
        self.settle();
        Ok(())
    }

    fn pop_in_flight(&mut self, forward_id: u64) -> Result<InFlight, PlannerError> {
        let expected = self.in_flight.front().map(|batch| batch.forward_id);
        self.in_flight
            .pop_front_if(|batch| batch.forward_id == forward_id)
            .ok_or(PlannerError::UnexpectedResult { got: forward_id, expected })
    }

    /// Processes one request's part of a result.
    fn land(
        &mut self,
        entry: Entry,
        landed: Landed,
        input: Option<InputLogprobs>,
        tail: &mut dyn TailDecoder,
    ) {
        let id = entry.req;
        if !self.take_off(entry) {
            return;
        }
        let (max_vocab, eos) = (self.config.vocab_size, &self.config.eos_token_ids);
        let Some(req) = self.reqs.get_mut(id) else { return };
        let was_prefill = req.kv_done < req.fill_len;
        req.kv_done += entry.extend_len;
        if was_prefill {
            req.times.finish_chunk(self.now, entry.sample);
        }
        let to = req.kv_done;
        if let (Some(state), Some(input)) = (req.input_logprob.as_mut(), input) {
            state.rows.extend(input.rows);
        }
        if landed.nan {
            // Its KV must not be shared.
            req.kv_done = req.protected_len;
        }
        let hidden =
            landed.hidden.map_or(Ok(()), |hidden| collect_hidden(req, entry, was_prefill, to, hidden));
        if let Err(why) = hidden {
            return self.finish(id, FinishReason::refused(why, 400, "BadRequestError"), false);
        }
        if !entry.sample {
            if landed.nan {
                self.finish(id, FinishReason::matched_str(NAN_MATCHED), false);
            } else {
                self.share_prefix(id);
            }
            return;
        }
        if req.embedding.is_some() {
            let reason = match landed.embedding.filter(|_| !landed.nan) {
                Some(embedding) => {
                    req.unsent_embedding = Some(embedding);
                    FinishReason::Length { length: 0 }
                }
                None => FinishReason::refused(NO_VECTOR, 500, "InternalServerError"),
            };
            return self.finish(id, reason, false);
        }
        if let Some(state) = req.input_logprob.as_mut() {
            state.complete = true;
        }
        if req.info.return_logprob {
            req.unsent_logprobs.extend(landed.logprobs);
        }
        let token = landed.token.filter(|token| *token < max_vocab && !landed.nan);
        let finished = match token {
            _ if req.max_new_tokens == 0 && !landed.nan => Some(FinishReason::Length { length: 0 }),
            Some(token) => {
                req.tokens.push(token);
                self.totals.output_tokens += 1;
                check_finish(req, eos, tail).or_else(|| grammar_finish(landed.grammar_end, token))
            }
            None => {
                // Like the reference, store an id that is certainly valid.
                let own = req.params.stop_token_ids.iter().flatten().filter_map(|id| u32::try_from(*id).ok());
                req.tokens.push(eos.first().copied().or(own.min()).unwrap_or(0));
                Some(FinishReason::matched_str(NAN_MATCHED))
            }
        };
        match finished {
            Some(reason) => self.finish(id, reason, false),
            None => {
                if was_prefill {
                    self.share_prefix(id);
                }
                self.emit_if_due(id);
            }
        }
    }

    /// Marks a batch of a request as no longer in flight. Returns `false` if the request has ended meanwhile: its part
    /// of the result is dropped, and after its last batch its memory is released.
    fn take_off(&mut self, entry: Entry) -> bool {
        let Some(req) = self.reqs.get_mut(entry.req) else { return false };
        req.in_flight = req.in_flight.saturating_sub(1);
        req.pending_samples = req.pending_samples.saturating_sub(usize::from(entry.sample));
        let (ended, landed) = (req.state == ReqState::Finished, req.in_flight == 0);
        if ended && landed {
            self.release(entry.req);
        }
        !ended
    }

    fn fail_batch(&mut self, batch: &InFlight, message: &str) {
        for entry in &batch.entries {
            if self.take_off(*entry) {
                let reason = FinishReason::refused(message, 500, "InternalServerError");
                self.finish(entry.req, reason, false);
            }
        }
    }

    /// Does the work that had to wait until nothing is in flight.
    fn settle(&mut self) {
        if self.pause == Some(PauseMode::Retract) && self.in_flight.is_empty() {
            self.retract_all();
        }
    }
}

/// Collects the hidden states of a request's extend, which ends before position `to`.
fn collect_hidden(
    req: &mut Req,
    entry: Entry,
    was_prefill: bool,
    to: usize,
    hidden: HiddenStateRows,
) -> Result<(), String> {
    let of_prompt = was_prefill && req.output_len() == 0;
    let cached = req.cached_tokens.unwrap_or(0);
    let Some(collector) = req.hidden_states.as_mut() else { return Ok(()) };
    let mut rows = hidden.rows;
    if of_prompt && collector.wants_prompt() {
        collector.add_prompt(to.saturating_sub(rows.len() + cached), rows)?;
        if entry.sample {
            collector.end_prompt();
        }
    } else if let Some(last) = rows.pop() {
        collector.add_step(last);
    }
    Ok(())
}

/// Checks that the result has one entry for every request of the batch.
fn check_shape(batch: &InFlight, result: &ForwardResult) -> Result<(), String> {
    let n = batch.entries.len();
    for (name, len) in [
        ("next_token_ids", result.next_token_ids.len()),
        ("nan", result.nan.len()),
        ("output_logprobs", result.output_logprobs.len()),
    ] {
        if len != n {
            return Err(format!("{name} has {len} entries for {n} requests"));
        }
    }
    let ends = result.grammar_ends.len();
    if ends != 0 && ends != n {
        return Err(format!("grammar_ends has {ends} entries for {n} requests"));
    }
    let vectors = result.embeddings.len();
    if vectors != 0 && vectors != n {
        return Err(format!("embeddings has {vectors} entries for {n} requests"));
    }
    let given = |i: usize| {
        result.next_token_ids.get(i).is_some_and(Option::is_some)
            || result.embeddings.get(i).is_some_and(Option::is_some)
    };
    let nan = result.nan.iter().any(|nan| *nan);
    if !nan && batch.entries.iter().enumerate().any(|(i, entry)| entry.sample && !given(i)) {
        return Err("a request that samples has neither a token nor a vector".to_owned());
    }
    let wanted: Vec<(usize, usize)> =
        batch.entries.iter().map(|e| e.logprob_rows).enumerate().filter(|(_, n)| *n > 0).collect();
    let given = result.input_logprobs.iter().map(|l| (l.req_index as usize, l.rows.len()));
    if !given.eq(wanted.iter().copied()) {
        return Err("input_logprobs do not answer what was asked".to_owned());
    }
    let wanted = batch.entries.iter().map(|e| e.hidden_rows).enumerate().filter(|(_, n)| *n > 0);
    let given = result.hidden_states.iter().map(|h| (h.req_index as usize, h.rows.len()));
    if !given.eq(wanted) {
        return Err("hidden_states do not answer what was asked".to_owned());
    }
    Ok(())
}
