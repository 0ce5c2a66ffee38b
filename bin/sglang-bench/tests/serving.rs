//! The load generator, tested with a server that speaks each protocol, correctly or not.

#![allow(clippy::unwrap_used)]

mod common;

use std::sync::atomic::Ordering;
use std::time::Instant;

use common::{FakeServer, Fault, bench, stderr, stdout};
use nix::sys::signal::Signal;
use serde_json::{Value, json};

const SMALL: [&str; 6] = ["--random-input-len", "5", "--random-output-len", "6", "--random-range-ratio", "1"];

fn serving(server: &FakeServer, more: &[&str]) -> (std::process::Output, Vec<Value>) {
    let url = server.url();
    let mut args = vec!["serving", "--base-url", &url];
    args.extend(SMALL);
    args.extend(more);
    bench(&args)
}

#[test]
fn every_protocol_is_measured_from_the_servers_own_counts() {
    for backend in ["sglang", "openai", "openai-chat"] {
        let server = FakeServer::start(Fault::None);
        let (output, lines) = serving(
            &server,
            &["--backend", backend, "--num-prompts", "8", "--max-concurrency", "3", "--api-key", "k"],
        );
        assert!(output.status.success(), "{backend}: {}", stderr(&output));
        let [record] = lines.as_slice() else { panic!("one line: {lines:?}") };
        assert_eq!(record["backend"], backend);
        assert_eq!((&record["completed"], &record["failed"]), (&json!(8), &json!(0)), "{backend}");
        assert_eq!(record["total_output_tokens"], 48, "{backend}");
        assert_eq!((&record["total_input_tokens"], &record["total_cached_tokens"]), (&json!(88), &json!(32)));
        assert_eq!(record["max_concurrent_requests"], 3, "{backend}");
        assert_eq!(server.seen.peak.load(Ordering::SeqCst), 3, "{backend}");
        for key in ["mean_ttft_ms", "median_itl_ms", "p99_tpot_ms", "p90_e2e_latency_ms", "output_throughput"]
        {
            assert!(record[key].as_f64().unwrap() > 0.0, "{backend} {key}");
        }
        // Five gaps of at least 2 ms follow the first token.
        assert!(record["median_tpot_ms"].as_f64().unwrap() >= 2.0, "{backend}");
        assert!(stdout(&output).contains("Output token throughput (tok/s):"));
        let bodies = server.seen.bodies.lock().unwrap();
        assert_eq!(bodies.len(), 9, "eight and the warm-up");
        assert!(server.seen.authorizations.lock().unwrap().iter().all(|a| a == "Bearer k"));
        match backend {
            "sglang" => assert_eq!(bodies[0]["input_ids"].as_array().unwrap().len(), 5),
            "openai" => assert_eq!(bodies[0]["prompt"].as_array().unwrap().len(), 5),
            _ => assert_eq!(bodies[0]["model"], "fake"),
        }
    }
}

/// Like llama.cpp's server when it is busy.
#[test]
fn a_server_that_ends_idle_connections_is_measured_without_failures() {
    let server = FakeServer::start(Fault::OneAnswerPerConnection);
    let (output, lines) = serving(&server, &["--num-prompts", "6", "--max-concurrency", "1"]);
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!((&lines[0]["completed"], &lines[0]["failed"]), (&json!(6), &json!(0)));
}

#[test]
fn whole_answers_have_no_token_latencies() {
    let server = FakeServer::start(Fault::None);
    let (output, lines) = serving(&server, &["--num-prompts", "2", "--disable-stream"]);
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!((&lines[0]["completed"], &lines[0]["total_output_tokens"]), (&json!(2), &json!(12)));
    assert_eq!((&lines[0]["mean_ttft_ms"], &lines[0]["mean_itl_ms"]), (&Value::Null, &Value::Null));
    assert!(stdout(&output).contains("not measured"));
}

#[test]
fn failures_are_counted_shown_and_fail_the_run() {
    let server = FakeServer::start(Fault::EveryThird);
    let (output, lines) = serving(&server, &["--num-prompts", "8"]);
    assert!(!output.status.success());
    // These are requests 2 to 9 of the server, of which 3, 6 and 9 fail.
    assert_eq!((&lines[0]["completed"], &lines[0]["failed"]), (&json!(5), &json!(3)));
    let shown = stderr(&output);
    assert!(shown.contains("error (3 requests): HTTP 500") && shown.contains("out of luck"), "{shown}");
}

