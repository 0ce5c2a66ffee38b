//! Processes that die are restarted.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::plan::{Launched, Plan, UP, eventually, is_gone};

const QUICK: &[&str] = &["--skip-server-warmup", "--port", "0"];

/// The seconds in the log line of a restarted process.
fn seconds_to_ready(run: &Launched) -> f64 {
    let line = run.log.lines().rev().find(|line| line.contains("works again")).expect("the line");
    let after = line.split_once(" after ").expect("seconds").1;
    after.split(' ').next().and_then(|text| text.parse().ok()).expect("a number")
}

#[test]
fn a_killed_process_is_started_again_at_once_and_the_others_hear_of_it() {
    for (number, role) in [(1, "scheduler"), (2, "detokenizer"), (3, "tokenizer-manager")] {
        let mut run = Plan::of(["obeys", "obeys", "obeys"]).start();
        run.wait_for(UP);
        eventually("it is there", || run.life(number).is_some());
        // One that is killed before it has noted the word never will.
        eventually("all are told that the server is up", || run.noted("words").matches("up\n").count() >= 3);
        let old = run.life(number).expect("there").as_raw();
        run.signal_life(number, Signal::SIGKILL);
        run.wait_for(&format!("the {role} works again after"));
        assert!(is_gone(old), "the predecessor is reaped first");
        eventually("numbers of lives grow", || run.life(4).is_some());
        assert!(run.log.contains("was killed by SIGKILL"), "{}", run.log);
        assert!(run.log.contains("started again at once (restart 1 of at most 10"), "{}", run.log);
        println!("{role}: {} s from kill to ready", seconds_to_ready(&run));
        for word in [format!("peer-down {role} {number}\n"), format!("peer-up {role} 4\n")] {
            eventually("the two others hear of it", || run.noted("words").matches(&word).count() == 2);
        }
        eventually("the new one is told that the server is up", || {
            run.noted("words").matches("up\n").count() >= 4
        });
        run.signal(Signal::SIGTERM);
        let (status, log) = run.end();
        assert_eq!(status.code(), Some(0), "{log}");
    }
}

#[test]
fn a_process_that_ends_by_itself_is_started_again_and_so_is_the_next_one() {
    let mut run = Plan::of(["obeys", "ready", "obeys"]).start();
    run.wait_for(UP);
    for (number, signal) in [(2, Signal::SIGTERM), (4, Signal::SIGSEGV), (5, Signal::SIGABRT)] {
        // Longer than a life that counts as short.
        std::thread::sleep(Duration::from_millis(2100));
        run.signal_life(number, signal);
        run.wait_for("the detokenizer works again after");
    }
    assert_eq!(run.log.matches("started again at once").count(), 3, "{}", run.log);
    run.signal(Signal::SIGINT);
    assert_eq!(run.end().0.code(), Some(130));
}

