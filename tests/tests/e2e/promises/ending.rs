//! Every stream ends properly, whatever ended it.

use serde_json::{Value, json};
use sglang_e2e::{Server, sse_events};

use super::routes::{ROUTES, Route, Wish};

/// Whether a stream ends as the route promises.
fn is_ended(route: Route, body: &str) -> bool {
    match route {
        Route::Messages => body.trim_end().ends_with("data: {\"type\":\"message_stop\"}"),
        Route::Responses => {
            let kinds = ["response.completed", "response.incomplete", "response.failed", "error"];
            let last = body.lines().filter_map(|line| line.strip_prefix("event: ")).next_back();
            last.is_some_and(|last| kinds.contains(&last))
        }
        Route::OllamaGenerate | Route::OllamaChat => {
            let last = body.lines().next_back().and_then(|line| serde_json::from_str::<Value>(line).ok());
            last.is_some_and(|last| last["done"] == true || last["error"].is_string())
        }
        _ => body.ends_with("data: [DONE]\n\n") && body.matches("data: [DONE]").count() == 1,
    }
}

#[test]
fn a_stream_that_is_aborted_ends() {
    let server = Server::start(&[]).unwrap();
    for route in ROUTES {
        let wish = Wish::new("Tell a story that never ends.", 4000);
        let mut body = route.body(&wish, true);
        body["ignore_eos"] = true.into();
        if route == Route::Generate {
            body["sampling_params"]["ignore_eos"] = true.into();
        }
        std::thread::scope(|scope| {
            let stream = scope.spawn(|| {
                let response = server.post(route.path(), &body).unwrap();
                (response.status(), response.text().unwrap())
            });
            while !stream.is_finished() {
                server.post("/abort_request", &json!({"abort_all": true})).unwrap();
                std::thread::sleep(std::time::Duration::from_millis(100));
            }
            let (status, text) = stream.join().unwrap();
            assert!(status != 200 || is_ended(route, &text), "{route:?} {status}: {text}");
        });
    }
}

#[test]
fn a_stream_that_is_refused_ends() {
    // Refused by the scheduler when the stream has already begun.
    let server = Server::start(&["--max-running-requests", "1", "--max-queued-requests", "1"]).unwrap();
    let long = json!({"text": "x", "sampling_params": {"max_new_tokens": 6000, "ignore_eos": true}});
    std::thread::scope(|scope| {
        // One after the other: if two arrived together, the second would find the queue full.
        let running = scope.spawn(|| server.post("/generate", &long).unwrap());
        server.until_loads(1, 0).unwrap();
        let waiting = scope.spawn(|| server.post("/generate", &long).unwrap());
        server.until_loads(1, 1).unwrap();
        for route in ROUTES {
            let response = server.post(route.path(), &route.body(&Wish::new("x", 2), true)).unwrap();
            let (status, text) = (response.status(), response.text().unwrap());
            assert!(
                text.contains("queue is full") || status == 503 || route == Route::Messages,
                "{route:?} {status}: {text}"
            );
            assert!(status == 503 || is_ended(route, &text), "{route:?} {status}: {text}");
        }
        server.until_loads(1, 1).expect("no request has ended by itself");
        server.post("/abort_request", &json!({"abort_all": true})).unwrap();
        for busy in [running, waiting] {
            busy.join().unwrap();
        }
    });
    // Refused by the grammar compiler.
    for route in [Route::Generate, Route::Completions, Route::Chat] {
        let mut body = route.body(&Wish::new("x", 2), true);
        body["ebnf"] = "root ::= (((".into();
        if route == Route::Generate {
            body["sampling_params"]["ebnf"] = "root ::= (((".into();
        }
        let response = server.post(route.path(), &body).unwrap();
        let (status, text) = (response.status(), response.text().unwrap());
        assert!(text.contains("Failed to compile ebnf grammar"), "{route:?} {status}: {text}");
        assert!(status == 400 || is_ended(route, &text), "{route:?} {status}: {text}");
        if status == 200 {
            assert!(sse_events(&text).len() == 2, "{text}");
        }
    }
}
