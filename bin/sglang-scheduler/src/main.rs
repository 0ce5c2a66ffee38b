//! `sglang-scheduler`: plans batches and runs the model. The only process that links libtorch.

use std::process::ExitCode;

use sglang_proto::server_args::ServerArgs;
use sglang_proto::worker::ModelWorker;

fn main() -> ExitCode {
    let mut args = match ServerArgs::parse_from(std::env::args_os()) {
        Ok(args) => args,
        Err(exit) => return exit.report(),
    };
    if let Err(error) = sglang_process::logging::init(Some("TP0"), &args.log_level, None) {
        eprintln!("error: {error}");
        return ExitCode::from(2);
    }
    if let Err(error) = sglang_hub::use_cached_files(&mut args) {
        tracing::error!("Scheduler hit an exception: {error}");
        return ExitCode::FAILURE;
    }
    match sglang_scheduler::run(&args, &load) {
        Ok(_) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("Scheduler hit an exception: {error}");
            ExitCode::FAILURE
        }
    }
}

fn load(args: &ServerArgs, phase: &mut dyn FnMut(&str, f64)) -> Result<Box<dyn ModelWorker>, String> {
    sglang_model::load_worker(args, phase).map_err(|e| e.to_string())
}
