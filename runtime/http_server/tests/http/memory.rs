//! Routes for the scheduler's memory and speed, with an engine that gives prepared answers; and routes of features that
//! are not implemented.

use serde_json::{Value, json};
use sglang_proto::messages::AnyMessage;

use crate::common;
use crate::common::TestServer;

async fn status(server: &TestServer, path: &str) -> u16 {
    server.get(path).await.status().as_u16()
}

#[actix_web::test]
async fn memory_is_released_and_taken_again_and_readiness_says_so() {
    let server = common::start(&[]).await;
    assert_eq!(status(&server, "/ready").await, 200);
    let body = json!({"tags": ["kv_cache"]});
    assert_eq!(server.call("/release_memory_occupation", body).await, (200, Value::Null));
    let sent = server.engine.saw(|m| match m {
        AnyMessage::ReleaseMemoryOccupationReqInput(r) => Some(r.tags.clone()),
        _ => None,
    });
    assert_eq!(sent.await, Some(vec!["kv_cache".to_owned()]));
    assert_eq!(status(&server, "/ready").await, 503, "new requests would wait");
    assert_eq!((status(&server, "/health").await, status(&server, "/ping").await), (200, 200));
    assert_eq!(server.call("/resume_memory_occupation", json!({})).await, (200, Value::Null));
    assert_eq!(status(&server, "/ready").await, 200);
}

#[actix_web::test]
async fn what_the_scheduler_refuses_is_400_in_its_words() {
    let server = common::start(&[]).await;
    for path in ["/release_memory_occupation", "/resume_memory_occupation"] {
        let refused = json!({"error": {"message": "as the scheduler says"}});
        assert_eq!(server.call(path, json!({"tags": ["weights"]})).await, (400, refused), "{path}");
        let (code, body) = server.call(path, json!({"tags": "weights"})).await;
        assert!(code == 400 && body["message"].as_str().unwrap().contains("'tags'"), "{body}");
        let empty = server.client.post(server.url(path)).send().await.unwrap();
        assert_eq!(empty.status(), 400, "a body is required");
        let get =
            server.client.get(server.url(path)).json(&json!({"tags": ["kv_cache"]})).send().await.unwrap();
        assert_eq!(get.status(), 200, "GET is allowed too");
    }
}

