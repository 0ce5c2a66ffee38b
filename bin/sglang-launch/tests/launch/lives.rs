//! `sglang-launch` from its start to its end, with small scripts as processes.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::plan::{Plan, UP, eventually, is_gone};

#[test]
fn three_ready_processes_make_a_server_and_sigterm_ends_it_with_0() {
    let mut run = Plan::of(["ready", "ready", "ready"]).start();
    run.wait_for(UP);
    assert!(run.log.contains("fake part 0.001 s") && run.log.contains("total"), "{}", run.log);
    eventually("each process is told that the server is up", || run.noted("words") == "up\nup\nup\n");
    let arguments = run.noted("arguments");
    let ipc_dir = run.ipc_dirs().pop().expect("a folder for the sockets");
    assert!(arguments.contains(&format!("--ipc-dir\n{}", ipc_dir.display())), "{arguments}");
    run.signal(Signal::SIGTERM);
    let (status, log) = run.end();
    assert_eq!(status.code(), Some(0), "{log}");
    assert!(log.contains("running requests have finished"), "{log}");
}

#[test]
fn sigterm_lets_the_tokenizer_manager_finish_before_the_others_end() {
    let mut run = Plan::of(["ready", "ready", "drains"]).start();
    run.wait_for(UP);
    let sent = Instant::now();
    run.signal(Signal::SIGTERM);
    run.wait_for("have 15 s to finish");
    run.wait_for("running requests have finished");
    assert!(sent.elapsed() >= Duration::from_millis(500));
    assert!(run.noted("words").contains("finished"), "{}", run.noted("words"));
    assert_eq!(run.end().0.code(), Some(0));
}

#[test]
fn sigterm_to_all_processes_lets_the_tokenizer_manager_finish_before_the_others_end() {
    let mut run = Plan::of(["obeys", "obeys", "drains"]).start();
    run.wait_for(UP);
    run.signal_group(Signal::SIGTERM);
    // Like `timeout` does.
    run.signal_group(Signal::SIGTERM);
    run.wait_for("running requests have finished");
    let words = run.noted("words");
    let finished = words.find("finished").expect("the tokenizer manager has finished");
    assert!(words.find("end\n").is_some_and(|end| finished < end), "{words}");
    let (status, log) = run.end();
    assert_eq!(status.code(), Some(0), "{log}");
}

#[test]
fn a_tokenizer_manager_that_ends_of_a_signal_before_the_launcher_sees_its_own_has_drained() {
    let mut run = Plan::of(["obeys", "obeys", "drains"]).start();
    run.wait_for(UP);
    let tokenizer_manager = run.noted("tokenizer_manager").trim().parse().expect("its pid");
    kill(Pid::from_raw(tokenizer_manager), Signal::SIGTERM).expect("sent");
    eventually("it has ended", || is_gone(tokenizer_manager));
    run.signal(Signal::SIGTERM);
    let (status, log) = run.end();
    assert_eq!(status.code(), Some(0), "{log}");
    assert!(log.contains("running requests have finished"), "{log}");
}

#[test]
fn a_signal_to_all_processes_during_start_up_is_no_failure_whoever_gets_it_first() {
    let run = Plan::of(["silent", "silent", "silent"]).start();
    eventually("all three have started", || run.pids().len() == 3);
    // Wait until the shell has become the sleeping program.
    std::thread::sleep(Duration::from_millis(100));
    for pid in run.pids() {
        kill(Pid::from_raw(pid), Signal::SIGTERM).expect("sent");
    }
    std::thread::sleep(Duration::from_millis(50));
    run.signal(Signal::SIGTERM);
    let (status, log) = run.end();
    assert_eq!(status.code(), Some(0), "{log}");
}

#[test]
fn requests_that_do_not_finish_are_ended_at_the_deadline() {
    let plan =
        Plan { variables: &[("SGLANG_SHUTDOWN_TIMEOUT", "0.3")], ..Plan::of(["ready", "ready", "hangs"]) };
    let mut run = plan.start();
    run.wait_for(UP);
    run.signal(Signal::SIGTERM);
    let (status, log) = run.end();
    assert_eq!(status.code(), Some(0), "{log}");
    assert!(log.contains("had not finished after 0.3 s"), "{log}");
}

#[test]
fn a_second_signal_ends_now() {
    let mut run = Plan::of(["ready", "ready", "hangs"]).start();
    run.wait_for(UP);
    run.signal(Signal::SIGTERM);
    run.wait_for("a second signal ends now");
    std::thread::sleep(Duration::from_millis(200));
    let sent = Instant::now();
    run.signal(Signal::SIGTERM);
    let (status, log) = run.end();
    assert_eq!(status.code(), Some(128 + 15), "{log}");
    assert!(sent.elapsed() < Duration::from_secs(10));
}

#[test]
fn sigint_ends_everything_at_once_with_130() {
    let mut run = Plan::of(["ready", "ready", "hangs"]).start();
    run.wait_for(UP);
    run.signal(Signal::SIGINT);
    let (status, log) = run.end();
    assert_eq!(status.code(), Some(130), "{log}");
    assert!(log.contains("SIGINT"), "{log}");
}

