//! Higher priorities first.

use std::sync::Mutex;

use serde_json::json;
use sglang_e2e::Server;

use super::harness::{Stream, figure, generate, greedy, wait_for};

#[test]
fn priorities_order_the_queue_and_a_much_larger_one_preempts() {
    let server = Server::start(&[
        "--enable-priority-scheduling",
        "--max-running-requests",
        "1",
        "--disable-radix-cache",
    ])
    .unwrap();
    let alone = generate(&server, "Once upon a time", greedy(150))["output_ids"].clone();
    let ends = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        let start = |name: &'static str, priority: i64, tokens: usize| {
            let (server, ends, alone) = (&server, &ends, &alone);
            scope.spawn(move || {
                let body = json!({
                    "text": "Once upon a time", "priority": priority, "sampling_params": greedy(tokens),
                });
                let answer = server.post_json("/generate", &body).unwrap();
                ends.lock().unwrap().push(name);
                let expected = &alone.as_array().unwrap()[..tokens];
                assert_eq!(answer["output_ids"].as_array().unwrap(), expected, "{name}");
            });
        };
        let waiting = |n: u64| {
            wait_for(&server, "the queue", |s| {
                figure(s, "num_waiting_reqs") == n && figure(s, "num_running_reqs") == 1
            })
        };
        start("first", 0, 150);
        waiting(0);
        start("low", 1, 4);
        waiting(1);
        // Not high enough above the running one to preempt it.
        start("high", 9, 4);
        waiting(2);
        assert!(ends.lock().unwrap().is_empty());
        start("urgent", 100, 4);
    });
    assert_eq!(*ends.lock().unwrap(), ["urgent", "high", "low", "first"]);
}

#[test]
fn a_priority_is_ignored_without_the_flag_and_refused_when_told_to() {
    let body = json!({"text": "x", "priority": 3, "sampling_params": greedy(1)});
    let ignoring = Server::start(&[]).unwrap();
    assert_eq!(Stream::open(&ignoring, body.clone()).finish()["meta_info"]["completion_tokens"], 1);
    let refusing = Server::start(&["--abort-on-priority-when-disabled"]).unwrap();
    assert_eq!(refusing.post("/generate", &body).unwrap().status(), 503);
}
