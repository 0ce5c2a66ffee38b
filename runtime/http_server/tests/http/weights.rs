//! Routes about the weights, with an engine that gives prepared answers.

use serde_json::{Value, json};
use sglang_proto::messages::{AnyMessage, GetWeightsByNameReqOutput, UpdateWeightFromDiskReqOutput};

use crate::common;
use crate::common::TestServer;
use crate::common::engine::Engine;

async fn post(server: &TestServer, path: &str, body: Value) -> (u16, Value) {
    let response = server.client.post(server.url(path)).json(&body).send().await.unwrap();
    (response.status().as_u16(), response.json().await.unwrap())
}

async fn get(server: &TestServer, path: &str) -> Value {
    server.get(path).await.json().await.unwrap()
}

fn answers(server: &TestServer, success: bool, message: &str) {
    let message = message.to_owned();
    server.engine.answer_calls(move |request| match request {
        AnyMessage::UpdateWeightFromDiskReqInput(r) => Some(
            UpdateWeightFromDiskReqOutput {
                rid: r.rid.clone(),
                success,
                message: message.clone(),
                num_paused_requests: 0,
                weights_served: success,
            }
            .into(),
        ),
        _ => None,
    });
}

#[actix_web::test]
async fn an_update_answers_in_the_documented_words_and_renames_the_model() {
    let server = common::start(&["--served-model-name", "mine", "--weight-version", "v1"]).await;
    answers(&server, true, "Succeeded to update model weights.");
    let (status, body) = post(&server, "/update_weights_from_disk", json!({"model_path": "a/b"})).await;
    let expected =
        json!({"success": true, "message": "Succeeded to update model weights.", "num_paused_requests": 0});
    assert_eq!((status, &body), (200, &expected));
    let sent = server.engine.saw_update().await;
    assert_eq!((sent.load_format.as_deref(), sent.flush_cache, sent.keep_pause), (Some("auto"), true, false));
    let info = get(&server, "/get_model_info").await;
    assert_eq!((&info["model_path"], &info["weight_version"]), (&json!("a/b"), &json!("v1")));
    assert_eq!(get(&server, "/v1/models").await["data"][0]["id"], "a/b");

    let request = json!({"model_path": "a/c", "weight_version": "v2", "load_format": "safetensors"});
    let (_, body) = post(&server, "/update_weights_from_disk", request).await;
    assert_eq!(body["message"], "Succeeded to update model weights. Weight version updated to v2.");
    let info = get(&server, "/model_info").await;
    assert_eq!(
        (&info["model_path"], &info["served_model_name"], &info["weight_version"], &info["load_format"]),
        (&json!("a/c"), &json!("a/c"), &json!("v2"), &json!("safetensors"))
    );
    let server_info = get(&server, "/get_server_info").await;
    assert_eq!((&server_info["model_path"], &server_info["weight_version"]), (&json!("a/c"), &json!("v2")));
    let answer = server.ok("/generate", json!({"text": "x", "sampling_params": {"max_new_tokens": 1}})).await;
    assert_eq!(answer["meta_info"]["weight_version"], "v2");
}

#[actix_web::test]
async fn a_failed_update_is_400_and_changes_nothing() {
    let server = common::start(&[]).await;
    let before = get(&server, "/model_info").await;
    let message = "Failed to get weights iterator: qwen/qwen2.5-0.5b-instruct-wrong (repository not found).";
    answers(&server, false, message);
    let request = json!({"model_path": "qwen/qwen2.5-0.5b-instruct-wrong", "weight_version": "v2"});
    let (status, body) = post(&server, "/update_weights_from_disk", request).await;
    assert_eq!(status, 400);
    assert_eq!(body, json!({"success": false, "message": message, "num_paused_requests": 0}));
    assert_eq!(get(&server, "/model_info").await, before);
}

#[actix_web::test]
async fn weights_that_are_served_with_an_old_cache_are_named_as_they_are() {
    let server = common::start(&[]).await;
    server.engine.answer_calls(|request| match request {
        AnyMessage::UpdateWeightFromDiskReqInput(r) => Some(
            UpdateWeightFromDiskReqOutput {
                rid: r.rid.clone(),
                message: "Weights were updated, but the cache was not flushed.".into(),
                weights_served: true,
                ..Default::default()
            }
            .into(),
        ),
        _ => None,
    });
    let request = json!({"model_path": "a/b", "weight_version": "v2"});
    let (status, body) = post(&server, "/update_weights_from_disk", request).await;
    assert_eq!((status, &body["success"]), (400, &json!(false)));
    let info = get(&server, "/model_info").await;
    assert_eq!((&info["model_path"], &info["weight_version"]), (&json!("a/b"), &json!("v2")));
}

