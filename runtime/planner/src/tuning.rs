//! Rarely changed settings, which the reference reads from environment variables.

/// Settings of admission estimates, timeouts and output bundling. Each names the reference's variable without
/// `SGLANG_`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tuning {
    /// `INIT_NEW_TOKEN_RATIO`: fraction of `max_new_tokens` that requests are expected to use, at conservativeness 1.
    pub init_new_token_ratio: f64,
    /// `MIN_NEW_TOKEN_RATIO_FACTOR`: the smallest ratio, as a fraction of the initial one.
    pub min_new_token_ratio_factor: f64,
    /// `NEW_TOKEN_RATIO_DECAY_STEPS`: decode steps from the initial to the smallest ratio; at least 1.
    pub new_token_ratio_decay_steps: usize,
    /// `RETRACT_DECODE_STEPS`: decode steps that the estimate after a retraction leaves room for.
    pub retract_decode_steps: usize,
    /// `CLIP_MAX_NEW_TOKENS_ESTIMATION`: upper bound of `max_new_tokens` in admission estimates. It does not affect
    /// stop conditions.
    pub clip_max_new_tokens: usize,
    /// `MAX_NEW_TOKENS_LIMIT`: limit of `max_new_tokens` for all requests.
    pub max_new_tokens_limit: Option<usize>,
    /// `REQ_WAITING_TIMEOUT`: seconds in the queue after which a request is refused.
    pub waiting_timeout: Option<f64>,
    /// `REQ_RUNNING_TIMEOUT`: seconds from its first step after which a request is ended.
    pub running_timeout: Option<f64>,
    /// `FORCE_STREAM_INTERVAL`: number of ids after which requests that do not stream emit them, to save work in the
    /// detokenizer; at least 1.
    pub force_stream_interval: usize,
}

impl Default for Tuning {
    fn default() -> Self {
        Self {
            init_new_token_ratio: 0.7,
            min_new_token_ratio_factor: 0.14,
            new_token_ratio_decay_steps: 600,
            retract_decode_steps: 20,
            clip_max_new_tokens: 4096,
            max_new_tokens_limit: None,
            waiting_timeout: None,
            running_timeout: None,
            force_stream_interval: 50,
        }
    }
}
