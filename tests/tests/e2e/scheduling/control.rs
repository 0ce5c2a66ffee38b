//! Aborting, pausing and continuing.

use std::time::Duration;

use serde_json::json;
use sglang_e2e::Server;

use super::harness::{Stream, command, figure, generate, greedy, state, wait_for, wait_idle};

#[test]
fn an_abort_ends_its_request_in_every_state_and_no_other() {
    let server = Server::start(&["--max-running-requests", "2", "--chunked-prefill-size", "64"]).unwrap();
    let body = |rid: &str, text: &str| json!({"text": text, "rid": rid, "sampling_params": greedy(2000)});
    let mut first = Stream::open(&server, body("a_1", "Once"));
    let mut tenth = Stream::open(&server, body("a_10", "Twice"));
    first.next().unwrap();
    tenth.next().unwrap();
    // A rid is matched as a whole, not as a prefix.
    command(&server, "/abort_request", json!({"rid": "a_"}));
    first.next().unwrap();
    command(&server, "/abort_request", json!({"rid": "a_1"}));
    let end = first.finish();
    assert_eq!(end["meta_info"]["finish_reason"]["type"], "abort");
    let after = wait_for(&server, "the end of a_1", |s| figure(s, "num_running_reqs") == 1);
    // Again, and with a rid that never existed: no effect.
    command(&server, "/abort_request", json!({"rid": "a_1"}));
    command(&server, "/abort_request", json!({"rid": "nobody"}));
    for _ in 0..5 {
        let event = tenth.next().unwrap();
        assert!(event["meta_info"]["finish_reason"].is_null());
    }
    let steps = figure(&after, "total_steps");
    wait_for(&server, "more steps of a_10", |s| figure(s, "total_steps") > steps);

    // While its prompt is being computed.
    let chunked = Stream::open(&server, body("chunked", &"many words ".repeat(700)));
    let before = figure(&after, "total_prefill_tokens");
    wait_for(&server, "two chunks of the prompt", |s| figure(s, "total_prefill_tokens") >= before + 128);
    command(&server, "/abort_request", json!({"rid": "chunked"}));
    let end = chunked.finish();
    assert_eq!(end["meta_info"]["finish_reason"]["type"], "abort");
    assert_eq!(end["output_ids"], json!([]));

    // While it is queued.
    let other = Stream::open(&server, body("other", "Thrice"));
    wait_for(&server, "two running", |s| figure(s, "num_running_reqs") == 2);
    let queued = Stream::open(&server, body("queued", "Four times"));
    wait_for(&server, "one waiting", |s| figure(s, "num_waiting_reqs") == 1);
    command(&server, "/abort_request", json!({"rid": "queued"}));
    assert_eq!(queued.finish()["meta_info"]["finish_reason"]["type"], "abort");

    // All remaining requests.
    command(&server, "/abort_request", json!({"abort_all": true}));
    for stream in [tenth, other] {
        assert_eq!(stream.finish()["meta_info"]["finish_reason"]["type"], "abort");
    }
    let idle = wait_idle(&server);
    assert_eq!(figure(&idle, "total_requests"), figure(&idle, "total_finished"));
}

#[test]
fn a_pause_stops_everything_and_continuing_changes_no_token() {
    let server = Server::start(&[]).unwrap();
    let text = "The history of rivers";
    let whole = generate(&server, text, greedy(100))["output_ids"].clone();
    for (mode, running, retracted) in [("in_place", 1, 0), ("retract", 0, 1)] {
        let mut stream = Stream::open(&server, json!({"text": text, "sampling_params": greedy(100)}));
        for _ in 0..3 {
            stream.next().unwrap();
        }
        command(&server, "/pause_generation", json!({"mode": mode}));
        let paused = wait_for(&server, mode, |s| {
            s["paused"] == true
                && figure(s, "num_in_flight") == 0
                && figure(s, "num_running_reqs") == running
                && figure(s, "num_waiting_retracted_reqs") == retracted
        });
        // New requests wait.
        let end = std::thread::scope(|scope| {
            let second = scope.spawn(|| generate(&server, "Hi", greedy(2)));
            std::thread::sleep(Duration::from_millis(200));
            assert!(!second.is_finished());
            assert_eq!(
                figure(&state(&server), "total_steps"),
                figure(&paused, "total_steps"),
                "{mode}: it runs on"
            );
            command(&server, "/continue_generation", json!({}));
            assert_eq!(second.join().unwrap()["meta_info"]["completion_tokens"], 2);
            stream.finish()
        });
        assert_eq!(end["output_ids"], whole, "{mode}");
        assert_eq!(end["meta_info"]["finish_reason"]["type"], "length");
    }
    let stream = Stream::open(&server, json!({"text": text, "sampling_params": greedy(3000)}));
    wait_for(&server, "a running request", |s| figure(s, "num_running_reqs") == 1);
    command(&server, "/pause_generation", json!({"mode": "abort"}));
    assert_eq!(stream.finish()["meta_info"]["finish_reason"]["type"], "abort");
    command(&server, "/continue_generation", json!({}));
    assert_eq!(generate(&server, text, greedy(100))["output_ids"], whole);
    assert_eq!(server.post("/pause_generation", &json!({"mode": "sideways"})).unwrap().status(), 400);
}
