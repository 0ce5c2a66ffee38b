//! A server under test.

use std::fs::File;
use std::io::Read;
use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;
use serde_json::Value;

/// Longest wait until a server is up. A busy two-core machine needs a second or two.
const START_DEADLINE: Duration = Duration::from_secs(120);
/// Longest wait until a server ends after a signal.
const STOP_DEADLINE: Duration = Duration::from_secs(20);

/// Longest wait for a number of running or waiting requests.
const LOADS_DEADLINE: Duration = Duration::from_secs(60);

/// Folder with the built programs.
pub fn bin_dir() -> PathBuf {
    std::env::var_os("SGLANG_BIN_DIR").map_or_else(
        || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../target/release")),
        PathBuf::from,
    )
}

/// The default model.
pub fn model_path() -> PathBuf {
    let cache = || {
        let base = std::env::var_os("SGLANG_RS_CACHE").map(PathBuf::from);
        let home = || PathBuf::from(std::env::var_os("HOME").unwrap_or_default()).join(".cache");
        let xdg = || std::env::var_os("XDG_CACHE_HOME").map_or_else(home, PathBuf::from);
        base.unwrap_or_else(|| xdg().join("sglang-rs")).join("models/SmolLM2-135M-Instruct.Q4_1.gguf")
    };
    std::env::var_os("SGLANG_TEST_MODEL").map_or_else(cache, PathBuf::from)
}

/// A port on which nobody is listening right now.
///
/// # Errors
/// If the system has no free port.
pub fn free_port() -> Result<u16> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}

/// How to start a server.
#[derive(Clone, Debug, Default)]
pub struct ServerOptions {
    /// Flags besides model path, host and port.
    pub args: Vec<String>,
    /// Environment variables.
    pub env: Vec<(String, String)>,
    /// Another model than the default one.
    pub model: Option<PathBuf>,
    /// This port instead of a free one.
    pub port: Option<u16>,
    /// Another folder with programs than the build's.
    pub programs: Option<PathBuf>,
    /// Whether to start it as a separate process group, as a supervisor does.
    pub own_group: bool,
}

impl ServerOptions {
    /// Options with these flags.
    pub fn with_args(args: &[&str]) -> Self {
        Self { args: args.iter().map(|a| (*a).to_owned()).collect(), ..Default::default() }
    }
}

/// A running server; dropping it stops it.
#[derive(Debug)]
pub struct Server {
    child: Child,
    /// Port it listens on.
    pub port: u16,
    /// Time from exec to the first answered request.
    pub startup: Duration,
    log: tempfile::NamedTempFile,
    client: reqwest::blocking::Client,
}

impl Server {
    /// Starts a server with the default model and waits until it answers.
    ///
    /// # Errors
    /// If the server ends or does not answer; the error contains its log.
    pub fn start(args: &[&str]) -> Result<Self> {
        Self::start_with(&ServerOptions::with_args(args))
    }

