//! A tiny HTTP server that answers like the servers that the benchmark measures, correctly or not.
#![allow(clippy::unwrap_used, dead_code)]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};

/// How the server misbehaves.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Fault {
    None,
    /// Every third generation is a 500.
    EveryThird,
    /// Streams stop in the middle.
    CutStream,
    /// An event in the stream says that the request was aborted.
    Abort,
    /// A connection stays open after its answer, and is closed when the next request arrives on it.
    OneAnswerPerConnection,
    /// Generations never answer.
    Hang,
    /// As `Hang`, after this many generations.
    HangAfter(usize),
    /// Tokens take four times as long.
    Slow,
}

/// What the server received.
#[derive(Default)]
pub struct Seen {
    pub bodies: Mutex<Vec<Value>>,
    /// When the bodies arrived.
    pub times: Mutex<Vec<Instant>>,
    pub authorizations: Mutex<Vec<String>>,
    generations: AtomicUsize,
    in_flight: AtomicUsize,
    pub peak: AtomicUsize,
}

pub struct FakeServer {
    pub address: SocketAddr,
    pub seen: Arc<Seen>,
}

impl FakeServer {
    pub fn start(fault: Fault) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Seen::default());
        let shared = Arc::clone(&seen);
        thread::spawn(move || serve(&listener, fault, &shared));
        Self { address, seen }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

/// Serves until the process ends.
pub fn serve(listener: &TcpListener, fault: Fault, seen: &Arc<Seen>) {
    for stream in listener.incoming().flatten() {
        let seen = Arc::clone(seen);
        // A client may disconnect at any time.
        thread::spawn(move || drop(handle(stream, fault, &seen)));
    }
}

fn handle(stream: TcpStream, fault: Fault, seen: &Seen) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut head = String::new();
    while reader.read_line(&mut head)? > 2 {}
    let mut words = head.split_whitespace();
    let (_, path) = (words.next(), words.next().unwrap_or_default().to_owned());
    let header = |name: &str| {
        head.lines().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim().to_owned())
        })
    };
    let mut body = vec![0; header("content-length").and_then(|n| n.parse().ok()).unwrap_or(0)];
    reader.read_exact(&mut body)?;
    if let Some(value) = header("authorization") {
        seen.authorizations.lock().unwrap().push(value);
    }
    let body: Value = serde_json::from_slice(&body).unwrap_or(Value::Null);
    match path.as_str() {
        "/health" => reply(stream, "200 OK", "text/plain", ""),
        "/v1/models" => reply(stream, "200 OK", "application/json", r#"{"data":[{"id":"fake"}]}"#),
        "/generate" | "/v1/completions" | "/v1/chat/completions" => {
            let busy = Busy::new(seen);
            seen.times.lock().unwrap().push(Instant::now());
            seen.bodies.lock().unwrap().push(body.clone());
            let number = seen.generations.fetch_add(1, Ordering::SeqCst) + 1;
            generate(stream, &path, &body, fault, number, busy)?;
            // Waits for the next request or the end of the connection.
            if fault == Fault::OneAnswerPerConnection { reader.fill_buf().map(drop) } else { Ok(()) }
        }
        _ => reply(stream, "404 Not Found", "text/plain", "no such path"),
    }
}

/// A request that is being answered. It ends before its last bytes are written, since the client may send the next one
/// as soon as it has them.
struct Busy<'a>(&'a Seen);

impl<'a> Busy<'a> {
    fn new(seen: &'a Seen) -> Self {
        let busy = seen.in_flight.fetch_add(1, Ordering::SeqCst) + 1;
        seen.peak.fetch_max(busy, Ordering::SeqCst);
        Self(seen)
    }
}

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::SeqCst);
    }
}

