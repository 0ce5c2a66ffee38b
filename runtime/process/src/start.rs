//! The common start of all programs of a server.

use std::ffi::OsString;
use std::process::ExitCode;

use sglang_server_args::ServerArgs;

use crate::logging;

/// Parses a command line, whose first element is the program's name, and starts logging. `suffix` follows the time in
/// each log line, such as `TP0` for a scheduler.
///
/// Call it before any thread starts; [`logging::init`] explains why.
///
/// # Errors
/// The program's exit code, after printing the requested text (such as `--help`) or the error in the command line or
/// `SGLANG_LOG`.
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
