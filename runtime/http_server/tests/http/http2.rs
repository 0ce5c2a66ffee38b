//! HTTP/2 as a client uses it: by prior knowledge if the flag allows it, and by TLS negotiation.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use h2::client::{ResponseFuture, SendRequest};
use h2::{Reason, RecvStream, SendStream};
use rcgen::{CertifiedKey, generate_simple_self_signed};
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use crate::common;
use crate::common::TestServer;
use crate::common::engine::Behaviour;

/// A connection's handle.
type Client = SendRequest<Bytes>;

async fn client(io: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) -> Client {
    let (client, connection) = h2::client::handshake(io).await.unwrap();
    tokio::spawn(connection);
    client
}

async fn connect(server: &TestServer) -> Client {
    client(TcpStream::connect(server.address).await.unwrap()).await
}

fn request(path: &str) -> http::Request<()> {
    let uri = format!("http://localhost{path}");
    http::Request::post(uri).header("content-type", "application/json").body(()).unwrap()
}

async fn post(client: &Client, path: &str, body: &Value) -> (ResponseFuture, SendStream<Bytes>) {
    let mut client = client.clone().ready().await.unwrap();
    let (response, mut stream) = client.send_request(request(path), false).unwrap();
    stream.send_data(Bytes::from(body.to_string()), true).unwrap();
    (response, stream)
}

async fn text(mut body: RecvStream) -> String {
    let mut bytes = Vec::new();
    while let Some(piece) = body.data().await {
        let piece = piece.unwrap();
        body.flow_control().release_capacity(piece.len()).unwrap();
        bytes.extend_from_slice(&piece);
    }
    String::from_utf8(bytes).unwrap()
}

async fn call(client: &Client, path: &str, body: &Value) -> (u16, String) {
    let response = post(client, path, body).await.0.await.unwrap();
    assert_eq!(response.version(), http::Version::HTTP_2);
    (response.status().as_u16(), text(response.into_body()).await)
}

fn prompt(text: &str, stream: bool) -> Value {
    json!({"text": text, "rid": text, "stream": stream, "sampling_params": {"max_new_tokens": text.len()}})
}

#[actix_web::test]
async fn with_the_flag_a_client_speaks_http_2_or_http_1_on_the_same_port() {
    let server = common::start(&["--enable-http2"]).await;
    let h2 = connect(&server).await;
    let (status, answer) = call(&h2, "/generate", &prompt("hello", false)).await;
    let answer: Value = serde_json::from_str(&answer).unwrap();
    assert_eq!((status, &answer["text"]), (200, &json!("hello")));
    let (status, answer) = call(&h2, "/generate", &json!({"text": 5})).await;
    assert_eq!((status, answer.contains("valid string")), (400, true), "{answer}");
    let (_, stream) = call(&h2, "/generate", &prompt("streamed", true)).await;
    assert!(stream.ends_with("data: [DONE]\n\n") && stream.contains("\"text\":\"streamed\""), "{stream}");
    // Many requests at once on one connection.
    let bodies: Vec<Value> = (0..50).map(|i| prompt(&format!("number {i}"), false)).collect();
    let calls = bodies.iter().map(|body| call(&h2, "/generate", body));
    for (body, (status, answer)) in bodies.iter().zip(futures::future::join_all(calls).await) {
        assert_eq!(status, 200);
        assert_eq!(serde_json::from_str::<Value>(&answer).unwrap()["text"], body["text"]);
    }
    assert_eq!(server.ok("/generate", prompt("one", false)).await["text"], "one");
}

#[actix_web::test]
async fn without_the_flag_prior_knowledge_is_refused() {
    let server = common::start(&[]).await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 400"), "{}", String::from_utf8_lossy(&answer));
}

async fn aborted(server: &TestServer, rid: &str) {
    assert_eq!(server.engine.saw_abort().await.rid.as_deref(), Some(rid));
    server.engine.seen.lock().clear();
}

#[actix_web::test]
async fn a_client_that_resets_its_stream_or_leaves_aborts_its_request() {
    let server = common::start(&["--enable-http2"]).await;
    server.engine.set(Behaviour::Queue);
    let h2 = connect(&server).await;
    for (rid, stream) in [("whole", false), ("stream", true)] {
        let (response, mut sender) = post(&h2, "/generate", &prompt(rid, stream)).await;
        server.engine.saw_request().await;
        sender.send_reset(Reason::CANCEL);
        aborted(&server, rid).await;
        drop(response);
    }
    server.engine.set(Behaviour::OneToken);
    let (response, mut sender) = post(&h2, "/generate", &prompt("begun", true)).await;
    let response = response.await.unwrap();
    server.until_first_token().await;
    sender.send_reset(Reason::CANCEL);
    drop(response);
    aborted(&server, "begun").await;
    server.engine.set(Behaviour::Queue);
    let (mut gone, connection) =
        h2::client::handshake(TcpStream::connect(server.address).await.unwrap()).await.unwrap();
    let connection = tokio::spawn(connection);
    let (_response, mut sender) = gone.send_request(request("/generate"), false).unwrap();
    sender.send_data(Bytes::from(prompt("gone", false).to_string()), true).unwrap();
    server.engine.saw_request().await;
    connection.abort();
    aborted(&server, "gone").await;
    server.engine.set(Behaviour::Echo);
    assert_eq!(call(&h2, "/generate", &prompt("after", false)).await.0, 200, "the connection serves on");
}

