//! A snapshot of the planner's state for `/v1/loads` and `/get_server_info`.

/// Counts are requests or tokens as named; totals run since the start.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PlannerStats {
    /// Requests that decode or prefill.
    pub num_running_reqs: usize,
    /// LoRA adapters of requests that decode or prefill; 0 with LoRA off.
    pub num_running_adapters: usize,
    /// Requests that wait.
    pub num_waiting_reqs: usize,
    /// Waiting requests that were retracted.
    pub num_waiting_retracted_reqs: usize,
    /// Prompt and output tokens of waiting requests, plus what is left of a chunked prompt.
    pub num_pending_tokens: usize,
    /// Estimate of the pending tokens that the cache will not supply.
    pub num_waiting_uncached_tokens: usize,
    /// Tokens owned by requests or pinned in the cache.
    pub num_used_tokens: usize,
    /// Used and pending tokens.
    pub num_total_tokens: usize,
    /// Tokens in the radix cache that may be evicted.
    pub num_evictable_tokens: usize,
    /// Tokens in the radix cache that are pinned by requests.
    pub num_protected_tokens: usize,
    /// Size of the KV pool.
    pub max_total_num_tokens: usize,
    /// Most requests that run at once.
    pub max_running_requests: usize,
    /// Most requests that run at once now.
    pub max_micro_batch_size: usize,
    /// `num_used_tokens / max_total_num_tokens`.
    pub token_usage: f64,
    /// Share of the prompt tokens that the cache supplied, since the start or the last flush.
    pub cache_hit_rate: f64,
    /// Prompt tokens looked up in the cache.
    pub cache_query_tokens: u64,
    /// Prompt tokens found in the cache.
    pub cache_hit_tokens: u64,
    /// Share of `max_new_tokens` that admission reserves for running requests.
    pub new_token_ratio: f64,
    /// Planned steps.
    pub total_steps: u64,
    /// Computed prompt tokens.
    pub total_prefill_tokens: u64,
    /// Output tokens.
    pub total_output_tokens: u64,
    /// Requests accepted.
    pub total_requests: u64,
    /// Requests ended, in whatever way.
    pub total_finished: u64,
    /// Retractions and preemptions.
    pub total_retractions: u64,
    /// Batches that are running.
    pub num_in_flight: usize,
    /// Whether generation is paused.
    pub paused: bool,
}
