//! Routes to monitor a running server: log settings, traces, metrics.

use serde_json::json;
use sglang_proto::messages::{AnyMessage, CallId, ProfileReq, START_PROFILE, STOP_PROFILE};

use crate::common;

async fn profile_request(server: &common::TestServer, req_type: i64) -> ProfileReq {
    server
        .engine
        .saw(|m| match m {
            AnyMessage::ProfileReq(request) if request.req_type == req_type => Some((**request).clone()),
            _ => None,
        })
        .await
}

#[actix_web::test]
async fn a_trace_is_started_with_its_options_or_without_a_body_and_stopped() {
    let server = common::start(&[]).await;
    let bare = server.client.post(server.url("/start_profile")).send().await.unwrap();
    assert_eq!((bare.status().as_u16(), bare.text().await.unwrap().as_str()), (200, "Start profiling.\n"));
    let request = profile_request(&server, START_PROFILE).await;
    assert_eq!(ProfileReq { rid: CallId::default(), ..request }, ProfileReq::default());
    server.engine.seen.lock().clear();
    let body = json!({"output_dir": "/tmp/x", "num_steps": 5, "start_step": 2, "activities": ["CPU", "GPU"],
        "profile_id": "run", "profile_prefix": "p", "with_stack": true, "record_shapes": false});
    assert_eq!(server.post("/start_profile", body).await.status(), 200);
    let request = profile_request(&server, START_PROFILE).await;
    assert_eq!((request.num_steps, request.start_step), (Some(5), Some(2)));
    assert_eq!(request.activities, Some(vec!["CPU".into(), "GPU".into()]));
    assert_eq!((request.output_dir.as_deref(), request.profile_id.as_deref()), (Some("/tmp/x"), Some("run")));
    let stopped = server.get("/stop_profile").await;
    assert_eq!(stopped.text().await.unwrap(), "Stop profiling. This will take some time.\n");
    profile_request(&server, STOP_PROFILE).await;
    let (status, answer) = server.call("/start_profile", json!({"num_steps": -1})).await;
    assert_eq!((status, &answer["message"]), (400, &json!("as the scheduler says")));
    assert_eq!(server.call("/start_profile", json!({"activities": "CPU"})).await.0, 400);
}

#[actix_web::test]
async fn log_settings_change_what_they_name_and_nothing_else() {
    let server = common::start(&[]).await;
    let set = async |body| server.call("/configure_logging", body).await;
    let (status, answer) = set(json!({"log_requests": true, "log_requests_level": 3})).await;
    assert_eq!((status, answer), (200, json!("")));
    let now = server.app.manager.request_log.read().clone();
    assert_eq!((now.enabled, now.level, now.json), (true, 3, false));
    set(json!({"log_requests_format": "json"})).await;
    let now = server.app.manager.request_log.read().clone();
    assert_eq!((now.enabled, now.level, now.json), (true, 3, true));
    assert_eq!(set(json!({"log_level": "WARNING"})).await.0, 200);
    let told = server.engine.saw(|m| match m {
        AnyMessage::ConfigureLoggingReq(request) => request.log_level.clone(),
        _ => None,
    });
    assert_eq!(told.await, "WARNING");
    for (body, says) in [
        (json!({"log_level": "loud"}), "'debug', 'info', 'warning', 'error' or 'critical'"),
        (json!({"log_requests_level": 4}), "0, 1, 2 or 3"),
        (json!({"log_requests_format": "xml"}), "'text' or 'json'"),
    ] {
        let (status, answer) = set(body).await;
        assert_eq!(status, 400);
        assert!(answer["message"].as_str().unwrap().contains(says), "{answer}");
    }
}

