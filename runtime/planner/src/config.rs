//! Settings of the planner.

use sglang_proto::worker::{ModelWorkerInfo, PromptReach};
use sglang_server_args::{ServerArgs, check_chunk, check_range};

use crate::policy::PolicyKind;
use crate::radix_cache::EvictionPolicy;
use crate::{PlannerError, Tuning};

/// Default of `--chunked-prefill-size`, in tokens (the reference's choice for devices of unknown memory size).
pub const DEFAULT_CHUNKED_PREFILL_SIZE: usize = 4096;

/// Default of `--chunked-prefill-size` on a CPU. Larger steps do not increase the tokens per second
/// (docs/performance.md); they only make other requests wait longer.
pub const DEFAULT_CHUNKED_PREFILL_SIZE_CPU: usize = 256;

/// The size on a CPU while other requests decode: it halves their wait and costs little throughput.
pub const CONTENDED_PREFILL_SIZE_CPU: usize = 128;

/// Which running request is retracted first when the KV pool is full (`--retraction-policy`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetractionPolicy {
    /// Fewest output tokens first, then longest prompt.
    Length,
    /// Lowest priority first, then like [`RetractionPolicy::Length`].
    Priority,
}

/// Settings of the planner. All sizes are in tokens unless stated otherwise.
#[derive(Clone, Debug, PartialEq)]
pub struct PlannerConfig {
    /// Size of the KV pool; slots are `0..max_total_num_tokens` (rounded down to whole pages).
    pub max_total_num_tokens: usize,
    /// Most requests that hold a `ReqToTokenPool` row at once.
    pub max_running_requests: usize,
    /// Context length of the model.
    pub context_length: usize,
    /// Size of the output distribution. Sampled ids at or above it are treated like NaN logits.
    pub vocab_size: u32,
    /// Whether the model generates tokens; otherwise it outputs one embedding per request.
    pub is_generation: bool,
    /// Ids that end the output of every request: the end-of-sequence ids of model and tokenizer, and the tokenizer's
    /// additional stop ids.
    pub eos_token_ids: Vec<u32>,
    /// Tokens per page of the KV pool.
    pub page_size: usize,
    /// Most prompt tokens per prefill step; `None` prefills a prompt in one step.
    pub chunked_prefill_size: Option<usize>,
    /// Token budget of a prefill step.
    pub max_prefill_tokens: usize,
    /// Most requests in one prefill step.
    pub prefill_max_requests: Option<usize>,
    /// Most LoRA adapters in one batch, where requests without adapter count as one adapter; `None` if LoRA is off.
    pub max_loras_per_batch: Option<usize>,
    /// Most waiting requests; more are refused with 503.
    pub max_queued_requests: Option<usize>,
    /// Order of the waiting queue.
    pub schedule_policy: PolicyKind,
    /// Factor for the fraction of `max_new_tokens` that admission reserves.
    pub schedule_conservativeness: f64,
    /// Which cached prefix is evicted first.
    pub radix_eviction_policy: EvictionPolicy,
    /// Whether prefix caching is off.
    pub disable_radix_cache: bool,
    /// Whether a step may be planned while the previous one is still running.
    pub enable_overlap: bool,
    /// Whether prefill steps also contain decode rows.
    pub enable_mixed_chunk: bool,
    /// Tokens of a prefill step while other requests decode; each such step is followed by a decode step. `None`: only
    /// the chunks of one long prompt alternate with decode steps, while a queue of prompts takes precedence, as in the
    /// reference. Used on CPUs, where a prompt can take a large part of a second.
    pub contended_prefill_size: Option<usize>,
    /// Whether the `priority` of requests is used.
    pub enable_priority_scheduling: bool,
    /// Whether smaller values mean higher priority (default: larger values).
    pub schedule_low_priority_values_first: bool,
    /// Whether a request of higher priority may preempt a running one.
    pub enable_priority_preemption: bool,
    /// Preemption requires that the priorities differ by more than this.
    pub priority_scheduling_preemption_threshold: i64,
    /// Priority of requests that state none.
    pub default_priority_value: Option<i64>,
    /// Whether requests with a priority are refused while priority scheduling is off.
    pub abort_on_priority_when_disabled: bool,
    /// Which running requests are retracted first under memory pressure.
    pub retraction_policy: RetractionPolicy,
    /// Tokens per streamed output, unless the request sets it.
    pub stream_interval: usize,
    /// Whether a prompt that is too long is truncated instead of refused.
    pub allow_auto_truncate: bool,
    /// Seed of the `random` policy.
    pub random_seed: u64,
    /// A waiting request goes ahead of the policy's order once this many requests have been admitted since it queued
    /// (plus one for each that was waiting before it). This bounds the wait under lpm, dfs-weight, lof and random;
    /// priorities still apply.
    pub starvation_bound: u64,
    /// Settings from environment variables.
    pub tuning: Tuning,
}

