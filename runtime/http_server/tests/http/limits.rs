//! Clients that send too deep, too slowly or too much, or do not read: each is refused or disconnected, and other
//! clients do not notice.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use sglang_http_server::environment::{ClientLimits, EnvSettings};
use sglang_http_server::server::routes::ROUTES;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use crate::common;
use crate::common::TestServer;

/// Deeper than any parser here accepts.
const DEEP: usize = 100_000;

fn nested(depth: usize, open: &str, inner: &str, close: &str) -> String {
    format!("{}{inner}{}", open.repeat(depth), close.repeat(depth))
}

async fn post_text(server: &TestServer, path: &str, body: String) -> (u16, String) {
    let request = server.client.post(server.url(path)).header("content-type", "application/json").body(body);
    let response = request.send().await.unwrap_or_else(|e| panic!("{path}: {e}"));
    (response.status().as_u16(), response.text().await.unwrap())
}

async fn still_serves(server: &TestServer) {
    let answer = server.ok("/generate", json!({"text": "x", "sampling_params": {"max_new_tokens": 1}})).await;
    assert_eq!(answer["text"], "x");
}

#[actix_web::test]
async fn a_deeply_nested_body_is_400_on_every_route() {
    let server = common::start(&[]).await;
    let mut routes = 0;
    for row in ROUTES.iter().filter(|row| row.methods.contains(&"POST")) {
        let path = row.path.replace("{response_id}", "resp_1");
        for (open, inner, close) in [("[", "", "]"), ("{\"a\":", "1", "}")] {
            let deep = nested(DEEP, open, inner, close);
            for body in [deep.clone(), format!("{{\"messages\":{deep},\"text\":{deep},\"tools\":{deep}}}")] {
                let (code, answer) = post_text(&server, &path, body).await;
                let no_body = ["/flush_cache", "/freeze_gc", "/stop_profile", "/set_trace_level"];
                let takes_none = no_body.contains(&row.path)
                    || row.path.ends_with("expert_distribution_record")
                    || matches!(code, 501 | 404)
                    || row.path.ends_with("/cancel")
                    || row.path.ends_with("/clear");
                assert!(code == 400 || takes_none, "{path}: {code} {answer}");
                if code == 400 && !takes_none {
                    // Anthropic's errors do not say what is wrong with the JSON.
                    assert!(
                        answer.contains("recursion limit") || answer.contains("JSON decode error"),
                        "{path}: {answer}"
                    );
                }
            }
        }
        routes += 1;
    }
    assert!(routes > 50, "{routes}");
    still_serves(&server).await;
}

#[actix_web::test]
async fn depth_inside_of_texts_ends_in_an_answer_too() {
    let server = common::start(&["--tool-call-parser", "hermes"]).await;
    let lists = nested(DEEP, "[", "", "]");
    let objects = nested(DEEP, "{\"type\":\"array\",\"items\":", "{}", "}");
    let parens = nested(DEEP, "(", "a", ")");
    let sampling =
        |key: &str, value: &str| json!({"text": "x", "sampling_params": {key: value, "max_new_tokens": 1}});
    let mut calls = vec![
        ("/generate", sampling("json_schema", &objects)),
        ("/generate", sampling("structural_tag", &lists)),
        ("/generate", sampling("regex", &parens)),
        ("/generate", sampling("ebnf", &format!("root ::= {parens}"))),
        ("/generate", sampling("stop_regex", &parens)),
        (
            "/v1/chat/completions",
            json!({"max_tokens": 1, "messages": [{"role": "user", "content": "x"}, {"role": "assistant", "content": null,
                "tool_calls": [{"id": "1", "type": "function", "function": {"name": "f", "arguments": lists}}]}]}),
        ),
    ];
    for parser in
        ["qwen25", "hermes", "llama3", "mistral", "pythonic", "deepseekv3", "qwen3_coder", "glm45", "kimi_k2"]
    {
        for text in [
            &lists,
            &format!("[f(a={lists})]"),
            &format!("<tool_call>\n{{\"name\": \"f\", \"arguments\": {lists}"),
            &format!("[TOOL_CALLS] [{{\"name\": \"f\", \"arguments\": {objects}"),
            &format!("<|python_tag|>{objects}"),
        ] {
            let tools =
                json!([{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}]);
            calls.push((
                "/parse_function_call",
                json!({"text": text, "tools": tools, "tool_call_parser": parser}),
            ));
        }
    }
    for (path, body) in calls {
        let (code, answer) = post_text(&server, path, body.to_string()).await;
        assert!(code == 200 || code == 400, "{path}: {code} {answer}");
    }
    still_serves(&server).await;
}