#[test]
fn a_signal_during_start_up_ends_everything() {
    let run = Plan::of(["silent", "ready", "ready"]).start();
    eventually("all three have started", || run.pids().len() == 3);
    run.signal(Signal::SIGTERM);
    let (status, log) = run.end();
    assert_eq!(status.code(), Some(0), "{log}");
    assert!(!log.contains(UP), "{log}");
}

#[test]
fn a_process_that_cannot_start_ends_everything_with_its_reason() {
    let (status, log) = Plan::of(["fails", "ready", "ready"]).start().end();
    assert_eq!(status.code(), Some(1), "{log}");
    assert!(log.contains("the scheduler cannot start: tensor model.norm.weight is missing"), "{log}");
}

#[test]
fn a_process_says_in_its_own_words_why_before_the_launcher_does() {
    let (status, log) = Plan::of(["ready", "ready", "explains"]).start().end();
    assert_eq!(status.code(), Some(2), "{log}");
    let own = log.find("my own words").expect("its words");
    let line = log.find("the tokenizer-manager cannot start: no template /t.jinja").expect("the line");
    assert!(own < line, "{log}");
    let (status, log) = Plan::of(["refuses", "ready", "ready"]).start().end();
    assert_eq!(status.code(), Some(2), "{log}");
    assert!(log.contains("the scheduler ended with exit code 2 before it was ready"), "{log}");
}

#[test]
fn a_process_that_ends_before_it_is_ready_ends_everything() {
    let (status, log) = Plan::of(["ready", "dies", "ready"]).start().end();
    assert_eq!(status.code(), Some(1), "{log}");
    assert!(log.contains("the detokenizer ended with exit code 7 before it was ready"), "{log}");
}

#[test]
fn a_process_that_is_never_ready_ends_everything_at_the_deadline() {
    let plan =
        Plan { variables: &[("SGLANG_STARTUP_TIMEOUT", "0.5")], ..Plan::of(["silent", "ready", "ready"]) };
    let (status, log) = plan.start().end();
    assert_eq!(status.code(), Some(1), "{log}");
    assert!(log.contains("scheduler was not ready after 0.5 s") && log.contains("open files"), "{log}");
}

#[test]
fn a_program_that_is_missing_is_named() {
    let (status, log) = Plan::of(["ready", "no-such-program", "ready"]).start().end();
    assert_eq!(status.code(), Some(2), "{log}");
    assert!(log.contains("cannot start the detokenizer: SGLANG_DETOKENIZER_BIN=/"), "{log}");
    assert!(log.contains("no-such-program"), "{log}");
}

#[test]
fn without_restarts_the_death_of_a_process_ends_the_server_with_3_and_names_the_cause() {
    let arguments = &["--skip-server-warmup", "--port", "0", "--restart-policy", "never"];
    let mut run = Plan { arguments, ..Plan::of(["ready", "ready", "ready"]) }.start();
    run.wait_for(UP);
    let first = run.pids().into_iter().next().expect("a process");
    kill(Pid::from_raw(first), Signal::SIGSEGV).expect("sent");
    let (status, log) = run.end();
    assert_eq!(status.code(), Some(3), "{log}");
    assert!(log.contains("was killed by SIGSEGV; the server ends"), "{log}");
}

#[test]
fn a_launcher_killed_by_sigkill_takes_its_processes_with_it_and_the_next_run_cleans_up() {
    let mut run = Plan::of(["ready", "ready", "hangs"]).start();
    run.wait_for(UP);
    let pids = run.pids();
    assert_eq!(pids.len(), 3);
    run.signal(Signal::SIGKILL);
    run.launcher.wait().expect("ended");
    eventually("no process is left", || pids.iter().all(|pid| is_gone(*pid)));
    let left = run.ipc_dirs();
    assert_eq!(left.len(), 1, "nobody was there to remove the folder");
    let base = run.dir.path().to_str().expect("utf-8");
    let next = Plan { variables: &[("XDG_RUNTIME_DIR", base)], ..Plan::of(["fails", "ready", "ready"]) };
    assert_eq!(next.start().end().0.code(), Some(1));
    assert!(run.ipc_dirs().is_empty(), "the next run removes it");
}

#[test]
fn a_port_in_use_is_found_before_anything_is_started() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = taken.local_addr().expect("an address").port().to_string();
    let plan = Plan { arguments: &["--port", &port], ..Plan::of(["ready", "ready", "ready"]) };
    let run = plan.start();
    let dir = run.dir.path().to_owned();
    let (status, log) = run.end();
    assert_eq!(status.code(), Some(1), "{log}");
    assert!(log.contains(&format!("port {port} of 127.0.0.1 is already in use")), "{log}");
    assert!(!dir.join("pids").exists());
}

