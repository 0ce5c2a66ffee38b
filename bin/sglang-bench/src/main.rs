//! Measures a running server: load (`serving`), conversations below one system prompt (`shared-prefix`), start-up and
//! idle cost (`startup`), and how decoding scales with concurrency (`decode-scaling`). Works against this project's
//! server and any OpenAI-compatible one. `trace-idle` reads a trace of this project's scheduler.

mod backend;
mod cli;
mod client;
mod load;
mod metrics;
mod output;
mod scaling;
mod serving;
mod shared_prefix;
mod sse;
mod startup;
mod stats;
mod target;
mod trace_idle;
mod workload;

use std::process::ExitCode;

use clap::Parser;

use crate::cli::{Cli, Command};

/// Whether everything that was measured also succeeded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// No request failed.
    Clean,
    /// Something failed; the numbers are printed all the same.
    Failures,
}

impl Verdict {
    /// Clean only when both are.
    fn and(self, other: Self) -> Self {
        if self == Self::Clean { other } else { self }
    }
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    // One thread: the load generator shares the machine with the server it measures.
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("error: cannot start the async runtime: {error}");
            return ExitCode::FAILURE;
        }
    };
    let outcome = runtime.block_on(async {
        match cli.command {
            Command::Serving(args) => serving::run(args).await,
            Command::Startup(args) => startup::run(args).await,
            Command::SharedPrefix(args) => shared_prefix::run(args).await,
            Command::DecodeScaling(args) => scaling::run(args).await,
            Command::TraceIdle(args) => trace_idle::run(&args),
        }
    });
    match outcome {
        Ok(Verdict::Clean) => ExitCode::SUCCESS,
        Ok(Verdict::Failures) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
