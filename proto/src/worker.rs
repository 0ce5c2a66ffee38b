//! The seam between the scheduler process and a model: [`ModelWorker`]. `runtime/model` implements it with libtorch;
//! the scheduler process's echo and faulty workers implement it without any model, for tests.

use std::any::Any;
use std::collections::BTreeMap;
use std::sync::Arc;

use crate::forward::{ForwardBatch, ForwardResult};
use crate::lora::LoRARef;
use crate::messages::ExpertDistributionReqType;

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
    /// Bytes of memory that are free when everything is there, for reports.
    pub available_bytes: u64,
    /// `cpu` or `cuda:N`.
    pub device: String,
    /// Number format of weights and activations: `float32`, `bfloat16` or `float16`.
    pub dtype: String,
}

/// A part of a worker's memory that can be given back while nothing runs (reference: `GPU_MEMORY_ALL_TYPES`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum MemoryTag {
    /// Keys and values.
    KvCache,
    /// The model's weights.
    Weights,
    /// Captured CUDA graphs, of which there are none: releasing them gives nothing back.
    CudaGraph,
}

impl MemoryTag {
    /// Every tag.
    pub const ALL: [Self; 3] = [Self::KvCache, Self::Weights, Self::CudaGraph];

    /// Name in requests.
    pub fn name(self) -> &'static str {
        match self {
            Self::KvCache => "kv_cache",
            Self::Weights => "weights",
            Self::CudaGraph => "cuda_graph",
        }
    }

    /// The tag with a name.
    pub fn by_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|tag| tag.name() == name)
    }
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

/// Weights, or an adapter, that have been read and checked, and wait beside those that are served. Only the worker whose
/// [`WeightStager`] or [`AdapterReader`] made them knows what is inside.
pub struct StagedWeights(pub Box<dyn Any + Send>);

impl std::fmt::Debug for StagedWeights {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("StagedWeights")
    }
}

/// Why weights cannot be staged. The texts are the reference's (`weight_updater.py`).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StageError {
    /// The worker cannot take weights of this format.
    #[error("Failed to get model loader: {0}.")]
    Loader(String),
    /// There are no weights to read.
    #[error("Failed to get weights iterator: {0}.")]
    Iterator(String),
    /// The weights are not those of the served model's shape, or cannot be read to the end.
    #[error("Failed to update weights: {0}.\nRolling back to original weights.")]
    Load(String),
}

/// Reads weights while the worker runs batches, on another thread.
pub trait WeightStager: Send + Sync {
    /// Reads the weights at `model_path` in the form of `load_format` and checks names and shapes against the served
    /// model. The served weights are not touched.
    ///
    /// # Errors
    /// [`StageError`]; its text is the answer to the client.
    fn stage(&self, model_path: &str, load_format: &str) -> Result<StagedWeights, StageError>;

    /// Reads the weights again that were served before they were released, with the load format that they came by.
    ///
    /// # Errors
    /// As of [`WeightStager::stage`].
    fn reload(&self, model_path: &str, load_format: &str) -> Result<StagedWeights, StageError> {
        self.stage(model_path, load_format)
    }
}

/// Reads LoRA adapters while the worker runs batches, on another thread.
pub trait AdapterReader: Send + Sync {
    /// Reads the adapter of a folder and checks it against the served model.
    ///
    /// # Errors
    /// One line for the client.
    fn read(&self, lora: &LoRARef) -> Result<StagedWeights, String>;
}

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

    /// Starts, stops or writes the record of chosen experts.
    ///
    /// # Errors
    /// Nothing can be recorded, or a file cannot be written; the text is for the client.
    fn expert_distribution(&mut self, _action: ExpertDistributionReqType) -> Result<(), String> {
        Err("this worker does not record experts".to_owned())
    }

    /// What reads new weights for this worker; `None` when it has no weights to exchange.
    fn stager(&self) -> Option<Arc<dyn WeightStager>> {
        None
    }

    /// Serves staged weights from the next batch on. The old ones go on serving when this fails.
    ///
    /// # Errors
    /// The weights were staged for another worker.
    fn swap_weights(&mut self, _weights: StagedWeights) -> Result<(), WorkerError> {
        Err(WorkerError::Forward("this worker has no weights".to_owned()))
    }

    /// What reads adapters for this worker; `None` when it serves none.
    fn adapter_reader(&self) -> Option<Arc<dyn AdapterReader>> {
        None
    }

    /// Serves an adapter that was read from the next batch on.
    ///
    /// # Errors
    /// Its name is taken, too many are pinned, or it was read for another worker; the text is for the client.
    fn load_adapter(&mut self, _lora: LoRARef, _read: StagedWeights) -> Result<(), String> {
        Err("this worker serves no adapters".to_owned())
    }

    /// Forgets an adapter that no request uses.
    fn unload_adapter(&mut self, _lora_id: &str) {}

    /// Gives a part of the memory back to the system. No batch may follow before it is there again: by
    /// [`ModelWorker::swap_weights`] for the weights, by [`ModelWorker::resume_memory`] for the other parts.
    ///
    /// # Errors
    /// The worker has no such memory.
    fn release_memory(&mut self, tag: MemoryTag) -> Result<(), WorkerError> {
        Err(WorkerError::Forward(format!("this worker has no {} to give back", tag.name())))
    }

    /// Takes a part of the memory again that was released. Its content is undefined.
    ///
    /// # Errors
    /// The system has not enough memory; the part stays released.
    fn resume_memory(&mut self, tag: MemoryTag) -> Result<(), WorkerError> {
        Err(WorkerError::Forward(format!("this worker has no {} to take again", tag.name())))
    }

    /// A checksum of the stored form of every weight by its name in the checkpoint.
    ///
    /// # Errors
    /// The worker has no weights, or they are released or cannot be read.
    fn weight_checksums(&self) -> Result<BTreeMap<String, String>, WorkerError> {
        Err(WorkerError::Forward("this worker has no weights".to_owned()))
    }

    /// The first rows of a matrix, or the first numbers of a vector, as nested lists; `None` without such a weight.
    fn get_weights_by_name(&self, _name: &str, _truncate_size: usize) -> Option<serde_json::Value> {
        None
    }
}
