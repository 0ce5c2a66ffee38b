//! The first lines of every program of a server.

use std::ffi::OsString;
use std::process::ExitCode;

use sglang_server_args::ServerArgs;

use crate::logging;

/// Reads a command line, whose first element is the program's name, and starts the log. `suffix` stands after the time
/// in each log line, as `TP0` does in a scheduler's.
///
/// Call it before any thread starts, as [`logging::init`] says.
///
/// # Errors
/// The program's exit code. What the user asked for (`--help` and its like), or what is wrong with the command line or
/// `SGLANG_LOG`, has been printed.
pub fn start(argv: impl IntoIterator<Item = OsString>, suffix: Option<&str>) -> Result<ServerArgs, ExitCode> {
    let args = ServerArgs::parse_from(argv).map_err(|exit| exit.report())?;
    match logging::init(suffix, &args.log_level, args.log_level_http.as_deref()) {
        Ok(()) => Ok(args),
        Err(error) => {
            eprintln!("error: {error}");
            Err(ExitCode::from(2))
        }
    }
}
