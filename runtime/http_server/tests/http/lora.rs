//! LoRA adapters by name, with an engine that loads any adapter.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use serde_json::{Map, Value, json};
use sglang_proto::messages::{AnyMessage, LoRAUpdateOutput};

use crate::common;
use crate::common::TestServer;
use crate::common::engine::{Behaviour, Engine};

const LIMITS: [&str; 5] = ["--enable-lora", "--max-lora-rank", "8", "--lora-target-modules", "all"];

/// Makes the engine load every adapter except those with `bad` in their paths. Returns the ids of loaded adapters.
fn loads(engine: &Engine, at_start: &[(&str, &str)]) -> Arc<Mutex<Map<String, Value>>> {
    let start = at_start.iter().map(|(name, path)| ((*name).to_owned(), json!(path))).collect();
    let loaded: Arc<Mutex<Map<String, Value>>> = Arc::new(Mutex::new(start));
    let paths = loaded.clone();
    engine.answer_calls(move |message| {
        let mut paths = paths.lock();
        let (rid, error) = match message {
            AnyMessage::LoadLoRAAdapterReqInput(r) if r.lora_path.contains("bad") => {
                (r.rid.clone(), "bad/adapter_config.json is not there".to_owned())
            }
            AnyMessage::LoadLoRAAdapterReqInput(r) => {
                paths.insert(r.lora_name.clone(), r.lora_path.clone().into());
                (r.rid.clone(), String::new())
            }
            AnyMessage::UnloadLoRAAdapterReqInput(r) => {
                paths.shift_remove(&r.lora_name);
                (r.rid.clone(), String::new())
            }
            _ => return None,
        };
        Some(
            LoRAUpdateOutput {
                rid,
                success: error.is_empty(),
                error_message: Some(error),
                loaded_adapters: Some(paths.clone()),
            }
            .into(),
        )
    });
    loaded
}

async fn models(server: &TestServer) -> Value {
    server.get("/v1/models").await.json().await.unwrap()
}

async fn names(server: &TestServer) -> Vec<String> {
    let cards = models(server).await;
    cards["data"].as_array().unwrap().iter().map(|card| card["id"].as_str().unwrap().to_owned()).collect()
}

/// Id and name of the adapter that the engine was asked to use for the request with this id.
fn used(server: &TestServer, rid: &str) -> Option<(Option<String>, Option<String>)> {
    server.engine.seen.lock().iter().find_map(|message| match message {
        AnyMessage::TokenizedGenerateReqInput(r) if r.rid == rid => {
            Some((r.lora_id.clone(), r.lora_name.clone()))
        }
        _ => None,
    })
}

fn generate(rid: &str, lora_path: Value) -> Value {
    json!({"text": "x", "rid": rid, "lora_path": lora_path, "sampling_params": {"max_new_tokens": 2}})
}

