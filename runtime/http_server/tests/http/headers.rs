//! Heads with many lines, and bodies that do not match their headers.

use std::io::Write;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::common;

#[actix_web::test]
async fn a_head_may_have_120_lines_and_more_than_256_are_refused() {
    let server = common::start(&[]).await;
    for path in ["/v1/models", "/health"] {
        for lines in [90, 120, 240] {
            let mut request = server.client.get(server.url(path));
            for i in 0..lines {
                request = request.header(format!("x-gateway-{i}"), "v");
            }
            assert_eq!(request.send().await.unwrap().status(), 200, "{path} with {lines} lines");
        }
    }
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let lines: String = (0..300).map(|i| format!("x-{i}: v\r\n")).collect();
    let head = format!("GET /health HTTP/1.1\r\nHost: x\r\n{lines}\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 431"), "{}", String::from_utf8_lossy(&answer));
    assert_eq!(server.get("/health").await.status(), 200);
}

#[actix_web::test]
async fn a_compressed_body_is_read_and_one_that_is_not_is_called_so() {
    let server = common::start(&[]).await;
    let generate = json!({"text": "ab", "sampling_params": {"max_new_tokens": 2}}).to_string();
    let chat =
        json!({"messages": [{"role": "user", "content": "hi"}], "max_tokens": 2, "model": "m"}).to_string();
    let packed = |text: &str| {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(text.as_bytes()).unwrap();
        encoder.finish().unwrap()
    };
    let send = async |path: &str, encoding: &str, body: Vec<u8>| {
        let request = server.client.post(server.url(path)).header("content-type", "application/json");
        let response = request.header("content-encoding", encoding).body(body).send().await.unwrap();
        let status = response.status().as_u16();
        (status, response.text().await.unwrap())
    };
    let paths = [
        ("/generate", &generate),
        ("/v1/chat/completions", &chat),
        ("/v1/messages", &chat),
        ("/weights_checker", &"{}".to_owned()),
    ];
    for (path, body) in paths {
        let (status, answer) = send(path, "gzip", packed(body)).await;
        assert!(status == 200 || path == "/weights_checker", "{path}: {answer}");
        let (status, answer) = send(path, "gzip", body.clone().into_bytes()).await;
        assert_eq!(status, 400, "{path}");
        let answer: Value = serde_json::from_str(&answer).unwrap();
        let said = "The header Content-Encoding says gzip, but the body is not valid gzip.";
        assert!(answer.to_string().contains(said), "{path}: {answer}");
        let (status, answer) = send(path, "br", body.clone().into_bytes()).await;
        assert!(status == 400 && answer.contains("Content-Encoding"), "{path}: {status} {answer}");
    }
}
