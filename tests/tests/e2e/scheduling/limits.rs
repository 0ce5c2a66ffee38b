//! A full queue refuses requests in each route's own form.

use serde_json::{Value, json};
use sglang_e2e::{Server, sse_events};

use super::harness::{Stream, command, figure, greedy, state, wait_for, wait_idle};

#[test]
fn a_full_queue_refuses_with_503_in_the_form_of_each_route() {
    let server = Server::start(&["--max-running-requests", "1", "--max-queued-requests", "1"]).unwrap();
    let long = |rid: &str| json!({"text": "Once", "rid": rid, "sampling_params": greedy(4000)});
    let mut running = Stream::open(&server, long("running"));
    running.next().unwrap();
    let queued = Stream::open(&server, long("queued"));
    wait_for(&server, "a waiting request", |s| figure(s, "num_waiting_reqs") == 1);

    let refusal = json!({
        "object": "error", "message": "The request queue is full.", "type": "503", "param": null, "code": 503,
    });
    let message = json!([{"role": "user", "content": "x"}]);
    for (path, body) in [
        ("/generate", json!({"text": "third", "sampling_params": {"max_new_tokens": 1}})),
        ("/v1/completions", json!({"model": "m", "prompt": "x", "max_tokens": 1})),
        ("/v1/chat/completions", json!({"model": "m", "messages": message, "max_tokens": 1})),
    ] {
        let response = server.post(path, &body).unwrap();
        assert_eq!(response.status(), 503, "{path}");
        assert_eq!(response.json::<Value>().unwrap(), refusal, "{path}");
    }
    let text = server.post_text("/generate", &json!({"text": "third", "stream": true})).unwrap();
    let events = sse_events(&text);
    let chunk: Value = serde_json::from_str(events[0]).unwrap();
    let reason = &chunk["meta_info"]["finish_reason"];
    assert_eq!(reason["type"], "abort", "{text}");
    assert_eq!((&reason["status_code"], &reason["message"]), (&json!(503), &refusal["message"]));
    assert_eq!(events[1..], ["[DONE]"]);
    let body = json!({"model": "m", "messages": message, "max_tokens": 1, "stream": true});
    let text = server.post_text("/v1/chat/completions", &body).unwrap();
    let events = sse_events(&text);
    let chunk: Value = serde_json::from_str(events[0]).unwrap();
    assert_eq!(chunk["error"]["type"], "SERVICE_UNAVAILABLE", "{text}");
    assert_eq!((&chunk["error"]["code"], &chunk["error"]["message"]), (&json!(503), &refusal["message"]));
    assert_eq!(events[1..], ["[DONE]"]);

    // The two earlier requests continue, and a free place is used again.
    assert_eq!(figure(&state(&server), "num_running_reqs"), 1);
    command(&server, "/abort_request", json!({"rid": "queued"}));
    assert_eq!(queued.finish()["meta_info"]["finish_reason"]["type"], "abort");
    let third = Stream::open(&server, json!({"text": "third", "sampling_params": greedy(1)}));
    command(&server, "/abort_request", json!({"rid": "running"}));
    assert_eq!(third.finish()["meta_info"]["completion_tokens"], 1);
    assert_eq!(running.finish()["meta_info"]["finish_reason"]["type"], "abort");
    wait_idle(&server);
}
