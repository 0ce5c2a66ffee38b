//! Starts `sglang-launch` with small scripts as the processes that it starts, and observes it.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;

/// The log line of a server that is up.
pub(crate) const UP: &str = "The server is fired up and ready to roll!";

/// A launcher that has been started.
pub(crate) struct Launched {
    pub(crate) launcher: Child,
    stderr: BufReader<ChildStderr>,
    pub(crate) log: String,
    pub(crate) dir: tempfile::TempDir,
}

/// How to start the launcher: a script for each process, and additional arguments and variables.
pub(crate) struct Plan<'a> {
    pub(crate) children: [&'a str; 3],
    pub(crate) arguments: &'a [&'a str],
    pub(crate) variables: &'a [(&'a str, &'a str)],
}

impl Plan<'_> {
    pub(crate) const fn of(children: [&str; 3]) -> Plan<'_> {
        Plan { children, arguments: &["--skip-server-warmup", "--port", "0"], variables: &[] }
    }

    pub(crate) fn start(&self) -> Launched {
        let dir = tempfile::tempdir().expect("a folder");
        let scripts = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/children");
        let [scheduler, detokenizer, tokenizer_manager] = self.children.map(|name| scripts.join(name));
        let mut launcher = Command::new(env!("CARGO_BIN_EXE_sglang-launch"))
            .args(["--model-path".as_ref(), dir.path()])
            .args(self.arguments)
            .env("SGLANG_SCHEDULER_BIN", scheduler)
            .env("SGLANG_DETOKENIZER_BIN", detokenizer)
            .env("SGLANG_TOKENIZER_MANAGER_BIN", tokenizer_manager)
            .env("FAKE_DIR", dir.path())
            .env("FAKE_PROGRAM", std::env::current_exe().expect("own path"))
            .env("XDG_RUNTIME_DIR", dir.path())
            .envs(self.variables.iter().copied())
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn()
            .expect("the launcher starts");
        let stderr = BufReader::new(launcher.stderr.take().expect("piped"));
        Launched { launcher, stderr, log: String::new(), dir }
    }
}

impl Launched {
    /// Reads the log until a line contains `text`.
    pub(crate) fn wait_for(&mut self, text: &str) {
        loop {
            let mut line = String::new();
            let read = self.stderr.read_line(&mut line).expect("readable");
            self.log.push_str(&line);
            assert!(read > 0, "the log ended before {text:?}:\n{}", self.log);
            if line.contains(text) {
                return;
            }
        }
    }

    pub(crate) fn pid(&self) -> Pid {
        Pid::from_raw(self.launcher.id().try_into().expect("a pid"))
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill(self.pid(), signal).expect("sent");
    }

    /// Sends a signal to all processes, like a supervisor that ends a service.
    pub(crate) fn signal_group(&self, signal: Signal) {
        killpg(self.pid(), signal).expect("sent");
    }

    /// Waits for the end, which must leave no process and no folder. Returns the exit status and the log.
    pub(crate) fn end(mut self) -> (ExitStatus, String) {
        let status = self.launcher.wait().expect("ended");
        self.stderr.read_to_string(&mut self.log).expect("readable");
        for pid in self.pids() {
            assert!(is_gone(pid), "process {pid} is left:\n{}", self.log);
        }
        assert_eq!(self.ipc_dirs(), Vec::<PathBuf>::new(), "{}", self.log);
        (status, self.log)
    }

    /// Like [`Launched::end`]; also returns what the processes wrote to the file `name`.
    pub(crate) fn end_with(self, name: &str) -> (ExitStatus, String, String) {
        // Read the file before the folder is removed.
        eventually("the launcher ends", || is_gone(self.pid().as_raw()));
        let noted = self.noted(name);
        let (status, log) = self.end();
        (status, log, noted)
    }

    /// The port in the log.
    pub(crate) fn port(&self) -> u16 {
        let line =
            self.log.split_once("Serving ").and_then(|(_, rest)| rest.lines().next()?.rsplit(':').next());
        line.and_then(|port| port.parse().ok()).expect("the line names the port")
    }

    pub(crate) fn pids(&self) -> Vec<i32> {
        self.noted("pids").lines().map(|line| line.parse().expect("a pid")).collect()
    }

    /// The process whose life has this number. The first three are scheduler, detokenizer and tokenizer manager.
    pub(crate) fn life(&self, number: u32) -> Option<Pid> {
        let own = self.pid();
        let children = fs::read_to_string(format!("/proc/{own}/task/{own}/children")).unwrap_or_default();
        let wanted = format!("SGLANG_LIFE={number}");
        let has_it = |pid: &i32| {
            let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
            environment.split(|byte| *byte == 0).any(|entry| entry == wanted.as_bytes())
        };
        let found = children.split_whitespace().filter_map(|pid| pid.parse().ok()).find(has_it);
        found.map(Pid::from_raw)
    }

    /// Sends a signal to the process whose life has this number.
    pub(crate) fn signal_life(&self, number: u32, signal: Signal) {
        // During exec, a process has no environment for a moment.
        eventually("the process is there", || self.life(number).is_some_and(|pid| kill(pid, signal).is_ok()));
    }

    pub(crate) fn noted(&self, name: &str) -> String {
        fs::read_to_string(self.dir.path().join(name)).unwrap_or_default()
    }

    pub(crate) fn ipc_dirs(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.dir.path()).expect("readable").map(|e| e.expect("an entry").path());
        entries
            .filter(|p| p.file_name().is_some_and(|n| n.to_string_lossy().starts_with("sglang-")))
            .collect()
    }
}

/// Whether a process has ended. Zombies count as ended.
pub(crate) fn is_gone(pid: i32) -> bool {
    match fs::read_to_string(format!("/proc/{pid}/stat")) {
        Ok(stat) => stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('Z')),
        Err(_) => true,
    }
}

pub(crate) fn eventually(what: &str, mut check: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !check() {
        assert!(Instant::now() < deadline, "{what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}
