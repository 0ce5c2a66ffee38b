//! Flags of the commands that send requests.

use std::path::PathBuf;

use clap::Args;

use crate::workload::PromptMode;

/// What every request contains.
#[derive(Args, Clone, Debug)]
pub struct RequestArgs {
    /// Sampling temperature; 0 is greedy
    #[arg(long, default_value_t = 0.0, allow_negative_numbers = true)]
    pub temperature: f64,
    /// Let outputs end at an end-of-sequence token
    #[arg(long)]
    pub disable_ignore_eos: bool,
    /// Request whole answers, without streaming; TTFT and ITL are then not measured
    #[arg(long)]
    pub disable_stream: bool,
    /// JSON object merged into every request body
    #[arg(long, value_name = "JSON", value_parser = json_object)]
    pub extra_request_body: Option<serde_json::Map<String, serde_json::Value>>,
    /// Send token ids or words; ids by default, words for openai-chat
    #[arg(long, value_enum)]
    pub prompt_mode: Option<PromptMode>,
    /// Random token ids are drawn from [100, N)
    #[arg(long, value_name = "N", default_value_t = 32000, value_parser = clap::value_parser!(u32).range(101..))]
    pub vocab_size: u32,
    /// Seed of prompts, lengths and arrival times
    #[arg(long, default_value_t = 42)]
    pub seed: u64,
    /// Append the results to this file as one line of JSON
    #[arg(long, value_name = "FILE")]
    pub output_file: Option<PathBuf>,
}

fn json_object(text: &str) -> Result<serde_json::Map<String, serde_json::Value>, String> {
    serde_json::from_str(text).map_err(|error| format!("expected a JSON object: {error}"))
}