impl Default for PlannerConfig {
    fn default() -> Self {
        Self {
            max_total_num_tokens: 65_536,
            max_running_requests: 256,
            context_length: 8_192,
            vocab_size: 32_000,
            is_generation: true,
            eos_token_ids: Vec::new(),
            page_size: 1,
            chunked_prefill_size: Some(DEFAULT_CHUNKED_PREFILL_SIZE),
            max_prefill_tokens: 16_384,
            prefill_max_requests: None,
            max_loras_per_batch: None,
            max_queued_requests: None,
            schedule_policy: PolicyKind::Fcfs,
            schedule_conservativeness: 1.0,
            radix_eviction_policy: EvictionPolicy::Lru,
            disable_radix_cache: false,
            enable_overlap: true,
            enable_mixed_chunk: false,
            contended_prefill_size: None,
            enable_priority_scheduling: false,
            schedule_low_priority_values_first: false,
            enable_priority_preemption: true,
            priority_scheduling_preemption_threshold: 10,
            default_priority_value: None,
            abort_on_priority_when_disabled: false,
            retraction_policy: RetractionPolicy::Length,
            stream_interval: 1,
            allow_auto_truncate: false,
            random_seed: 0,
            starvation_bound: 512,
            tuning: Tuning::default(),
        }
    }
}

fn invalid(setting: &'static str, value: impl ToString, valid: impl Into<String>) -> PlannerError {
    PlannerError::InvalidConfig { setting, value: value.to_string(), valid: valid.into() }
}

/// Checks a setting as its flag checks what was typed.
fn in_range(flag: &'static str, value: usize) -> Result<(), PlannerError> {
    check_range(flag.trim_start_matches("--"), value).map_err(|valid| invalid(flag, value, valid))
}

