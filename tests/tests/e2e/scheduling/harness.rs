//! Helpers for requests, streams and the scheduler's state.

use std::io::Read;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use sglang_e2e::Server;

/// Longest wait for an expected state.
const PATIENCE: Duration = Duration::from_secs(30);

/// Sampling parameters of a greedy answer of exactly `tokens`.
pub fn greedy(tokens: usize) -> Value {
    json!({"temperature": 0, "max_new_tokens": tokens, "ignore_eos": true})
}

/// The answer of `/generate` to a text.
pub fn generate(server: &Server, text: &str, params: Value) -> Value {
    server.post_json("/generate", &json!({"text": text, "sampling_params": params})).unwrap()
}

/// Number of cached prompt tokens.
pub fn cached(answer: &Value) -> u64 {
    answer["meta_info"]["cached_tokens"].as_u64().unwrap()
}

/// The scheduler's report about itself.
pub fn state(server: &Server) -> Value {
    let info: Value = server.get("/get_server_info").unwrap().json().unwrap();
    info["internal_states"][0].clone()
}

/// An integer of the scheduler's state.
pub fn figure(state: &Value, name: &str) -> u64 {
    state[name].as_u64().unwrap_or_else(|| panic!("no {name} in {state}"))
}

/// Waits until the scheduler's state satisfies `wanted`.
pub fn wait_for(server: &Server, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let state = state(server);
        if wanted(&state) {
            return state;
        }
        assert!(Instant::now() < deadline, "{what} did not come about: {state}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Waits until nothing is running, waiting or locked.
pub fn wait_idle(server: &Server) -> Value {
    wait_for(server, "idleness", |s| {
        ["num_running_reqs", "num_waiting_reqs", "num_in_flight", "num_protected_tokens", "num_used_tokens"]
            .iter()
            .all(|name| figure(s, name) == 0)
    })
}

/// A POST that must be answered with 200.
pub fn command(server: &Server, path: &str, body: Value) {
    let response = server.post(path, &body).unwrap();
    let status = response.status();
    assert!(status.is_success(), "{path} answered {status}: {}", response.text().unwrap());
}

/// An event stream that is read as it arrives.
pub struct Stream {
    response: reqwest::blocking::Response,
    rest: Vec<u8>,
}

impl Stream {
    /// Starts a stream of `/generate`.
    pub fn open(server: &Server, mut body: Value) -> Self {
        body["stream"] = true.into();
        let response = server.post("/generate", &body).unwrap();
        assert_eq!(response.status(), 200);
        Self { response, rest: Vec::new() }
    }

    /// The next event; `None` after the last one.
    pub fn next(&mut self) -> Option<Value> {
        loop {
            if let Some(end) = self.rest.windows(2).position(|w| w == b"\n\n") {
                let event: Vec<u8> = self.rest.drain(..end + 2).collect();
                let data = std::str::from_utf8(&event).unwrap().trim().strip_prefix("data: ").unwrap();
                return (data != "[DONE]").then(|| serde_json::from_str(data).unwrap());
            }
            let mut buffer = [0; 4096];
            let read = self.response.read(&mut buffer).unwrap();
            assert!(read > 0, "the stream broke off after {:?}", String::from_utf8_lossy(&self.rest));
            self.rest.extend_from_slice(&buffer[..read]);
        }
    }

    /// Reads to the end and returns the last event.
    pub fn finish(mut self) -> Value {
        let mut last = Value::Null;
        while let Some(event) = self.next() {
            last = event;
        }
        last
    }
}
