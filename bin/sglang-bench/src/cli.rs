//! Command line. Flags have the names of those of the reference's `benchmark/serving.py`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};

use crate::backend::Backend;
use crate::limit::Limit;
use crate::request_args::RequestArgs;

/// Benchmarks of a running LLM server.
#[derive(Debug, Parser)]
#[command(name = "sglang-bench", version, about, max_term_width = 110)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Send many requests and report throughput and latency
    Serving(ServingArgs),
    /// Start a server, time its first answer, then measure its processes
    ///
    /// Example: sglang-bench startup -- sglang-launch --model-path ./model --port 30000
    Startup(StartupArgs),
    /// Report output tokens per second at growing concurrency
    DecodeScaling(ScalingArgs),
    /// Hold conversations of many users with one system prompt: TTFT of first and later turns, and throughput
    SharedPrefix(SharedPrefixArgs),
    /// Show how long the model waited between its steps, from a trace recorded with /start_profile
    TraceIdle(TraceIdleArgs),
}

#[derive(Args, Clone, Debug)]
pub struct TraceIdleArgs {
    /// The trace, such as /tmp/1700000000.0-TP-0.trace.json.gz
    pub file: PathBuf,
}

/// Where the server is and how to talk to it.
#[derive(Args, Clone, Debug)]
pub struct TargetArgs {
    /// Protocol: native /generate, OpenAI completions, or OpenAI chat completions
    #[arg(long, value_enum, default_value = "sglang")]
    pub backend: Backend,
    /// Server address such as http://127.0.0.1:30000; replaces --host and --port
    #[arg(long)]
    pub base_url: Option<String>,
    /// Host of the server
    #[arg(long, default_value = "127.0.0.1")]
    pub host: String,
    /// Port of the server
    #[arg(long, default_value_t = 30000)]
    pub port: u16,
    /// Model name in OpenAI requests; by default the first of /v1/models
    #[arg(long)]
    pub model: Option<String>,
    /// Sent as "Authorization: Bearer KEY"
    #[arg(long)]
    pub api_key: Option<String>,
    /// Seconds to wait for the server to answer before starting
    #[arg(long, default_value_t = 60.0, value_parser = seconds)]
    pub ready_check_timeout_sec: f64,
    /// Seconds that the whole run may take; unfinished requests then count as failed
    #[arg(long, default_value_t = 3600.0, value_parser = seconds)]
    pub timeout: f64,
}

#[derive(Args, Debug)]
pub struct ServingArgs {
    #[command(flatten)]
    pub target: TargetArgs,
    #[command(flatten)]
    pub request: RequestArgs,
    /// Number of requests; by default as many as can be sent in --duration
    #[arg(long, value_parser = positive)]
    pub num_prompts: Option<usize>,
    /// Seconds in which requests are sent, 60 if neither this nor --num-prompts is given; sent requests are finished
    #[arg(long, value_name = "SECONDS", value_parser = some_seconds)]
    pub duration: Option<f64>,
    /// Most requests in flight; by default 8, or unlimited with --num-prompts or --request-rate
    #[arg(long, value_parser = positive)]
    pub max_concurrency: Option<usize>,
    /// Requests per second, as a Poisson process; inf sends everything at once
    #[arg(long, default_value_t = f64::INFINITY, value_parser = rate, allow_negative_numbers = true)]
    pub request_rate: f64,
    /// Longest prompt in tokens
    #[arg(long, default_value_t = 256, value_parser = positive)]
    pub random_input_len: usize,
    /// Longest output in tokens
    #[arg(long, default_value_t = 128, value_parser = positive)]
    pub random_output_len: usize,
    /// Shortest length as a fraction of the longest; 1 makes all lengths equal
    #[arg(long, default_value_t = 0.0, value_parser = ratio, allow_negative_numbers = true)]
    pub random_range_ratio: f64,
    /// Tokens at the start of every prompt that all share, in addition to --random-input-len
    #[arg(long, default_value_t = 0)]
    pub shared_prefix_len: usize,
    /// Requests sent before the measurement
    #[arg(long, default_value_t = 1)]
    pub warmup_requests: usize,
    /// Empty the server's prefix cache after the warm-up (native backend)
    #[arg(long)]
    pub flush_cache: bool,
    /// A second server: both take turns with the same prompts, and the ratios of their results are reported
    #[arg(long, visible_alias = "compare-url", value_name = "URL")]
    pub compare: Option<String>,
    /// Turns of each server with --compare
    #[arg(long, default_value_t = 5, value_parser = positive)]
    pub rounds: usize,
}

/// Duration in seconds of a run without any limit.
const DEFAULT_SECONDS: f64 = 60.0;
/// Requests in flight in a run that only time limits.
const DEFAULT_CONCURRENCY: usize = 8;

impl ServingArgs {
    /// How much is sent to one server in total.
    pub fn limit(&self) -> Limit {
        let time = match (self.num_prompts, self.duration) {
            (None, None) => Some(DEFAULT_SECONDS),
            (_, duration) => duration,
        };
        Limit { count: self.num_prompts, time: time.map(Duration::from_secs_f64) }
    }

    /// Most requests in flight.
    pub fn concurrency(&self) -> Option<usize> {
        let open_end = self.num_prompts.is_none() && self.request_rate.is_infinite();
        self.max_concurrency.or(open_end.then_some(DEFAULT_CONCURRENCY))
    }
}

