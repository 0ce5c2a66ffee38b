//! The effects of environment variables that clients notice.

use ruzstd::encoding::{CompressionLevel, compress_to_vec};
use serde_json::{Value, json};
use sglang_http_server::environment::EnvSettings;
use sglang_http_server::environment::moved_routes::MovedRoutes;
use sglang_proto::messages::AnyMessage;

use crate::common;
use crate::common::TestServer;

/// Sends a POST request with an additional header.
async fn post_with(
    server: &TestServer,
    path: &str,
    header: (&str, &str),
    body: impl Into<reqwest::Body>,
) -> (u16, Value) {
    let request = server.client.post(server.url(path)).header("content-type", "application/json");
    let response = request.header(header.0, header.1).body(body).send().await.unwrap();
    (response.status().as_u16(), response.json().await.unwrap())
}

fn prompt() -> Value {
    json!({"text": "x", "rid": "mine", "sampling_params": {"max_new_tokens": 1}})
}

fn chat() -> Value {
    json!({"messages": [{"role": "user", "content": "x"}], "max_tokens": 1})
}

#[actix_web::test]
async fn headers_set_fields_where_the_server_lets_them() {
    let env = EnvSettings { request_header_overrides: true, ..Default::default() };
    let server = common::start_with(&["--enable-priority-scheduling"], env).await;
    let rid = ("x-override-rid", "theirs");
    assert_eq!(
        post_with(&server, "/generate", rid, prompt().to_string()).await.1["meta_info"]["id"],
        "theirs"
    );
    assert_eq!(server.engine.saw_request().await.rid, "theirs");
    assert_eq!(post_with(&server, "/v1/chat/completions", rid, chat().to_string()).await.1["id"], "theirs");
    let vertex =
        json!({"instances": [{"text": "x"}], "parameters": {"sampling_params": {"max_new_tokens": 1}}});
    let priority = ("x-override-priority", "7");
    assert_eq!(post_with(&server, "/vertex_generate", priority, vertex.to_string()).await.0, 200);
    let of_vertex = |message: &AnyMessage| match message {
        AnyMessage::TokenizedGenerateReqInput(request) => request.priority,
        _ => None,
    };
    assert_eq!(server.engine.saw(of_vertex).await, 7);
    for name in ["x-override-priority", "x-override-routed-dp-rank", "x-override-bootstrap-port"] {
        let (code, answer) = post_with(&server, "/generate", (name, "many"), prompt().to_string()).await;
        let message = format!("invalid {name} header 'many': invalid literal for int() with base 10: 'many'");
        assert_eq!((code, &answer["message"]), (400, &json!(message)));
    }
    // A server without the variable ignores these headers.
    let server = common::start(&[]).await;
    for header in [rid, ("x-override-priority", "many")] {
        assert_eq!(
            post_with(&server, "/generate", header, prompt().to_string()).await.1["meta_info"]["id"],
            "mine"
        );
    }
}

#[actix_web::test]
async fn bodies_may_be_compressed_where_the_server_lets_them() {
    let zstd = ("x-body-compressed", "zstd");
    let pack = |body: &Value| compress_to_vec(body.to_string().as_bytes(), CompressionLevel::Fastest);
    let env = EnvSettings { request_decompression: true, ..Default::default() };
    let server = common::start_with(&[], env).await;
    let answer = post_with(&server, "/generate", zstd, pack(&prompt())).await;
    assert_eq!((answer.0, &answer.1["text"]), (200, &json!("x")));
    assert_eq!(post_with(&server, "/v1/chat/completions", zstd, pack(&chat())).await.0, 200);
    // So long that it is unpacked on a separate thread.
    let long: String =
        (0..200_000_u32).map(|i| char::from(b'a' + (i.wrapping_mul(2_654_435_761) >> 28) as u8)).collect();
    let (code, answer) = post_with(&server, "/tokenize", zstd, pack(&json!({"prompt": long}))).await;
    assert_eq!((code, &answer["count"]), (200, &json!(200_000)));
    let (code, answer) = post_with(&server, "/generate", zstd, prompt().to_string()).await;
    assert_eq!((code, &answer["message"]), (400, &json!("decompress failed")));
    let (code, answer) =
        post_with(&server, "/generate", ("x-body-compressed", "gzip"), pack(&prompt())).await;
    let message = "unsupported x-body-compressed 'gzip'; supported: ['zstd']";
    assert_eq!((code, &answer["message"]), (400, &json!(message)));
    // A body that is not compressed needs no header; the others do not look at it.
    assert_eq!(server.call("/generate", prompt()).await.0, 200);
    let server = common::start(&[]).await;
    assert_eq!(post_with(&server, "/generate", zstd, prompt().to_string()).await.0, 200);
}

#[actix_web::test]
async fn the_document_can_be_left_out_and_vertex_can_be_moved() {
    let moved_routes = MovedRoutes::new(|name| (name == "AIP_PREDICT_ROUTE").then(|| "/predict".into()));
    let env = EnvSettings { openapi_doc: false, moved_routes, ..Default::default() };
    let server = common::start_with(&[], env).await;
    for path in ["/openapi.json", "/docs", "/redoc"] {
        assert_eq!(server.get(path).await.status(), 404, "{path}");
    }
    let body =
        json!({"instances": [{"text": "x"}], "parameters": {"sampling_params": {"max_new_tokens": 1}}});
    assert_eq!(server.call("/predict", body.clone()).await.0, 200);
    assert_eq!(server.call("/vertex_generate", body).await.0, 404);
    let moved_routes = MovedRoutes::new(|name| (name == "AIP_PREDICT_ROUTE").then(|| "/predict".into()));
    let server = common::start_with(&[], EnvSettings { moved_routes, ..Default::default() }).await;
    let document: Value = server.get("/openapi.json").await.json().await.unwrap();
    assert!(document["paths"]["/predict"].is_object() && document["paths"]["/vertex_generate"].is_null());
}
