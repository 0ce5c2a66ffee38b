//! Settings of scheduling and grammars from environment variables (reference: `environ.py`).

use std::time::Duration;

use sglang_planner::Tuning;
use sglang_process::env;

/// Reads the variables that [`Tuning`] lists, with the prefix `SGLANG_`.
pub fn tuning() -> Tuning {
    let default = Tuning::default();
    let share = |name: &str, default: f64| {
        env::number(name).filter(|share: &f64| share.is_finite() && *share >= 0.0).unwrap_or(default)
    };
    Tuning {
        init_new_token_ratio: share("SGLANG_INIT_NEW_TOKEN_RATIO", default.init_new_token_ratio),
        min_new_token_ratio_factor: share(
            "SGLANG_MIN_NEW_TOKEN_RATIO_FACTOR",
            default.min_new_token_ratio_factor,
        ),
        new_token_ratio_decay_steps: env::number("SGLANG_NEW_TOKEN_RATIO_DECAY_STEPS")
            .unwrap_or(default.new_token_ratio_decay_steps),
        retract_decode_steps: env::number("SGLANG_RETRACT_DECODE_STEPS")
            .unwrap_or(default.retract_decode_steps),
        clip_max_new_tokens: env::number("SGLANG_CLIP_MAX_NEW_TOKENS_ESTIMATION")
            .unwrap_or(default.clip_max_new_tokens),
        max_new_tokens_limit: env::number("SGLANG_MAX_NEW_TOKENS_LIMIT").filter(|limit| *limit > 0),
        waiting_timeout: env::number("SGLANG_REQ_WAITING_TIMEOUT").filter(|seconds| *seconds > 0.0),
        running_timeout: env::number("SGLANG_REQ_RUNNING_TIMEOUT").filter(|seconds| *seconds > 0.0),
        force_stream_interval: env::number("SGLANG_FORCE_STREAM_INTERVAL")
            .filter(|interval| *interval > 0)
            .unwrap_or(default.force_stream_interval),
    }
}

/// Longest time to compile a grammar, if set: the reference's number of polls times the polling interval.
pub fn grammar_timeout() -> Option<Duration> {
    let interval = env::seconds("SGLANG_GRAMMAR_POLL_INTERVAL");
    let polls = env::number("SGLANG_GRAMMAR_MAX_POLL_ITERATIONS");
    if interval.is_none() && polls.is_none() {
        return None;
    }
    interval.unwrap_or(Duration::from_millis(5)).checked_mul(polls.unwrap_or(10_000))
}
