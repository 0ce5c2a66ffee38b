//! The seam between the scheduler process and a model: [`ModelWorker`]. `runtime/model` implements it with libtorch;
//! the engine's echo and faulty workers implement it without any model, for tests.

use crate::forward::{ForwardBatch, ForwardResult};

/// How much of a prompt must go through the model at once, so that what it gives is right.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PromptReach {
    /// A position sees only those before it: prefixes may come from the cache, and prompts may be cut into chunks.
    #[default]
    Causal,
    /// The answer is made from every position's output: no prefix from the cache, chunks are possible.
    EveryPosition,
    /// Every position sees all others: the prompt goes through in one step.
    Bidirectional,
}

/// Facts about a loaded model that the scheduler needs for its planning.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelWorkerInfo {
    /// Entries of the output distribution.
    pub vocab_size: u32,
    /// Positions the model was made for (after `--context-length`).
    pub context_length: u32,
    /// KV pool size in tokens; slots are `0..max_total_num_tokens`.
    pub max_total_num_tokens: u32,
    /// Rows of the `ReqToTokenPool` the worker has room for.
    pub max_running_requests: u32,
    /// Whether the model generates; otherwise it gives one vector per prompt.
    pub is_generation: bool,
    /// How prompts may be divided.
    pub prompt_reach: PromptReach,
    /// Bytes of weights and of the KV pool, for reports.
    pub weight_bytes: u64,
    /// Bytes of the KV pool.
    pub kv_cache_bytes: u64,
    /// `cpu` or `cuda:N`.
    pub device: String,
}

/// Why a worker could not run a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WorkerError {
    /// The batch broke the contract (a slot out of range, lengths that do not add up); nothing was run.
    InvalidBatch(String),
    /// The model failed; the worker's state is still consistent and later batches may succeed.
    Forward(String),
    /// The worker cannot go on; the process must be restarted.
    Fatal(String),
}

impl std::fmt::Display for WorkerError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::InvalidBatch(m) => write!(f, "invalid batch: {m}"),
            Self::Forward(m) => write!(f, "forward failed: {m}"),
            Self::Fatal(m) => write!(f, "model worker failed: {m}"),
        }
    }
}

impl std::error::Error for WorkerError {}

/// Runs batches, one at a time, in order. Owned by one thread.
pub trait ModelWorker: Send {
    /// Facts for planning; constant after construction.
    fn info(&self) -> &ModelWorkerInfo;

    /// Runs one step: resolves future tokens, updates its copy of the `ReqToTokenPool`, writes the KV of every new token
    /// to its slot, samples where asked, and remembers the sampled token of each row.
    ///
    /// # Errors
    /// See [`WorkerError`].
    fn forward(&mut self, batch: &ForwardBatch) -> Result<ForwardResult, WorkerError>;
}
