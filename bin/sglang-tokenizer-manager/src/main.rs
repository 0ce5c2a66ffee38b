//! `sglang-tokenizer-manager`: serves HTTP and keeps the state of the requests.

use std::process::ExitCode;

use sglang_process::failure::{self, Failure};
use sglang_process::start::start;
use sglang_server_args::ServerArgs;

fn main() -> ExitCode {
    let args = match start(std::env::args_os(), None) {
        Ok(args) => args,
        Err(code) => return code,
    };
    failure::exit("Tokenizer manager", run(args))
}

fn run(mut args: ServerArgs) -> Result<(), Failure> {
    sglang_hub::use_cached_files(&mut args)?;
    sglang_http_server::run(args)
}
