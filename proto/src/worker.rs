//! Interface between the scheduler process and a model: [`ModelWorker`]. `runtime/model` implements it with libtorch;
//! `runtime/scheduler` has an echo worker and a faulty worker without a model, for tests.

use std::any::Any;
use std::collections::BTreeMap;
use std::sync::Arc;

use crate::forward::{ForwardBatch, ForwardResult};
use crate::lora::LoRARef;
use crate::messages::ExpertDistributionReqType;

/// How a prompt may be divided without changing the result.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PromptReach {
    /// Causal attention: prefixes may come from the cache, and prompts may be split into chunks.
    #[default]
    Causal,
    /// The result needs the output of every position: no prefix may come from the cache, but chunks are possible.
    EveryPosition,
    /// Every position attends to all others: the whole prompt must be in one step.
    Bidirectional,
}

/// Properties of a loaded model that the scheduler needs for planning.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelWorkerInfo {
    /// Number of entries of the output distribution.
    pub vocab_size: u32,
    /// Most positions of a sequence, limited by `--context-length`.
    pub context_length: u32,
    /// KV pool size in tokens; slots are `0..max_total_num_tokens`.
    pub max_total_num_tokens: u32,
    /// Number of rows of the `ReqToTokenPool`.
    pub max_running_requests: u32,
    /// Whether the model generates text; otherwise it computes one embedding per prompt.
    pub is_generation: bool,
    /// How prompts may be divided.
    pub prompt_reach: PromptReach,
    /// Bytes of the weights, for reports.
    pub weight_bytes: u64,
    /// Bytes of the KV pool, for reports.
    pub kv_cache_bytes: u64,
    /// Bytes of memory that are free after loading, for reports.
    pub available_bytes: u64,
    /// `cpu` or `cuda:N`.
    pub device: String,
    /// Number format of weights and activations: `float32`, `bfloat16` or `float16`.
    pub dtype: String,
}

/// A part of a worker's memory that can be released while nothing runs (reference: `GPU_MEMORY_ALL_TYPES`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum MemoryTag {
    /// Keys and values.
    KvCache,
    /// The model's weights.
    Weights,
    /// Captured CUDA graphs. There are none, so releasing them frees nothing.
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

    /// The tag with this name.
    pub fn by_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|tag| tag.name() == name)
    }
}

/// Why a worker could not run a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WorkerError {
    /// The batch is invalid (such as a slot out of range, or inconsistent lengths); nothing was run.
    InvalidBatch(String),
    /// The model failed; the worker's state is still consistent and later batches may succeed.
    Forward(String),
    /// The worker cannot continue; the process must be restarted.
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

/// Weights or an adapter that have been read and checked, but are not served yet. Only the worker whose
/// [`WeightStager`] or [`AdapterReader`] created them knows the content.
pub struct StagedWeights(pub Box<dyn Any + Send>);

impl std::fmt::Debug for StagedWeights {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("StagedWeights")
    }
}

/// Why weights cannot be staged. The texts are the reference's (`weight_updater.py`).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StageError {
    /// The worker does not support this format.
    #[error("Failed to get model loader: {0}.")]
    Loader(String),
    /// There are no weights to read.
    #[error("Failed to get weights iterator: {0}.")]
    Iterator(String),
    /// The weights do not have the shape of the served model, or cannot be read completely.
    #[error("Failed to update weights: {0}.\nRolling back to original weights.")]
    Load(String),
}

/// Reads weights on another thread while the worker runs batches.
pub trait WeightStager: Send + Sync {
    /// Reads the weights at `model_path` in the format `load_format`, and compares names and shapes with the served
    /// model. Does not change the served weights.
    ///
    /// # Errors
    /// [`StageError`]; its text is the answer to the client.
    fn stage(&self, model_path: &str, load_format: &str) -> Result<StagedWeights, StageError>;

