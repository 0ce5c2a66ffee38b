//! Decides when a request ends (reference: `Req.update_finish_state` in `managers/schedule_batch.py`).

use sglang_proto::grammar::GrammarEnd;
use sglang_proto::messages::FinishReason;

use crate::events::TailDecoder;
use crate::req::Req;

/// Matched text of a request whose logits contained NaN, as in the reference.
pub const NAN_MATCHED: &str = "NaN happened";
/// Window in tokens for stop patterns without a known longest match.
const UNBOUNDED_REGEX_TAIL: i64 = 512;

/// The finish reason if the request ends with its newest output token, which is within the vocabulary. Checks in the
/// order of the reference: stop strings, stop patterns, stop ids and end of sequence, length.
pub fn check_finish(req: &Req, eos_token_ids: &[u32], tail: &mut dyn TailDecoder) -> Option<FinishReason> {
    let token = *req.output_ids().last()?;
    if let Some(reason) = match_text(req, tail) {
        return Some(reason);
    }
    if !req.params.ignore_eos {
        let mut own = req.params.stop_token_ids.iter().flatten();
        if eos_token_ids.contains(&token) || own.any(|id| *id == i64::from(token)) {
            return Some(FinishReason::matched_token(token));
        }
    }
    (req.output_len() >= req.max_new_tokens)
        .then_some(FinishReason::Length { length: req.max_new_tokens as u64 })
}

/// The finish reason if the grammar ended with `token`: a stop, or 500 if the grammar failed.
pub fn grammar_finish(end: Option<GrammarEnd>, token: u32) -> Option<FinishReason> {
    Some(match end? {
        GrammarEnd::Terminated => FinishReason::matched_token(token),
        GrammarEnd::Failed(why) => {
            FinishReason::refused(format!("The grammar cannot go on: {why}"), 500, "InternalServerError")
        }
    })
}

/// Matches stop strings, then stop patterns, in the text of the last few tokens. Earlier text was already checked.
fn match_text(req: &Req, tail: &mut dyn TailDecoder) -> Option<FinishReason> {
    let params = &req.params;
    let (strings, patterns) = (&params.stop_strs.0, &params.stop_regex_strs.0);
    if strings.is_empty() && patterns.is_empty() {
        return None;
    }
    let regex_len = match params.stop_regex_max_len {
        0 if !patterns.is_empty() => UNBOUNDED_REGEX_TAIL,
        len => len,
    };
    let window = usize::try_from(params.stop_str_max_len.max(regex_len).saturating_add(1)).unwrap_or(1);
    let output = req.output_ids();
    let text = tail.decode_tail(&output[output.len().saturating_sub(window)..]);
    if let Some(found) = strings.iter().find(|stop| text.contains(stop.as_str())) {
        return Some(FinishReason::matched_str(found));
    }
    for pattern in patterns {
        match tail.regex_matches(pattern, &text) {
            Ok(true) => return Some(FinishReason::matched_str(pattern)),
            Ok(false) => {}
            Err(why) => {
                let message = format!("invalid stop_regex '{pattern}': {why}");
                return Some(FinishReason::refused(message, 400, "BadRequestError"));
            }
        }
    }
    None
}
