//! Exchanges while others run: a busy server, aborts, sessions, a pause, new weights, and the end.

use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::{Value, json};
use sglang_e2e::{Server, ServerOptions, model_path};
use sglang_golden::{Exchange, exchange};

use super::harness::{Found, NAME, ask, ask_with};

/// A recorded exchange with other ids: `(recorded, ours)`.
fn recorded(name: &str, ids: &[(&str, &str)]) -> Exchange {
    let mut exchange = exchange("special", name);
    for (theirs, ours) in ids {
        exchange.body = exchange.body.replace(theirs, ours);
        exchange.response_body = exchange.response_body.replace(theirs, ours);
    }
    exchange
}

fn id_of(exchange: &Exchange, place: &str) -> String {
    let body: Value = serde_json::from_str(&exchange.body).unwrap();
    body.pointer(place).and_then(Value::as_str).unwrap().to_owned()
}

fn flags() -> Vec<&'static str> {
    let more = ["--context-length", "4096", "--max-total-tokens", "32768", "--max-running-requests", "16"];
    [&NAME[..], &more, &["--enable-metrics"]].concat()
}

/// Runs an exchange during which others take place: sends it, waits until it runs, and lets `meanwhile` end it.
fn during(server: &Server, name: &str, found: &mut Found, meanwhile: impl FnOnce(&mut Found)) {
    let exchange = recorded(name, &[]);
    // Long enough to be still running when it is aborted.
    let body = exchange.body.replace("400", "4000");
    server.until_loads(0, 0).unwrap();
    std::thread::scope(|scope| {
        let running = scope.spawn(|| ask_with(&server.url(""), &exchange, &body));
        server.until_loads(1, 0).unwrap();
        meanwhile(found);
        found.compare(&exchange, &running.join().unwrap());
    });
}

#[test]
fn a_busy_server_answers_as_the_reference_did() {
    let server = Server::start(&flags()).unwrap();
    let mut found = Found::default();
    during(&server, "generate-aborted", &mut found, |found| {
        for name in [
            "flush_cache-while-busy",
            "generate-rid-in-flight",
            "health-while-busy",
            "v1_loads-while-busy",
            "abort_request-running",
        ] {
            found.replay(&server, &recorded(name, &[]));
        }
    });
    during(&server, "generate-stream-aborted", &mut found, |_| {
        let rid = id_of(&recorded("generate-stream-aborted", &[]), "/rid");
        server.post("/abort_request", &json!({"rid": rid})).unwrap();
    });
    during(&server, "chat-aborted", &mut found, |_| {
        server.post("/abort_request", &json!({"abort_all": true})).unwrap();
    });
    found.assert_none();
}

#[test]
fn sessions_pauses_and_new_weights_are_as_the_references() {
    let server = Server::start(&flags()).unwrap();
    let mut found = Found::default();

    let theirs = id_of(&recorded("session-first-turn", &[]), "/session_params/id");
    let session = server.post_json("/open_session", &json!({"capacity_of_str_len": 1000})).unwrap();
    let ids = [(theirs.as_str(), session.as_str().unwrap())];
    let first = recorded("session-first-turn", &ids);
    let answer = ask(&server.url(""), &first);
    found.compare(&first, &answer);
    let answer: Value = serde_json::from_str(&answer.body).unwrap();
    let theirs = id_of(&recorded("session-second-turn", &[]), "/session_params/rid");
    let turn = (theirs.as_str(), answer["meta_info"]["id"].as_str().unwrap());
    found.replay(&server, &recorded("session-second-turn", &[ids[0], turn]));
    for name in ["session-unknown-rid", "close_session-ok", "close_session-unknown"] {
        found.replay(&server, &recorded(name, &ids));
    }

    let path = model_path();
    for name in [
        "pause_generation",
        "ready-while-paused",
        "ping-while-paused",
        "continue_generation",
        "update_weights-success",
        "generate-after-update",
        "weights_by_name",
        "update_weight_version",
        "metrics-unknown-subpath",
    ] {
        found.replay(&server, &recorded(name, &[("MODELS/smollm2-135m-fp32", path.to_str().unwrap())]));
    }
    found.assert_none();
}

#[test]
fn a_server_that_was_told_to_end_answers_as_the_reference_did() {
    // The reference waits without a limit.
    let env = vec![("SGLANG_SHUTDOWN_TIMEOUT".to_owned(), "100".to_owned())];
    let options = ServerOptions { env, ..ServerOptions::with_args(&flags()) };
    let mut server = Server::start_with(&options).unwrap();
    let mut found = Found::default();
    let running = recorded("sigterm-running-request", &[]);
    // Long enough to run until the other answers arrive.
    let long = running.body.replace("60", "200");
    std::thread::scope(|scope| {
        let long = scope.spawn(|| ask_with(&server.url(""), &running, &long));
        server.until_loads(1, 0).unwrap();
        let whole = scope.spawn(|| ask(&server.url(""), &running));
        std::thread::sleep(Duration::from_millis(100));
        server.signal(Signal::SIGTERM).unwrap();
        while server.get("/health").unwrap().status().is_success() {
            std::thread::sleep(Duration::from_millis(5));
        }
        for name in ["sigterm-health", "sigterm-ready", "sigterm-ping", "sigterm-new-request"] {
            found.replay(&server, &recorded(name, &[]));
        }
        found.compare(&running, &whole.join().unwrap());
        assert_eq!(long.join().unwrap().status, 200);
    });
    assert!(server.wait().unwrap().success(), "{}", server.log_text());
    found.assert_none();
}