#[actix_web::test]
async fn what_a_client_may_hold_is_bounded() {
    let server = common::start(&["--enable-http2"]).await;
    server.engine.set(Behaviour::Queue);
    let h2 = connect(&server).await;
    assert_eq!(call(&h2, "/health", &json!({})).await.0, 405);
    let (_second, mut connection) =
        h2::client::handshake(TcpStream::connect(server.address).await.unwrap()).await.unwrap();
    // The server's settings arrive while the connection is polled.
    let driven = tokio::time::timeout(Duration::from_millis(500), &mut connection).await;
    assert!(driven.is_err(), "the connection has ended");
    // This version does not read the flag; the reference's default must match the server's limit.
    let flag = sglang_server_args::flags().find(|flag| flag.long == "http2-max-concurrent-streams").unwrap();
    let most = connection.max_concurrent_send_streams().to_string();
    assert!(matches!(flag.default, sglang_server_args::Default::Is(text) if text == most), "{most}");
    // A head that is too large ends its stream, not the connection.
    let mut large = request("/generate");
    for i in 0..40 {
        large.headers_mut().append("x-large", format!("{i}{}", "y".repeat(4000)).parse().unwrap());
    }
    let mut ready = h2.clone().ready().await.unwrap();
    let refused = match ready.send_request(large, true) {
        Ok((response, _)) => response.await.map(|response| response.status().as_u16()).ok(),
        Err(_) => None,
    };
    assert!(refused.is_none_or(|status| status == 431), "{refused:?}");
    server.engine.set(Behaviour::Echo);
    let h2 = connect(&server).await;
    assert_eq!(call(&h2, "/generate", &prompt("x", false)).await.0, 200);
}

#[actix_web::test]
async fn a_connection_that_says_nothing_is_closed_in_time() {
    let mut env = sglang_http_server::environment::EnvSettings::default();
    env.clients.head = Duration::from_millis(300);
    let server = common::start_with(&["--enable-http2"], env).await;
    let mut silent = TcpStream::connect(server.address).await.unwrap();
    let closed = tokio::time::timeout(Duration::from_secs(5), silent.read_to_end(&mut Vec::new())).await;
    assert!(closed.is_ok(), "still open");
}

#[actix_web::test]
async fn tls_offers_http_2_to_clients_that_ask_for_it() {
    let dir = tempfile::tempdir().unwrap();
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let (key, crt) = (dir.path().join("key"), dir.path().join("crt"));
    std::fs::write(&key, signing_key.serialize_pem()).unwrap();
    std::fs::write(&crt, cert.pem()).unwrap();
    let (key, crt) = (key.display().to_string(), crt.display().to_string());
    let server = common::start(&["--ssl-keyfile", &key, "--ssl-certfile", &crt]).await;
    let mut roots = RootCertStore::empty();
    roots.add(cert.der().clone()).unwrap();
    let roots = Arc::new(roots);
    for (offered, agreed) in
        [(&["h2", "http/1.1"][..], Some("h2")), (&["http/1.1"], Some("http/1.1")), (&[], None)]
    {
        let provider = Arc::new(tokio_rustls::rustls::crypto::ring::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots.clone())
            .with_no_client_auth();
        config.alpn_protocols = offered.iter().map(|name| name.as_bytes().to_vec()).collect();
        let tcp = TcpStream::connect(server.address).await.unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        let mut tls = TlsConnector::from(Arc::new(config)).connect(name, tcp).await.unwrap();
        let protocol = tls.get_ref().1.alpn_protocol().map(|name| String::from_utf8_lossy(name).into_owned());
        assert_eq!(protocol.as_deref(), agreed);
        if agreed == Some("h2") {
            let h2 = client(tls).await;
            let (status, answer) = call(&h2, "/generate", &prompt("secret", false)).await;
            assert!(status == 200 && answer.contains("\"text\":\"secret\""), "{status} {answer}");
        } else {
            let call = b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
            tls.write_all(call).await.unwrap();
            let mut answer = Vec::new();
            // A server may close without a TLS close message.
            let _ = tls.read_to_end(&mut answer).await;
            assert!(answer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&answer));
        }
    }
}