#[actix_web::test]
async fn as_deep_as_the_limit_allows_is_served() {
    let server = common::start(&[]).await;
    let deep: Value = serde_json::from_str(&nested(100, "{\"a\":", "1", "}")).unwrap();
    let body = json!({"messages": [{"role": "user", "content": "x"}], "max_tokens": 1,
        "chat_template_kwargs": {"deep": deep},
        "tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "object", "default": deep}}}]});
    let (code, answer) = server.call("/v1/chat/completions", body).await;
    assert!(code == 200 || code == 400, "{code} {answer}");
    still_serves(&server).await;
}

fn slow_limits() -> EnvSettings {
    let clients = ClientLimits {
        head: Duration::from_secs(2),
        piece: Duration::from_millis(1500),
        body: Duration::from_secs(3),
        body_rate: 1e6,
        unread: Duration::from_secs(1),
    };
    EnvSettings { clients, ..Default::default() }
}

/// Sends `text` byte by byte until the server answers or closes; returns the answer and the time that it took.
async fn trickle(server: &TestServer, head: &str, text: &str, pause: Duration) -> (String, Duration) {
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let began = Instant::now();
    stream.write_all(head.as_bytes()).await.unwrap();
    let (mut read, mut write) = stream.split();
    let mut answer = Vec::new();
    let text = text.to_owned();
    tokio::select! {
        _ = read.read_to_end(&mut answer) => {}
        () = async {
            for byte in text.bytes() {
                tokio::time::sleep(pause).await;
                if write.write_all(&[byte]).await.is_err() {
                    break;
                }
            }
            tokio::time::sleep(Duration::from_secs(20)).await;
        } => panic!("the server still waits"),
    }
    (String::from_utf8_lossy(&answer).into_owned(), began.elapsed())
}

#[actix_web::test]
async fn a_head_or_body_that_trickles_in_is_cut_off_while_others_are_served() {
    let server = common::start_with(&[], slow_limits()).await;
    let body_head = "POST /generate HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n\r\n";
    let pause = Duration::from_millis(50);
    let text = "x".repeat(1000);
    let (head, silent, slow, ()) = tokio::join!(
        trickle(&server, "POST /generate HTTP/1.1\r\nx: ", &text, pause),
        trickle(&server, body_head, "", pause),
        trickle(&server, body_head, &text, pause),
        async {
            for _ in 0..20 {
                still_serves(&server).await;
                tokio::time::sleep(Duration::from_millis(30)).await;
            }
        },
    );
    for (name, (answer, took)) in [("head", &head), ("silent body", &silent), ("slow body", &slow)] {
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 408"), "{name}: {answer}");
        assert!(*took < Duration::from_secs(15), "{name}: {took:?}");
    }
    assert!(slow.0.contains("The body did not arrive in time"), "{}", slow.0);
    still_serves(&server).await;
}

#[actix_web::test]
async fn a_large_body_that_keeps_coming_is_read_to_its_end() {
    // Longer than the limit for a silent body.
    let body = json!({"text": "y".repeat(3000), "sampling_params": {"max_new_tokens": 1}}).to_string();
    let mut limits = slow_limits();
    limits.clients.body_rate = 10.0;
    let patient = common::start_with(&[], limits).await;
    let mut stream = TcpStream::connect(patient.address).await.unwrap();
    let head = format!(
        "POST /generate HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    for piece in body.as_bytes().chunks(body.len() / 10 + 1) {
        stream.write_all(piece).await.unwrap();
        tokio::time::sleep(Duration::from_millis(400)).await;
    }
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("\"text\":\"y\""), "{answer}");
}

async fn connect_small(server: &TestServer) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    socket.connect(server.address).await.unwrap()
}

async fn send(stream: &mut TcpStream, path: &str, body: &Value) {
    let body = body.to_string();
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(format!("{head}{body}").as_bytes()).await.unwrap();
}

