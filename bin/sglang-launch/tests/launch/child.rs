//! Fake processes that other tests start instead of the real ones. The scripts in `tests/children` start them by test
//! name.

use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use sglang_process::control::{self, ControlEvent};
use sglang_process::heartbeat::Heartbeat;
use sglang_process::listen::inherited_listener;
use sglang_process::ready::ReadyHandle;

/// A fake tokenizer manager that answers HTTP, started by `tests/children/http`.
#[test]
#[ignore = "a process that other tests start"]
fn answers_http_as_a_child() {
    let answer = std::env::var("FAKE_HTTP").expect("set by the test that starts this");
    let dir = PathBuf::from(std::env::var_os("FAKE_DIR").expect("set with FAKE_HTTP"));
    let events = dir.join("events");
    let watched = control::watch(move |event| note_event(&events, event)).expect("watching");
    assert!(watched, "started by a launcher");
    let listener = inherited_listener().expect("the launcher's socket");
    ReadyHandle::from_env("tokenizer-manager").ready(serde_json::json!({}));
    loop {
        let (mut stream, _) = listener.accept().expect("a connection");
        let mut request = Vec::new();
        let mut chunk = [0; 4096];
        while !request.ends_with(b"}}") {
            let n = stream.read(&mut chunk).expect("readable");
            request.extend_from_slice(chunk.get(..n).expect("within"));
        }
        fs::write(dir.join("request"), &request).expect("written");
        let text = format!("HTTP/1.1 {answer} Text\r\nContent-Length: 6\r\n\r\nbroken");
        stream.write_all(text.as_bytes()).expect("written");
    }
}

fn note_event(path: &Path, event: ControlEvent) {
    if event == ControlEvent::ParentGone {
        std::process::exit(0);
    }
    let mut file = fs::File::options().create(true).append(true).open(path).expect("opened");
    writeln!(file, "{event:?}").expect("written");
}

/// A fake process with heartbeats, started by `tests/children/beats`.
#[test]
#[ignore = "a process that other tests start"]
fn beats_as_a_child() {
    let dir = PathBuf::from(std::env::var_os("FAKE_DIR").expect("started by a test"));
    control::watch(move |event| note_event(&dir.join("events"), event)).expect("watching");
    let heartbeat = Heartbeat::of_thread("the heart");
    ReadyHandle::from_env("scheduler").ready(serde_json::json!({"max_total_num_tokens": 64}));
    let period = heartbeat.period().expect("started by a launcher");
    loop {
        heartbeat.beat();
        std::thread::sleep(period.min(Duration::from_millis(50)));
    }
}
