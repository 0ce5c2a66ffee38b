//! The log line of a request that ends early.

use sglang_proto::messages::{FinishReason, TokenizedGenerateReqInput};

use crate::call_trace::{log_failure, one_line};

/// Logs why a request ended early, unless the line about its HTTP call has the reason.
pub(super) fn log_abort(
    request: &TokenizedGenerateReqInput,
    has_client: bool,
    reason: &FinishReason,
    output_tokens: usize,
    seconds: f64,
) {
    let FinishReason::Abort { message, status_code, .. } = reason else { return };
    let rid = one_line(&request.rid, usize::MAX);
    let aborted = |why: &str| {
        tracing::info!("Request aborted: rid={rid} after {output_tokens} tokens and {seconds:.2} s: {why}");
    };
    match status_code {
        _ if !has_client => aborted("the client has gone"),
        Some(status @ 400..600) if request.stream => {
            log_failure(*status, &format!(" rid={rid} after {output_tokens} tokens:"), message);
        }
        Some(400..600) => {}
        _ => aborted(&one_line(message, usize::MAX)),
    }
}