#[test]
fn streams_that_break_off_or_abort_are_failures() {
    for (fault, words) in [(Fault::CutStream, "ended before"), (Fault::Abort, "gone")] {
        let server = FakeServer::start(fault);
        let (output, lines) = serving(&server, &["--num-prompts", "2", "--warmup-requests", "0"]);
        assert!(!output.status.success());
        assert_eq!(lines[0]["failed"], 2, "{fault:?}");
        assert!(stderr(&output).contains(words), "{fault:?}: {}", stderr(&output));
    }
}

#[test]
fn a_run_of_a_time_ends_by_itself_and_shows_how_far_it_is() {
    let server = FakeServer::start(Fault::None);
    let clock = Instant::now();
    let (output, lines) = serving(&server, &["--duration", "3", "--max-concurrency", "2"]);
    assert!(output.status.success(), "{}", stderr(&output));
    let seconds = clock.elapsed().as_secs_f64();
    assert!((3.0..10.0).contains(&seconds), "{seconds}");
    let completed = lines[0]["completed"].as_u64().unwrap();
    assert!(completed > 20, "{completed}");
    assert_eq!(completed as usize, server.seen.bodies.lock().unwrap().len() - 1, "none is cut off");
    assert_eq!((&lines[0]["duration_limit"], &lines[0]["num_prompts"]), (&json!(3.0), &Value::Null));
    assert_eq!(lines[0]["interrupted"], false);
    let shown = stderr(&output);
    let progress: Vec<&str> = shown.lines().filter(|l| l.contains(" requests done, ")).collect();
    assert!(progress.len() >= 2 && progress[0].starts_with("1 s of 3: "), "{shown}");
    assert!(progress.iter().all(|l| l.ends_with(" output tok/s")), "{shown}");
}

#[test]
fn ctrl_c_and_sigterm_print_what_is_finished() {
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        let server = FakeServer::start(Fault::HangAfter(5));
        let url = server.url();
        let args = [&["serving", "--base-url", &url, "--max-concurrency", "2"][..], &SMALL].concat();
        let mut run = common::start_bench(&args);
        run.until("the server hangs", || server.seen.bodies.lock().unwrap().len() == 7);
        run.signal(signal);
        let (output, lines) = run.end();
        assert_eq!(output.status.code(), Some(130), "{}", stderr(&output));
        // Five requests, of which the first was the warm-up.
        let [record] = lines.as_slice() else { panic!("one line: {lines:?}") };
        assert_eq!((&record["completed"], &record["failed"]), (&json!(4), &json!(0)));
        assert_eq!((&record["unfinished"], &record["interrupted"]), (&json!(2), &json!(true)));
        assert!(
            stdout(&output).contains("Unfinished requests (interrupted):         2"),
            "{}",
            stdout(&output)
        );
        assert!(stderr(&output).contains("Stopping"), "{}", stderr(&output));
    }
}

#[test]
fn ctrl_c_ends_the_other_commands_too() {
    for args in [
        &["decode-scaling", "--concurrency", "1,2", "--output-len", "6"][..],
        &["shared-prefix", "--users", "3"],
    ] {
        let server = FakeServer::start(Fault::HangAfter(3));
        let url = server.url();
        let mut run = common::start_bench(&[args, &["--base-url", &url]].concat());
        run.until("the server hangs", || server.seen.bodies.lock().unwrap().len() >= 4);
        run.signal(Signal::SIGINT);
        let (output, lines) = run.end();
        assert_eq!(output.status.code(), Some(130), "{args:?}: {}", stderr(&output));
        assert_eq!(lines.len(), 1, "{args:?}");
    }
}

