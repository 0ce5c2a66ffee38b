//! `sglang-scheduler`: finds libtorch and becomes `sglang-scheduler-torch`, the program that links it.
//!
//! The system's loader looks for libraries before a program's first line, in places that are fixed when the program is
//! built. This one needs no library, so the programs run for another user, in another folder and with another libtorch.
//! It reads no flag and logs nothing unless it fails: both are for the program that it becomes.

mod libtorch;

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};

use sglang_process::failure::{self, Failure};
use sglang_process::ready::ReadyHandle;
use sglang_process::start::start;

/// Where the system's loader looks for libraries first.
const LIBRARY_PATH: &str = "LD_LIBRARY_PATH";

fn main() -> ExitCode {
    let failure = become_the_scheduler();
    // Without libtorch, help and wrong command lines are answered here.
    if let Err(code) = start(std::env::args_os(), Some("TP0")) {
        return code;
    }
    ReadyHandle::from_env("scheduler").failed(&failure);
    failure::exit("Scheduler", Err(failure))
}

/// Comes back only when it fails.
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
    // An empty folder would mean the one in which the program runs.
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
