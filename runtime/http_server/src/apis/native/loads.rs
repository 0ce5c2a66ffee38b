//! `/v1/loads`: how busy the scheduler is, as JSON or Prometheus text.

use std::time::Duration;

use actix_web::http::header::CONTENT_TYPE;
use actix_web::{HttpRequest, HttpResponse, web};
use serde_json::{Map, Value, json};
use sglang_tokenizer_manager::state::unix_seconds;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::info::API_VERSION;
use crate::app::App;
use crate::http::errors::ApiError;
use crate::http::extract::query;
use crate::http::reply;

/// Longest wait for the scheduler's state.
const TIMEOUT: Duration = Duration::from_secs(5);
const SECTIONS: [&str; 7] = ["core", "memory", "spec", "lora", "disagg", "queues", "all"];

/// `GET /v1/loads`.
pub async fn loads(app: web::Data<App>, request: HttpRequest) -> Result<HttpResponse, ApiError> {
    if let Some(rank) = query(&request, "dp_rank")
        && rank != "0"
    {
        return Err(ApiError::Http {
            status: 400,
            detail: format!("dp_rank={rank} is not a rank of this server; there is only rank 0."),
        });
    }
    let include = query(&request, "include").unwrap_or_else(|| "all".to_owned());
    let include: Vec<&str> = include.split(',').map(str::trim).collect();
    if let Some(unknown) = include.iter().find(|name| !SECTIONS.contains(name)) {
        return Err(ApiError::Http {
            status: 400,
            detail: format!("Invalid include section '{unknown}'. Valid: {}.", SECTIONS.join(", ")),
        });
    }
    let state = app.manager.internal_state(TIMEOUT).await?;
    let slots = app.args.enable_lora.then_some(app.args.max_loras_per_batch);
    let facts = Facts {
        max_total_num_tokens: app.manager.scheduler_number("max_total_num_tokens"),
        weight_bytes: app.manager.scheduler_number("weight_bytes"),
        kv_cache_bytes: app.manager.scheduler_number("kv_cache_bytes"),
        max_loras_per_batch: slots,
    };
    let load = load(&state, &include, &facts);
    if query(&request, "format").as_deref() == Some("prometheus") {
        return Ok(HttpResponse::Ok()
            .insert_header((CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8"))
            .body(prometheus(&load)));
    }
    let now = OffsetDateTime::now_utc().format(&Rfc3339).unwrap_or_default();
    Ok(reply::json(&json!({
        "timestamp": now,
        "version": API_VERSION,
        "accelerator": null,
        "num_accelerators": 1,
        "loads": [load],
    })))
}

/// Values that do not change while the scheduler runs.
#[derive(Default)]
struct Facts {
    max_total_num_tokens: Option<u64>,
    weight_bytes: Option<u64>,
    kv_cache_bytes: Option<u64>,
    max_loras_per_batch: Option<usize>,
}

/// A number rounded to this many decimal places.
fn rounded(number: f64, places: i32) -> f64 {
    let unit = 10f64.powi(places);
    (number * unit).round() / unit
}

/// Bytes as GiB.
pub(super) fn gib(bytes: Option<u64>) -> f64 {
    rounded(bytes.unwrap_or_default() as f64 / f64::from(1 << 30), 3)
}

/// The reference's keys, from the scheduler's state. Keys of features that this version does not have (disaggregation)
/// have the values that the reference reports with the feature off.
fn load(state: &Value, include: &[&str], facts: &Facts) -> Map<String, Value> {
    let int = |key: &str| state.get(key).and_then(Value::as_u64).unwrap_or_default();
    let float = |key: &str| state.get(key).and_then(Value::as_f64).unwrap_or_default();
    let wants = |section: &str| include.iter().any(|name| *name == section || *name == "all");
    let capacity = match int("max_total_num_tokens") {
        0 => facts.max_total_num_tokens.unwrap_or_default(),
        n => n,
    };
    let running = int("num_running_reqs");
    let max_running = int("max_running_requests");
    let mut load = Map::new();
    let mut put = |key: &str, value: Value| load.insert(key.to_owned(), value);
    put("timestamp", unix_seconds().into());
    put("dp_rank", 0.into());
    put("num_running_reqs", running.into());
    put("num_waiting_reqs", int("num_waiting_reqs").into());
    put("num_waiting_uncached_tokens", int("num_waiting_uncached_tokens").into());
    put("num_used_tokens", int("num_used_tokens").into());
    put("num_total_tokens", int("num_total_tokens").into());
    // The keys and values of all running and waiting tokens are in this pool.
    put("num_active_tokens", int("num_total_tokens").into());
    put("num_prealloc_ready_tokens", 0.into());
    put("max_total_num_tokens", capacity.into());
    put("max_running_requests", max_running.into());
    put("token_usage", rounded(float("token_usage"), 4).into());
    put("gen_throughput", rounded(float("gen_throughput"), 2).into());
    put("cache_hit_rate", rounded(float("cache_hit_rate"), 4).into());
    put("utilization", rounded(running as f64 / max_running.max(1) as f64, 4).into());
    let counters = &state["step_counters"];
    for key in ["total_prefill_uncached_tokens", "total_prefill_busy_us"] {
        put(key, counters[key].as_u64().unwrap_or_default().into());
    }
    if !counters["decode_moments"].is_null() {
        put("decode_moments", counters["decode_moments"].clone());
    }
    if wants("memory") {
        put(
            "memory",
            json!({
                "weight_gb": gib(facts.weight_bytes),
                "kv_cache_gb": gib(facts.kv_cache_bytes),
                "graph_gb": 0.0,
                "token_capacity": capacity,
            }),
        );
    }
    if wants("lora")
        && let Some(slots) = facts.max_loras_per_batch
    {
        let used = int("num_running_adapters");
        let utilization = used as f64 / slots.max(1) as f64;
        put("lora", json!({"slots_used": used, "slots_total": slots, "utilization": utilization}));
    }
    if wants("disagg") {
        put(
            "disaggregation",
            json!({
                "mode": "null",
                "prefill_bootstrap_queue_reqs": 0,
                "prefill_inflight_queue_reqs": 0,
                "decode_prealloc_queue_reqs": 0,
                "decode_transfer_queue_reqs": 0,
                "decode_retracted_queue_reqs": 0,
                "kv_transfer_speed_gb_s": 0.0,
                "kv_transfer_latency_ms": 0.0,
            }),
        );
    }
    if wants("queues") {
        put(
            "queues",
            json!({
                "waiting": int("num_waiting_reqs"),
                "grammar": int("num_grammar_queue_reqs"),
                "paused": 0,
                "retracted": int("num_waiting_retracted_reqs"),
                "prealloc_ready": 0,
            }),
        );
    }
    load
}

fn prometheus(load: &Map<String, Value>) -> String {
    let mut out = String::new();
    let mut sample = |name: &str, value: &Value| {
        if value.is_number() {
            out.push_str(&format!("# TYPE sglang_{name} gauge\nsglang_{name}{{dp_rank=\"0\"}} {value}\n"));
        }
    };
    for (key, value) in load {
        match value {
            Value::Object(section) => {
                let prefix = if key == "disaggregation" { "disagg" } else { key };
                for (sub, value) in section {
                    sample(&format!("{prefix}_{sub}"), value);
                }
            }
            _ if key == "dp_rank" => {}
            value => sample(key, value),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_keep_the_references_names_in_both_forms() {
        let state = json!({"num_running_reqs": 2, "max_running_requests": 8, "token_usage": 0.5, "num_waiting_reqs": 1});
        let facts =
            Facts { max_total_num_tokens: Some(1000), weight_bytes: Some(1 << 29), ..Facts::default() };
        let all = load(&state, &["all"], &facts);
        assert_eq!((&all["num_running_reqs"], &all["utilization"]), (&json!(2), &json!(0.25)));
        assert_eq!((&all["max_total_num_tokens"], &all["queues"]["waiting"]), (&json!(1000), &json!(1)));
        assert!(!load(&state, &["core"], &facts).contains_key("queues"));
        assert!(!all.contains_key("lora"));
        let state = json!({"num_running_adapters": 2});
        let expected = json!({"slots_used": 2, "slots_total": 8, "utilization": 0.25});
        let facts = Facts { max_loras_per_batch: Some(8), ..Facts::default() };
        assert_eq!(load(&state, &["lora"], &facts)["lora"], expected);
        assert_eq!((&all["memory"]["weight_gb"], &all["total_prefill_busy_us"]), (&json!(0.5), &json!(0)));
        assert!(!all.contains_key("decode_moments"));
        let state = json!({"step_counters": {"total_prefill_busy_us": 7, "decode_moments": [1.0, 2.0]}});
        let busy = load(&state, &["core"], &facts);
        assert_eq!(
            (&busy["total_prefill_busy_us"], &busy["decode_moments"]),
            (&json!(7), &json!([1.0, 2.0]))
        );
        assert!(!prometheus(&busy).contains("decode_moments"));
        let text = prometheus(&all);
        assert!(
            text.contains("# TYPE sglang_num_running_reqs gauge\nsglang_num_running_reqs{dp_rank=\"0\"} 2\n")
        );
        assert!(text.contains("sglang_queues_waiting{dp_rank=\"0\"} 1\n") && !text.contains("null"));
    }
}