#[test]
fn two_servers_take_turns_with_the_same_prompts_and_their_ratios_have_intervals() {
    let (fast, slow) = (FakeServer::start(Fault::None), FakeServer::start(Fault::Slow));
    let other = slow.url();
    let (output, lines) = serving(
        &fast,
        &["--compare", &other, "--rounds", "3", "--num-prompts", "6", "--max-concurrency", "1"],
    );
    assert!(output.status.success(), "{}", stderr(&output));
    let [record] = lines.as_slice() else { panic!("one line: {lines:?}") };
    assert_eq!(record["rounds"], 3);
    for side in ["server", "compared"] {
        assert_eq!((&record[side]["completed"], &record[side]["failed"]), (&json!(6), &json!(0)));
    }
    // Four gaps of 2 ms or of 8 ms.
    let ratio = &record["ratios"]["output_throughput"];
    let [low, high] = [0, 1].map(|i| ratio["interval"][i].as_f64().unwrap());
    assert!(low < ratio["ratio"].as_f64().unwrap() && ratio["ratio"].as_f64().unwrap() < high);
    assert!(ratio["ratio"].as_f64().unwrap() > 1.3, "{ratio}");
    assert!(record["ratios"]["mean_tpot_ms"]["ratio"].as_f64().unwrap() < 0.8, "{}", record["ratios"]);
    let text = stdout(&output);
    assert!(text.contains(&format!("{} / {other}, 3 rounds", fast.url())), "{text}");
    assert!(text.lines().any(|l| l.starts_with("Output token throughput  ") && l.contains(" to ")), "{text}");
    let prompts = |server: &FakeServer| {
        let bodies = server.seen.bodies.lock().unwrap();
        bodies.iter().map(|b| b["input_ids"].to_string()).collect::<Vec<_>>()
    };
    assert_eq!(prompts(&fast), prompts(&slow));
    let times = |server: &FakeServer| server.seen.times.lock().unwrap()[1..].to_vec();
    let (fast, slow) = (times(&fast), times(&slow));
    // The first server goes first in rounds one and three, the second server in round two.
    assert!(fast[1] < slow[0] && slow[3] < fast[2] && fast[5] < slow[4], "{fast:?} {slow:?}");
    assert!(slow[1] < slow[2] && fast[3] < fast[4]);
}

#[test]
fn a_command_line_that_cannot_be_is_2_before_anything_is_sent() {
    let server = FakeServer::start(Fault::None);
    let url = server.url();
    for args in [
        &["serving", "--base-url", &url, "--backend", "openai-chat", "--prompt-mode", "ids"][..],
        &["serving", "--base-url", "ftp://x"],
        &["serving", "--base-url", &url, "--rounds", "0"],
        &["shared-prefix", "--base-url", &url, "--backend", "openai"],
    ] {
        let (output, _) = bench(args);
        assert_eq!(output.status.code(), Some(2), "{args:?}: {}", stderr(&output));
    }
    let program = env!("CARGO_BIN_EXE_sglang-bench");
    let args = ["serving", "--base-url", &url, "--output-file", "/no/such/folder/out.jsonl"];
    let output = std::process::Command::new(program).args(args).output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    assert!(stderr(&output).contains("/no/such/folder/out.jsonl"));
    assert!(server.seen.bodies.lock().unwrap().is_empty());
}

#[test]
fn a_server_that_hangs_does_not_hang_the_run() {
    let server = FakeServer::start(Fault::Hang);
    let clock = Instant::now();
    let (output, lines) =
        serving(&server, &["--num-prompts", "3", "--warmup-requests", "0", "--timeout", "1"]);
    assert!(clock.elapsed().as_secs() < 20);
    assert!(!output.status.success());
    assert_eq!(lines[0]["failed"], 3);
    assert!(stderr(&output).contains("--timeout"));
}

#[test]
fn a_failed_warm_up_and_an_absent_server_stop_the_run() {
    let server = FakeServer::start(Fault::Abort);
    let (output, lines) = serving(&server, &["--num-prompts", "3"]);
    assert!(!output.status.success() && lines.is_empty());
    assert!(stderr(&output).contains("warm-up"), "{}", stderr(&output));
    let args = ["serving", "--base-url", "http://127.0.0.1:1", "--ready-check-timeout-sec", "0"];
    let (output, lines) = bench(&args);
    assert!(!output.status.success() && lines.is_empty());
    assert!(stderr(&output).contains("not ready"), "{}", stderr(&output));
}

