//! A scheduler process whose worker echoes every prompt, and can be told to fail: `SGLANG_FAULT=die:5`, `panic:5`,
//! `error:5`, `garbage:5` or `stall:5:2000` (step, milliseconds). It needs only the model's vocabulary and tokenizer,
//! so a server with it starts in a few hundredths of a second.

use std::process::ExitCode;
use std::time::Duration;

use sglang_checkpoint::{Checkpoint, ModelConfig};
use sglang_process::failure::{self, Failure};
use sglang_process::start::start;
use sglang_proto::worker::ModelWorker;
use sglang_scheduler::test_workers::{EchoWorker, FaultyWorker};
use sglang_server_args::ServerArgs;

fn main() -> ExitCode {
    let args = match start(std::env::args_os(), Some("TP0")) {
        Ok(args) => args,
        Err(code) => return code,
    };
    failure::exit("Scheduler", sglang_scheduler::run(&args, &load))
}

fn load(args: &ServerArgs, _phase: &mut dyn FnMut(&str, f64)) -> Result<Box<dyn ModelWorker>, Failure> {
    let checkpoint = Checkpoint::open(&args.model_path).map_err(Failure::of_input)?;
    let config = ModelConfig::from_checkpoint(&checkpoint, None).map_err(Failure::of_input)?;
    let echo = EchoWorker::new(
        config.vocab_size as u32,
        config.eos_token_ids.first().copied().unwrap_or(0),
        config.max_position_embeddings as u32,
        args.max_total_tokens.unwrap_or(16_384) as u32,
        args.max_running_requests.unwrap_or(64) as u32,
        Duration::from_millis(1),
    );
    match std::env::var("SGLANG_FAULT") {
        Ok(fault) => Ok(Box::new(FaultyWorker::new(
            Box::new(echo),
            fault.parse().map_err(|e: String| Failure::of_input(e))?,
        ))),
        Err(_) => Ok(Box::new(echo)),
    }
}