    /// Starts a server and waits until it answers.
    ///
    /// # Errors
    /// If the server ends or does not answer; the error contains its log.
    pub fn start_with(options: &ServerOptions) -> Result<Self> {
        let started = Instant::now();
        let mut server = Self::spawn(options)?;
        let deadline = started + START_DEADLINE;
        loop {
            if let Some(status) = server.child.try_wait()? {
                bail!("the server ended with {status} while starting:\n{}", server.log_text());
            }
            if server.get("/health").is_ok_and(|r| r.status().is_success()) {
                break;
            }
            if Instant::now() > deadline {
                bail!("the server did not answer in {START_DEADLINE:?}:\n{}", server.log_text());
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        server.startup = started.elapsed();
        Ok(server)
    }

    /// Starts a server without waiting.
    ///
    /// # Errors
    /// If the launcher cannot be executed.
    pub fn spawn(options: &ServerOptions) -> Result<Self> {
        let port = options.port.map_or_else(free_port, Ok)?;
        let log = tempfile::NamedTempFile::new()?;
        let launcher = options.programs.clone().unwrap_or_else(bin_dir).join("sglang-launch");
        let mut command = Command::new(&launcher);
        if options.own_group {
            command.process_group(0);
        }
        let child = command
            .arg("--model-path")
            .arg(options.model.clone().unwrap_or_else(model_path))
            .args(["--host", "127.0.0.1", "--port", &port.to_string()])
            .args(&options.args)
            // No test uses the real hub.
            .env("HF_HUB_OFFLINE", "1")
            .envs(options.env.iter().map(|(k, v)| (k, v)))
            .stdin(Stdio::null())
            .stdout(log.reopen()?)
            .stderr(log.reopen()?)
            .spawn()
            .with_context(|| format!("cannot start {}", launcher.display()))?;
        let client = reqwest::blocking::Client::builder()
            .timeout(Duration::from_secs(120))
            .pool_max_idle_per_host(0)
            .build()?;
        Ok(Self { child, port, startup: Duration::ZERO, log, client })
    }

    /// The launcher's process id.
    pub fn pid(&self) -> i32 {
        self.child.id() as i32
    }

    /// `http://127.0.0.1:PORT/path`.
    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// The server's output so far.
    pub fn log_text(&self) -> String {
        let mut text = Vec::new();
        // If the log cannot be read, a failing test only prints less.
        let _ = File::open(self.log.path()).and_then(|mut f| f.read_to_end(&mut text));
        String::from_utf8_lossy(&text).into_owned()
    }

    /// GET.
    ///
    /// # Errors
    /// If there is no answer.
    pub fn get(&self, path: &str) -> Result<reqwest::blocking::Response> {
        Ok(self.client.get(self.url(path)).send()?)
    }

    /// POST of a JSON body.
    ///
    /// # Errors
    /// If there is no answer.
    pub fn post(&self, path: &str, body: &Value) -> Result<reqwest::blocking::Response> {
        Ok(self.client.post(self.url(path)).json(body).send()?)
    }

    /// Waits until the scheduler reports this many running and waiting requests.
    ///
    /// # Errors
    /// If there is no answer, or the scheduler does not report them within a minute.
    pub fn until_loads(&self, running: u64, waiting: u64) -> Result<()> {
        let deadline = Instant::now() + LOADS_DEADLINE;
        loop {
            let loads: Value = self.get("/v1/loads")?.json()?;
            let load = &loads["loads"][0];
            if load["num_running_reqs"] == running && load["num_waiting_reqs"] == waiting {
                return Ok(());
            }
            if Instant::now() >= deadline {
                bail!("not {running} running and {waiting} waiting: {loads}");
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// POST that must be answered with 200 and JSON.
    ///
    /// # Errors
    /// Any other answer, with its text.
    pub fn post_json(&self, path: &str, body: &Value) -> Result<Value> {
        let response = self.post(path, body)?;
        let status = response.status();
        let text = response.text()?;
        if !status.is_success() {
            bail!("{path} answered {status}: {text}\nserver log:\n{}", self.log_text());
        }
        serde_json::from_str(&text).with_context(|| format!("{path} answered {text}"))
    }

    /// POST whose answer is read as one text, for streams.
    ///
    /// # Errors
    /// If there is no answer, or it is cut off.
    pub fn post_text(&self, path: &str, body: &Value) -> Result<String> {
        Ok(self.post(path, body)?.text()?)
    }

    /// Sends a signal to the launcher.
    ///
    /// # Errors
    /// If the process has ended.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        Ok(kill(Pid::from_raw(self.pid()), signal)?)
    }

    /// Sends a signal to all processes of a server that was started as a separate group.
    ///
    /// # Errors
    /// If the processes have ended.
    pub fn signal_group(&self, signal: Signal) -> Result<()> {
        Ok(killpg(Pid::from_raw(self.pid()), signal)?)
    }

    /// Waits for the launcher to end.
    ///
    /// # Errors
    /// If it does not end in time.
    pub fn wait(&mut self) -> Result<ExitStatus> {
        let deadline = Instant::now() + STOP_DEADLINE;
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            if Instant::now() > deadline {
                bail!("the server did not end in {STOP_DEADLINE:?}:\n{}", self.log_text());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            let _ = self.signal(Signal::SIGINT);
            if self.wait().is_err() {
                let _ = self.child.kill();
                let _ = self.child.wait();
            }
        }
    }
}