#[test]
fn prompts_share_the_prefix_that_was_asked_for() {
    let server = FakeServer::start(Fault::None);
    let (output, _) =
        serving(&server, &["--num-prompts", "4", "--shared-prefix-len", "10", "--warmup-requests", "0"]);
    assert!(output.status.success(), "{}", stderr(&output));
    let bodies = server.seen.bodies.lock().unwrap();
    let ids = |i: usize| bodies[i]["input_ids"].as_array().unwrap().clone();
    for i in 0..4 {
        assert_eq!(ids(i).len(), 15);
        assert_eq!(ids(i)[..10], ids(0)[..10]);
    }
    assert_ne!(ids(0), ids(1));
}

#[test]
fn decode_scaling_reports_a_ratio_per_concurrency() {
    let server = FakeServer::start(Fault::None);
    let url = server.url();
    let (output, lines) = bench(&[
        "decode-scaling",
        "--base-url",
        &url,
        "--concurrency",
        "1,4",
        "--output-len",
        "20",
        "--input-len",
        "4",
    ]);
    assert!(output.status.success(), "{}", stderr(&output));
    let steps = lines[0]["steps"].as_array().unwrap();
    assert_eq!((&steps[0]["ratio"], &steps[0]["completed"]), (&json!(1.0), &json!(2)));
    assert_eq!((&steps[1]["max_concurrency"], &steps[1]["completed"]), (&json!(4), &json!(8)));
    // The fake server sleeps instead of computing, so four requests at a time are faster than one.
    assert!(steps[1]["ratio"].as_f64().unwrap() > 1.5, "{}", steps[1]["ratio"]);
}

#[test]
fn a_conversation_goes_on_from_the_servers_own_answers() {
    let (server, other) = (FakeServer::start(Fault::None), FakeServer::start(Fault::None));
    let (url, compared) = (server.url(), other.url());
    let sizes = ["--system-prompt-len", "20", "--question-len", "3", "--output-len", "2"];
    let mut args =
        vec!["shared-prefix", "--base-url", &url, "--compare-url", &compared, "--users", "3", "--turns", "3"];
    args.extend(sizes);
    let (output, lines) = bench(&args);
    assert!(output.status.success(), "{}", stderr(&output));
    let [record] = lines.as_slice() else { panic!("one line: {lines:?}") };
    for side in ["server", "compared"] {
        let completed = |part: &str| record[side][part]["completed"].as_u64().unwrap();
        assert_eq!((completed("cold"), completed("first_turns")), (1, 2), "{side}");
        assert_eq!((completed("later_turns"), completed("all")), (6, 9), "{side}");
        assert!(record[side]["later_turns"]["mean_ttft_ms"].as_f64().unwrap() > 0.0);
    }
    assert!(stdout(&output).contains("Later turns / first request:"));
    let bodies = server.seen.bodies.lock().unwrap();
    let prompts: Vec<Vec<u64>> = bodies[1..]
        .iter()
        .map(|b| b["input_ids"].as_array().unwrap().iter().map(|id| id.as_u64().unwrap()).collect())
        .collect();
    assert!(prompts.iter().all(|p| p[..20] == prompts[0][..20]), "one system prompt");
    let longest = prompts.iter().find(|p| p.len() == 33 && p[..23] == prompts[0][..]).unwrap();
    // Two questions with answers, and the third question.
    assert_eq!((&longest[23..25], &longest[28..30]), (&[7, 7][..], &[7, 7][..]));
    let sorted = |bodies: &[Value]| {
        let mut texts: Vec<String> = bodies.iter().map(Value::to_string).collect();
        texts.sort_unstable();
        texts
    };
    assert_eq!(sorted(&other.seen.bodies.lock().unwrap()), sorted(&bodies), "both servers get the same");
}

#[test]
fn shared_prefix_needs_output_ids() {
    let server = FakeServer::start(Fault::None);
    let (output, _) = bench(&["shared-prefix", "--base-url", &server.url(), "--backend", "openai"]);
    assert!(!output.status.success());
    assert!(stderr(&output).contains("--backend sglang"), "{}", stderr(&output));
}
