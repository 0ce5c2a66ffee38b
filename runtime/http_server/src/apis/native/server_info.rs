//! `/get_server_info` and `/server_info`: every argument with its effective value, sizes, and the scheduler's live
//! state.

use std::time::Duration;

use actix_web::{HttpResponse, web};
use serde_json::{Map, Value, json};
use sglang_server_args::{flags, secrets};

use super::disabled;
use super::info::API_VERSION;
use super::loads::gib;
use crate::app::App;
use crate::http::reply;

/// Longest wait for the scheduler's live state.
const STATE_TIMEOUT: Duration = Duration::from_secs(5);
/// Replaces arguments that must not be shown.
const HIDDEN: &str = "***";

/// `GET /get_server_info`, `GET /server_info`. If the scheduler does not answer, `internal_states` is empty.
pub async fn server_info(app: web::Data<App>) -> HttpResponse {
    let live = app.manager.internal_state(STATE_TIMEOUT).await;
    let scheduler = app.manager.scheduler_info.read().clone();
    let mut info = arguments(&app, &scheduler);
    let internal_states = match live {
        Ok(live) => vec![internal_state(info.clone(), &scheduler, live)],
        Err(error) => {
            tracing::warn!("No live state for /server_info: {error}");
            Vec::new()
        }
    };
    let mut startup_time = startup_time(&scheduler);
    startup_time.insert("tokenizer_e2e".to_owned(), app.startup_seconds.into());
    let told = |key: &str| scheduler.get(key).cloned().unwrap_or_default();
    for (key, value) in [
        ("launch_command", launch_command(std::env::args().skip(1)).into()),
        ("status", if app.manager.status.is_up() { "ready" } else { "starting" }.into()),
        ("max_total_num_tokens", told("max_total_num_tokens")),
        ("max_req_input_len", told("max_req_input_len")),
        ("startup_time", startup_time.into()),
        ("hicache_object_layout", disabled::hicache_object_layout(&app)),
        ("kv_events", Value::Null),
        ("internal_states", internal_states.into()),
        ("version", API_VERSION.into()),
        ("frontend", "rust".into()),
    ] {
        info.insert(key.to_owned(), value);
    }
    reply::json(&info)
}

/// The arguments, with later changes and with the values that the scheduler chose.
fn arguments(app: &App, scheduler: &Value) -> Map<String, Value> {
    let mut arguments = app.args.to_json();
    let served = app.served();
    for (key, value) in [
        ("model_path", served.model_path),
        ("served_model_name", served.model_name),
        ("load_format", served.load_format),
        ("weight_version", served.weight_version),
    ] {
        arguments.insert(key.to_owned(), value.into());
    }
    for (key, told) in [
        ("dtype", "dtype"),
        ("context_length", "context_length"),
        ("max_running_requests", "max_running_requests"),
        ("max_total_tokens", "max_total_num_tokens"),
        ("page_size", "page_size"),
    ] {
        if let Some(value) = scheduler.get(told) {
            arguments.insert(key.to_owned(), value.clone());
        }
    }
    if let Some(size) = scheduler.get("chunked_prefill_size") {
        // Without chunks, a prompt is prefilled in one step.
        let size = if size.is_null() { json!(-1) } else { size.clone() };
        arguments.insert("chunked_prefill_size".to_owned(), size);
    }
    if let Some(device) = scheduler.get("device").and_then(Value::as_str) {
        let kind = device.split(':').next().unwrap_or(device);
        arguments.insert("device".to_owned(), kind.into());
    }
    for secret in secrets() {
        if let Some(value) = arguments.get_mut(secret).filter(|value| !value.is_null()) {
            *value = HIDDEN.into();
        }
    }
    arguments
}