#[actix_web::test]
async fn a_new_label_goes_to_the_scheduler_and_into_every_answer() {
    let server = common::start(&[]).await;
    for (version, abort_all) in [("v1", false), ("v2", true)] {
        let request = json!({"new_version": version, "abort_all_requests": abort_all});
        let (status, body) = post(&server, "/update_weight_version", request).await;
        let message = format!("Weight version updated to {version}");
        let expected = json!({"success": true, "message": message, "new_version": version});
        assert_eq!((status, body), (200, expected));
        let told = |m: &AnyMessage| match m {
            AnyMessage::UpdateWeightVersionReqInput(r) if r.new_version == version => Some(()),
            _ => None,
        };
        server.engine.saw(told).await;
        assert_eq!(get(&server, "/model_info").await["weight_version"], version);
    }
    assert!(server.engine.saw_abort().await.abort_all);
}

#[actix_web::test]
async fn fields_of_the_update_reach_the_scheduler_and_wrong_ones_are_refused() {
    let server = common::start(&[]).await;
    answers(&server, true, "Succeeded to update model weights.");
    let request = json!({"model_path": "p", "abort_all_requests": true, "flush_cache": false, "keep_pause": true,
        "token_step": 7, "manifest": {"a": 1}});
    assert_eq!(post(&server, "/update_weights_from_disk", request).await.0, 200);
    let sent = server.engine.saw_update().await;
    assert!(sent.abort_all_requests && !sent.flush_cache && sent.keep_pause);
    assert_eq!((sent.token_step, sent.manifest), (7, Some(json!({"a": 1}))));
    assert!(server.engine.saw_abort().await.abort_all);
    assert!(server.app.manager.status.is_paused(), "keep_pause holds back new requests");
    let (status, body) = post(&server, "/update_weights_from_disk", json!({})).await;
    assert_eq!(status, 400);
    let message = body["message"].as_str().unwrap();
    assert!(message.contains("'model_path'") && message.contains("Field required"), "{message}");
    let wrong = json!({"model_path": "p", "flush_cache": "perhaps"});
    assert_eq!(post(&server, "/update_weights_from_disk", wrong).await.0, 400);
}

#[actix_web::test]
async fn a_scheduler_that_restarts_ends_the_update_and_serves_its_first_weights() {
    let server = common::start(&[]).await;
    answers(&server, true, "Succeeded to update model weights.");
    let request = json!({"model_path": "new", "weight_version": "v2"});
    assert_eq!(post(&server, "/update_weights_from_disk", request).await.0, 200);
    server.engine.answer_calls(|_| None);
    let url = server.url("/update_weights_from_disk");
    let waiting = server.client.post(url).json(&json!({"model_path": "newer"}));
    let waiting = tokio::spawn(async move { waiting.send().await.unwrap().status().as_u16() });
    server
        .engine
        .saw(|m| match m {
            AnyMessage::UpdateWeightFromDiskReqInput(r) if r.model_path == "newer" => Some(()),
            _ => None,
        })
        .await;
    server.engine.kill();
    let _second = Engine::start(server.dir.path()).await;
    assert_eq!(waiting.await.unwrap(), 503);
    let info = get(&server, "/get_model_info").await;
    assert_eq!((&info["model_path"], &info["weight_version"]), (&json!("MODELS/tiny"), &json!("default")));
}

#[actix_web::test]
async fn numbers_of_a_weight_come_as_lists_and_an_unknown_name_is_400() {
    let server = common::start(&[]).await;
    server.engine.answer_calls(|request| match request {
        AnyMessage::GetWeightsByNameReqInput(r) => Some(
            GetWeightsByNameReqOutput {
                rid: r.rid.clone(),
                parameter: match r.name.as_str() {
                    "model.norm.weight" => vec![1.7578125; r.truncate_size as usize].into(),
                    _ => Value::Null,
                },
            }
            .into(),
        ),
        _ => None,
    });
    let known = json!({"name": "model.norm.weight", "truncate_size": 2});
    assert_eq!(post(&server, "/get_weights_by_name", known).await, (200, json!([1.7578125, 1.7578125])));
    let (status, body) = post(&server, "/get_weights_by_name", json!({"name": "no.such.weight"})).await;
    assert_eq!((status, body), (400, json!({"error": {"message": "Get parameter by name failed"}})));
    let negative = json!({"name": "model.norm.weight", "truncate_size": -1});
    assert_eq!(post(&server, "/get_weights_by_name", negative).await.0, 400);
}

#[actix_web::test]
async fn weights_from_other_processes_are_501_and_say_what_to_use() {
    let server = common::start(&[]).await;
    for path in [
        "/update_weights_from_tensor",
        "/update_weights_from_distributed",
        "/update_weights_from_ipc",
        "/init_weights_update_group",
        "/destroy_weights_update_group",
        "/begin_weight_update",
        "/end_weight_update",
    ] {
        let (status, body) = post(&server, path, json!({})).await;
        assert_eq!((status, &body["success"]), (501, &json!(false)), "{path}");
        let message = body["message"].as_str().unwrap();
        assert!(message.starts_with(path) && message.contains("/update_weights_from_disk"), "{message}");
    }
}
