//! `sglang-scheduler`: finds libtorch and becomes `sglang-scheduler-torch`, the program that links it.
//!
//! The system's loader searches for a program's libraries before `main`, in places that are fixed when the program is
//! built. This program links no such library and sets `LD_LIBRARY_PATH` for the other one, so both can be copied to any
//! folder, run by any user and used with any copy of libtorch. It reads its flags only when it fails; otherwise the other
//! program does.

mod libtorch;

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};

use sglang_process::failure::{self, Failure};
use sglang_process::ready::ReadyHandle;
use sglang_process::start::start;

/// The variable with the folders that the system's loader searches first.
const LIBRARY_PATH: &str = "LD_LIBRARY_PATH";

fn main() -> ExitCode {
    let failure = become_the_scheduler();
    // Help and errors about the command line must work without libtorch.
    if let Err(code) = start(std::env::args_os(), Some("TP0")) {
        return code;
    }
    ReadyHandle::from_env("scheduler").failed(&failure);
    failure::exit("Scheduler", Err(failure))
}

/// Replaces this process by the other program. Returns only on failure.
fn become_the_scheduler() -> Failure {
    let own = match std::env::current_exe() {
        Ok(own) => own,
        Err(e) => return Failure::of_system(format!("the program's own file cannot be found: {e}")),
    };
    let program = own.with_file_name("sglang-scheduler-torch");
    if !program.is_file() {
        return Failure::of_system(format!(
            "{} is missing; it belongs beside sglang-scheduler",
            program.display()
        ));
    }
    let folder = match libtorch::find(&own, &|name| std::env::var_os(name)) {
        Ok(folder) => folder,
        Err(failure) => return failure,
    };
    let old = std::env::var_os(LIBRARY_PATH);
    // An empty entry would mean the current folder.
    let old = old.iter().flat_map(std::env::split_paths).filter(|folder| !folder.as_os_str().is_empty());
    let folders = std::iter::once(folder.clone()).chain(old);
    let path = match std::env::join_paths(folders) {
        Ok(path) => path,
        Err(e) => return Failure::of_system(format!("{}: {e}", folder.display())),
    };
    let mut argv = std::env::args_os();
    let mut command = Command::new(&program);
    // Help names the program that the user typed.
    command.arg0(argv.next().unwrap_or_else(|| OsString::from("sglang-scheduler")));
    let error = command.args(argv).env(LIBRARY_PATH, path).exec();
    Failure::of_system(format!("{} cannot be run: {error}", program.display()))
}
