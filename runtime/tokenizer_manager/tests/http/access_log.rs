//! The access log: uvicorn's lines, without the paths that are left out.

use crate::common;
use std::sync::Arc;

use parking_lot::Mutex;
use serde_json::json;

/// Keeps what is logged.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[actix_web::test]
async fn every_call_is_a_line_but_those_that_are_left_out() {
    let lines = Lines::default();
    let writer = lines.clone();
    tracing_subscriber::fmt().with_writer(move || writer.clone()).with_ansi(false).init();
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
    let log = String::from_utf8(lines.0.lock().clone()).unwrap();
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