#[actix_web::test]
async fn metrics_count_requests_and_calls_and_are_off_by_default() {
    let off = common::start(&[]).await;
    assert_eq!(off.get("/metrics").await.status(), 404);
    let server = common::start(&["--enable-metrics", "--api-key", "k", "--served-model-name", "m"]).await;
    let generate = server
        .client
        .post(server.url("/generate"))
        .bearer_auth("k")
        .json(&json!({"text": "abcd", "stream": true, "sampling_params": {"max_new_tokens": 4}}));
    assert!(generate.send().await.unwrap().text().await.unwrap().ends_with("data: [DONE]\n\n"));
    let refused = server.get("/v1/models").await;
    assert_eq!(refused.status(), 401);
    for path in ["/metrics", "/metrics/", "/metrics/anything"] {
        let response = server.get(path).await;
        assert_eq!(response.status(), 200, "{path} needs no key");
        assert_eq!(response.headers()["content-type"], "text/plain; version=0.0.4; charset=utf-8");
        let text = response.text().await.unwrap();
        for line in [
            "sglang:generation_tokens_total{engine_type=\"unified\",is_streaming=\"true\",model_name=\"m\"} 4",
            "sglang:time_to_first_token_seconds_count{engine_type=\"unified\",is_streaming=\"true\",model_name=\"m\"} 1",
            "sglang:queue_time_seconds_count{engine_type=\"unified\",model_name=\"m\",moe_ep_rank=\"0\",pp_rank=\"0\",tp_rank=\"0\"} 1",
            "sglang:per_stage_req_latency_seconds_count{engine_type=\"unified\",model_name=\"m\",moe_ep_rank=\"0\",pp_rank=\"0\",stage=\"prefill_forward\",tp_rank=\"0\"} 1",
            "sglang:inter_token_latency_seconds_count{engine_type=\"unified\",model_name=\"m\"} 3",
            "sglang:http_responses_total{endpoint=\"/generate\",method=\"POST\",status_code=\"200\"} 1",
            "sglang:num_running_reqs{engine_type=\"unified\",model_name=\"m\",moe_ep_rank=\"0\",pp_rank=\"0\",tp_rank=\"0\"} 0",
        ] {
            assert!(text.lines().any(|l| l == line), "no {line} in\n{text}");
        }
    }
}

/// The keys of the last chunk or the only answer to a request for four tokens, and whether there were earlier chunks.
async fn last_keys(server: &common::TestServer, stream: bool) -> (Vec<String>, bool) {
    let body = json!({"text": "abcd", "stream": stream, "sampling_params": {"max_new_tokens": 4}});
    let text = server.post("/generate", body).await.text().await.unwrap();
    let documents = text.lines().map(|line| line.strip_prefix("data: ").unwrap_or(line));
    let parsed: Vec<serde_json::Value> =
        documents.filter_map(|text| serde_json::from_str(text).ok()).collect();
    let keys = parsed.last().unwrap()["meta_info"].as_object().unwrap().keys().cloned().collect();
    (keys, parsed.len() > 1)
}

#[actix_web::test]
async fn with_metrics_answers_tell_when_what_happened_to_them() {
    let server = common::start(&["--enable-metrics"]).await;
    let of_scheduler = [
        "num_retractions",
        "storage_prefetch_wait",
        "storage_staging_wait",
        "forward_entry_time",
        "prefill_finished_time",
        "queue_time",
        "reasoning_tokens",
    ];
    for stream in [false, true] {
        let (keys, sent_before) = last_keys(&server, stream).await;
        let at = keys.iter().position(|key| key == "num_retractions").unwrap();
        assert_eq!(keys[at..][..7], of_scheduler, "stream: {stream}");
        let at = keys.iter().position(|key| key == "e2e_latency").unwrap();
        let mut end = vec!["request_received_ts", "first_token_latency", "api_server_dispatch_finish_ts"];
        if sent_before {
            // It was sent with the first chunk.
            end.extend(["response_sent_to_client_ts", "request_finished_ts", "decode_throughput"]);
        } else {
            end.extend(["request_finished_ts", "decode_throughput", "response_sent_to_client_ts"]);
        }
        assert_eq!(keys[at + 1..], end, "stream: {stream}");
    }
    let off = common::start(&[]).await;
    for stream in [false, true] {
        let (keys, sent_before) = last_keys(&off, stream).await;
        let more =
            |key: &&String| key.ends_with("_time") || key.ends_with("_wait") || key.starts_with("request_");
        assert_eq!(keys.iter().find(more), None);
        assert_eq!(keys.contains(&"response_sent_to_client_ts".to_owned()), !sent_before);
    }
}
