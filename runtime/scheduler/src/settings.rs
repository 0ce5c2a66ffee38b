//! What the loop takes from the command line.

use std::time::Duration;

use sglang_proto::lora::LoRARef;
use sglang_server_args::ServerArgs;

/// Settings of the loop itself; the planner's are in `PlannerConfig`.
#[derive(Clone, Debug)]
pub struct SchedulerSettings {
    /// Decode steps between two log lines.
    pub decode_log_interval: u64,
    /// Longest a step may take before the process gives up.
    pub watchdog_timeout: Duration,
    /// Checkpoint of the weights.
    pub model_path: String,
    /// `--load-format`.
    pub load_format: String,
    /// Label of the weights in every answer.
    pub weight_version: String,
    /// Outputs go to the tokenizer manager as ids, not through the detokenizer.
    pub skip_tokenizer_init: bool,
    /// Seed from which requests without one derive theirs.
    pub random_seed: u64,
    /// Outputs bring the times of their requests.
    pub enable_metrics: bool,
    /// Adapters that are loaded at start.
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
