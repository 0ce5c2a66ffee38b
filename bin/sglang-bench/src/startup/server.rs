//! Starts and stops the server to measure.

use std::fs::OpenOptions;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use tokio::process::{Child, Command};

use super::process_tree::{ProcessSample, is_alive, tree};
use crate::backend::{Backend, shorten};
use crate::target::{Target, describe, http_url};

/// Seconds a server gets to stop after SIGTERM.
const STOP_SECONDS: u64 = 30;
/// Pause between two attempts to reach the server.
const POLL: Duration = Duration::from_millis(5);

/// A running server.
pub struct Server {
    child: Child,
    pid: i32,
    started: Instant,
}

/// The address that a server's command line asks for (`--host`, `--port`, also with `=`).
pub fn url_of_command(command: &[String]) -> String {
    let value = |flag: &str| {
        command.iter().enumerate().find_map(|(i, word)| {
            if word == flag {
                return command.get(i + 1).cloned();
            }
            word.strip_prefix(flag)?.strip_prefix('=').map(str::to_owned)
        })
    };
    // A server that listens on all interfaces is reached through this one.
    let host = value("--host")
        .filter(|h| !["", "0.0.0.0", "::", "[::]"].contains(&h.as_str()))
        .unwrap_or_else(|| "127.0.0.1".into());
    let port = value("--port").and_then(|p| p.parse().ok()).unwrap_or(30000);
    http_url(&host, port)
}

impl Server {
    /// Starts `command`; its output goes to `log`, or to standard error.
    ///
    /// # Errors
    /// If the command cannot be run, or the log cannot be opened.
    pub fn start(command: &[String], log: Option<&Path>) -> Result<Self> {
        let (program, arguments) = command.split_first().context("no command after --")?;
        let sink = || -> Result<Stdio> {
            let Some(path) = log else { return Ok(Stdio::from(std::io::stderr())) };
            let file = OpenOptions::new().create(true).append(true).open(path);
            Ok(file.with_context(|| format!("cannot open --server-log {}", path.display()))?.into())
        };
        let mut process = Command::new(program);
        process.args(arguments).stdin(Stdio::null()).stdout(sink()?).stderr(sink()?).kill_on_drop(true);
        let started = Instant::now();
        let child = process.spawn().with_context(|| format!("cannot run {program:?}"))?;
        let pid = child.id().and_then(|id| i32::try_from(id).ok()).context("the server ended at once")?;
        Ok(Self { child, pid, started })
    }

    /// Waits for `/health`, then for a successful generation; returns the seconds from the start to each.
    ///
    /// # Errors
    /// If the server ends, or takes longer than `limit`; the error contains the last failure.
    pub async fn first_answer(
        &mut self,
        target: &Target,
        request: &FirstRequest,
        limit: Duration,
    ) -> Result<(f64, f64)> {
        let mut healthy = None;
        let mut last = "no connection".to_owned();
        while self.started.elapsed() < limit {
            if let Some(status) = self.child.try_wait().context("cannot watch the server")? {
                bail!("the server ended with {status} before it answered ({last})");
            }
            let left = limit.saturating_sub(self.started.elapsed());
            let attempt = if healthy.is_none() {
                ask_health(target, left).await
            } else {
                generate(target, request, left).await
            };
            match (attempt, healthy) {
                (Ok(()), None) => healthy = Some(self.started.elapsed().as_secs_f64()),
                (Ok(()), Some(health)) => return Ok((health, self.started.elapsed().as_secs_f64())),
                (Err(why), _) => {
                    last = why;
                    tokio::time::sleep(POLL).await;
                }
            }
        }
        bail!("no answer within {} s ({last})", limit.as_secs_f64())
    }

    /// The server's processes.
    pub fn processes(&self) -> Vec<ProcessSample> {
        tree(self.pid)
    }

    /// Asks the server to stop and waits; processes that do not stop are killed. Returns the seconds that it took and
    /// the number of killed processes.
    ///
    /// # Errors
    /// If the signal cannot be sent.
    pub async fn stop(mut self) -> Result<(f64, usize)> {
        let members = self.processes();
        let asked = Instant::now();
        if self.child.try_wait().context("cannot watch the server")?.is_none() {
            kill(Pid::from_raw(self.pid), Signal::SIGTERM).context("cannot stop the server")?;
        }
        let limit = Duration::from_secs(STOP_SECONDS);
        // A server that ignores the signal is killed below, like its children.
        let exited = tokio::time::timeout(limit, self.child.wait()).await;
        let seconds = asked.elapsed().as_secs_f64();
        while exited.is_ok() && asked.elapsed() < limit && members.iter().any(is_alive) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let left: Vec<&ProcessSample> = members.iter().filter(|p| is_alive(p)).collect();
        for process in &left {
            // It may have ended by itself meanwhile; then there is nothing to kill.
            let _ = kill(Pid::from_raw(process.pid), Signal::SIGKILL);
        }
        if exited.is_err() {
            self.child.wait().await.context("cannot wait for the server")?;
        }
        Ok((seconds, left.len()))
    }
}

async fn ask_health(target: &Target, left: Duration) -> Result<(), String> {
    let response = target.get("/health").timeout(left).send().await.map_err(|e| describe(&e))?;
    if response.status().is_success() {
        Ok(())
    } else {
        Err(format!("/health answered {}", response.status()))
    }
}

/// The request whose answer ends the measurement: one token.
pub struct FirstRequest {
    pub backend: Backend,
    /// Model name for the OpenAI protocols.
    pub model: String,
}

impl FirstRequest {
    fn body(&self) -> Value {
        let (prompt, model) = ("The capital of France is", &self.model);
        match self.backend {
            Backend::Sglang => {
                json!({"text": prompt, "sampling_params": {"temperature": 0, "max_new_tokens": 1}})
            }
            Backend::Openai => json!({"model": model, "prompt": prompt, "temperature": 0, "max_tokens": 1}),
            Backend::OpenaiChat => {
                let messages = [json!({"role": "user", "content": prompt})];
                json!({"model": model, "messages": messages, "temperature": 0, "max_tokens": 1})
            }
        }
    }
}

async fn generate(target: &Target, request: &FirstRequest, left: Duration) -> Result<(), String> {
    let path = request.backend.path();
    let answer = target.post(path).json(&request.body()).timeout(left).send().await;
    let response = answer.map_err(|e| describe(&e))?;
    let status = response.status();
    let bytes = response.bytes().await.map_err(|e| describe(&e))?;
    if !status.is_success() {
        return Err(format!("{path} answered {status}: {}", shorten(&String::from_utf8_lossy(&bytes))));
    }
    request.backend.read(&bytes).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_is_taken_from_the_servers_own_flags() {
        let url = |text: &str| url_of_command(&text.split(' ').map(str::to_owned).collect::<Vec<_>>());
        assert_eq!(url("sglang-launch --model-path m --port 8123"), "http://127.0.0.1:8123");
        assert_eq!(url("x --host=0.0.0.0 --port=9"), "http://127.0.0.1:9");
        assert_eq!(url("x --host= --port=9"), "http://127.0.0.1:9");
        assert_eq!(url("x --host ::1"), "http://[::1]:30000");
        assert_eq!(url("x --port"), "http://127.0.0.1:30000");
    }
}