#[test]
fn a_temporary_folder_that_will_not_do_is_no_reason_to_fail() {
    let long = format!("/tmp/{}", "x".repeat(100));
    for temporary in [&long, "/no/such/folder", "relative"] {
        let variables = [("XDG_RUNTIME_DIR", "/no/such/folder"), ("TMPDIR", temporary)];
        let mut run = Plan { variables: &variables, ..Plan::of(["ready", "ready", "ready"]) }.start();
        run.wait_for(UP);
        let arguments = run.noted("arguments");
        let dir =
            arguments.lines().skip_while(|word| *word != "--ipc-dir").nth(1).expect("a folder").to_owned();
        assert!(dir.starts_with("/tmp/sglang-") || dir.starts_with("/dev/shm/sglang-"), "{dir}");
        let mode = fs::metadata(&dir).expect("there").permissions().mode() & 0o777;
        assert_eq!(mode, 0o700);
        run.signal(Signal::SIGTERM);
        assert_eq!(run.end().0.code(), Some(0));
        assert!(!Path::new(&dir).exists(), "{dir} is left");
    }
}

#[test]
fn an_empty_host_is_every_interface() {
    let plan = Plan {
        arguments: &["--port", "0", "--host", ""],
        variables: &[("FAKE_HTTP", "200")],
        ..Plan::of(["ready", "ready", "http"])
    };
    let mut run = plan.start();
    run.wait_for(UP);
    let port = run.log.split_once("Serving ").and_then(|(_, rest)| rest.lines().next()?.rsplit(':').next());
    let port = port.and_then(|port| port.parse::<u16>().ok()).expect("the line names the port");
    let ask = |ip: std::net::IpAddr| {
        let mut stream = std::net::TcpStream::connect((ip, port)).expect("reached");
        stream.write_all(b"POST / HTTP/1.1\r\n\r\n{{}}").expect("sent");
        let mut start = [0; 12];
        stream.read_exact(&mut start).expect("answered");
        assert_eq!(&start, b"HTTP/1.1 200");
    };
    ask(std::net::Ipv4Addr::LOCALHOST.into());
    // A machine without IPv6 cannot bind its loopback address.
    if std::net::TcpListener::bind((std::net::Ipv6Addr::LOCALHOST, 0)).is_ok() {
        ask(std::net::Ipv6Addr::LOCALHOST.into());
    }
    run.signal(Signal::SIGTERM);
    assert_eq!(run.end().0.code(), Some(0));
}

#[test]
fn wrong_arguments_end_with_2_and_say_what_to_type() {
    for (arguments, expected) in [
        (&["--prot", "1"][..], "--port"),
        (&["--tp-size", "2"][..], "not supported yet"),
        (&["--model-path", "/no/such/model"][..], "/no/such/model"),
        (&["--host", "203.0.113.1"][..], "--host 203.0.113.1"),
        (&["--port", "70000"][..], "--port"),
        (&["--ipc-dir", "/dev/null"][..], "--ipc-dir /dev/null"),
        (&["--ipc-dir", "/no/such/place/ipc"][..], "--ipc-dir /no/such/place/ipc"),
        (&["--config", "/no/such/file.yaml"][..], "--config /no/such/file.yaml"),
    ] {
        let (status, log) = Plan { arguments, ..Plan::of(["ready", "ready", "ready"]) }.start().end();
        assert_eq!(status.code(), Some(2), "{log}");
        assert!(log.contains(expected), "{arguments:?}: {log}");
    }
    let plan =
        Plan { variables: &[("SGLANG_STARTUP_TIMEOUT", "soon")], ..Plan::of(["ready", "ready", "ready"]) };
    let (status, log) = plan.start().end();
    assert_eq!(status.code(), Some(2), "{log}");
    assert!(log.contains("SGLANG_STARTUP_TIMEOUT=soon"), "{log}");
}

#[test]
fn the_warm_up_request_goes_over_the_inherited_socket() {
    let plan = Plan {
        arguments: &["--port", "0", "--api-key", "sesame"],
        variables: &[("FAKE_HTTP", "200")],
        ..Plan::of(["ready", "ready", "http"])
    };
    let mut run = plan.start();
    run.wait_for(UP);
    assert!(run.log.contains("| warm-up 0."), "{}", run.log);
    let request = run.noted("request");
    assert!(request.starts_with("POST /generate HTTP/1.1"), "{request}");
    assert!(
        request.contains("Authorization: Bearer sesame") && request.contains("capital city"),
        "{request}"
    );
    eventually("it is told that the server is up", || run.noted("events") == "Up\n");
    assert!(!run.log.contains("sesame"), "a key is not logged");
    run.signal(Signal::SIGTERM);
    assert_eq!(run.end().0.code(), Some(0));
}

#[test]
fn a_warm_up_request_that_fails_ends_everything() {
    let plan = Plan {
        arguments: &["--port", "0"],
        variables: &[("FAKE_HTTP", "500")],
        ..Plan::of(["ready", "ready", "http"])
    };
    let (status, log) = plan.start().end();
    assert_eq!(status.code(), Some(1), "{log}");
    assert!(log.contains("warm-up request failed: HTTP 500: broken"), "{log}");
}
