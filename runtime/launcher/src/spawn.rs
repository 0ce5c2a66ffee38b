//! Starts processes, which inherit what they need and cannot outlive the launcher.
#![allow(unsafe_code)]

use std::ffi::OsString;
use std::fs::File;
use std::io::IsTerminal;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use nix::fcntl::{FcntlArg, FdFlag, OFlag, fcntl};
use nix::sys::prctl;
use nix::sys::signal::{SigSet, Signal};
use nix::unistd::{Pid, getpid, getppid, pipe2};
use sglang_hub::HubFiles;
use sglang_process::heartbeat::HeartbeatPage;
use sglang_process::{CONTROL_FD, HEARTBEAT_FD, LIFE, LISTEN_FD, READY_FD};
use sglang_server_args::ServerArgs;

use crate::child::{ChildProcess, Ties};
use crate::ipc_dir::{IpcDir, random_u32};
use crate::last_words::LastWords;
use crate::outcome::LaunchError;
use crate::role::{self, Role};

/// The arguments of every process: those of the launcher, then those that it adds. If a flag occurs twice, the last one
/// counts.
pub(crate) fn child_arguments(
    args: &ServerArgs,
    argv: &[OsString],
    ipc_dir: &IpcDir,
    address: SocketAddr,
    files: &HubFiles,
) -> Vec<OsString> {
    let mut all: Vec<OsString> = argv.iter().skip(1).cloned().collect();
    all.extend(["--ipc-dir".into(), ipc_dir.path().into()]);
    for (flag, path) in [("--model-files", &files.model), ("--tokenizer-files", &files.tokenizer)] {
        all.extend(path.iter().flat_map(|path| [flag.into(), path.into()]));
    }
    if args.port == 0 {
        all.extend(["--port".into(), address.port().to_string().into()]);
    }
    if args.random_seed.is_none() {
        // One seed for the run, so that a restarted scheduler draws the same numbers. The range is the reference's.
        all.extend(["--random-seed".into(), (random_u32() >> 2).to_string().into()]);
    }
    all
}

/// Starts processes with their inherited descriptors.
#[derive(Debug)]
pub(crate) struct Spawner {
    argv: Vec<OsString>,
    listener: TcpListener,
    /// Number of the last life, counted over all processes.
    last_life: u64,
    /// Arguments for all schedulers except the first one, which chose their values.
    scheduler_argv: Vec<OsString>,
}

impl Spawner {
    /// `argv` are the arguments of every process. Each tokenizer manager inherits the socket; while there is none,
    /// connections wait in the socket's queue. Life numbers begin after `last_life`.
    pub(crate) fn new(argv: Vec<OsString>, listener: TcpListener, last_life: u64) -> Self {
        Spawner { argv, listener, last_life, scheduler_argv: Vec::new() }
    }

    /// Passes these arguments to every later scheduler.
    pub(crate) fn pin_scheduler(&mut self, argv: Vec<OsString>) {
        self.scheduler_argv = argv;
    }

