//! Processes that are killed or stopped under load: what clients and probes see.

use std::io::{BufRead, BufReader};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use sglang_e2e::{Server, ServerOptions, process_tree};

/// A server with a model that answers every prompt with itself.
fn echo(args: &[&str]) -> Server {
    let env = vec![("SGLANG_SCHEDULER_BIN".into(), env!("CARGO_BIN_EXE_sglang-echo-scheduler").into())];
    let args = args.iter().map(|arg| (*arg).to_owned()).collect();
    Server::start_with(&ServerOptions { args, env, ..Default::default() }).unwrap()
}

/// The present process of a role, by a part of its name, of which the system keeps 15 bytes.
fn find(server: &Server, part: &str) -> Option<Pid> {
    let tree = process_tree(server.pid());
    tree.iter().find(|p| p.name.contains(part)).map(|p| Pid::from_raw(p.pid))
}

fn signal(server: &Server, part: &str, signal: Signal) {
    kill(find(server, part).expect(part), signal).unwrap();
}

fn until(what: &str, server: &Server, mut check: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !check() {
        assert!(Instant::now() < deadline, "{what}: {}", server.log_text());
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn status(server: &Server, path: &str) -> u16 {
    server.get(path).map_or(0, |response| response.status().as_u16())
}

fn ask(server: &Server) -> Value {
    let body = json!({"input_ids": [5, 6, 7], "sampling_params": {"max_new_tokens": 3}});
    server.post_json("/generate", &body).unwrap()["output_ids"].clone()
}

/// The text of a stream, and the longest gap between two of its pieces. Calls `after` with the number of each piece.
fn stream(server: &Server, body: &Value, mut after: impl FnMut(usize)) -> (String, Duration) {
    let response = server.post("/generate", body).unwrap();
    let (mut last, mut text, mut gap, mut pieces) = (Instant::now(), String::new(), Duration::ZERO, 0);
    for line in BufReader::new(response).lines() {
        let line = line.unwrap();
        let Some(data) = line.strip_prefix("data: ").filter(|data| *data != "[DONE]") else { continue };
        let piece: Value = serde_json::from_str(data).unwrap();
        text = piece["text"].as_str().unwrap_or_else(|| panic!("{piece}")).to_owned();
        gap = gap.max(last.elapsed());
        last = Instant::now();
        pieces += 1;
        after(pieces);
    }
    (text, gap)
}

#[test]
fn a_stream_survives_the_death_of_the_scheduler_with_the_same_text() {
    let server = Server::start(&[]).unwrap();
    let body = json!({
        "text": "Once upon a time", "stream": true,
        "sampling_params": {"max_new_tokens": 120, "ignore_eos": true, "temperature": 0},
    });
    let (undisturbed, _) = stream(&server, &body, |_| {});
    let (text, gap) = stream(&server, &body, |pieces| {
        if pieces == 20 || pieces == 60 {
            signal(&server, "sch", Signal::SIGKILL);
        }
    });
    assert_eq!(text, undisturbed, "{}", server.log_text());
    let log = server.log_text();
    assert_eq!(log.matches("the scheduler works again after").count(), 2, "{log}");
    println!("longest gap of the stream: {gap:?}");
    log.lines().filter(|line| line.contains("works again")).for_each(|line| println!("{line}"));
}

#[test]
fn each_process_is_started_again_and_requests_go_on() {
    let mut server = echo(&["--max-restarts", "20"]);
    for part in ["sch", "detoken", "tokeniz", "detoken", "tokeniz", "sch"] {
        let old = find(&server, part).expect(part);
        let killed = Instant::now();
        kill(old, Signal::SIGKILL).unwrap();
        until("a new one is there", &server, || find(&server, part).is_some_and(|new| new != old));
        // Even with nothing running the others notice, and a request that comes now is answered.
        assert_eq!(ask(&server), json!([5, 6, 7]), "{part}: {}", server.log_text());
        println!("{part}: {:?} from kill to answer", killed.elapsed());
        until("ready", &server, || status(&server, "/ready") == 200);
        assert_eq!((status(&server, "/health"), status(&server, "/health_generate")), (200, 200));
        std::thread::sleep(Duration::from_millis(2100));
    }
    let log = server.log_text();
    log.lines().filter(|line| line.contains("works again")).for_each(|line| println!("{line}"));
    server.signal(Signal::SIGTERM).unwrap();
    assert_eq!(server.wait().unwrap().code(), Some(0), "{}", server.log_text());
}

#[test]
fn a_stopped_process_makes_the_server_unready_and_is_replaced() {
    for part in ["sch", "detoken"] {
        let server = echo(&["--watchdog-timeout", "5"]);
        // The launcher says that the warm-up passed, and then tells the tokenizer manager.
        until("ready", &server, || status(&server, "/ready") == 200);
        let old = find(&server, part).expect(part);
        kill(old, Signal::SIGSTOP).unwrap();
        let stopped = Instant::now();
        until("unready", &server, || status(&server, "/ready") == 503);
        assert!(stopped.elapsed() < Duration::from_secs(4), "{:?}", stopped.elapsed());
        assert_eq!(status(&server, "/health"), 200, "the tokenizer manager serves");
        assert_eq!(status(&server, "/health_generate"), 503);
        until("replaced", &server, || find(&server, part).is_some_and(|new| new != old));
        until("ready", &server, || status(&server, "/ready") == 200);
        assert_eq!(ask(&server), json!([5, 6, 7]), "{part}: {}", server.log_text());
        assert!(server.log_text().contains("no sign of life"), "{}", server.log_text());
    }
}

#[test]
fn a_stopped_tokenizer_manager_is_replaced() {
    let server = echo(&["--watchdog-timeout", "2"]);
    let old = find(&server, "tokeniz").expect("there");
    kill(old, Signal::SIGSTOP).unwrap();
    // The request waits in the queue of the launcher's socket until the next one takes it, or is cut off with the old one.
    until("replaced", &server, || find(&server, "tokeniz").is_some_and(|new| new != old));
    assert_eq!(ask(&server), json!([5, 6, 7]), "{}", server.log_text());
}

#[test]
fn an_idle_server_and_a_long_step_are_no_hang() {
    let env = vec![
        ("SGLANG_SCHEDULER_BIN".into(), env!("CARGO_BIN_EXE_sglang-echo-scheduler").into()),
        ("SGLANG_FAULT".into(), "stall:4:4000".into()),
    ];
    let args = ["--watchdog-timeout", "6", "--skip-server-warmup"].map(str::to_owned).into();
    let server = Server::start_with(&ServerOptions { args, env, ..Default::default() }).unwrap();
    std::thread::sleep(Duration::from_secs(7));
    std::thread::scope(|scope| {
        let slow = scope.spawn(|| {
            let body = json!({"input_ids": [5, 6, 7, 8, 9], "sampling_params": {"max_new_tokens": 5}});
            server.post_json("/generate", &body).unwrap()["output_ids"].clone()
        });
        let asked = Instant::now();
        while !slow.is_finished() {
            assert_eq!(status(&server, "/ready"), 200, "{:?}", asked.elapsed());
            std::thread::sleep(Duration::from_millis(50));
        }
        assert_eq!(slow.join().unwrap(), json!([5, 6, 7, 8, 9]));
    });
    assert!(!server.log_text().contains("sign of life"), "{}", server.log_text());
}

#[test]
fn requests_wait_for_a_restart_and_no_longer_than_they_are_to() {
    // Every start of the scheduler but the first one takes long: its model is not there.
    let folder = tempfile::tempdir().unwrap();
    let script = folder.path().join("scheduler");
    let program = env!("CARGO_BIN_EXE_sglang-echo-scheduler");
    let text = format!("#!/bin/sh\n[ \"$SGLANG_LIFE\" -le 3 ] || sleep 3\nexec {program} \"$@\"\n");
    std::fs::write(&script, text).unwrap();
    std::fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let env = vec![("SGLANG_SCHEDULER_BIN".into(), script.to_str().unwrap().to_owned())];
    for (wait, expected) in [("1", 503), ("30", 200)] {
        let args = ["--restart-wait", wait].map(str::to_owned).into();
        let server =
            Server::start_with(&ServerOptions { args, env: env.clone(), ..Default::default() }).unwrap();
        signal(&server, "sch", Signal::SIGKILL);
        until("unready", &server, || status(&server, "/ready") == 503);
        assert_eq!((status(&server, "/health"), status(&server, "/health_generate")), (200, 503));
        let asked = Instant::now();
        let body = json!({"input_ids": [5, 6, 7], "sampling_params": {"max_new_tokens": 3}});
        let response = server.post("/generate", &body).unwrap();
        assert_eq!(response.status().as_u16(), expected, "{}", server.log_text());
        if expected == 503 {
            assert!(response.headers().contains_key("retry-after"), "{:?}", response.headers());
            assert!(response.text().unwrap().contains("started again"));
            assert!(asked.elapsed() < Duration::from_millis(2500), "{:?}", asked.elapsed());
        }
        until("ready", &server, || status(&server, "/ready") == 200);
        assert_eq!(ask(&server), json!([5, 6, 7]));
    }
}

#[test]
fn sigterm_while_the_scheduler_is_started_again_lets_streams_finish() {
    let mut server = Server::start(&[]).unwrap();
    let body = json!({
        "text": "Once upon a time", "stream": true,
        "sampling_params": {"max_new_tokens": 60, "ignore_eos": true, "temperature": 0},
    });
    let (undisturbed, _) = stream(&server, &body, |_| {});
    let (text, _) = stream(&server, &body, |pieces| {
        if pieces == 10 {
            signal(&server, "sch", Signal::SIGKILL);
            std::thread::sleep(Duration::from_millis(50));
            server.signal(Signal::SIGTERM).unwrap();
        }
    });
    assert_eq!(text, undisturbed, "{}", server.log_text());
    assert_eq!(server.wait().unwrap().code(), Some(0), "{}", server.log_text());
}
