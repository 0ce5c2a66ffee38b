//! The times that `--enable-metrics` adds to answers.

use serde_json::{Value, json};
use sglang_e2e::{Server, sse_events};

/// The keys of `meta_info` that the flag adds.
const WITH_METRICS: [&str; 10] = [
    "storage_prefetch_wait",
    "storage_staging_wait",
    "forward_entry_time",
    "prefill_finished_time",
    "queue_time",
    "request_received_ts",
    "first_token_latency",
    "api_server_dispatch_finish_ts",
    "request_finished_ts",
    "decode_throughput",
];

fn body(stream: bool) -> Value {
    let params = json!({"temperature": 0, "max_new_tokens": 6, "ignore_eos": true});
    json!({"text": "word ".repeat(30), "stream": stream, "sampling_params": params})
}

fn unix() -> f64 {
    std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs_f64()
}

/// Sends a request and returns the `meta_info` of every chunk (of the answer without streaming).
fn ask(server: &Server, stream: bool) -> Vec<Value> {
    if !stream {
        return vec![server.post_json("/generate", &body(false)).unwrap()["meta_info"].take()];
    }
    let text = server.post("/generate", &body(true)).unwrap().text().unwrap();
    let chunks = sse_events(&text).into_iter().filter(|data| *data != "[DONE]");
    chunks.map(|data| serde_json::from_str::<Value>(data).unwrap()["meta_info"].take()).collect()
}

#[test]
fn with_metrics_the_moments_of_a_request_follow_each_other() {
    let server = Server::start(&["--enable-metrics", "--chunked-prefill-size", "16"]).unwrap();
    for stream in [false, true] {
        let began = unix();
        let chunks = ask(&server, stream);
        let ended = unix();
        let last = chunks.last().unwrap();
        let number = |key: &str| last[key].as_f64().unwrap_or_else(|| panic!("no {key} in {last}"));
        for key in WITH_METRICS {
            assert!(number(key) >= 0.0, "{key}: {last}");
        }
        let moments = [
            began,
            number("request_received_ts"),
            number("api_server_dispatch_finish_ts"),
            number("forward_entry_time") - number("queue_time"),
            number("forward_entry_time"),
            number("prefill_finished_time"),
            number("request_received_ts") + number("first_token_latency"),
            number("request_finished_ts"),
            ended,
        ];
        // Each process reads the system clock once and then counts by itself.
        assert!(moments.windows(2).all(|pair| pair[0] <= pair[1] + 2e-3), "{moments:?}");
        let latency = number("request_finished_ts") - number("request_received_ts");
        assert!((latency - number("e2e_latency")).abs() < 1e-4);
        assert!(number("first_token_latency") < number("e2e_latency"), "{last}");
        let decoding = number("e2e_latency") - number("first_token_latency");
        let rate = 5.0 / decoding;
        assert!((number("decode_throughput") / rate - 1.0).abs() < 0.5, "{rate}: {last}");
        let sent = number("response_sent_to_client_ts");
        assert!(sent <= ended && (chunks.len() > 1) == (sent < number("request_finished_ts")), "{last}");
        for chunk in &chunks {
            for key in &WITH_METRICS[..5] {
                assert_eq!(chunk[key], last[key], "they do not change");
            }
        }
    }
    let metrics = server.get("/metrics").unwrap().text().unwrap();
    let value = |start: &str| -> f64 {
        let line = metrics.lines().find(|line| line.starts_with(start));
        line.unwrap_or_else(|| panic!("no {start} in {metrics}")).rsplit(' ').next().unwrap().parse().unwrap()
    };
    let stage = |name: &str| -> f64 {
        let of_stage = |line: &&str| {
            line.starts_with("sglang:per_stage_req_latency_seconds_count")
                && line.contains(&format!("stage=\"{name}\""))
        };
        let line = metrics.lines().find(of_stage).unwrap_or_else(|| panic!("no {name} in {metrics}"));
        line.rsplit(' ').next().unwrap().parse().unwrap()
    };
    // Two requests and the warm-up.
    assert!(value("sglang:queue_time_seconds_count") >= 2.0);
    assert!(stage("request_process") >= 2.0 && stage("prefill_forward") >= 2.0);
    assert!(stage("chunked_prefill") >= 1.0, "30 tokens in chunks of 16");
}

#[test]
fn without_metrics_answers_have_no_such_keys() {
    let server = Server::start(&[]).unwrap();
    for stream in [false, true] {
        for chunk in ask(&server, stream) {
            assert!(WITH_METRICS.iter().all(|key| chunk.get(key).is_none()), "{chunk}");
        }
    }
}
