//! The warm-up: one real request over HTTP, so that a server that reports being up has answered at least once.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::os::fd::BorrowedFd;
use std::time::Duration;

use serde_json::json;
use sglang_server_args::ServerArgs;

use crate::tls::Connection;

/// Longest answer in bytes.
const LONGEST_ANSWER: usize = 1 << 20;

/// A warm-up request that has been sent.
#[derive(Debug)]
pub(crate) struct WarmUp {
    stream: Connection,
    answer: Vec<u8>,
}

impl WarmUp {
    /// Sends the same request as the reference: eight tokens after "The capital city of France is", or its embedding if
    /// the model does not generate text.
    pub(crate) fn send(args: &ServerArgs, is_generation: bool, listening: SocketAddr) -> io::Result<Self> {
        let (address, stream) = connect(listening)?;
        stream.set_write_timeout(Some(Duration::from_secs(5)))?;
        // A TLS handshake also reads.
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        let mut stream = Connection::open(args, stream)?;
        stream.write_all(request(args, is_generation, address).as_bytes())?;
        stream.flush()?;
        stream.tcp().set_nonblocking(true)?;
        Ok(WarmUp { stream, answer: Vec::new() })
    }

    /// The descriptor to poll until it is readable.
    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.stream.fd()
    }

    /// Reads the available part of the answer. Returns `None` until it is complete, then whether it is good.
    pub(crate) fn read(&mut self) -> Option<Result<(), String>> {
        let mut chunk = [0; 4096];
        loop {
            match self.stream.read(&mut chunk) {
                Ok(0) => return Some(judge(&self.answer)),
                Ok(n) if self.answer.len() < LONGEST_ANSWER => self.answer.extend(chunk.iter().take(n)),
                Ok(_) => return Some(Err("the answer does not end".to_owned())),
                Err(e) if e.kind() == ErrorKind::WouldBlock => {
                    return is_whole(&self.answer).then(|| judge(&self.answer));
                }
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) => return Some(Err(format!("the connection broke: {e}"))),
            }
        }
    }
}

/// Connects to the server, which may listen on every interface.
fn connect(listening: SocketAddr) -> io::Result<(SocketAddr, TcpStream)> {
    let mut last = io::Error::from(ErrorKind::AddrNotAvailable);
    for ip in reachable(listening.ip()) {
        let address = SocketAddr::new(ip, listening.port());
        match TcpStream::connect_timeout(&address, Duration::from_secs(5)) {
            Ok(stream) => return Ok((address, stream)),
            Err(e) => last = e,
        }
    }
    Err(last)
}

/// Addresses to try for a listening address. A socket for every interface of both families also exists if IPv6 is
/// disabled.
fn reachable(listening: IpAddr) -> Vec<IpAddr> {
    match listening {
        IpAddr::V4(ip) if ip.is_unspecified() => vec![Ipv4Addr::LOCALHOST.into()],
        IpAddr::V6(ip) if ip.is_unspecified() => vec![Ipv6Addr::LOCALHOST.into(), Ipv4Addr::LOCALHOST.into()],
        ip => vec![ip],
    }
}

/// The whole request as text.
fn request(args: &ServerArgs, is_generation: bool, address: SocketAddr) -> String {
    let mut body = match args.skip_tokenizer_init {
        true => json!({"input_ids": [10, 11, 12]}),
        false => json!({"text": "The capital city of France is"}),
    };
    let route = if is_generation { "/generate" } else { "/encode" };
    if is_generation && let Some(body) = body.as_object_mut() {
        body.insert("sampling_params".to_owned(), json!({"temperature": 0, "max_new_tokens": 8}));
    }
    let body = body.to_string();
    let key = args.api_key.as_ref().map(|key| format!("Authorization: Bearer {key}\r\n")).unwrap_or_default();
    format!(
        "POST {route} HTTP/1.1\r\nHost: {address}\r\n{key}Content-Type: application/json\r\nContent-Length: {}\r\n\
         Connection: close\r\n\r\n{body}",
        body.len()
    )
}

