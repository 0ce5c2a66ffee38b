//! A running process and its start-up report.

use std::fmt;
use std::fs::File;
use std::io::{ErrorKind, Read, Write};

use nix::sys::signal::{Signal, kill};
use nix::sys::wait::WaitStatus;
use nix::unistd::Pid;
use serde_json::Value;

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

/// A process that was started.
#[derive(Debug)]
pub(crate) struct ChildProcess {
    pub(crate) role: Role,
    pub(crate) pid: Pid,
    /// How it ended, once it has and was reaped. Its pid means nothing from then on.
    pub(crate) death: Option<Death>,
    /// The start-up report, until its end.
    pub(crate) report: Option<File>,
    unread: Vec<u8>,
    control: Option<File>,
}

impl ChildProcess {
    /// `report` must not block.
    pub(crate) fn new(role: Role, pid: Pid, report: File, control: File) -> Self {
        ChildProcess {
            role,
            pid,
            death: None,
            report: Some(report),
            unread: Vec::new(),
            control: Some(control),
        }
    }

    /// Reads what the report has now.
    pub(crate) fn read_report(&mut self) -> Vec<Report> {
        let mut chunk = [0; 4096];
        while let Some(pipe) = &mut self.report {
            match pipe.read(&mut chunk) {
                Ok(n) if n > 0 && self.unread.len() < LONGEST_REPORT => {
                    self.unread.extend(chunk.iter().take(n));
                }
                Err(e) if e.kind() == ErrorKind::WouldBlock => break,
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Ok(_) | Err(_) => self.report = None,
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

    /// Says a word to the process, if it still listens.
    pub(crate) fn tell(&mut self, word: &str) {
        if let Some(pipe) = &mut self.control
            && pipe.write_all(format!("{word}\n").as_bytes()).is_err()
        {
            self.control = None;
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