impl PlannerConfig {
    /// Settings from the command line and the loaded model. For `eos_token_ids` see [`PlannerConfig::eos_token_ids`].
    ///
    /// # Errors
    /// The value of a flag is unknown or invalid.
    pub fn from_server_args(
        args: &ServerArgs,
        info: &ModelWorkerInfo,
        eos_token_ids: Vec<u32>,
    ) -> Result<Self, PlannerError> {
        let config = Self {
            max_total_num_tokens: info.max_total_num_tokens as usize,
            max_running_requests: info.max_running_requests as usize,
            context_length: info.context_length as usize,
            vocab_size: info.vocab_size,
            is_generation: info.is_generation,
            eos_token_ids,
            page_size: args.page_size,
            chunked_prefill_size: match args.chunked_prefill_size {
                _ if info.prompt_reach == PromptReach::Bidirectional => None,
                None if info.device == "cpu" => {
                    Some(DEFAULT_CHUNKED_PREFILL_SIZE_CPU.next_multiple_of(args.page_size.max(1)))
                }
                None => Some(DEFAULT_CHUNKED_PREFILL_SIZE.next_multiple_of(args.page_size.max(1))),
                Some(size) => usize::try_from(size).ok().filter(|size| *size > 0),
            },
            max_prefill_tokens: args.max_prefill_tokens,
            prefill_max_requests: args.prefill_max_requests,
            max_loras_per_batch: args.enable_lora.then_some(args.max_loras_per_batch),
            max_queued_requests: args.max_queued_requests,
            schedule_policy: args.schedule_policy.parse()?,
            schedule_conservativeness: args.schedule_conservativeness,
            radix_eviction_policy: args.radix_eviction_policy.parse()?,
            disable_radix_cache: args.disable_radix_cache || info.prompt_reach != PromptReach::Causal,
            enable_overlap: !args.disable_overlap_schedule,
            enable_mixed_chunk: args.enable_mixed_chunk,
            contended_prefill_size: match args.chunked_prefill_size {
                _ if info.device != "cpu" => None,
                None => Some(CONTENDED_PREFILL_SIZE_CPU.next_multiple_of(args.page_size.max(1))),
                Some(size) => usize::try_from(size).ok().filter(|size| *size > 0),
            },
            enable_priority_scheduling: args.enable_priority_scheduling || args.schedule_policy == "priority",
            schedule_low_priority_values_first: args.schedule_low_priority_values_first,
            enable_priority_preemption: !args.disable_priority_preemption,
            priority_scheduling_preemption_threshold: args.priority_scheduling_preemption_threshold,
            default_priority_value: args.default_priority_value,
            abort_on_priority_when_disabled: args.abort_on_priority_when_disabled,
            retraction_policy: match args.retraction_policy.as_str() {
                "length" => RetractionPolicy::Length,
                "priority" => RetractionPolicy::Priority,
                other => return Err(invalid("--retraction-policy", other, "expected length or priority")),
            },
            stream_interval: args.stream_interval,
            allow_auto_truncate: args.allow_auto_truncate,
            random_seed: args.random_seed.unwrap_or(0),
            ..Self::default()
        };
        config.check().map_err(|error| match error {
            PlannerError::InvalidConfig { setting: "--max-total-tokens", value, valid }
                if args.max_total_tokens.is_none() =>
            {
                // The flag was not given: the size was derived from free memory and request lengths.
                let valid =
                    format!("{valid}; --max-total-tokens asks for more, --page-size for smaller pages");
                PlannerError::InvalidConfig { setting: "the KV cache's size in tokens", value, valid }
            }
            other => other,
        })?;
        Ok(config)
    }

    /// Length of the largest request (prompt and output) that can run: `min(context, pool) - 1` (reference:
    /// `max_req_len`).
    pub fn max_req_len(&self) -> usize {
        self.context_length.min(self.max_total_num_tokens).saturating_sub(1)
    }

    /// Prompts of this length or more are refused or truncated (reference: `max_req_input_len`).
    pub fn max_req_input_len(&self) -> usize {
        self.max_req_len().saturating_sub(5)
    }

