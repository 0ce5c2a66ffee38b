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

/// A report may not grow beyond this; a process that writes more is not one of ours.
const LONGEST_REPORT: usize = 1 << 20;

/// A line of a start-up report.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Report {
    /// A part of start-up has taken so many seconds.
    Phase(String, f64),
    /// The process works; the rest of the line is what it has to say of itself.
    Ready(Value),
    /// The process cannot start: why, and its exit code.
    Failed(String, u8),
}

impl Report {
    /// `None` for a line that is not a report.
    fn parse(line: &str) -> Option<Report> {
        let value: Value = serde_json::from_str(line).ok()?;
        let text = |key| value.get(key).and_then(Value::as_str).map(str::to_owned);
        match value.get("event")?.as_str()? {
            "phase" => {
                Some(Report::Phase(text("name")?, value.get("seconds")?.as_f64().filter(|s| *s >= 0.0)?))
            }
            "failed" => {
                // Nothing but the two codes of a failed start.
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
    /// It ended by itself, with this code.
    Code(i32),
    /// A signal ended it.
    Signal(Signal),
}

impl Death {
    /// `None` when the status is not of an end.
    pub(crate) fn from_status(status: WaitStatus) -> Option<(Pid, Death)> {
        match status {
            WaitStatus::Exited(pid, code) => Some((pid, Death::Code(code))),
            WaitStatus::Signaled(pid, signal, _) => Some((pid, Death::Signal(signal))),
            _ => None,
        }
    }

    /// Whether somebody may have asked the process to end.
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

/// What the launcher holds of a process.
#[derive(Debug)]
pub(crate) struct Ties {
    /// The start-up report, until its end. Reading it must not block.
    pub(crate) report: Option<File>,
    /// Where it reads the launcher's words.
    pub(crate) control: Option<File>,
    /// Where it shows signs of life.
    pub(crate) heartbeats: HeartbeatPage,
    /// What it has written last; `None` where standard error is the launcher's own.
    pub(crate) last_words: Option<LastWords>,
    /// Can be read when it has ended; `None` where the kernel has no such thing, and a signal tells it.
    pub(crate) pidfd: Option<OwnedFd>,
}

/// A process that was started.
#[derive(Debug)]
pub(crate) struct ChildProcess {
    pub(crate) role: Role,
    /// Larger than those of all that were started before.
    pub(crate) life: u64,
    pub(crate) pid: Pid,
    /// How it ended, once it has and was reaped. Its pid means nothing from then on.
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

    /// Reads what the report has now.
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

    /// Says a word to the process, if it still listens. One that has read nothing for so long that the pipe is full is
    /// told no more: the launcher waits for nobody.
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
