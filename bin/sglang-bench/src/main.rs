//! Measures a running server: load (`serving`), conversations with one system prompt (`shared-prefix`), start-up and
//! idle cost (`startup`), and how decoding scales with concurrency (`decode-scaling`). Works with this project's server
//! and with any OpenAI-compatible one. `trace-idle` reads a trace of this project's scheduler.

mod backend;
mod cli;
mod client;
mod compare;
mod interrupt;
mod limit;
mod load;
mod metrics;
mod output;
mod progress;
mod request_args;
mod scaling;
mod serving;
mod session;
mod settings;
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
use crate::metrics::Metrics;

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// No request failed.
    Clean,
    /// Something failed; the results were printed nevertheless.
    Failures,
    /// The user stopped it; the results cover what was finished.
    Interrupted,
}

impl Verdict {
    fn of(metrics: &Metrics) -> Self {
        match (metrics.interrupted, metrics.failed) {
            (true, _) => Self::Interrupted,
            (false, 0) => Self::Clean,
            (false, _) => Self::Failures,
        }
    }

    /// `Clean` only if both are.
    fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Interrupted, _) | (_, Self::Interrupted) => Self::Interrupted,
            (Self::Clean, other) => other,
            (failures, _) => failures,
        }
    }
}

/// The command line is invalid.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Usage(String);

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
        Ok(Verdict::Interrupted) => ExitCode::from(interrupt::EXIT_CODE),
        Err(error) => {
            eprintln!("error: {error:#}");
            if error.is::<Usage>() { ExitCode::from(2) } else { ExitCode::FAILURE }
        }
    }
}
