//! `sglang-tokenizer-manager`: speaks HTTP.

use std::process::ExitCode;

use sglang_process::failure::{self, Failure};
use sglang_server_args::ServerArgs;

fn main() -> ExitCode {
    let args = match ServerArgs::parse_from(std::env::args_os()) {
        Ok(args) => args,
        Err(exit) => return exit.report(),
    };
    if let Err(error) = sglang_process::logging::init(None, &args.log_level, args.log_level_http.as_deref()) {
        eprintln!("error: {error}");
        return ExitCode::from(2);
    }
    failure::exit("Tokenizer manager", run(args))
}

fn run(mut args: ServerArgs) -> Result<(), Failure> {
    sglang_hub::use_cached_files(&mut args)?;
    sglang_http_server::run(args)
}
