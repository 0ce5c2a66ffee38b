//! `sglang-scheduler`: finds libtorch and becomes `sglang-scheduler-torch`, the program that links it.
//!
//! The system's loader looks for libraries before a program's first line, in places that are fixed when the program is
//! built. This one needs no library, so the programs run for another user, in another folder and with another libtorch.

mod libtorch;

use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};

use sglang_process::failure::{self, Failure};
use sglang_process::ready::ReadyHandle;
use sglang_server_args::ServerArgs;

/// Where the system's loader looks for libraries first.
const LIBRARY_PATH: &str = "LD_LIBRARY_PATH";

fn main() -> ExitCode {
    // Help and wrong command lines need no libtorch.
    let args = match ServerArgs::parse_from(std::env::args_os()) {
        Ok(args) => args,
        Err(exit) => return exit.report(),
    };
    if let Err(error) = sglang_process::logging::init(Some("TP0"), &args.log_level, None) {
        eprintln!("error: {error}");
        return ExitCode::from(2);
    }
    let failure = become_the_scheduler();
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
    let mut command = Command::new(&program);
    let error = command.args(std::env::args_os().skip(1)).env(LIBRARY_PATH, path).exec();
    Failure::of_system(format!("{} cannot be run: {error}", program.display()))
}
