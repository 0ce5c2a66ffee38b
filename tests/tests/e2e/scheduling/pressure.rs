//! Too little memory, and prompts that are too long.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use sglang_e2e::Server;

use super::harness::{Stream, command, figure, generate, greedy, state, wait_idle};

/// Number of different requests in the mix; each is sent several times.
const KINDS: usize = 20;
const REQUESTS: usize = 200;

/// A request of the mix: prompts of about 10 to 90 tokens, greedy or sampled.
fn request(i: usize) -> Value {
    let kind = i % KINDS;
    // No common beginning: shared prefixes would leave room.
    let text = format!("{kind}: {} Count from {kind}: {kind},", "word ".repeat(kind * 7 % 83));
    let tokens = 12 + kind * 11 % 37;
    // Without `ignore_eos`: the needs of such requests are known, so they would be admitted without later retraction.
    let mut params = json!({"temperature": 0, "max_new_tokens": tokens, "min_new_tokens": tokens});
    if kind.is_multiple_of(5) {
        params["temperature"] = json!(1.0);
        params["top_p"] = json!(0.95);
        params["sampling_seed"] = json!(kind);
    }
    json!({"text": text, "sampling_params": params})
}

/// The result of a request of the mix.
#[derive(Debug, PartialEq)]
enum End {
    Whole(Value),
    Aborted(Value),
    Left,
}

fn send(server: &Server, i: usize) -> End {
    let mut body = request(i);
    let rid = format!("mix_{i}");
    body["rid"] = json!(rid);
    let abort = i % 17 == 3;
    let leave = i % 19 == 5;
    if abort || leave {
        body["sampling_params"]["max_new_tokens"] = json!(400);
        body["sampling_params"]["min_new_tokens"] = json!(400);
    }
    if leave {
        let mut stream = Stream::open(server, body);
        stream.next().unwrap();
        return End::Left;
    }
    if abort {
        let mut stream = Stream::open(server, body);
        // Half of them once they run, the other half whatever they are doing.
        if i.is_multiple_of(2) {
            stream.next().unwrap();
        }
        command(server, "/abort_request", json!({"rid": rid}));
        return End::Aborted(stream.finish());
    }
    let answer = match i % 3 {
        0 => Stream::open(server, body).finish(),
        _ => server.post_json("/generate", &body).unwrap(),
    };
    End::Whole(answer)
}

#[test]
fn two_hundred_mixed_requests_all_end_rightly_in_a_tiny_pool() {
    let flags =
        ["--max-total-tokens", "700", "--max-running-requests", "16", "--schedule-conservativeness", "0.1"];
    let server = Server::start(&[&flags[..], &["--chunked-prefill-size", "64"]].concat()).unwrap();
    let alone: Vec<Value> = (0..KINDS)
        .map(|i| server.post_json("/generate", &request(i)).unwrap()["output_ids"].clone())
        .collect();
    let ends: Vec<(usize, End)> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..REQUESTS)
            .map(|i| {
                let server = &server;
                scope.spawn(move || (i, send(server, i)))
            })
            .collect();
        threads.into_iter().map(|t| t.join().unwrap()).collect()
    });
    let mut counts = [0; 3];
    for (i, end) in ends {
        let kind = i % KINDS;
        match end {
            End::Whole(answer) => {
                assert_eq!(answer["output_ids"], alone[kind], "request {i}");
                assert_eq!(answer["meta_info"]["finish_reason"]["type"], "length", "request {i}");
                counts[0] += 1;
            }
            End::Aborted(answer) => {
                assert_eq!(answer["meta_info"]["finish_reason"]["type"], "abort", "request {i}");
                // The text before the abort is the beginning of the whole answer.
                let (ids, whole) =
                    (answer["output_ids"].as_array().unwrap(), alone[kind].as_array().unwrap());
                let common = ids.len().min(whole.len());
                assert_eq!(ids[..common], whole[..common], "request {i}");
                counts[1] += 1;
            }
            End::Left => counts[2] += 1,
        }
    }
    assert_eq!(counts, [177, 12, 11]);
    let idle = wait_idle(&server);
    assert!(figure(&idle, "total_retractions") > 0, "the pool was never full: {idle}");
    assert_eq!(figure(&idle, "total_requests"), figure(&idle, "total_finished"));
    assert_eq!(server.post("/flush_cache", &json!({})).unwrap().status(), 200);
    assert_eq!(figure(&wait_idle(&server), "num_evictable_tokens"), 0);
    assert_eq!(server.post_json("/generate", &request(7)).unwrap()["output_ids"], alone[7]);
}

#[test]
fn one_that_fits_nowhere_ends_with_an_error_and_the_next_is_served() {
    let server = Server::start(&["--max-total-tokens", "128"]).unwrap();
    let response = server.post("/generate", &json!({"text": "word ".repeat(200)})).unwrap();
    assert_eq!(response.status(), 400);
    let text = response.text().unwrap();
    assert!(text.contains("201 tokens") || text.contains("200 tokens"), "{text}");
    // More output than memory: the length is cut to what fits.
    let answer = generate(&server, "Once", greedy(5000));
    assert_eq!(answer["meta_info"]["finish_reason"]["type"], "length");
    assert!(answer["meta_info"]["completion_tokens"].as_u64().unwrap() < 128);
    let idle = wait_idle(&server);
    assert_eq!(figure(&idle, "total_requests"), figure(&idle, "total_finished"));
}

#[test]
fn a_long_prompt_holds_up_other_streams_for_no_longer_than_a_chunk() {
    const CHUNK: usize = 256;
    const PROMPT: usize = 3000;
    let server = Server::start(&["--chunked-prefill-size", &CHUNK.to_string()]).unwrap();
    let ids: Vec<usize> = (0..PROMPT).map(|i| 500 + i * 7 % 4000).collect();
    let mut running = Stream::open(&server, json!({"text": "Once", "sampling_params": greedy(4000)}));
    running.next().unwrap();
    let (took, gaps) = std::thread::scope(|scope| {
        let long = scope.spawn(|| {
            let started = Instant::now();
            let answer = server
                .post_json("/generate", &json!({"input_ids": ids, "sampling_params": greedy(1)}))
                .unwrap();
            assert_eq!(answer["meta_info"]["completion_tokens"], 1);
            started.elapsed()
        });
        let mut gaps = Vec::new();
        let mut last = Instant::now();
        while !long.is_finished() {
            running.next().unwrap();
            gaps.push(last.elapsed());
            last = Instant::now();
        }
        (long.join().unwrap(), gaps)
    });
    let chunks = PROMPT.div_ceil(CHUNK);
    let longest = gaps.iter().max().copied().unwrap_or(Duration::MAX);
    // The last chunks attend to more and take longer than the average.
    let bound = took / chunks as u32 * 3;
    assert!(gaps.len() >= chunks, "{} tokens during {chunks} chunks", gaps.len());
    assert!(longest <= bound, "a gap of {longest:?}; {chunks} chunks took {took:?}");
    drop(running);
    wait_idle(&server);
    assert_eq!(figure(&state(&server), "num_protected_tokens"), 0);
}
