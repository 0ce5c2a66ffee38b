//! What every dialect reports about a choice: how it ended, when it was created, its hidden state.

use serde_json::Value;
use sglang_proto::messages::FinishReason;
use sglang_proto::{CaptureHiddenMode, HiddenStateChunk, HiddenStates};
use sglang_tokenizer_manager::state::{Output, ReqState, unix_seconds};

/// `finish_reason` of a choice.
pub fn finish_word(reason: &FinishReason) -> &'static str {
    match reason {
        FinishReason::Stop { .. } => "stop",
        FinishReason::Length { .. } => "length",
        FinishReason::Abort { .. } => "abort",
    }
}

/// `matched_stop` of a choice.
pub fn matched_stop(reason: &FinishReason) -> Option<Value> {
    match reason {
        FinishReason::Stop { matched } => Some(matched.clone()),
        _ => None,
    }
}

/// `hidden_states` of a finished choice: the vector of its last token, if the request asks for it. As in the reference,
/// a choice of one token has none unless the request says "last" (`process_hidden_states_for_response`).
pub fn last_hidden_state(state: &ReqState, output: &Output) -> Option<Vec<f32>> {
    let ended_without_output = output.finish.as_ref().is_none_or(|finish| finish.by_abort_message);
    match (state.request.return_hidden_states, output.hidden_states.as_ref()) {
        (CaptureHiddenMode::Null, _) | (_, None) => None,
        _ if ended_without_output => None,
        (_, Some(HiddenStates::Vector(last))) => Some(last.clone()),
        (_, Some(HiddenStates::List(chunks))) => Some(match chunks.as_slice() {
            [_, .., HiddenStateChunk::Vector(last)] => last.clone(),
            _ => Vec::new(),
        }),
    }
}

/// Status and text of a request that the scheduler refused, or that failed there; `None` if neither happened.
pub fn refusal(reason: &FinishReason) -> Option<(u16, &str)> {
    match reason {
        FinishReason::Abort { message, status_code: Some(code @ 400..600), .. } => Some((*code, message)),
        _ => None,
    }
}

/// The current time in seconds since 1970.
pub fn created() -> u64 {
    unix_seconds() as u64
}