    /// Reads the served weights again after they were released, with their original load format.
    ///
    /// # Errors
    /// See [`WeightStager::stage`].
    fn reload(&self, model_path: &str, load_format: &str) -> Result<StagedWeights, StageError> {
        self.stage(model_path, load_format)
    }
}

/// Reads LoRA adapters on another thread while the worker runs batches.
pub trait AdapterReader: Send + Sync {
    /// Reads an adapter from its folder, and checks that it fits the served model.
    ///
    /// # Errors
    /// One line of text for the client.
    fn read(&self, lora: &LoRARef) -> Result<StagedWeights, String>;
}

/// Runs batches in order, one at a time. One thread owns it.
pub trait ModelWorker: Send {
    /// Properties for planning; constant after construction.
    fn info(&self) -> &ModelWorkerInfo;

    /// Runs one step: replaces negative ids with sampled tokens, updates its copy of the `ReqToTokenPool`, writes the
    /// KV of every new token to its slot, samples where `sample` is set, and stores the sampled token of each row.
    ///
    /// # Errors
    /// See [`WorkerError`].
    fn forward(&mut self, batch: &ForwardBatch) -> Result<ForwardResult, WorkerError>;

    /// Starts, stops or dumps the recording of chosen experts.
    ///
    /// # Errors
    /// The worker cannot record experts, or a file cannot be written; the text is for the client.
    fn expert_distribution(&mut self, _action: ExpertDistributionReqType) -> Result<(), String> {
        Err("this worker does not record experts".to_owned())
    }

    /// The reader of new weights; `None` if the worker has no weights.
    fn stager(&self) -> Option<Arc<dyn WeightStager>> {
        None
    }

    /// Serves staged weights from the next batch on. If this fails, the old ones stay.
    ///
    /// # Errors
    /// The weights were staged for another worker.
    fn swap_weights(&mut self, _weights: StagedWeights) -> Result<(), WorkerError> {
        Err(WorkerError::Forward("this worker has no weights".to_owned()))
    }

    /// The reader of adapters; `None` if the worker does not support them.
    fn adapter_reader(&self) -> Option<Arc<dyn AdapterReader>> {
        None
    }

    /// Serves an adapter, which has been read, from the next batch on.
    ///
    /// # Errors
    /// Its name is in use, too many adapters are pinned, or it was read for another worker; the text is for the client.
    fn load_adapter(&mut self, _lora: LoRARef, _read: StagedWeights) -> Result<(), String> {
        Err("this worker serves no adapters".to_owned())
    }

    /// Unloads an adapter that no request uses.
    fn unload_adapter(&mut self, _lora_id: &str) {}

    /// Releases a part of the memory. No batch may run before it is restored: weights with
    /// [`ModelWorker::swap_weights`], other parts with [`ModelWorker::resume_memory`].
    ///
    /// # Errors
    /// The worker has no such memory.
    fn release_memory(&mut self, tag: MemoryTag) -> Result<(), WorkerError> {
        Err(WorkerError::Forward(format!("this worker has no {} to give back", tag.name())))
    }

    /// Allocates a released part of the memory again. Its content is undefined.
    ///
    /// # Errors
    /// The system does not have enough memory; the part stays released.
    fn resume_memory(&mut self, tag: MemoryTag) -> Result<(), WorkerError> {
        Err(WorkerError::Forward(format!("this worker has no {} to take again", tag.name())))
    }

    /// Checksums of the stored form of all weights, by name in the checkpoint.
    ///
    /// # Errors
    /// The worker has no weights, or they are released or cannot be read.
    fn weight_checksums(&self) -> Result<BTreeMap<String, String>, WorkerError> {
        Err(WorkerError::Forward("this worker has no weights".to_owned()))
    }

    /// The first rows of a matrix, or the first numbers of a vector, as nested lists; `None` if there is no such
    /// weight.
    fn get_weights_by_name(&self, _name: &str, _truncate_size: usize) -> Option<serde_json::Value> {
        None
    }
}
