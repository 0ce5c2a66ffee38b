//! A snapshot of the planner's state for `/v1/loads` and `/get_server_info`.

/// Counts are in requests or tokens, as named; totals count since the start.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PlannerStats {
    /// Running requests.
    pub num_running_reqs: usize,
    /// LoRA adapters of running requests; 0 if LoRA is off.
    pub num_running_adapters: usize,
    /// Waiting requests.
    pub num_waiting_reqs: usize,
    /// Waiting requests that were retracted.
    pub num_waiting_retracted_reqs: usize,
    /// Prompt and output tokens of waiting requests, plus the rest of a chunked prompt.
    pub num_pending_tokens: usize,
    /// Estimated number of pending tokens that are not cached.
    pub num_waiting_uncached_tokens: usize,
    /// Tokens owned by requests or pinned in the cache.
    pub num_used_tokens: usize,
    /// Used and pending tokens.
    pub num_total_tokens: usize,
    /// Tokens in the radix cache that can be evicted.
    pub num_evictable_tokens: usize,
    /// Tokens in the radix cache that requests pin.
    pub num_protected_tokens: usize,
    /// Size of the KV pool.
    pub max_total_num_tokens: usize,
    /// Configured limit of running requests.
    pub max_running_requests: usize,
    /// Current limit of running requests.
    pub max_micro_batch_size: usize,
    /// `num_used_tokens / max_total_num_tokens`.
    pub token_usage: f64,
    /// Fraction of prompt tokens found in the cache since the start or the last flush.
    pub cache_hit_rate: f64,
    /// Prompt tokens looked up in the cache.
    pub cache_query_tokens: u64,
    /// Prompt tokens found in the cache.
    pub cache_hit_tokens: u64,
    /// Fraction of `max_new_tokens` that admission reserves for running requests.
    pub new_token_ratio: f64,
    /// Planned steps.
    pub total_steps: u64,
    /// Computed prompt tokens.
    pub total_prefill_tokens: u64,
    /// Output tokens.
    pub total_output_tokens: u64,
    /// Requests accepted.
    pub total_requests: u64,
    /// Requests ended, for any reason.
    pub total_finished: u64,
    /// Retractions and preemptions.
    pub total_retractions: u64,
    /// Batches in flight.
    pub num_in_flight: usize,
    /// Whether generation is paused.
    pub paused: bool,
}