#[actix_web::test]
async fn adapters_are_loaded_listed_used_and_unloaded_by_name() {
    let server = common::start(&[&LIMITS[..], &["--served-model-name", "base"]].concat()).await;
    loads(&server.engine, &[]);
    assert_eq!(names(&server).await, ["base"]);
    let load = json!({"lora_name": "a", "lora_path": "/adapters/a", "pinned": true});
    let (status, body) = server.call("/load_lora_adapter", load).await;
    let expected = json!({"rid": null, "http_worker_ipc": null, "success": true, "error_message": "",
        "loaded_adapters": {"a": "/adapters/a"}});
    assert_eq!((status, &body), (200, &expected));
    let card = models(&server).await["data"][1].clone();
    assert_eq!(
        (&card["id"], &card["root"], &card["parent"], &card["max_model_len"]),
        (&json!("a"), &json!("/adapters/a"), &json!("base"), &Value::Null)
    );
    server.ok("/generate", generate("one", json!("a"))).await;
    let (id, name) = used(&server, "one").unwrap();
    assert_eq!((id.as_ref().unwrap().len(), name.as_deref()), (32, Some("a")));
    server.ok("/generate", generate("none", Value::Null)).await;
    assert_eq!(used(&server, "none"), Some((None, None)));

    for (path, body) in [
        ("/v1/completions", json!({"model": "base:a", "prompt": "x", "rid": "c", "max_tokens": 1})),
        ("/v1/completions", json!({"model": "other:a", "prompt": "x", "rid": "o", "max_tokens": 1})),
        (
            "/v1/completions",
            json!({"model": "base", "lora_path": "a", "prompt": "x", "rid": "l", "max_tokens": 1}),
        ),
        (
            "/v1/chat/completions",
            json!({"model": "base:a", "rid": "h", "max_tokens": 1,
            "messages": [{"role": "user", "content": "x"}]}),
        ),
        (
            "/v1/chat/completions",
            json!({"model": "base", "lora_path": "a", "rid": "k", "max_tokens": 1,
            "messages": [{"role": "user", "content": "x"}]}),
        ),
    ] {
        let rid = body["rid"].as_str().unwrap().to_owned();
        let answer = server.ok(path, body.clone()).await;
        assert_eq!(answer["model"], body["model"]);
        assert_eq!(used(&server, &rid).unwrap().0, id, "{path} {body}");
    }
    let batch = json!({"text": ["x", "y", "z"], "rid": ["p", "q", "r"], "lora_path": ["a", null, "a"],
        "sampling_params": {"max_new_tokens": 2}});
    server.ok("/generate", batch).await;
    assert_eq!(["p", "q", "r"].map(|rid| used(&server, rid).unwrap().0), [id.clone(), None, id.clone()]);
    let two = json!({"text": "x", "lora_path": "a", "sampling_params": {"max_new_tokens": 2, "n": 2}});
    server.ok("/generate", two).await;

    let (status, body) = server.call("/unload_lora_adapter", json!({"lora_name": "a"})).await;
    assert_eq!((status, &body["success"], &body["loaded_adapters"]), (200, &json!(true), &json!({})));
    assert_eq!(names(&server).await, ["base"]);
    let (status, body) = server.call("/unload_lora_adapter", json!({"lora_name": "a"})).await;
    let text = "LoRA with name a does not exist. Loaded LoRAs: odict_keys([])";
    assert_eq!((status, &body["error_message"], &body["loaded_adapters"]), (400, &json!(text), &Value::Null));
}

#[actix_web::test]
async fn an_unknown_adapter_is_400_and_says_what_is_loaded() {
    let server = common::start(&["--lora-paths", "a=/a", "/b"]).await;
    assert_eq!(names(&server).await, ["MODELS/tiny", "a", "/b"]);
    let text = "Got LoRA adapter that has never been loaded: x\nAll loaded adapters: dict_keys(['a', '/b']).";
    let (status, body) = server.call("/generate", generate("u", json!("x"))).await;
    assert_eq!((status, &body["error"]["message"]), (400, &json!(text)));
    let completion = json!({"model": "MODELS/tiny:x", "prompt": "p", "max_tokens": 1});
    let (status, body) = server.call("/v1/completions", completion).await;
    assert_eq!((status, &body["message"]), (400, &json!(text)));
    assert_eq!(used(&server, "u"), None);
    for (path, body, expected) in [
        ("/load_lora_adapter", json!({"lora_name": "c"}), "lora_path"),
        ("/load_lora_adapter", json!({"lora_name": "c", "lora_path": 3}), "lora_path"),
        ("/unload_lora_adapter", json!({}), "lora_name"),
    ] {
        let (status, body) = server.call(path, body).await;
        assert_eq!(status, 400, "{body}");
        assert!(body["message"].as_str().unwrap().contains(expected), "{body}");
    }
}

#[actix_web::test]
async fn an_adapter_that_cannot_be_loaded_is_400_with_the_reason_and_is_not_listed() {
    let server = common::start(&LIMITS).await;
    loads(&server.engine, &[]);
    let (status, body) =
        server.call("/load_lora_adapter", json!({"lora_name": "x", "lora_path": "bad"})).await;
    let expected = json!({"rid": null, "http_worker_ipc": null, "success": false,
        "error_message": "bad/adapter_config.json is not there", "loaded_adapters": {}});
    assert_eq!((status, &body), (400, &expected));
    assert_eq!(names(&server).await.len(), 1);
    let (status, body) = server.call("/load_lora_adapter_from_tensors", json!({"lora_name": "x"})).await;
    assert_eq!((status, &body["success"]), (501, &json!(false)));
    assert!(body["error_message"].as_str().unwrap().contains("/load_lora_adapter"), "{body}");
}

#[actix_web::test]
async fn with_lora_off_every_route_says_so() {
    let server = common::start(&[]).await;
    for path in ["/load_lora_adapter", "/unload_lora_adapter", "/load_lora_adapter_from_tensors"] {
        let (status, body) = server.call(path, json!({})).await;
        let expected = json!({"rid": null, "http_worker_ipc": null, "success": false,
            "error_message": "LoRA is not enabled. Please set `--enable-lora` to enable LoRA.",
            "loaded_adapters": null});
        assert_eq!((status, body), (400, expected), "{path}");
    }
    let (status, body) = server.call("/generate", generate("g", json!(["a"]))).await;
    assert_eq!(status, 400);
    assert!(
        body["error"]["message"]
            .as_str()
            .unwrap()
            .starts_with("LoRA adapter 'a' was requested, but LoRA is not")
    );
}

