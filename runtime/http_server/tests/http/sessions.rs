//! The session routes, and what the scheduler receives of a session.

use serde_json::json;
use sglang_proto::messages::{AnyMessage, SessionParams};

use crate::common;

#[actix_web::test]
async fn a_session_is_opened_under_the_wanted_id_or_a_fresh_one() {
    let server = common::start(&[]).await;
    let opened = server
        .ok("/open_session", json!({"capacity_of_str_len": 9, "session_id": "s", "timeout": 1.5}))
        .await;
    assert_eq!(opened, "s");
    let request = server
        .engine
        .saw(|m| match m {
            AnyMessage::OpenSessionReqInput(request) => Some((**request).clone()),
            _ => None,
        })
        .await;
    assert_eq!((request.capacity_of_str_len, request.timeout), (9, Some(1.5)));
    let fresh = server.ok("/open_session", json!({"capacity_of_str_len": 9})).await;
    assert_eq!(fresh.as_str().unwrap().len(), 32);
    let (status, answer) =
        server.call("/open_session", json!({"capacity_of_str_len": 9, "session_id": "taken"})).await;
    let failed = "Failed to open the session. Check if a session with the same id is still open.";
    assert_eq!((status, answer), (400, json!({"error": {"message": failed}})));
    let closed = server.post("/close_session", json!({"session_id": "s"})).await;
    assert_eq!((closed.status().as_u16(), closed.text().await.unwrap().as_str()), (200, ""));
    let id = server
        .engine
        .saw(|m| match m {
            AnyMessage::CloseSessionReqInput(request) => Some(request.session_id.clone()),
            _ => None,
        })
        .await;
    assert_eq!(id, "s");
}

#[actix_web::test]
async fn what_is_wrong_with_a_session_request_is_named() {
    let server = common::start(&[]).await;
    for (path, body, says) in [
        ("/open_session", json!({}), "('body', 'capacity_of_str_len')"),
        ("/open_session", json!({"capacity_of_str_len": 1, "timeout": -1}), "0 or more seconds"),
        ("/open_session", json!({"capacity_of_str_len": 1, "streaming": true}), "--enable-streaming-session"),
        ("/close_session", json!({"session_id": 5}), "('body', 'session_id')"),
        ("/generate", json!({"text": "x", "session_params": {"id": 5}}), "('body', 'session_params', 'id')"),
        (
            "/generate",
            json!({"text": "x", "session_id": "a", "session_params": {"id": "a"}}),
            "cannot both be set",
        ),
    ] {
        let (status, answer) = server.call(path, body).await;
        assert_eq!(status, 400, "{path}: {answer}");
        assert!(answer.to_string().contains(says), "{path}: {answer}");
    }
    let streaming = common::start(&["--enable-streaming-session"]).await;
    let body = json!({"capacity_of_str_len": 1, "streaming": true, "session_id": "s"});
    assert_eq!(streaming.ok("/open_session", body).await, "s");
}

#[actix_web::test]
async fn the_scheduler_gets_the_place_in_the_session() {
    let server = common::start(&[]).await;
    let params = json!({"id": "s", "rid": "a", "offset": 3, "replace": true, "drop_previous_output": false});
    server
        .ok(
            "/generate",
            json!({"text": "x", "sampling_params": {"max_new_tokens": 1}, "session_params": params}),
        )
        .await;
    let expected = SessionParams {
        id: Some("s".into()),
        rid: Some("a".into()),
        offset: Some(3),
        replace: Some(true),
        drop_previous_output: Some(false),
    };
    assert_eq!(server.engine.saw_request().await.session_params, Some(expected));
}