/// The keys that the reference's scheduler reports, then our own scheduler's state.
fn internal_state(mut state: Map<String, Value>, scheduler: &Value, live: Value) -> Value {
    // In the reference this value is a Python function.
    state.shift_remove("custom_sigquit_handler");
    let gib = |key: &str| gib(scheduler.get(key).and_then(Value::as_u64));
    let memory_usage = json!({
        "weight": gib("weight_bytes"),
        "kvcache": gib("kv_cache_bytes"),
        "startup_available": gib("available_bytes"),
        "token_capacity": scheduler.get("max_total_num_tokens"),
        "token_capacity_swa": null,
        "graph": cuda_graph(),
    });
    let most = live.get("max_running_requests").cloned().unwrap_or_default();
    for (key, value) in [
        ("world_size", json!(1)),
        ("startup_time", startup_time(scheduler).into()),
        ("effective_max_running_requests_per_dp", most),
        ("last_gen_throughput", json!(0.0)),
        ("memory_usage", memory_usage),
        ("decode_cuda_graph_bs", json!([])),
        ("decode_cuda_graph_memory_gb", json!(0.0)),
    ] {
        state.insert(key.to_owned(), value);
    }
    if let Value::Object(live) = live {
        state.extend(live);
    }
    state.into()
}

/// One value per kind of CUDA graph, although this server has no CUDA graphs.
fn cuda_graph() -> Value {
    json!({
        "prefill": 0.0, "decode": 0.0, "target_verify": 0.0, "draft_prefill": 0.0, "draft_decode": 0.0,
        "draft_extend": 0.0,
    })
}

/// The duration of the scheduler's start in seconds.
fn startup_time(scheduler: &Value) -> Map<String, Value> {
    let mut times = scheduler.get("startup_time").and_then(Value::as_object).cloned().unwrap_or_default();
    times.insert("cuda_graph".to_owned(), cuda_graph());
    times
}

/// Whether the value of this flag must not be shown. The flag may be abbreviated.
fn is_secret(flag: &str) -> bool {
    let Some(name) = flag.strip_prefix("--").filter(|name| !name.is_empty()) else { return false };
    let is_other = flags().any(|flag| flag.long == name && !flag.secret);
    !is_other && flags().any(|flag| flag.secret && flag.long.starts_with(name))
}

/// The command line without its secrets.
fn launch_command(arguments: impl Iterator<Item = String>) -> String {
    let mut hide_next = false;
    let shown = arguments.map(|argument| {
        if std::mem::take(&mut hide_next) {
            return HIDDEN.to_owned();
        }
        let (flag, value) = argument.split_once('=').map_or((argument.as_str(), None), |(f, v)| (f, Some(v)));
        let is_secret = is_secret(flag);
        match value {
            Some(_) if is_secret => return format!("{flag}={HIDDEN}"),
            _ => hide_next = is_secret,
        }
        argument
    });
    shown.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_shown_without_its_keys() {
        let shown = |line: &str| launch_command(line.split(' ').map(str::to_owned));
        for plain in ["--model-path m --port 1", "--served-model-name=a=b --log-level info"] {
            assert_eq!(shown(plain), plain);
        }
        assert_eq!(
            shown("--api-key k --admin-api-key=a --ssl-keyfile-password --api-key --port 1"),
            "--api-key *** --admin-api-key=*** --ssl-keyfile-password *** --port 1"
        );
        assert_eq!(
            shown("--api-k k --ssl-keyfile f --admin=a --port 1"),
            "--api-k *** --ssl-keyfile f --admin=*** --port 1"
        );
    }

    #[test]
    fn what_the_scheduler_chose_is_shown_and_its_state_follows_the_references() {
        let scheduler = json!({"weight_bytes": 1u64 << 29, "kv_cache_bytes": 3u64 << 30, "available_bytes": 0,
            "max_total_num_tokens": 64, "startup_time": {"load_weight": 0.5}});
        let live =
            json!({"max_running_requests": 4, "last_gen_throughput": 2.5, "pp_max_micro_batch_size": 2});
        let args = json!({"pp_max_micro_batch_size": null, "custom_sigquit_handler": null});
        let state = internal_state(args.as_object().cloned().unwrap_or_default(), &scheduler, live);
        assert_eq!(state["effective_max_running_requests_per_dp"], 4);
        assert_eq!(
            (&state["last_gen_throughput"], &state["pp_max_micro_batch_size"]),
            (&json!(2.5), &json!(2))
        );
        assert_eq!(state["memory_usage"]["weight"], 0.5);
        assert_eq!(state["memory_usage"]["kvcache"], 3.0);
        assert_eq!(state["startup_time"]["load_weight"], 0.5);
        assert!(state.get("custom_sigquit_handler").is_none());
    }
}
