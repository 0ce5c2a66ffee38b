//! `sglang-detokenizer`: turns token ids into text.

use std::process::ExitCode;

use sglang_proto::server_args::ServerArgs;

fn main() -> ExitCode {
    let mut args = match ServerArgs::parse_from(std::env::args_os()) {
        Ok(args) => args,
        Err(exit) => return exit.report(),
    };
    if let Err(error) = sglang_process::logging::init(None, &args.log_level, None) {
        eprintln!("error: {error}");
        return ExitCode::from(2);
    }
    if let Err(error) = sglang_hub::use_cached_files(&mut args) {
        tracing::error!("Detokenizer hit an exception: {error}");
        return ExitCode::FAILURE;
    }
    match sglang_detokenizer::run(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("Detokenizer hit an exception: {error}");
            ExitCode::FAILURE
        }
    }
}