#[actix_web::test]
async fn a_stream_that_is_not_read_is_not_piled_up() {
    let server = common::start(&[]).await;
    let tokens = 3000;
    let body = json!({"text": "abc", "stream": true,
        "sampling_params": {"max_new_tokens": tokens, "ignore_eos": true}});
    // Every chunk of this stream repeats the previous ones: together they would be some 18 MB.
    let whole = tokens * tokens * 2;
    let mut stream = connect_small(&server).await;
    send(&mut stream, "/generate", &body).await;
    server.engine.saw_request().await;
    // The answer completes although nobody reads it, and other requests are served meanwhile.
    for _ in 0..500 {
        still_serves(&server).await;
        if server.app.manager.registry.live() == 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(server.app.manager.registry.live(), 0, "the request has ended");
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    // The kernel's own buffers of a connection, up to 4 MB, do not count as the server's memory.
    assert!(text.len() < whole / 4, "{} bytes were kept for a client that did not read", text.len());
    let last = text.split("data: ").filter(|event| event.starts_with('{')).last().unwrap();
    assert!(last.contains(&format!("\"completion_tokens\":{tokens}")), "the last chunk has everything");
    assert!(text.contains("[DONE]"));
}

#[actix_web::test]
async fn an_idle_connection_is_kept_for_as_long_as_the_environment_says() {
    let settings = EnvSettings { keep_alive: Duration::from_secs(1), ..Default::default() };
    let server = common::start_with(&[], settings).await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let mut first = [0; 12];
    for _ in 0..2 {
        stream.write_all(b"GET /ping HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
        stream.read_exact(&mut first).await.unwrap();
        assert_eq!(&first, b"HTTP/1.1 200");
        // The remainder of the head.
        let mut rest = [0; 512];
        let _ = stream.read(&mut rest).await.unwrap();
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let began = Instant::now();
    let mut rest = Vec::new();
    tokio::time::timeout(Duration::from_secs(5), stream.read_to_end(&mut rest)).await.unwrap().unwrap();
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
}

#[actix_web::test]
async fn preflights_and_ordinary_calls_carry_the_references_headers() {
    let server = common::start(&["--api-key", "k"]).await;
    let preflight = server
        .client
        .request("OPTIONS".parse().unwrap(), server.url("/v1/chat/completions"))
        .header("origin", "https://a.example")
        .header("access-control-request-method", "POST")
        .header("access-control-request-headers", "authorization,x-mine")
        .send()
        .await
        .unwrap();
    assert_eq!(preflight.status(), 200, "no key is needed");
    let header = |name: &str| preflight.headers()[name].to_str().unwrap().to_owned();
    assert_eq!(header("access-control-allow-origin"), "https://a.example");
    assert_eq!(header("access-control-allow-credentials"), "true");
    assert_eq!(header("access-control-allow-methods"), "DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT, QUERY");
    assert_eq!(header("access-control-allow-headers"), "authorization,x-mine");
    assert_eq!(header("access-control-max-age"), "600");
    assert!(header("content-type").starts_with("text/plain"));
    assert_eq!(preflight.text().await.unwrap(), "OK");

    let call = async |origin: Option<&str>| {
        let mut request = server.client.get(server.url("/v1/models")).bearer_auth("k");
        if let Some(origin) = origin {
            request = request.header("origin", origin);
        }
        request.send().await.unwrap()
    };
    let with = call(Some("null")).await;
    assert_eq!(with.headers()["access-control-allow-origin"], "null");
    assert_eq!(with.headers()["vary"], "Origin");
    let without = call(None).await;
    assert!(!without.headers().contains_key("access-control-allow-origin"));
    assert_eq!(without.headers()["vary"], "Origin");
}

#[actix_web::test]
async fn a_connection_whose_answer_nobody_takes_is_closed() {
    let server = common::start_with(&[], slow_limits()).await;
    // An answer of many megabytes, more than the system's buffers hold.
    let body = json!({"prompt": "x".repeat(4 << 20)}).to_string();
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let mut stream = socket.connect(server.address).await.unwrap();
    let head = format!(
        "POST /tokenize HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all((head + &body).as_bytes()).await.unwrap();
    let mut answer = vec![0; 1024];
    let read = stream.read(&mut answer).await.unwrap();
    answer.truncate(read);
    let head = String::from_utf8_lossy(&answer).into_owned();
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    let length: usize =
        head.split("content-length: ").nth(1).and_then(|rest| rest.lines().next()).unwrap().parse().unwrap();
    assert!(length > 12 << 20, "{length}");
    tokio::time::sleep(Duration::from_secs(8)).await;
    // Data that was already sent can be read, then the connection is closed.
    let end = stream.read_to_end(&mut answer).await;
    assert!(end.is_err() || answer.len() < length, "all {length} bytes came");
    still_serves(&server).await;
}