#[derive(Args, Clone, Debug)]
pub struct SharedPrefixArgs {
    #[command(flatten)]
    pub target: TargetArgs,
    #[command(flatten)]
    pub request: RequestArgs,
    /// Tokens of the system prompt
    #[arg(long, default_value_t = 1500, value_parser = positive)]
    pub system_prompt_len: usize,
    /// Number of conversations
    #[arg(long, default_value_t = 100, value_parser = positive)]
    pub users: usize,
    /// Questions per conversation
    #[arg(long, default_value_t = 4, value_parser = positive)]
    pub turns: usize,
    /// Tokens of a question
    #[arg(long, default_value_t = 32, value_parser = positive)]
    pub question_len: usize,
    /// Tokens of an answer
    #[arg(long, default_value_t = 32, value_parser = positive)]
    pub output_len: usize,
    /// Most simultaneous conversations; unlimited by default
    #[arg(long, value_parser = positive)]
    pub max_concurrency: Option<usize>,
    /// A second server, for example one without prefix cache, that gets the same traffic afterwards
    #[arg(long, visible_alias = "compare-url", value_name = "URL")]
    pub compare: Option<String>,
}

#[derive(Args, Debug)]
pub struct ScalingArgs {
    #[command(flatten)]
    pub target: TargetArgs,
    #[command(flatten)]
    pub request: RequestArgs,
    /// Concurrencies to measure
    #[arg(long, value_delimiter = ',', default_values_t = [1, 2, 4, 8], value_parser = positive)]
    pub concurrency: Vec<usize>,
    /// Consecutive requests in each slot
    #[arg(long, default_value_t = 2, value_parser = positive)]
    pub rounds: usize,
    /// Prompt length in tokens
    #[arg(long, default_value_t = 32, value_parser = positive)]
    pub input_len: usize,
    /// Output length in tokens
    #[arg(long, default_value_t = 128, value_parser = positive)]
    pub output_len: usize,
}

#[derive(Args, Debug)]
pub struct StartupArgs {
    /// Protocol of the first request
    #[arg(long, value_enum, default_value = "sglang")]
    pub backend: Backend,
    /// Model name in OpenAI requests
    #[arg(long, default_value = "default")]
    pub model: String,
    /// Server address; by default taken from --host and --port in the command
    #[arg(long)]
    pub base_url: Option<String>,
    /// Sent as "Authorization: Bearer KEY"
    #[arg(long)]
    pub api_key: Option<String>,
    /// Seconds in which the server must answer
    #[arg(long, default_value_t = 600.0, value_parser = seconds)]
    pub timeout: f64,
    /// Seconds over which idle CPU time is measured
    #[arg(long, default_value_t = 10.0, value_parser = seconds)]
    pub idle_seconds: f64,
    /// Number of starts; times are reported for each
    #[arg(long, default_value_t = 1, value_parser = positive)]
    pub runs: usize,
    /// File for the server's output; standard error by default
    #[arg(long, value_name = "FILE")]
    pub server_log: Option<PathBuf>,
    /// Append the results to this file as one line of JSON per run
    #[arg(long, value_name = "FILE")]
    pub output_file: Option<PathBuf>,
    /// Command that starts the server, after --
    #[arg(last = true, required = true, value_name = "COMMAND")]
    pub command: Vec<String>,
}

fn positive(text: &str) -> Result<usize, String> {
    match text.parse::<usize>() {
        Ok(n) if n > 0 => Ok(n),
        _ => Err(format!("expected a whole number of at least 1, got {text:?}")),
    }
}

fn seconds(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(s) if s.is_finite() && (0.0..=1e7).contains(&s) => Ok(s),
        _ => Err(format!("expected a number of seconds in [0, 1e7], got {text:?}")),
    }
}

fn some_seconds(text: &str) -> Result<f64, String> {
    seconds(text).and_then(|s| if s > 0.0 { Ok(s) } else { Err("expected more than 0 seconds".to_owned()) })
}

fn rate(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(r) if r > 0.0 => Ok(r),
        _ => Err(format!("expected a rate above 0 or inf, got {text:?}")),
    }
}

fn ratio(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(r) if (0.0..=1.0).contains(&r) => Ok(r),
        _ => Err(format!("expected a number in [0, 1], got {text:?}")),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn without_a_number_or_a_rate_a_run_takes_a_minute_with_eight_at_a_time() {
        let read = |more: &[&str]| {
            let args = ["sglang-bench", "serving"].iter().chain(more);
            match Cli::parse_from(args).command {
                Command::Serving(args) => (args.limit(), args.concurrency()),
                other => panic!("{other:?}"),
            }
        };
        let limit = |count, seconds: Option<u64>| Limit { count, time: seconds.map(Duration::from_secs) };
        assert_eq!(read(&[]), (limit(None, Some(60)), Some(8)));
        assert_eq!(read(&["--num-prompts", "9"]), (limit(Some(9), None), None));
        assert_eq!(read(&["--num-prompts", "9", "--duration", "5"]), (limit(Some(9), Some(5)), None));
        assert_eq!(read(&["--request-rate", "2"]), (limit(None, Some(60)), None));
        assert_eq!(read(&["--duration", "5", "--max-concurrency", "2"]), (limit(None, Some(5)), Some(2)));
    }

    #[test]
    fn wrong_values_are_refused_with_the_flag_named() {
        for args in [
            ["serving", "--num-prompts", "0"],
            ["serving", "--request-rate", "-1"],
            ["serving", "--random-range-ratio", "-0.5"],
            ["serving", "--extra-request-body", "[1]"],
            ["serving", "--timeout", "nan"],
            ["serving", "--duration", "0"],
            ["serving", "--rounds", "0"],
            ["decode-scaling", "--concurrency", "1,x"],
        ] {
            let error = Cli::try_parse_from(["sglang-bench"].iter().chain(&args)).unwrap_err();
            assert!(error.to_string().contains(args[1]), "{error}");
        }
    }
}