    /// Checks what the planner relies on: what each flag says of its value, and the size of the KV pool, which follows
    /// from the memory.
    ///
    /// # Errors
    /// The first invalid setting.
    pub fn check(&self) -> Result<(), PlannerError> {
        let whole_numbers = [
            ("--page-size", self.page_size),
            ("--max-running-requests", self.max_running_requests),
            ("--max-prefill-tokens", self.max_prefill_tokens),
            ("--stream-interval", self.stream_interval),
        ];
        for (flag, value) in whole_numbers {
            in_range(flag, value)?;
        }
        if self.schedule_conservativeness.is_nan() || self.schedule_conservativeness < 0.0 {
            return Err(invalid(
                "--schedule-conservativeness",
                self.schedule_conservativeness,
                "must be a non-negative number",
            ));
        }
        if self.max_total_num_tokens < 8 * self.page_size {
            return Err(invalid(
                "--max-total-tokens",
                self.max_total_num_tokens,
                format!("the KV pool needs at least 8 pages ({} tokens)", 8 * self.page_size),
            ));
        }
        if u32::try_from(self.max_total_num_tokens).is_err() {
            return Err(invalid("--max-total-tokens", self.max_total_num_tokens, "must be below 2^32"));
        }
        if let Some(chunk) = self.chunked_prefill_size {
            let flag = "--chunked-prefill-size";
            in_range(flag, chunk)?;
            check_chunk(chunk as u64, self.page_size as u64).map_err(|valid| invalid(flag, chunk, valid))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from_flags(flags: &[&str]) -> Result<PlannerConfig, PlannerError> {
        from_flags_on("cuda:0", flags)
    }

    fn from_flags_on(device: &str, flags: &[&str]) -> Result<PlannerConfig, PlannerError> {
        let argv = ["sglang-launch", "--model-path", "m"].iter().chain(flags).copied();
        let args = ServerArgs::parse_from(argv).unwrap_or_else(|_| panic!("{flags:?} are flags"));
        let info = ModelWorkerInfo {
            vocab_size: 100,
            context_length: 2048,
            max_total_num_tokens: 4096,
            max_running_requests: 32,
            is_generation: true,
            prompt_reach: PromptReach::Causal,
            weight_bytes: 0,
            kv_cache_bytes: 0,
            available_bytes: 0,
            device: device.into(),
            dtype: "float32".into(),
        };
        PlannerConfig::from_server_args(&args, &info, vec![2])
    }

    #[test]
    fn plain_flags_give_the_references_defaults() {
        let config = from_flags(&[]).unwrap();
        assert_eq!(config.chunked_prefill_size, Some(4096));
        assert_eq!((config.max_prefill_tokens, config.page_size, config.stream_interval), (16_384, 1, 1));
        assert_eq!(config.schedule_policy, PolicyKind::Fcfs);
        assert!(config.enable_overlap && !config.enable_mixed_chunk && !config.enable_priority_scheduling);
        assert_eq!(config.contended_prefill_size, None);
        let on_cpu = |flags: &[&str]| from_flags_on("cpu", flags).unwrap().contended_prefill_size;
        assert_eq!((on_cpu(&[]), on_cpu(&["--page-size=48"])), (Some(128), Some(144)));
        assert_eq!(
            (on_cpu(&["--chunked-prefill-size=512"]), on_cpu(&["--chunked-prefill-size=-1"])),
            (Some(512), None)
        );
        assert_eq!((config.max_req_len(), config.max_req_input_len()), (2047, 2042));
        assert_eq!((config.vocab_size, config.eos_token_ids), (100, vec![2]));
    }

    #[test]
    fn a_cpu_prefills_in_smaller_steps_of_whole_pages() {
        let chunk = |flags: &[&str]| from_flags_on("cpu", flags).unwrap().chunked_prefill_size;
        assert_eq!(chunk(&[]), Some(256));
        assert_eq!(chunk(&["--page-size=48"]), Some(288));
        assert_eq!(chunk(&["--chunked-prefill-size=512"]), Some(512));
    }

    #[test]
    fn help_names_the_default_chunk_sizes() {
        let flag = sglang_server_args::flags().find(|flag| flag.long == "chunked-prefill-size").unwrap();
        let expected = format!(
            "Default: {DEFAULT_CHUNKED_PREFILL_SIZE} on a GPU; on a CPU {DEFAULT_CHUNKED_PREFILL_SIZE_CPU}, and \
             {CONTENDED_PREFILL_SIZE_CPU} while other requests decode."
        );
        assert!(flag.help.contains(&expected), "{}", flag.help);
    }

    #[test]
    fn flags_reach_their_settings() {
        let config = from_flags(&[
            "--chunked-prefill-size=-1",
            "--schedule-policy=lpm",
            "--radix-eviction-policy=slru",
            "--disable-overlap-schedule",
            "--enable-mixed-chunk",
            "--disable-radix-cache",
            "--retraction-policy=priority",
            "--page-size=16",
        ])
        .unwrap();
        assert_eq!((config.chunked_prefill_size, config.page_size), (None, 16));
        assert_eq!(config.schedule_policy, PolicyKind::Lpm);
        assert_eq!(config.radix_eviction_policy, EvictionPolicy::Slru);
        assert_eq!(config.retraction_policy, RetractionPolicy::Priority);
        assert!(!config.enable_overlap && config.enable_mixed_chunk && config.disable_radix_cache);
        assert!(from_flags(&["--schedule-policy=priority"]).unwrap().enable_priority_scheduling);
    }

    #[test]
    fn errors_name_a_flag_only_if_it_was_given() {
        let error = |flags: &[&str]| from_flags(flags).unwrap_err().to_string();
        let own = error(&["--page-size=1024"]);
        assert!(own.starts_with("the KV cache's size in tokens is 4096: ") && own.contains("8192"), "{own}");
        let given = error(&["--page-size=1024", "--max-total-tokens=4096"]);
        assert!(given.starts_with("--max-total-tokens is 4096: "), "{given}");
    }
}
