//! Monitoring a running server.

use std::collections::BTreeMap;
use std::io::Read;

use flate2::read::GzDecoder;
use serde_json::{Value, json};
use sglang_e2e::Server;

fn generate(server: &Server, text: &str, tokens: usize) -> Value {
    let params = json!({"temperature": 0, "max_new_tokens": tokens, "ignore_eos": true});
    server.post_json("/generate", &json!({"text": text, "sampling_params": params})).unwrap()
}

/// A call that is answered with text.
fn plain(server: &Server, path: &str, body: &Value) -> (u16, String) {
    let response = server.post(path, body).unwrap();
    (response.status().as_u16(), response.text().unwrap())
}

fn trace(path: &std::path::Path) -> Vec<Value> {
    let mut text = String::new();
    GzDecoder::new(std::fs::File::open(path).unwrap()).read_to_string(&mut text).unwrap();
    let mut trace: Value = serde_json::from_str(&text).unwrap();
    trace["traceEvents"].as_array_mut().unwrap().drain(..).collect()
}

/// Number of steps that were planned before the previous step had ended: impossible without overlap. With overlap it is
/// certain for at least the second step, however busy the machine is.
fn planned_ahead(spans: &[&Value]) -> usize {
    let end = |e: &Value| e["ts"].as_f64().unwrap() + e["dur"].as_f64().unwrap();
    let ends = |names: [&str; 2]| -> BTreeMap<u64, f64> {
        let named = spans.iter().filter(|e| names.contains(&e["name"].as_str().unwrap()));
        named.filter_map(|e| Some((e["args"]["step"].as_u64()?, end(e)))).collect()
    };
    let (planned, ran) = (ends(["schedule", "schedule"]), ends(["extend", "decode"]));
    planned
        .iter()
        .filter(|(step, planned)| **step > 0 && ran.get(&(*step - 1)).is_some_and(|ran| planned < &ran))
        .count()
}

#[test]
fn without_overlap_no_step_is_planned_ahead() {
    let server = Server::start(&["--disable-overlap-schedule"]).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let start = json!({"output_dir": dir.path(), "profile_id": "run"});
    assert_eq!(plain(&server, "/start_profile", &start).0, 200);
    generate(&server, "Once upon a time", 6);
    assert_eq!(plain(&server, "/stop_profile", &json!({})).0, 200);
    let events = trace(&dir.path().join("run-TP-0.trace.json.gz"));
    let spans: Vec<&Value> = events.iter().filter(|e| e["ph"] == "X").collect();
    assert_eq!(planned_ahead(&spans), 0);
}

#[test]
fn a_trace_shows_the_next_step_being_planned_while_the_model_runs() {
    let server = Server::start(&[]).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let start = json!({"output_dir": dir.path(), "profile_id": "run", "activities": ["CPU"]});
    assert_eq!(plain(&server, "/start_profile", &start), (200, "Start profiling.\n".to_owned()));
    assert_eq!(plain(&server, "/start_profile", &start).0, 400, "one at a time");
    generate(&server, "Once upon a time", 12);
    let stopped = plain(&server, "/stop_profile", &json!({}));
    assert_eq!(stopped, (200, "Stop profiling. This will take some time.\n".to_owned()));
    assert_eq!(plain(&server, "/stop_profile", &json!({})).0, 400);
    let file = dir.path().join("run-TP-0.trace.json.gz");
    let events = trace(&file);
    let spans: Vec<&Value> = events.iter().filter(|e| e["ph"] == "X").collect();
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for span in &spans {
        *counts.entry(span["name"].as_str().unwrap()).or_default() += 1;
        assert!(span["ts"].as_f64().unwrap() >= 0.0 && span["dur"].as_f64().unwrap() >= 0.0, "{span}");
    }
    let steps = counts["extend"] + counts["decode"];
    assert!(steps >= 12, "{counts:?}");
    for phase in ["prepare", "forward", "sample", "schedule", "submit", "wait", "process_result", "outputs"] {
        assert_eq!(counts[phase], steps, "{phase} in {counts:?}");
    }
    assert!(planned_ahead(&spans) >= 1, "no step was planned while the one before it ran");
    let bench = std::process::Command::new(sglang_e2e::bin_dir().join("sglang-bench"))
        .arg("trace-idle")
        .arg(&file)
        .output()
        .unwrap();
    let printed = String::from_utf8(bench.stdout).unwrap();
    assert!(printed.contains(&format!("steps of the model:    {steps}")), "{printed}");
}

#[test]
fn a_trace_of_some_steps_ends_by_itself() {
    let server = Server::start(&[]).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let start = json!({"output_dir": dir.path().join("new"), "profile_id": "few", "num_steps": 3});
    assert_eq!(plain(&server, "/start_profile", &start).0, 200);
    generate(&server, "Once upon a time", 8);
    let file = dir.path().join("new/few-TP-0.trace.json.gz");
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
    while !server.log_text().contains("Profiling done. 3 steps") {
        assert!(std::time::Instant::now() < deadline, "{}", server.log_text());
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    let steps = |e: &&Value| e["cat"] == "model" && !e["args"]["step"].is_null();
    assert_eq!(trace(&file).iter().filter(steps).count(), 3);
    assert_eq!(plain(&server, "/stop_profile", &json!({})).0, 400, "it has ended");
    let refused = plain(&server, "/start_profile", &json!({"activities": ["RPD"]}));
    assert_eq!(refused.0, 400);
    assert!(refused.1.contains("expected CPU or GPU"), "{}", refused.1);
}

#[test]
fn the_log_level_of_every_process_can_be_changed() {
    let server = Server::start(&["--log-level", "warning"]).unwrap();
    generate(&server, "Hi", 2);
    assert!(!server.log_text().contains("Prefill batch"));
    let set = json!({"log_level": "info", "log_requests": true, "log_requests_level": 3});
    assert_eq!(plain(&server, "/configure_logging", &set), (200, String::new()));
    // When the answer comes, the change is on its way to the scheduler; the request follows on the same link.
    generate(&server, "Hello there", 2);
    let log = server.log_text();
    assert!(log.contains("Prefill batch"), "{log}");
    assert!(log.contains("Receive: obj=") && log.contains("Hello there"), "{log}");
}

#[test]
fn metrics_tell_what_the_scheduler_did() {
    let server =
        Server::start(&["--enable-metrics", "--served-model-name", "m", "--skip-server-warmup"]).unwrap();
    let text = "word ".repeat(40);
    for _ in 0..2 {
        generate(&server, &text, 5);
    }
    let metrics = server.get("/metrics").unwrap().text().unwrap();
    let value = |name: &str| -> f64 {
        let line = metrics
            .lines()
            .find(|l| l.starts_with(&format!("sglang:{name}{{")))
            .unwrap_or_else(|| panic!("no {name} in {metrics}"));
        line.rsplit(' ').next().unwrap().parse().unwrap()
    };
    assert_eq!(value("generation_tokens_total"), 10.0);
    assert_eq!(value("num_requests_total"), 2.0);
    assert!(value("cached_tokens_total") >= 30.0, "the second prompt was in the cache");
    assert!(value("cache_hit_rate") > 0.3);
    assert_eq!(value("num_running_reqs"), 0.0);
    assert!(value("kv_available_tokens") > 0.0 && value("weight_memory_usage_gb") > 0.05);
    assert_eq!(value("time_to_first_token_seconds_count"), 2.0);
}
