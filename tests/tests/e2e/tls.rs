//! A server that speaks HTTPS, with certificates made for the test.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::time::{Duration, Instant};

use rcgen::{CertifiedKey, generate_simple_self_signed};
use sglang_e2e::{Server, ServerOptions};
use sglang_server_args::ServerArgs;
use sglang_tls::TlsFiles;

/// Writes `NAME.key` and `NAME.crt`.
fn make(dir: &Path, name: &str) {
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    std::fs::write(dir.join(format!("{name}.crt")), cert.pem()).unwrap();
    std::fs::write(dir.join(format!("{name}.key")), signing_key.serialize_pem()).unwrap();
}

fn flags(dir: &Path, name: &str) -> Vec<String> {
    let path = |kind: &str| dir.join(format!("{name}.{kind}")).display().to_string();
    vec!["--ssl-keyfile".into(), path("key"), "--ssl-certfile".into(), path("crt")]
}

fn files(dir: &Path, name: &str) -> TlsFiles {
    let mut argv = vec!["x".to_owned(), "--model-path".into(), "m".into()];
    argv.extend(flags(dir, name));
    TlsFiles::from_server_args(&ServerArgs::parse_from(argv).unwrap_or_else(|_| panic!("flags"))).unwrap()
}

/// Makes one HTTPS call and returns the whole answer; the server must have the certificate of `files`.
fn call(port: u16, files: &TlsFiles, method: &str, path: &str, body: &str) -> std::io::Result<String> {
    let stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(Duration::from_secs(60)))?;
    let mut stream = sglang_tls::connect(files, stream)?;
    let length = body.len();
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/json\r\n\
         Content-Length: {length}\r\n\r\n{body}"
    )?;
    stream.flush()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

fn wait_for(server: &Server, text: &str) {
    let deadline = Instant::now() + Duration::from_secs(120);
    while !server.log_text().contains(text) {
        assert!(Instant::now() < deadline, "no {text:?} in\n{}", server.log_text());
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_server_with_a_certificate_speaks_https_and_takes_a_new_one_while_it_runs() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    for name in ["served", "next", "other"] {
        make(dir, name);
    }
    let (old, next) = (files(dir, "served"), files(dir, "next"));
    std::fs::copy(dir.join("served.crt"), dir.join("old.crt")).unwrap();
    std::fs::copy(dir.join("served.key"), dir.join("old.key")).unwrap();
    let first = files(dir, "old");
    drop(old);
    let mut args = flags(dir, "served");
    args.push("--enable-ssl-refresh".into());
    let server = Server::spawn(&ServerOptions { args, ..Default::default() }).unwrap();
    wait_for(&server, "The server is fired up and ready to roll!");
    let log = server.log_text();
    assert!(log.contains(&format!("on https://127.0.0.1:{}", server.port)), "{log}");

    let body =
        r#"{"text": "The capital of France is", "sampling_params": {"temperature": 0, "max_new_tokens": 4}}"#;
    let answer = call(server.port, &first, "POST", "/generate", body).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("Paris"), "{answer}");
    let streamed = body.replace("\"text\"", "\"stream\": true, \"text\"");
    let answer = call(server.port, &first, "POST", "/generate", &streamed).unwrap();
    assert!(answer.contains("text/event-stream") && answer.contains("[DONE]"), "{answer}");
    assert!(server.get("/health").is_err(), "there is no HTTP without TLS");
    let stranger = call(server.port, &files(dir, "other"), "GET", "/health", "").unwrap_err();
    assert!(stranger.to_string().contains("not the certificate"), "{stranger}");

    std::fs::copy(dir.join("next.key"), dir.join("served.key")).unwrap();
    std::fs::copy(dir.join("next.crt"), dir.join("served.crt")).unwrap();
    let deadline = Instant::now() + Duration::from_secs(20);
    while !call(server.port, &next, "GET", "/health", "").is_ok_and(|a| a.starts_with("HTTP/1.1 200")) {
        assert!(Instant::now() < deadline, "the new certificate is not taken\n{}", server.log_text());
        std::thread::sleep(Duration::from_millis(100));
    }
    assert!(call(server.port, &first, "GET", "/health", "").is_err());
}

#[test]
fn wrong_files_end_the_launcher_with_2_and_one_line() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    make(dir, "a");
    make(dir, "b");
    let path = |name: &str| dir.join(name).display().to_string();
    let cases = [
        (vec!["--ssl-keyfile".into(), path("none"), "--ssl-certfile".into(), path("a.crt")], "No such file"),
        (
            vec!["--ssl-keyfile".into(), path("b.key"), "--ssl-certfile".into(), path("a.crt")],
            "not the key of",
        ),
        (vec!["--ssl-certfile".into(), path("a.crt")], "needs --ssl-keyfile"),
        (vec!["--enable-ssl-refresh".into()], "has no effect without --ssl-keyfile"),
    ];
    for (args, expected) in cases {
        let mut server = Server::spawn(&ServerOptions { args, ..Default::default() }).unwrap();
        let status = server.wait().unwrap();
        let log = server.log_text();
        assert_eq!(status.code(), Some(2), "{log}");
        assert!(log.contains(expected), "{log}");
        assert!(log.lines().filter(|line| !line.is_empty()).count() <= 2, "{log}");
    }
}