/// Splits an answer into head and body.
fn split(answer: &[u8]) -> Option<(String, &[u8])> {
    let end = answer.windows(4).position(|w| w == b"\r\n\r\n")?;
    let (head, rest) = answer.split_at(end);
    Some((String::from_utf8_lossy(head).into_owned(), rest.get(4..).unwrap_or_default()))
}

/// Whether an answer with a Content-Length is complete. One without is complete when the connection ends.
fn is_whole(answer: &[u8]) -> bool {
    let Some((head, body)) = split(answer) else { return false };
    head.lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .and_then(|(_, length)| length.trim().parse::<usize>().ok())
        .is_some_and(|length| body.len() >= length)
}

/// An answer is good if its status is 200.
fn judge(answer: &[u8]) -> Result<(), String> {
    let Some((head, body)) = split(answer) else {
        return Err("the connection was closed without an answer".to_owned());
    };
    match head.split_whitespace().nth(1) {
        Some("200") => Ok(()),
        Some(status) => {
            let text: String = String::from_utf8_lossy(body).chars().take(300).collect();
            Err(format!("HTTP {status}: {}", text.split_whitespace().collect::<Vec<_>>().join(" ")))
        }
        None => Err("the answer is not HTTP".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(extra: &[&str]) -> ServerArgs {
        ServerArgs::parse_from(["x", "--model-path", "m"].iter().chain(extra)).expect("valid")
    }

    fn text(extra: &[&str]) -> String {
        request(&args(extra), true, "127.0.0.1:1".parse().expect("address"))
    }

    #[test]
    fn a_model_that_does_not_generate_is_asked_for_a_vector() {
        let text = request(&args(&[]), false, "127.0.0.1:1".parse().expect("address"));
        assert!(text.starts_with("POST /encode HTTP/1.1\r\n"), "{text}");
        assert!(text.ends_with(r#"{"text":"The capital city of France is"}"#), "{text}");
    }

    #[test]
    fn the_request_is_the_references_and_carries_the_key() {
        let plain = text(&[]);
        assert!(
            plain.starts_with("POST /generate HTTP/1.1\r\n") && !plain.contains("Authorization"),
            "{plain}"
        );
        let (head, body) = plain.split_once("\r\n\r\n").expect("a body");
        let expected = r#"{"text":"The capital city of France is","sampling_params":{"temperature":0,"max_new_tokens":8}}"#;
        assert_eq!(body, expected);
        assert!(head.contains(&format!("Content-Length: {}", body.len())));
        assert!(text(&["--api-key", "k"]).contains("\r\nAuthorization: Bearer k\r\n"));
        assert!(text(&["--skip-tokenizer-init"]).contains(r#""input_ids":[10,11,12]"#));
    }

    #[test]
    fn an_answer_is_good_only_with_status_200() {
        let good = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}";
        assert!(is_whole(good) && judge(good).is_ok());
        assert!(!is_whole(good.strip_suffix(b"}").expect("a suffix")));
        let bad = b"HTTP/1.1 500 Oh\r\nContent-Length: 9\r\n\r\nno\n  room";
        assert_eq!(judge(bad), Err("HTTP 500: no room".to_owned()));
        assert!(judge(b"").is_err() && judge(b"x\r\n\r\n").is_err() && !is_whole(b"HTTP/1.1 200 OK\r\n\r\n"));
    }

    #[test]
    fn a_server_on_every_interface_is_reached_over_loopback() {
        for (listening, expected) in
            [("0.0.0.0", &["127.0.0.1"][..]), ("::", &["::1", "127.0.0.1"]), ("192.0.2.7", &["192.0.2.7"])]
        {
            let found: Vec<String> =
                reachable(listening.parse().expect("address")).iter().map(ToString::to_string).collect();
            assert_eq!(found, expected);
        }
    }
}
