//! Starting a process so that it inherits what it needs and cannot outlive the launcher.
#![allow(unsafe_code)]

use std::ffi::OsString;
use std::fs::File;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use nix::fcntl::{FcntlArg, FdFlag, OFlag, fcntl};
use nix::sys::prctl;
use nix::sys::signal::{SigSet, Signal};
use nix::unistd::{Pid, getpid, getppid, pipe2};
use sglang_hub::HubFiles;
use sglang_process::{CONTROL_FD, LISTEN_FD, READY_FD};
use sglang_server_args::ServerArgs;

use crate::child::ChildProcess;
use crate::ipc_dir::{IpcDir, random_u32};
use crate::outcome::LaunchError;
use crate::role::Role;

/// The arguments of every process: those of the launcher, and what it has chosen. The last of two flags counts.
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
        // One seed for the run, so that a scheduler that is started again draws the same numbers. The range is the
        // reference's.
        all.extend(["--random-seed".into(), (random_u32() >> 2).to_string().into()]);
    }
    all
}

/// Starts the process of a role.
pub(crate) fn spawn(
    role: Role,
    argv: &[OsString],
    listener: &TcpListener,
) -> Result<ChildProcess, LaunchError> {
    let program = role.program().map_err(|e| LaunchError::System("finding the launcher's own file", e))?;
    let pipe = || pipe2(OFlag::O_CLOEXEC).map_err(|e| LaunchError::System("making a pipe", e.into()));
    let (ready, ready_child) = pipe()?;
    let (control_child, control) = pipe()?;
    let mut command = Command::new(&program);
    command
        .args(argv)
        .stdin(Stdio::null())
        .env_remove(LISTEN_FD)
        .env(READY_FD, ready_child.as_raw_fd().to_string())
        .env(CONTROL_FD, control_child.as_raw_fd().to_string());
    let mut inherited: Vec<RawFd> = vec![ready_child.as_raw_fd(), control_child.as_raw_fd()];
    if role == Role::TokenizerManager {
        command.env(LISTEN_FD, listener.as_raw_fd().to_string());
        inherited.push(listener.as_raw_fd());
    }
    let launcher = getpid();
    // SAFETY: the closure runs between fork and exec and makes only async-signal-safe calls (prctl, getppid, fcntl,
    // the signal mask); it allocates nothing.
    unsafe {
        command.pre_exec(move || prepare(launcher, &inherited));
    }
    let child = command.spawn().map_err(|source| {
        let variable = role.variable();
        LaunchError::Spawn { role, variable, program, source }
    })?;
    // The launcher reaps by pid, so std's handle is not needed; dropping it neither waits nor kills.
    let pid = Pid::from_raw(i32::try_from(child.id()).unwrap_or_default());
    set_nonblocking(ready.as_fd()).map_err(|e| LaunchError::System("preparing a pipe", e.into()))?;
    Ok(ChildProcess::new(role, pid, File::from(ready), File::from(control)))
}

/// What the child does before it becomes the program.
fn prepare(launcher: Pid, inherited: &[RawFd]) -> std::io::Result<()> {
    // The launcher's signals are blocked, and a mask outlives exec.
    SigSet::empty().thread_set_mask()?;
    prctl::set_pdeathsig(Signal::SIGKILL)?;
    // The launcher may have died before the line above, and its death signal would never come.
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
