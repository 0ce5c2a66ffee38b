//! Termination signals, sent to a separate process.
#![allow(clippy::expect_used)]

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use sglang_process::signals::{Termination, TerminationSignals};

/// Environment variable that marks the process that receives the signals.
const CHILD: &str = "SIGNALS_TEST_CHILD";

#[test]
fn sigterm_and_sigint_reach_the_watcher_instead_of_ending_the_process() {
    if std::env::var_os(CHILD).is_some() {
        return receive();
    }
    // A program's `main` blocks the signals before it starts threads, but the main thread of the test runner does not.
    // The child inherits the mask of this thread, so all of its threads start with blocked signals, like in a program.
    let _mask = TerminationSignals::block().expect("blocked");
    let mut child = Command::new(std::env::current_exe().expect("own path"))
        .args(["--test-threads=1", "--nocapture"])
        .env(CHILD, "1")
        .stdout(Stdio::piped())
        .spawn()
        .expect("started");
    let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
    let mut wait_for = |word: &str| {
        assert!(
            lines.by_ref().any(|line| line.expect("a line").contains(word)),
            "the child ended before {word:?}"
        );
    };
    let pid = Pid::from_raw(i32::try_from(child.id()).expect("a pid"));
    wait_for("waiting");
    kill(pid, Signal::SIGTERM).expect("sent");
    wait_for("graceful");
    kill(pid, Signal::SIGINT).expect("sent");
    wait_for("now");
    assert!(child.wait().expect("ended").success());
}

/// The child process: prints the signals that arrive, and ends after the second one.
fn receive() {
    let signals = TerminationSignals::block().expect("blocked");
    let (sender, receiver) = std::sync::mpsc::channel();
    signals.watch(move |t| sender.send(t).expect("received")).expect("started");
    println!("\nwaiting");
    assert_eq!(receiver.recv_timeout(Duration::from_secs(20)), Ok(Termination::Graceful));
    println!("graceful");
    assert_eq!(receiver.recv_timeout(Duration::from_secs(20)), Ok(Termination::Now));
    println!("now");
}
