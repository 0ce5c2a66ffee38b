//! `sglang-scheduler-torch`: plans batches and runs the model. It is the only program that links libtorch;
//! `sglang-scheduler` finds libtorch and then runs this program in its place.

use std::process::ExitCode;

use sglang_process::failure::{self, Failure};
use sglang_process::start::start;
use sglang_proto::worker::ModelWorker;
use sglang_server_args::ServerArgs;

fn main() -> ExitCode {
    let args = match start(std::env::args_os(), Some("TP0")) {
        Ok(args) => args,
        Err(code) => return code,
    };
    failure::exit("Scheduler", run(args))
}

fn run(mut args: ServerArgs) -> Result<(), Failure> {
    sglang_hub::use_cached_files(&mut args)?;
    sglang_scheduler::run(&args, &load)
}

fn load(args: &ServerArgs, phase: &mut dyn FnMut(&str, f64)) -> Result<Box<dyn ModelWorker>, Failure> {
    Ok(sglang_model::load_worker(args, phase)?)
}