#[test]
fn a_process_that_keeps_failing_ends_the_server_with_its_cause_and_last_lines() {
    let arguments = &[QUICK, &["--max-restarts", "2"]].concat();
    let mut run = Plan { arguments, ..Plan::of(["ready", "once", "ready"]) }.start();
    run.wait_for(UP);
    run.signal_life(2, Signal::SIGSEGV);
    let (status, log) = run.end();
    assert_eq!(status.code(), Some(3), "{log}");
    assert!(log.contains("started again in 0.5 s (restart 2 of at most 2"), "{log}");
    assert!(log.contains("the detokenizer ended with exit code 7, after 2 restarts within 600 s"), "{log}");
    assert!(log.contains(r#""something broke in life 5""#), "{log}");
    assert!(log.contains("\nsomething broke in life 5\n"), "its lines are handed on: {log}");
}

#[test]
fn a_restart_that_takes_too_long_is_given_up() {
    let plan = Plan {
        arguments: &[QUICK, &["--max-restarts", "1"]].concat(),
        variables: &[("SGLANG_STARTUP_TIMEOUT", "1")],
        ..Plan::of(["ready", "ready", "slow_again"])
    };
    let mut run = plan.start();
    run.wait_for(UP);
    run.signal_life(3, Signal::SIGKILL);
    let (status, log) = run.end();
    assert_eq!(status.code(), Some(3), "{log}");
    assert!(log.contains("the tokenizer-manager was not ready in time, after 1 restarts"), "{log}");
}

#[test]
fn a_budget_of_none_is_no_restart() {
    let arguments = &[QUICK, &["--max-restarts", "0"]].concat();
    let mut run = Plan { arguments, ..Plan::of(["ready", "ready", "ready"]) }.start();
    run.wait_for(UP);
    run.signal_life(1, Signal::SIGKILL);
    let (status, log) = run.end();
    assert_eq!(status.code(), Some(3), "{log}");
    assert!(log.contains("memory); the server ends"), "{log}");
}

#[test]
fn connections_wait_while_the_tokenizer_manager_is_started_again() {
    let plan = Plan {
        variables: &[("FAKE_HTTP", "200")],
        arguments: &["--port", "0"],
        ..Plan::of(["ready", "ready", "http"])
    };
    let mut run = plan.start();
    run.wait_for(UP);
    let port = run.port();
    let old = run.life(3).expect("there").as_raw();
    let asked = Instant::now();
    run.signal_life(3, Signal::SIGKILL);
    // Until it is gone it may still take a connection, which then dies with it.
    eventually("it is gone", || is_gone(old));
    let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("the launcher's socket takes it");
    stream.write_all(b"POST / HTTP/1.1\r\n\r\n{{}}").expect("sent");
    let mut start = [0; 12];
    stream.read_exact(&mut start).expect("answered by the next one");
    assert_eq!(&start, b"HTTP/1.1 200");
    println!("{:?} from kill to answer", asked.elapsed());
    run.signal(Signal::SIGTERM);
    assert_eq!(run.end().0.code(), Some(0));
}

#[test]
fn sigterm_during_a_restart_lets_requests_finish_and_ends_the_rest() {
    for (number, children) in [
        (1, ["slow_again", "obeys", "drains"]),
        (2, ["obeys", "slow_again", "drains"]),
        (3, ["obeys", "obeys", "slow_again"]),
    ] {
        for to_group in [false, true] {
            let mut run = Plan::of(children).start();
            run.wait_for(UP);
            run.signal_life(number, Signal::SIGKILL);
            run.wait_for("started again at once");
            eventually("the next life has begun", || run.life(4).is_some());
            let sent = Instant::now();
            if to_group {
                run.signal_group(Signal::SIGTERM)
            } else {
                run.signal(Signal::SIGTERM)
            }
            let drains = number != 3;
            let (status, log, words) = run.end_with("words");
            assert_eq!(status.code(), Some(0), "{log}");
            assert!(log.contains("running requests have finished"), "{log}");
            assert!(sent.elapsed() < Duration::from_secs(10), "nobody is waited for in vain");
            assert_eq!(words.contains("finished"), drains, "{log}");
        }
    }
}

#[test]
fn a_scheduler_that_dies_while_requests_finish_is_started_again() {
    let mut run = Plan::of(["obeys", "obeys", "drains"]).start();
    run.wait_for(UP);
    run.signal(Signal::SIGTERM);
    run.wait_for("a second signal ends now");
    run.signal_life(1, Signal::SIGKILL);
    run.wait_for("the scheduler works again after");
    run.wait_for("running requests have finished");
    assert_eq!(run.end().0.code(), Some(0));
}

#[test]
fn a_second_signal_during_a_restart_ends_now() {
    let mut run = Plan::of(["slow_again", "ready", "hangs"]).start();
    run.wait_for(UP);
    run.signal_life(1, Signal::SIGKILL);
    eventually("the next life has begun", || run.life(4).is_some());
    run.signal(Signal::SIGTERM);
    run.wait_for("a second signal ends now");
    std::thread::sleep(Duration::from_millis(200));
    run.signal(Signal::SIGTERM);
    assert_eq!(run.end().0.code(), Some(128 + 15));
}

#[test]
fn a_launcher_that_was_killed_can_be_started_again_at_once_on_the_same_port() {
    let mut first = Plan::of(["ready", "ready", "hangs"]).start();
    first.wait_for(UP);
    let port = first.port().to_string();
    // Its processes keep the port until they have ended.
    first.signal(Signal::SIGKILL);
    first.launcher.wait().expect("ended");
    let mut next = Plan {
        arguments: &["--skip-server-warmup", "--port", &port],
        ..Plan::of(["ready", "ready", "ready"])
    }
    .start();
    next.wait_for(UP);
    next.signal(Signal::SIGTERM);
    assert_eq!(next.end().0.code(), Some(0));
}

#[test]
fn a_port_that_is_free_a_moment_later_is_waited_for() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = taken.local_addr().expect("an address").port().to_string();
    let mut run = Plan {
        arguments: &["--skip-server-warmup", "--port", &port],
        ..Plan::of(["ready", "ready", "ready"])
    }
    .start();
    std::thread::sleep(Duration::from_millis(500));
    drop(taken);
    run.wait_for(UP);
    run.signal(Signal::SIGTERM);
    assert_eq!(run.end().0.code(), Some(0));
}

#[test]
fn a_signal_while_a_port_is_waited_for_ends_the_start() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = taken.local_addr().expect("an address").port().to_string();
    let run = Plan { arguments: &["--port", &port], ..Plan::of(["ready", "ready", "ready"]) }.start();
    std::thread::sleep(Duration::from_millis(300));
    run.signal(Signal::SIGTERM);
    let (status, log) = run.end();
    assert_eq!(status.code(), Some(0), "{log}");
}

#[test]
fn later_schedulers_get_as_much_room_as_the_first_one() {
    let mut run = Plan::of(["ready", "obeys", "obeys"]).start();
    run.wait_for(UP);
    run.signal_life(1, Signal::SIGKILL);
    run.wait_for("the scheduler works again");
    let arguments = fs::read_to_string(run.dir.path().join("arguments")).expect("noted");
    assert!(arguments.ends_with("--max-total-tokens\n64\n"), "{arguments}");
    run.signal(Signal::SIGINT);
    assert_eq!(run.end().0.code(), Some(130));
}
