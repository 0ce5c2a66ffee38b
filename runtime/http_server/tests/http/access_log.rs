//! The access log: uvicorn's lines, except for excluded paths.

use serde_json::json;

use crate::common;
use crate::common::log::Lines;

#[actix_web::test]
async fn every_call_is_a_line_but_those_that_are_left_out() {
    let lines = Lines::start();
    let server =
        common::start(&["--api-key", "k", "--uvicorn-access-log-exclude-prefixes", "/metrics", "/health"])
            .await;
    let get = |path: &str| server.client.get(server.url(path)).bearer_auth("k").send();
    for path in ["/health", "/metrics/x", "/v1/models?a=b", "/nothing"] {
        get(path).await.unwrap();
    }
    server
        .client
        .post(server.url("/generate"))
        .bearer_auth("k")
        .json(&json!({"text": 3}))
        .send()
        .await
        .unwrap();
    server.client.get(server.url("/v1/models")).send().await.unwrap();
    let log = lines.text();
    let calls: Vec<&str> = log
        .lines()
        .filter_map(|line| line.split_once("INFO:     127.0.0.1:")?.1.split_once(" - "))
        .map(|(_, call)| call)
        .collect();
    assert_eq!(
        calls,
        [
            "\"GET /v1/models?a=b HTTP/1.1\" 200 OK",
            "\"GET /nothing HTTP/1.1\" 404 Not Found",
            "\"POST /generate HTTP/1.1\" 400 Bad Request",
            "\"GET /v1/models HTTP/1.1\" 401 Unauthorized",
        ],
        "{log}"
    );
}