#[actix_web::test]
async fn a_restarted_scheduler_has_released_nothing() {
    let server = common::start(&[]).await;
    server.ok("/release_memory_occupation", json!({})).await;
    assert_eq!(status(&server, "/ready").await, 503);
    server.engine.kill();
    let _second = common::engine::Engine::start(server.dir.path()).await;
    for _ in 0..200 {
        if status(&server, "/ready").await == 200 {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    panic!("the server is not ready after the restart");
}

#[actix_web::test]
async fn checksums_come_in_the_references_shape() {
    let server = common::start(&[]).await;
    let (code, body) = server.call("/weights_checker", json!({})).await;
    assert_eq!(code, 200);
    assert_eq!(
        (&body["success"], &body["ranks"][0]["checksums"]["a"]),
        (&json!(true), &json!("0123456789abcdef"))
    );
    // SHA-256 of the rank's own checksum, `00ff`.
    assert_eq!(
        body["per_engine_checksum"],
        "8909cde2f411a84e86e7a39c8a3916b7cda6a9d977778030b6f6a491401400bc"
    );
    let without = server.client.get(server.url("/weights_checker")).send().await.unwrap();
    assert_eq!(without.status(), 200, "the body may be left out");
    let (code, body) = server.call("/weights_checker", json!({"action": "compare"})).await;
    assert_eq!((code, body), (400, json!({"success": false, "message": "as the scheduler says"})));
    let (code, body) = server.call("/weights_checker", json!({"action": "snapshot"})).await;
    assert_eq!((code, body), (200, json!({"success": true, "message": "as the scheduler says"})));
}

#[actix_web::test]
async fn the_pace_needs_its_field_and_the_trace_level_its_number() {
    let server = common::start(&[]).await;
    assert_eq!(server.call("/slow_down", json!({"forward_sleep_time": 0.5})).await, (200, Value::Null));
    assert_eq!(server.call("/slow_down", json!({"forward_sleep_time": null})).await, (200, Value::Null));
    let (code, body) = server.call("/slow_down", json!({})).await;
    assert!(code == 400 && body["message"].as_str().unwrap().contains("'forward_sleep_time'"), "{body}");
    let level = async |query: &str| {
        let response = server.get(&format!("/set_trace_level{query}")).await;
        (response.status().as_u16(), response.text().await.unwrap())
    };
    assert_eq!(level("?level=2").await, (200, "success".to_owned()));
    for wrong in ["", "?level=-1", "?level=much"] {
        let (code, body) = level(wrong).await;
        assert!(code == 400 && body.contains("'level'"), "{body}");
    }
}

#[actix_web::test]
async fn parts_that_are_off_say_so_as_the_reference_does() {
    let server = common::start(&[]).await;
    let no_ngram = "Ngram speculative decoding is not enabled.";
    let cases = [
        (
            "/add_external_corpus",
            json!({"corpus_id": "c", "documents": []}),
            400,
            json!({"success": false, "corpus_id": "", "message": no_ngram, "loaded_token_count": 0}),
        ),
        (
            "/remove_external_corpus",
            json!({"corpus_id": "c"}),
            400,
            json!({"success": false, "message": no_ngram}),
        ),
        (
            "/remove_external_corpus",
            json!({}),
            400,
            json!({"success": false, "message": "corpus_id is required."}),
        ),
        (
            "/pd_role_switch",
            json!({"new_role": "decode"}),
            400,
            json!({"rid": null, "http_worker_ipc": null, "success": false,
                "message": "--enable-pd-role-switch is not set on this server", "old_role": "null",
                "new_role": "decode", "safe_to_restore": true}),
        ),
        (
            "/scale_elastic_ep",
            json!({"new_ep_size": 2}),
            404,
            json!({"error": "elastic EP is not enabled (set --elastic-ep-backend)"}),
        ),
    ];
    for (path, body, code, expected) in cases {
        assert_eq!(server.call(path, body).await, (code, expected), "{path}");
    }
    let gets = [
        (
            "/list_external_corpora",
            400,
            json!({"success": false, "corpus_token_counts": {}, "message": no_ngram}),
        ),
        (
            "/is_scaling_elastic_ep",
            404,
            json!({"error": "elastic EP is not enabled (set --elastic-ep-backend)"}),
        ),
        (
            "/get_hicache_l3_cache_layout",
            200,
            json!({"enabled": false, "backend": null, "page_size": 1, "hicache_object_layout": {"pools": []},
                "reason": "Hierarchical cache is disabled"}),
        ),
        (
            "/remote_instance_transfer_engine_info?rank=0",
            400,
            json!({"error": {"message": "Failed to get transfer engine info for rank 0"}}),
        ),
        (
            "/remote_instance_transfer_engine_info?rank=x&rank=1",
            400,
            json!({"error": {"message": "Failed to get transfer engine info for rank 1"}}),
        ),
        (
            "/get_remote_instance_transfer_engine_info",
            400,
            json!({"error": {"message": "Missing or invalid rank parameter"}}),
        ),
    ];
    for (path, code, expected) in gets {
        let response = server.get(path).await;
        assert_eq!(
            (response.status().as_u16(), response.json::<Value>().await.unwrap()),
            (code, expected),
            "{path}"
        );
    }
    for path in ["/v1/audio/transcriptions", "/v1/decisions", "/v1/systemone"] {
        let (code, body) = server.call(path, json!({})).await;
        assert_eq!((code, &body["type"], &body["code"]), (501, &json!("501"), &json!(501)), "{path}");
        assert!(body["message"].as_str().unwrap().starts_with(path), "{body}");
    }
    assert_eq!(status(&server, "/v1/realtime").await, 501);
    for path in ["/init_weights_send_group_for_remote_instance", "/send_weights_to_remote_instance"] {
        assert_eq!(server.call(path, json!({})).await.1["success"], false, "{path}");
    }
    let (code, body) = server.call("/load_lora_adapter_from_tensors", json!({})).await;
    assert_eq!((code, &body["success"], &body["loaded_adapters"]), (400, &json!(false), &Value::Null));
    assert_eq!(status(&server, "/dumper/x").await, 404, "as in the reference without DUMPER_SERVER_PORT");
}

#[actix_web::test]
async fn the_hierarchical_cache_wants_an_admin_key_first() {
    let path = "/hicache/storage-backend";
    let call = async |server: &TestServer, method: &str, key: Option<&str>| {
        let mut request = server.client.request(method.parse().unwrap(), server.url(path));
        if let Some(key) = key {
            request = request.bearer_auth(key);
        }
        let response = request.send().await.unwrap();
        (response.status().as_u16(), response.text().await.unwrap())
    };
    let open = common::start(&[]).await;
    for method in ["GET", "PUT", "DELETE"] {
        let (code, body) = call(&open, method, None).await;
        assert!(code == 400 && body.contains("This endpoint requires admin API key"), "{body}");
    }
    let keyed = common::start(&["--api-key", "k", "--admin-api-key", "a"]).await;
    assert_eq!(call(&keyed, "GET", Some("k")).await.0, 401);
    let (code, body) = call(&keyed, "GET", Some("a")).await;
    assert!(code == 200 && body.contains("\"hicache_write_policy\":\"write_through\""), "{body}");
    let (code, body) = call(&keyed, "PUT", Some("a")).await;
    assert_eq!(
        (code, body.as_str()),
        (400, "Failed to attach HiCache storage backend.\nHierarchical cache is not enabled.\n")
    );
    assert_eq!(call(&keyed, "DELETE", Some("a")).await.0, 400);
    assert_eq!(call(&keyed, "POST", Some("a")).await.0, 405);
}
