//! A running process and its start-up report.

use std::fmt;
use std::fs::File;
use std::io::{ErrorKind, Read, Write};

use std::os::fd::OwnedFd;

use nix::sys::signal::{Signal, kill};
use nix::sys::wait::WaitStatus;
use nix::unistd::Pid;
use serde_json::Value;
use sglang_process::heartbeat::HeartbeatPage;

use crate::last_words::LastWords;
use crate::role::Role;

/// Longest start-up report in bytes. A process that writes more is not one of ours.
const LONGEST_REPORT: usize = 1 << 20;

/// A line of a start-up report.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Report {
    /// A phase of start-up has ended, with its duration in seconds.
    Phase(String, f64),
    /// The process is ready, with facts about it.
    Ready(Value),
    /// The process cannot start: the reason and its exit code.
    Failed(String, u8),
}

impl Report {
    /// Parses a line; `None` if it is not a report.
    fn parse(line: &str) -> Option<Report> {
        let value: Value = serde_json::from_str(line).ok()?;
        let text = |key| value.get(key).and_then(Value::as_str).map(str::to_owned);
        match value.get("event")?.as_str()? {
            "phase" => {
                Some(Report::Phase(text("name")?, value.get("seconds")?.as_f64().filter(|s| *s >= 0.0)?))
            }
            "failed" => {
                // A failed start has only two exit codes.
                let code = if value.get("exit_code").and_then(Value::as_u64) == Some(2) { 2 } else { 1 };
                Some(Report::Failed(text("error")?, code))
            }
            "ready" => Some(Report::Ready(value)),
            _ => None,
        }
    }
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Death {
    /// It exited with this code.
    Code(i32),
    /// A signal killed it.
    Signal(Signal),
}

impl Death {
    /// `None` if the status does not report an end.
    pub(crate) fn from_status(status: WaitStatus) -> Option<(Pid, Death)> {
        match status {
            WaitStatus::Exited(pid, code) => Some((pid, Death::Code(code))),
            WaitStatus::Signaled(pid, signal, _) => Some((pid, Death::Signal(signal))),
            _ => None,
        }
    }

    /// Whether the end may have been requested from outside.
    pub(crate) fn may_be_wished(self) -> bool {
        use Signal::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};
        matches!(self, Death::Code(0) | Death::Signal(SIGTERM | SIGINT | SIGHUP | SIGQUIT))
    }
}

impl fmt::Display for Death {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Death::Code(code) => write!(f, "ended with exit code {code}"),
            Death::Signal(Signal::SIGKILL) => {
                write!(f, "was killed by SIGKILL (by hand, or by the kernel for want of memory)")
            }
            Death::Signal(signal) => write!(f, "was killed by {signal}"),
        }
    }
}

/// The launcher's descriptors for a process.
#[derive(Debug)]
pub(crate) struct Ties {
    /// The start-up report, until its end; non-blocking.
    pub(crate) report: Option<File>,
    /// The pipe for control words to the process.
    pub(crate) control: Option<File>,
    /// The page with its heartbeats.
    pub(crate) heartbeats: HeartbeatPage,
    /// Its last lines of standard error; `None` if it shares the launcher's standard error.
    pub(crate) last_words: Option<LastWords>,
    /// Becomes readable when the process has ended. `None` if the kernel does not support it; then SIGCHLD reports the
    /// end.
    pub(crate) pidfd: Option<OwnedFd>,
}

/// A started process.
#[derive(Debug)]
pub(crate) struct ChildProcess {
    pub(crate) role: Role,
    /// Number of its life, larger than those of all processes started before.
    pub(crate) life: u64,
    pub(crate) pid: Pid,
    /// How it ended; set when it is reaped. From then on its pid is invalid.
    pub(crate) death: Option<Death>,
    pub(crate) ties: Ties,
    unread: Vec<u8>,
}

impl ChildProcess {
    pub(crate) fn new(role: Role, life: u64, pid: Pid, ties: Ties) -> Self {
        ChildProcess { role, life, pid, death: None, ties, unread: Vec::new() }
    }

    /// The last lines of a process that has ended.
    pub(crate) fn last_words(&self) -> Vec<String> {
        self.ties.last_words.as_ref().map(LastWords::of_the_dead).unwrap_or_default()
    }

    /// Reads the available part of the report.
    pub(crate) fn read_report(&mut self) -> Vec<Report> {
        let mut chunk = [0; 4096];
        while let Some(pipe) = &mut self.ties.report {
            match pipe.read(&mut chunk) {
                Ok(n) if n > 0 && self.unread.len() < LONGEST_REPORT => {
                    self.unread.extend(chunk.iter().take(n));
                }
                Err(e) if e.kind() == ErrorKind::WouldBlock => break,
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Ok(_) | Err(_) => self.ties.report = None,
            }
        }
        let mut reports = Vec::new();
        while let Some(end) = self.unread.iter().position(|b| *b == b'\n') {
            let line: Vec<u8> = self.unread.drain(..=end).collect();
            let line = String::from_utf8_lossy(&line);
            match Report::parse(line.trim()) {
                Some(report) => reports.push(report),
                None => {
                    tracing::warn!("the {} wrote {:?} as its start-up report", self.role.name(), line.trim())
                }
            }
        }
        reports
    }

    /// Sends a control word to the process, if it still reads them. If the pipe is full, the word is dropped: the
    /// launcher must not block.
    pub(crate) fn tell(&mut self, word: &str) {
        if let Some(pipe) = &mut self.ties.control
            && pipe.write_all(format!("{word}\n").as_bytes()).is_err()
        {
            self.ties.control = None;
        }
    }

    /// Sends a signal, unless the process has ended.
    pub(crate) fn signal(&self, signal: Signal) {
        if self.death.is_none()
            && let Err(e) = kill(self.pid, signal)
        {
            tracing::warn!("{signal} could not be sent to the {}: {e}", self.role.name());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn report_lines_are_understood_and_others_are_not() {
        let phase = r#"{"role":"scheduler","event":"phase","name":"load weights","seconds":0.25}"#;
        assert_eq!(Report::parse(phase), Some(Report::Phase("load weights".into(), 0.25)));
        let failed = r#"{"event":"failed","error":"no such tensor"}"#;
        assert_eq!(Report::parse(failed), Some(Report::Failed("no such tensor".into(), 1)));
        let failed = r#"{"event":"failed","error":"no such tensor","exit_code":2}"#;
        assert_eq!(Report::parse(failed), Some(Report::Failed("no such tensor".into(), 2)));
        assert!(matches!(
            Report::parse(r#"{"event":"ready","max_req_input_len":7}"#),
            Some(Report::Ready(_))
        ));
        for bad in
            ["", "ready", "[]", "{}", r#"{"event":"phase"}"#, r#"{"event":"phase","name":"x","seconds":-1}"#]
        {
            assert_eq!(Report::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_death_says_its_cause() {
        assert_eq!(Death::Code(3).to_string(), "ended with exit code 3");
        assert_eq!(Death::Signal(Signal::SIGSEGV).to_string(), "was killed by SIGSEGV");
        assert!(Death::Signal(Signal::SIGKILL).to_string().contains("memory"));
    }
}
