//! The planner's figures as JSON, for `/get_server_info` and `/v1/loads`.

use std::time::Duration;

use serde_json::{Value, json};
use sglang_planner::PlannerStats;

/// Figures of the loop itself.
#[derive(Clone, Debug)]
pub struct LoopFigures {
    /// Time in which the model ran.
    pub model_busy: Duration,
    /// Totals over the steps, by the keys of `/v1/loads`.
    pub counters: Value,
    /// Time since the loop was created.
    pub elapsed: Duration,
    /// Output tokens per second since the last publication.
    pub gen_throughput: f64,
    /// Output tokens per second in the last decode log line.
    pub last_gen_throughput: f64,
}

/// Figures of the components beside the planner.
#[derive(Clone, Debug)]
pub struct ComponentFigures {
    /// Requests whose grammar is being compiled.
    pub num_grammar_queue_reqs: usize,
    /// Open sessions.
    pub num_sessions: usize,
    /// Names of the released parts of memory.
    pub released_memory: Vec<&'static str>,
}

/// All figures as one JSON object.
pub fn to_json(stats: &PlannerStats, figures: &LoopFigures, components: &ComponentFigures) -> Value {
    json!({
        "num_running_reqs": stats.num_running_reqs,
        "num_running_adapters": stats.num_running_adapters,
        "num_waiting_reqs": stats.num_waiting_reqs,
        "num_waiting_retracted_reqs": stats.num_waiting_retracted_reqs,
        "num_pending_tokens": stats.num_pending_tokens,
        "num_waiting_uncached_tokens": stats.num_waiting_uncached_tokens,
        "num_used_tokens": stats.num_used_tokens,
        "num_total_tokens": stats.num_total_tokens,
        "num_evictable_tokens": stats.num_evictable_tokens,
        "num_protected_tokens": stats.num_protected_tokens,
        "max_total_num_tokens": stats.max_total_num_tokens,
        "max_running_requests": stats.max_running_requests,
        "pp_max_micro_batch_size": stats.max_micro_batch_size,
        "token_usage": stats.token_usage,
        "cache_hit_rate": stats.cache_hit_rate,
        "cache_query_tokens": stats.cache_query_tokens,
        "cache_hit_tokens": stats.cache_hit_tokens,
        "new_token_ratio": stats.new_token_ratio,
        "total_steps": stats.total_steps,
        "total_prefill_tokens": stats.total_prefill_tokens,
        "total_output_tokens": stats.total_output_tokens,
        "total_requests": stats.total_requests,
        "total_finished": stats.total_finished,
        "total_retractions": stats.total_retractions,
        "num_in_flight": stats.num_in_flight,
        "paused": stats.paused,
        "num_grammar_queue_reqs": components.num_grammar_queue_reqs,
        "num_sessions": components.num_sessions,
        "released_memory": components.released_memory,
        "step_counters": figures.counters,
        "gen_throughput": figures.gen_throughput,
        "last_gen_throughput": figures.last_gen_throughput,
        "model_busy_s": figures.model_busy.as_secs_f64(),
        "uptime_s": figures.elapsed.as_secs_f64(),
    })
}
