//! Processes without heartbeat are ended and restarted.

use std::fs;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};

use crate::plan::{Launched, Plan, UP, eventually};

fn start(more: &[&str]) -> Launched {
    let arguments = &[&["--skip-server-warmup", "--port", "0", "--watchdog-timeout", "2"], more].concat();
    let mut run = Plan { arguments, ..Plan::of(["beats", "obeys", "obeys"]) }.start();
    run.wait_for(UP);
    run
}

#[test]
fn a_stopped_process_is_taken_for_hung_and_started_again() {
    let mut run = start(&[]);
    let stopped = Instant::now();
    run.signal_life(1, Signal::SIGSTOP);
    eventually("the others hear that it is silent", || {
        run.noted("words").matches("peer-silent scheduler 1\n").count() == 2
    });
    run.wait_for("the scheduler has shown no sign of life for");
    assert!(stopped.elapsed() >= Duration::from_millis(1900), "{:?}", stopped.elapsed());
    run.wait_for("state=T");
    run.wait_for("the scheduler works again after");
    println!("{:?} from stop to ready", stopped.elapsed());
    assert!(
        run.log.contains("(thread \"the heart\") and was ended; it is started again at once"),
        "{}",
        run.log
    );
    run.signal(Signal::SIGINT);
    assert_eq!(run.end().0.code(), Some(130));
}

#[test]
fn without_restarts_a_hung_process_ends_the_server() {
    let run = start(&["--restart-policy", "never"]);
    run.signal_life(1, Signal::SIGSTOP);
    let (status, log) = run.end();
    assert_eq!(status.code(), Some(3), "{log}");
    assert!(log.contains("the scheduler showed no sign of life for"), "{log}");
}

#[test]
fn a_process_that_is_silent_for_a_while_goes_on() {
    let run = start(&[]);
    run.signal_life(1, Signal::SIGSTOP);
    eventually("it is called silent", || run.noted("words").contains("peer-silent scheduler 1\n"));
    run.signal_life(1, Signal::SIGCONT);
    eventually("it is called well", || run.noted("words").contains("peer-up scheduler 1\n"));
    run.signal(Signal::SIGINT);
    let (_, log) = run.end();
    assert!(!log.contains("started again"), "{log}");
}

#[test]
fn a_server_that_was_stopped_whole_goes_on() {
    let run = start(&[]);
    let own = run.pid();
    let children = fs::read_to_string(format!("/proc/{own}/task/{own}/children")).expect("readable");
    let children: Vec<_> = children.split_whitespace().filter_map(|pid| pid.parse().ok()).collect();
    let all = |signal| {
        let children = children.iter().map(|pid| nix::unistd::Pid::from_raw(*pid));
        for pid in std::iter::once(own).chain(children) {
            kill(pid, signal).expect("sent");
        }
    };
    all(Signal::SIGSTOP);
    std::thread::sleep(Duration::from_secs(4));
    all(Signal::SIGCONT);
    std::thread::sleep(Duration::from_secs(2));
    run.signal(Signal::SIGINT);
    let (status, log) = run.end();
    assert_eq!(status.code(), Some(130), "{log}");
    assert!(!log.contains("no sign of life"), "{log}");
}
