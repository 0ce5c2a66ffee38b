//! The scheduler's gauges, from its current state.

use prometheus::proto::MetricFamily;
use prometheus::{Counter, Gauge, Opts, Registry};
use serde_json::Value;

use super::ENGINE_TYPE;

/// The source of a gauge.
enum Source {
    /// A number in the live state.
    State(&'static str),
    /// A number that the scheduler reported at start.
    Info(&'static str),
    /// A number of bytes that the scheduler reported at start, shown in GiB.
    InfoGib(&'static str),
}
use Source::{Info, InfoGib, State};

const GAUGES: &[(&str, &str, Source)] = &[
    (
        "max_total_num_tokens",
        "Maximum total number of tokens in the KV cache pool.",
        State("max_total_num_tokens"),
    ),
    ("weight_memory_usage_gb", "Memory used by model weights in GB.", InfoGib("weight_bytes")),
    ("kv_cache_memory_usage_gb", "Memory used by the KV cache pools in GB.", InfoGib("kv_cache_bytes")),
    ("page_size", "KV cache page size in tokens.", Info("page_size")),
    ("context_len", "Maximum context length.", Info("context_length")),
    ("num_running_reqs", "The number of running requests.", State("num_running_reqs")),
    ("num_queue_reqs", "The number of requests in the waiting queue.", State("num_waiting_reqs")),
    (
        "num_grammar_queue_reqs",
        "The number of requests in the grammar waiting queue.",
        State("num_grammar_queue_reqs"),
    ),
    ("gen_throughput", "The generation throughput (token/s).", State("gen_throughput")),
    ("cache_hit_rate", "The prefix cache hit rate.", State("cache_hit_rate")),
    ("token_usage", "The token usage.", State("token_usage")),
    ("full_token_usage", "The token usage for full attention layers.", State("token_usage")),
    ("num_used_tokens", "The number of used tokens.", State("num_used_tokens")),
    ("kv_used_tokens", "Number of actively used token slots in the KV cache pool.", State("num_used_tokens")),
    (
        "kv_evictable_tokens",
        "Number of evictable (radix-cached) token slots in the KV cache pool.",
        State("num_evictable_tokens"),
    ),
    ("new_token_ratio", "The new token ratio.", State("new_token_ratio")),
    ("num_retracted_reqs", "The number of retracted requests.", State("num_waiting_retracted_reqs")),
];

/// Token counts by kind of work.
const REALTIME_TOKENS: [(&str, &str); 3] = [
    ("prefill_compute", "total_prefill_tokens"),
    ("prefill_cache", "cache_hit_tokens"),
    ("decode", "total_output_tokens"),
];

/// The common labels, and an additional one.
fn opts(name: &str, help: &str, model_name: &str, more: Option<(&str, &str)>) -> Opts {
    let mut opts = Opts::new(format!("sglang:{name}"), help)
        .const_label("engine_type", ENGINE_TYPE)
        .const_label("model_name", model_name);
    for rank in ["moe_ep_rank", "pp_rank", "tp_rank"] {
        opts = opts.const_label(rank, "0");
    }
    match more {
        Some((label, value)) => opts.const_label(label, value),
        None => opts,
    }
}

/// The gauges in `state` and `info`; missing ones are left out.
pub(super) fn gather(state: &Value, info: &Value, model_name: &str) -> prometheus::Result<Vec<MetricFamily>> {
    let registry = Registry::new();
    let number = |from: &Value, key: &str| from.get(key).and_then(Value::as_f64);
    let gauge = |name: &str, help: &str, value: Option<f64>| -> prometheus::Result<()> {
        let Some(value) = value else { return Ok(()) };
        let gauge = Gauge::with_opts(opts(name, help, model_name, None))?;
        gauge.set(value);
        registry.register(Box::new(gauge))
    };
    for (name, help, source) in GAUGES {
        let value = match source {
            State(key) => number(state, key),
            Info(key) => number(info, key),
            InfoGib(key) => number(info, key).map(|bytes| bytes / f64::from(1 << 30)),
        };
        gauge(name, help, value)?;
    }
    let total = number(state, "max_total_num_tokens").unwrap_or_default();
    let taken = number(state, "num_used_tokens").unwrap_or_default()
        + number(state, "num_evictable_tokens").unwrap_or_default();
    let free = "Number of free token slots in the KV cache pool.";
    gauge("kv_available_tokens", free, Some((total - taken).max(0.0)))?;
    let pages = number(info, "page_size").map(|size| (total / size.max(1.0)).floor());
    gauge("num_pages", "Number of KV cache pages.", pages)?;
    let running = number(state, "num_running_reqs").unwrap_or_default();
    let utilization = number(state, "max_running_requests").map(|most| running / most.max(1.0));
    gauge("utilization", "The utilization.", utilization)?;
    let paused = state.get("paused").and_then(Value::as_bool).unwrap_or_default();
    let held = if paused { running + number(state, "num_waiting_reqs").unwrap_or_default() } else { 0.0 };
    gauge("num_paused_reqs", "The number of paused requests by async weight sync.", Some(held))?;
    for (mode, key) in REALTIME_TOKENS {
        let help = "Total number of tokens processed. mode: prefill_compute, prefill_cache, decode.";
        let counter =
            Counter::with_opts(opts("realtime_tokens_total", help, model_name, Some(("mode", mode))))?;
        counter.inc_by(number(state, key).unwrap_or_default().max(0.0));
        registry.register(Box::new(counter))?;
    }
    Ok(registry.gather())
}

#[cfg(test)]
mod tests {
    use prometheus::{Encoder, TextEncoder};
    use serde_json::json;

    use super::*;

    #[test]
    fn live_figures_have_the_references_names_and_labels() {
        let state = json!({
            "max_total_num_tokens": 100, "num_used_tokens": 20, "num_evictable_tokens": 30, "num_running_reqs": 2,
            "max_running_requests": 8, "num_waiting_reqs": 1, "paused": false, "token_usage": 0.2,
            "total_output_tokens": 9,
        });
        let info = json!({"page_size": 4, "weight_bytes": 1u64 << 29});
        let mut out = Vec::new();
        TextEncoder::new().encode(&gather(&state, &info, "m").unwrap(), &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        let labels = "engine_type=\"unified\",model_name=\"m\",moe_ep_rank=\"0\",pp_rank=\"0\",tp_rank=\"0\"";
        for (name, value) in [
            ("num_running_reqs", "2"),
            ("num_queue_reqs", "1"),
            ("token_usage", "0.2"),
            ("kv_available_tokens", "50"),
            ("num_pages", "25"),
            ("utilization", "0.25"),
            ("weight_memory_usage_gb", "0.5"),
        ] {
            let line = format!("sglang:{name}{{{labels}}} {value}");
            assert!(text.lines().any(|l| l == line), "no {line} in\n{text}");
        }
        let decode = "engine_type=\"unified\",mode=\"decode\",model_name=\"m\"";
        assert!(text.contains(&format!("sglang:realtime_tokens_total{{{decode}")));
        assert!(text.contains("# TYPE sglang:realtime_tokens_total counter"));
        assert!(!text.contains("gen_throughput"), "what the scheduler does not tell is left out");
    }
}
