//! The small part of HTTP that the hub needs.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;

/// A received request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// GET or HEAD.
    pub method: String,
    /// Decoded path with the query.
    pub path: String,
    /// First byte of a `Range: bytes=N-` header.
    pub from: Option<usize>,
    /// The bearer token.
    pub token: Option<String>,
    /// Whether it was sent to the storage server.
    pub to_storage: bool,
}

impl Request {
    pub(crate) fn read(reader: &mut BufReader<TcpStream>, to_storage: bool) -> Option<Self> {
        let mut line = String::new();
        reader.read_line(&mut line).ok().filter(|n| *n > 0)?;
        let mut words = line.split_whitespace();
        let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
        let (mut from, mut token) = (None, None);
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).ok().filter(|n| *n > 0)?;
            let line = line.trim();
            if line.is_empty() {
                break;
            }
            let Some((name, value)) = line.split_once(':') else { continue };
            match name.to_ascii_lowercase().as_str() {
                "range" => {
                    from =
                        value.trim().strip_prefix("bytes=").and_then(|v| v.split('-').next()?.parse().ok());
                }
                "authorization" => token = value.trim().strip_prefix("Bearer ").map(str::to_owned),
                _ => {}
            }
        }
        let path = percent_encoding::percent_decode_str(&target).decode_utf8_lossy().into_owned();
        Some(Self { method, path, from, token, to_storage })
    }
}

/// An answer.
#[derive(Debug, Default)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: Vec<u8>,
}

impl Reply {
    pub(crate) fn new(status: u16) -> Self {
        Self { status, ..Self::default() }
    }

    pub(crate) fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    pub(crate) fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// Writes the answer, but at most `limit` bytes of its body.
    pub(crate) fn write(
        &self,
        stream: &mut TcpStream,
        head_only: bool,
        limit: Option<usize>,
    ) -> std::io::Result<()> {
        let mut head = format!("HTTP/1.1 {} X\r\nContent-Length: {}\r\n", self.status, self.body.len());
        for (name, value) in &self.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        stream.write_all(format!("{head}\r\n").as_bytes())?;
        if !head_only {
            let end = limit.unwrap_or(usize::MAX).min(self.body.len());
            stream.write_all(self.body.get(..end).unwrap_or_default())?;
        }
        stream.flush()
    }
}
