//! Settings of the loop from the command line.

use std::time::Duration;

use sglang_proto::lora::LoRARef;
use sglang_server_args::ServerArgs;

/// Settings of the loop. Those of the planner are in `PlannerConfig`.
#[derive(Clone, Debug)]
pub struct SchedulerSettings {
    /// Decode steps between two log lines.
    pub decode_log_interval: u64,
    /// Longest duration of a step before the process gives up.
    pub watchdog_timeout: Duration,
    /// Path of the checkpoint.
    pub model_path: String,
    /// `--load-format`.
    pub load_format: String,
    /// Version label of the weights in every answer.
    pub weight_version: String,
    /// Whether outputs go to the tokenizer manager as ids, without the detokenizer.
    pub skip_tokenizer_init: bool,
    /// Seed from which the seeds of requests without one are derived.
    pub random_seed: u64,
    /// Whether outputs contain timestamps of their requests.
    pub enable_metrics: bool,
    /// Adapters to load at start-up.
    pub adapters: Vec<LoRARef>,
}

impl SchedulerSettings {
    /// Settings of a server.
    pub fn from_server_args(args: &ServerArgs) -> Self {
        Self {
            decode_log_interval: args.decode_log_interval as u64,
            watchdog_timeout: Duration::from_secs_f64(args.watchdog_timeout),
            model_path: args.model_path.clone(),
            load_format: args.load_format.clone(),
            weight_version: args.weight_version.clone(),
            skip_tokenizer_init: args.skip_tokenizer_init,
            random_seed: args.random_seed.unwrap_or(0),
            enable_metrics: args.enable_metrics,
            adapters: if args.enable_lora { args.lora_refs() } else { Vec::new() },
        }
    }
}