#[actix_web::test]
async fn an_unload_waits_for_running_requests_and_no_new_one_gets_the_adapter() {
    let server = common::start(&["--lora-paths", "a=/a"]).await;
    let loaded = loads(&server.engine, &[("a", "/a")]);
    server.engine.set(Behaviour::Queue);
    let running = server.client.post(server.url("/generate")).json(&generate("running", json!("a")));
    let running = tokio::spawn(async move { running.send().await.unwrap().status().as_u16() });
    server.engine.saw_request().await;
    let url = server.url("/unload_lora_adapter");
    let unload = server.client.post(url).json(&json!({"lora_name": "a"}));
    let unload = tokio::spawn(async move { unload.send().await.unwrap().status().as_u16() });
    for _ in 0..200 {
        if names(&server).await.len() == 1 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(names(&server).await.len(), 1, "the name is gone at once");
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(!unload.is_finished() && loaded.lock().contains_key("a"), "the adapter stays while it is used");
    assert_eq!(server.call("/abort_request", json!({"rid": "running"})).await.0, 200);
    running.await.unwrap();
    assert_eq!(unload.await.unwrap(), 200);
    assert!(loaded.lock().is_empty());
}

#[actix_web::test]
async fn the_least_recently_used_adapter_leaves_and_comes_back_when_it_is_asked_for() {
    let flags = ["--lora-paths", "a=/a", "b=/b", "--max-loras-per-batch", "2", "--max-loaded-loras", "2"];
    let server = common::start(&flags).await;
    let loaded = loads(&server.engine, &[("a", "/a"), ("b", "/b")]);
    server.ok("/generate", generate("1", json!("a"))).await;
    let body = server.ok("/load_lora_adapter", json!({"lora_name": "c", "lora_path": "/c"})).await;
    assert_eq!(body["loaded_adapters"], json!({"a": "/a", "c": "/c"}));
    let first = used(&server, "1").unwrap().0;
    server.ok("/generate", generate("2", json!("b"))).await;
    assert_eq!(loaded.lock().keys().collect::<Vec<_>>(), ["c", "b"]);
    server.ok("/generate", generate("3", json!("a"))).await;
    let again = used(&server, "3").unwrap().0;
    assert!(again.is_some() && again != first, "another life has another cache");
    let many = json!({"text": ["x", "y", "z"], "lora_path": ["a", "b", "c"]});
    let (status, body) = server.call("/generate", many).await;
    assert_eq!(status, 400);
    assert_eq!(
        body["error"]["message"],
        "Received request with 3 unique loras requested but max loaded loras is 2"
    );
}

#[actix_web::test]
async fn a_scheduler_that_restarts_gets_the_adapters_before_the_requests() {
    let server = common::start(&["--lora-paths", "a=/a", "b=/b"]).await;
    loads(&server.engine, &[("a", "/a"), ("b", "/b")]);
    server.ok("/load_lora_adapter", json!({"lora_name": "c", "lora_path": "/c"})).await;
    server.ok("/unload_lora_adapter", json!({"lora_name": "b"})).await;
    server.engine.set(Behaviour::OneToken);
    let waiting = server.client.post(server.url("/generate")).json(&generate("w", json!("c")));
    let waiting = tokio::spawn(async move { waiting.send().await.unwrap().status().as_u16() });
    server.engine.saw_request().await;
    server.engine.kill();
    let second = Engine::start(server.dir.path()).await;
    assert_eq!(waiting.await.unwrap(), 200);
    let mut seen: Vec<String> = second
        .seen
        .lock()
        .iter()
        .filter_map(|message| match message {
            AnyMessage::LoadLoRAAdapterReqInput(r) => Some(format!("load {}", r.lora_name)),
            AnyMessage::UnloadLoRAAdapterReqInput(r) => Some(format!("unload {}", r.lora_name)),
            AnyMessage::TokenizedGenerateReqInput(r) => {
                Some(format!("generate with {}", r.lora_name.clone().unwrap_or_default()))
            }
            _ => None,
        })
        .collect();
    // The hellos of scheduler and detokenizer each make the manager send the request again.
    seen.dedup();
    assert_eq!(seen, ["unload b", "load c", "generate with c"]);
}