fn reply(mut stream: TcpStream, status: &str, kind: &str, body: &str) -> std::io::Result<()> {
    write!(
        stream,
        "HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    )
}

fn generate(
    mut stream: TcpStream,
    path: &str,
    body: &Value,
    fault: Fault,
    number: usize,
    busy: Busy<'_>,
) -> std::io::Result<()> {
    match fault {
        Fault::EveryThird if number.is_multiple_of(3) => {
            return reply(stream, "500 Internal Server Error", "text/plain", "out of luck");
        }
        Fault::Hang => {
            thread::sleep(Duration::from_secs(60));
            return Ok(());
        }
        Fault::HangAfter(good) if number > good => {
            thread::sleep(Duration::from_secs(60));
            return Ok(());
        }
        _ => {}
    }
    let pause = Duration::from_millis(if fault == Fault::Slow { 8 } else { 2 });
    let native = path == "/generate";
    let wanted = if native { &body["sampling_params"]["max_new_tokens"] } else { &body["max_tokens"] };
    let wanted = wanted.as_u64().unwrap_or(1);
    if body["stream"] != true {
        let text = event(path, wanted, wanted, true).to_string();
        drop(busy);
        return reply(stream, "200 OK", "application/json", &text);
    }
    let connection = if fault == Fault::OneAnswerPerConnection { "keep-alive" } else { "close" };
    write!(
        stream,
        "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\ntransfer-encoding: chunked\r\n\
         connection: {connection}\r\n\r\n"
    )?;
    let mut text = String::from(": welcome\r\n\r\n");
    if path == "/v1/chat/completions" {
        text += "data: {\"choices\":[{\"delta\":{\"role\":\"assistant\",\"content\":\"\"}}]}\r\n\r\n";
    }
    let mut busy = Some(busy);
    for i in 1..=wanted {
        if i == 2 && fault == Fault::CutStream {
            return chunk(&mut stream, "").and(Ok(()));
        }
        if i == 2 && fault == Fault::Abort {
            text = "data: {\"text\":\"\",\"meta_info\":{\"finish_reason\":{\"type\":\"abort\",\"message\":\"gone\"}}}\n\n"
                .into();
            chunk(&mut stream, &text)?;
            return chunk(&mut stream, "");
        }
        text += &format!("data: {}\r\n\r\n", event(path, i, wanted, false));
        // Chunks end in the middle of events, even between CR and LF.
        let (a, b) = text.split_at(text.len() - 3);
        let (a, b) = (a.to_owned(), b.to_owned());
        // The benchmark counts tokens, and the last one may be in this chunk.
        busy = busy.filter(|_| i < wanted);
        chunk(&mut stream, &a)?;
        thread::sleep(pause);
        text = b + ": beat\n\n";
    }
    if !native && body["stream_options"]["include_usage"] == true {
        text += &format!("data: {}\n\n", json!({"choices": [], "usage": usage(wanted)}));
    }
    chunk(&mut stream, &(text + "data: [DONE]\n\n"))?;
    chunk(&mut stream, "")
}

fn chunk(stream: &mut TcpStream, text: &str) -> std::io::Result<()> {
    write!(stream, "{:x}\r\n{text}\r\n", text.len())?;
    stream.flush()
}

fn usage(tokens: u64) -> Value {
    json!({"prompt_tokens": 11, "completion_tokens": tokens, "prompt_tokens_details": {"cached_tokens": 4}})
}

fn event(path: &str, tokens: u64, wanted: u64, whole: bool) -> Value {
    let last = tokens == wanted;
    match path {
        "/generate" => {
            json!({"text": "x".repeat(tokens as usize), "output_ids": vec![7; tokens as usize], "meta_info": {
            "prompt_tokens": 11, "cached_tokens": 4, "completion_tokens": tokens,
            "finish_reason": if last { json!({"type": "length", "length": wanted}) } else { Value::Null }}})
        }
        _ if whole => {
            json!({"choices": [{"text": "x", "message": {"content": "x"}, "finish_reason": "length"}],
            "usage": usage(tokens)})
        }
        "/v1/completions" => json!({"choices": [{"text": "x", "finish_reason": last.then_some("length")}]}),
        _ => json!({"choices": [{"delta": {"content": "x"}, "finish_reason": last.then_some("length")}]}),
    }
}

/// Runs the benchmark with an output file; returns its output and the lines in the file.
pub fn bench(args: &[&str]) -> (Output, Vec<Value>) {
    start_bench(args).end()
}

/// A running benchmark.
pub struct Bench {
    child: Child,
    folder: tempfile::TempDir,
}

/// Starts the benchmark with an output file.
pub fn start_bench(args: &[&str]) -> Bench {
    let folder = tempfile::tempdir().unwrap();
    let (before, after): (Vec<&str>, Vec<&str>) = match args.iter().position(|a| *a == "--") {
        Some(at) => (args[..at].to_vec(), args[at..].to_vec()),
        None => (args.to_vec(), Vec::new()),
    };
    let child = Command::new(env!("CARGO_BIN_EXE_sglang-bench"))
        .args(before)
        .arg("--output-file")
        .arg(folder.path().join("out.jsonl"))
        .args(after)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    Bench { child, folder }
}

impl Bench {
    /// Waits for a condition while the benchmark runs.
    pub fn until(&mut self, what: &str, happened: impl Fn() -> bool) {
        let deadline = Instant::now() + Duration::from_secs(20);
        while !happened() {
            assert!(Instant::now() < deadline && self.child.try_wait().unwrap().is_none(), "{what}");
            thread::sleep(Duration::from_millis(5));
        }
    }

    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id().try_into().unwrap()), signal).unwrap();
    }

    pub fn end(self) -> (Output, Vec<Value>) {
        let output = self.child.wait_with_output().unwrap();
        let text = std::fs::read_to_string(self.folder.path().join("out.jsonl")).unwrap_or_default();
        (output, text.lines().map(|line| serde_json::from_str(line).unwrap()).collect())
    }
}

pub fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

pub fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}