    /// Starts the next life of a process.
    pub(crate) fn spawn(&mut self, role: Role) -> Result<ChildProcess, LaunchError> {
        let program =
            role::program(role).map_err(|e| LaunchError::System("finding the launcher's own file", e))?;
        let pipe = || pipe2(OFlag::O_CLOEXEC).map_err(|e| LaunchError::System("making a pipe", e.into()));
        let (ready, ready_child) = pipe()?;
        let (control_child, control) = pipe()?;
        let (heartbeats, page) =
            HeartbeatPage::create().map_err(|e| LaunchError::System("making a page for signs of life", e))?;
        self.last_life = self.last_life.saturating_add(1);
        let mut command = Command::new(&program);
        command
            .args(&self.argv)
            .stdin(Stdio::null())
            // Only the launcher notifies systemd.
            .env_remove("NOTIFY_SOCKET")
            .env_remove("WATCHDOG_USEC")
            .env_remove("WATCHDOG_PID")
            .env_remove(LISTEN_FD)
            .env(LIFE, self.last_life.to_string())
            .env(READY_FD, ready_child.as_raw_fd().to_string())
            .env(CONTROL_FD, control_child.as_raw_fd().to_string())
            .env(HEARTBEAT_FD, page.as_raw_fd().to_string());
        let mut inherited: Vec<RawFd> =
            vec![ready_child.as_raw_fd(), control_child.as_raw_fd(), page.as_raw_fd()];
        if role == Role::Scheduler {
            command.args(&self.scheduler_argv);
        }
        if role == Role::TokenizerManager {
            command.env(LISTEN_FD, self.listener.as_raw_fd().to_string());
            inherited.push(self.listener.as_raw_fd());
        }
        // On a terminal, the user sees the lines anyway, and a process must inherit it to use colors.
        let keep_words = !std::io::stderr().is_terminal();
        if keep_words {
            command.stderr(Stdio::piped());
        }
        let launcher = getpid();
        // SAFETY: the closure runs between fork and exec and makes only async-signal-safe calls (prctl, getppid, fcntl,
        // the signal mask); it allocates nothing.
        unsafe {
            command.pre_exec(move || prepare(launcher, &inherited));
        }
        let mut child = command.spawn().map_err(|source| {
            let variable = role::variable(role);
            LaunchError::Spawn { role, variable, program, source }
        })?;
        // The launcher reaps by pid and does not need std's handle; dropping it neither waits nor kills.
        let pid = Pid::from_raw(i32::try_from(child.id()).unwrap_or_default());
        let last_words = child.stderr.take().and_then(|pipe| {
            LastWords::hand_on(pipe, std::io::stderr())
                .inspect_err(|e| tracing::warn!("the log of the {role} is lost: {e}"))
                .ok()
        });
        for fd in [&ready, &control] {
            set_nonblocking(fd.as_fd()).map_err(|e| LaunchError::System("preparing a pipe", e.into()))?;
        }
        let ties = Ties {
            report: Some(File::from(ready)),
            control: Some(File::from(control)),
            heartbeats,
            last_words,
            pidfd: pidfd_of(pid),
        };
        Ok(ChildProcess::new(role, self.last_life, pid, ties))
    }
}

/// A descriptor that becomes readable when the process has ended; `None` if the kernel does not support it.
fn pidfd_of(pid: Pid) -> Option<OwnedFd> {
    // SAFETY: pidfd_open takes two numbers and touches no memory.
    let number = unsafe { libc::syscall(libc::SYS_pidfd_open, pid.as_raw(), 0) };
    let number = RawFd::try_from(number).ok().filter(|number| *number >= 0)?;
    // SAFETY: the kernel has just made this descriptor, closed on exec, for this call alone.
    Some(unsafe { OwnedFd::from_raw_fd(number) })
}

/// Runs in the child between fork and exec.
fn prepare(launcher: Pid, inherited: &[RawFd]) -> std::io::Result<()> {
    // The launcher blocks signals, and exec keeps the signal mask.
    SigSet::empty().thread_set_mask()?;
    prctl::set_pdeathsig(Signal::SIGKILL)?;
    // If the launcher died before the line above, its death signal would never arrive.
    if getppid() != launcher {
        return Err(nix::errno::Errno::ESRCH.into());
    }
    for &number in inherited {
        // SAFETY: the launcher holds these descriptors open until `spawn` has returned.
        let fd = unsafe { BorrowedFd::borrow_raw(number) };
        fcntl(fd, FcntlArg::F_SETFD(FdFlag::empty()))?;
    }
    Ok(())
}

fn set_nonblocking(fd: BorrowedFd<'_>) -> nix::Result<()> {
    fcntl(fd, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processes_get_the_arguments_and_what_the_launcher_chose() {
        let base = tempfile::tempdir().expect("base");
        let dir = IpcDir::create(Some(&base.path().join("ipc"))).expect("made");
        let argv: Vec<OsString> =
            ["sglang-launch", "--model-path", "m", "--port", "0"].map(OsString::from).into();
        let args = ServerArgs::parse_from(argv.iter().cloned()).expect("valid");
        let address = "127.0.0.1:4321".parse().expect("address");
        let files = HubFiles { model: Some("/cache/m".into()), tokenizer: None };
        let child = child_arguments(&args, &argv, &dir, address, &files);
        let understood =
            ServerArgs::parse_from([OsString::from("x")].into_iter().chain(child)).expect("valid");
        assert_eq!((understood.model_path.as_str(), understood.port), ("m", 4321));
        assert_eq!((understood.model_files(), understood.tokenizer_files()), ("/cache/m", "/cache/m"));
        assert_eq!(understood.ipc_dir.as_deref(), dir.path().to_str());
        assert!(understood.random_seed.is_some_and(|seed| seed < 1 << 30));
        let child = child_arguments(&understood, &argv, &dir, address, &HubFiles::default());
        assert!(!child.iter().any(|a| a == "--random-seed"), "a given seed is passed on as it was given");
    }
}
