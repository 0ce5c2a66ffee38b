//! Creates a model worker from options or server arguments.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use sglang_checkpoint::{Checkpoint, ModelConfig};
use sglang_hub::{Hub, HubSettings};
use sglang_process::env;
use sglang_proto::worker::{ModelWorker, ModelWorkerInfo, PromptReach};
use sglang_server_args::{DEFAULT_MEM_FRACTION_STATIC, ServerArgs};
use tch::{Device, Kind};

use crate::device::{device_name, dtype_name, resolve_device, resolve_dtype, set_threads};
use crate::eplb::{ExpertDistributionRecorder, RecorderSettings};
use crate::error::{ModelError, Result};
use crate::loader::{LoadSummary, WeightSource, WeightTarget};
use crate::lora::{LoraManager, LoraOptions};
use crate::memory::{KvBudget, KvCacheShape, MHATokenToKVPool, MemoryForecast, free_bytes};
use crate::models::{CausalLM, check_architecture};
use crate::ops::{NativeOps, Ops, TorchOps};
use crate::runner::ModelRunner;
use crate::update::{CheckpointStager, LoadedModel};

/// Default of `--max-running-requests`.
const DEFAULT_MAX_RUNNING_REQUESTS: u32 = 256;

/// Environment variable that allows a `--context-length` beyond the model's.
const LONGER_CONTEXT: &str = "SGLANG_ALLOW_OVERWRITE_LONGER_CONTEXT_LEN";

/// Which implementation of [`Ops`] runs the model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backend {
    /// The project's kernels on a CPU, libtorch on a GPU.
    Auto,
    /// The project's CPU kernels.
    Native,
    /// libtorch.
    Torch,
}

/// Options for loading a model. Fields have the names of [`ServerArgs`].
#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub struct ModelOptions {
    pub model_path: PathBuf,
    pub load_format: String,
    pub dtype: String,
    /// `--quantization`; `None` accepts any checkpoint.
    pub quantization: Option<String>,
    pub device: String,
    pub context_length: Option<u32>,
    /// `SGLANG_ALLOW_OVERWRITE_LONGER_CONTEXT_LEN`: a longer context than the model's only causes a warning.
    pub longer_context: bool,
    pub max_total_tokens: Option<u32>,
    pub mem_fraction_static: Option<f64>,
    pub max_running_requests: Option<u32>,
    pub page_size: u32,
    /// `--scheduler-threads`.
    pub threads: Option<usize>,
    /// `--enable-deterministic-inference`.
    pub deterministic: bool,
    /// `--json-model-override-args`.
    pub overrides: serde_json::Map<String, serde_json::Value>,
    pub backend: Backend,
    pub is_embedding: bool,
    /// `--revision`, for weights fetched from the hub later.
    pub revision: Option<String>,
    /// The hub to fetch such weights from.
    pub hub: HubSettings,
    /// `--expert-distribution-recorder-mode` and related flags.
    pub expert_recorder: Option<RecorderSettings>,
    /// `--enable-lora` and related flags.
    pub lora: Option<LoraOptions>,
    /// `SGLANG_RETURN_ORIGINAL_LOGPROB`: output log-probabilities ignore the temperature.
    pub return_original_logprob: bool,
}

impl ModelOptions {
    /// Default options for the model at this path.
    pub fn new(model_path: PathBuf) -> Self {
        Self {
            model_path,
            load_format: "auto".to_owned(),
            dtype: "auto".to_owned(),
            quantization: None,
            device: "auto".to_owned(),
            context_length: None,
            longer_context: false,
            max_total_tokens: None,
            mem_fraction_static: None,
            max_running_requests: None,
            page_size: 1,
            threads: None,
            deterministic: false,
            overrides: serde_json::Map::new(),
            backend: Backend::Auto,
            is_embedding: false,
            revision: None,
            hub: HubSettings::from_env(),
            expert_recorder: None,
            lora: None,
            return_original_logprob: false,
        }
    }
}

impl From<&ServerArgs> for ModelOptions {
    fn from(args: &ServerArgs) -> Self {
        let small = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        Self {
            load_format: args.load_format.clone(),
            dtype: args.dtype.clone(),
            quantization: args.quantization.clone(),
            device: args.device.clone(),
            context_length: args.context_length.map(small),
            longer_context: env::switch(LONGER_CONTEXT).unwrap_or(false),
            max_total_tokens: args.max_total_tokens.map(small),
            mem_fraction_static: args.mem_fraction_static,
            max_running_requests: args.max_running_requests.map(small),
            page_size: small(args.page_size),
            threads: args.scheduler_threads,
            deterministic: args.enable_deterministic_inference,
            overrides: args.json_model_override_args.clone(),
            is_embedding: args.is_embedding,
            revision: args.revision.clone(),
            hub: HubSettings::from_env().in_download_dir(args.download_dir.as_deref()),
            expert_recorder: RecorderSettings::from_server_args(args),
            lora: LoraOptions::from_server_args(args),
            return_original_logprob: env::switch("SGLANG_RETURN_ORIGINAL_LOGPROB").unwrap_or(false),
            ..Self::new(PathBuf::from(args.model_files()))
        }
    }
}

/// Loads the model of the arguments. Calls `report_phase` with the name and seconds of each phase, for the start-up
/// timeline.
///
/// # Errors
/// [`ModelError`], a one-line text that names the file, tensor or flag.
pub fn load_worker(
    args: &ServerArgs,
    report_phase: &mut dyn FnMut(&str, f64),
) -> Result<Box<dyn ModelWorker>> {
    Ok(Box::new(load_runner(&ModelOptions::from(args), report_phase)?))
}

/// Like [`load_worker`], but takes options and returns the concrete type.
///
/// # Errors
/// Same as [`load_worker`].
pub fn load_runner(options: &ModelOptions, report_phase: &mut dyn FnMut(&str, f64)) -> Result<ModelRunner> {
    let mut started = Instant::now();
    let mut phase = |name: &str| {
        let now = Instant::now();
        report_phase(name, (now - started).as_secs_f64());
        started = now;
    };
    let checkpoint = Checkpoint::open(&options.model_path)?;
    let path = checkpoint.path().to_owned();
    let overrides = serde_json::Value::Object(options.overrides.clone());
    let mut config = ModelConfig::from_checkpoint(&checkpoint, Some(&overrides))?;
    config.read_pooling(&checkpoint, options.is_embedding)?;
    check_architecture(&config, &path)?;
    let recorder = options.expert_recorder.clone().map(|s| ExpertDistributionRecorder::of_model(s, &config));
    let recorder = recorder.transpose()?;
    let source = WeightSource::new(checkpoint, &options.load_format)?;
    check_quantization(&source, options)?;
    let context_length = context_length(&config, options)?;
    phase("read checkpoint");
    let device = resolve_device(&options.device)?;
    let kind = resolve_dtype(&options.dtype, config.torch_dtype.as_deref(), device)?;
    let threads = set_threads(options.threads);
    let (ops, target) = backend(options, device, kind, threads)?;
    let forecast = forecast(options, &config, &source, target, context_length, ops.as_ref());
    match forecast.tokens {
        Some(_) => tracing::info!("{forecast}"),
        None => tracing::warn!("{forecast}"),
    }
    phase("prepare device");
    let loaded = LoadedModel::load(&config, context_length as usize, &path, &source, target)?;
    let LoadSummary { bytes: weight_bytes, seconds, ref converted } = loaded.summary;
    tracing::info!(
        "Loaded {} weights, {:.1} MB in {seconds:.2} s, on {}{converted}",
        config.architecture(),
        weight_bytes as f64 / 1e6,
        device_name(device)
    );
    phase("load weights");
    let lora = adapters(options, &loaded, target, config.vocab_size)?;
    if lora.is_some() {
        phase("load adapters");
    }
    let reserved = lora.as_ref().map_or(0, |lora| lora.reserved_bytes(ops.kind().elt_size_in_bytes()));
    let free = free_bytes(ops.device()).saturating_sub(reserved);
    let kv_pool = kv_pool(options, loaded.model.as_ref(), context_length, weight_bytes, free, ops.as_ref())?;
    let info = ModelWorkerInfo {
        vocab_size: config.vocab_size as u32,
        context_length,
        max_total_num_tokens: kv_pool.slots(),
        max_running_requests: max_running_requests(options),
        is_generation: loaded.model.embedding_head().is_none(),
        prompt_reach: loaded.model.embedding_head().map_or(PromptReach::Causal, |head| head.reach),
        weight_bytes,
        kv_cache_bytes: kv_pool.bytes(),
        available_bytes: free_bytes(ops.device()),
        device: device_name(device),
        dtype: dtype_name(kind).to_owned(),
    };
    tracing::info!("KV cache: {} tokens, {:.1} MB", kv_pool.slots(), kv_pool.bytes() as f64 / 1e6);
    let stager = CheckpointStager {
        config,
        overrides,
        context_length: context_length as usize,
        target,
        weight_bytes,
        hub: Hub::new(options.hub.clone()),
        revision: options.revision.clone(),
    };
    let runner = ModelRunner::new(ops, loaded, kv_pool, info, Arc::new(stager)).with_recorder(recorder);
    let runner = runner.with_lora(lora).with_original_logprobs(options.return_original_logprob);
    phase("allocate KV cache");
    Ok(runner)
}

fn max_running_requests(options: &ModelOptions) -> u32 {
    options.max_running_requests.unwrap_or(DEFAULT_MAX_RUNNING_REQUESTS)
}

/// Weights keep the quantisation of the checkpoint. Returns an error if `--quantization` names another one.
fn check_quantization(source: &WeightSource, options: &ModelOptions) -> Result<()> {
    let found = source.quantization();
    match &options.quantization {
        Some(asked) if Some(asked.as_str()) != found && options.load_format != "dummy" => {
            Err(ModelError::Option {
                flag: "quantization",
                value: asked.clone(),
                why: match found {
                    Some(found) => format!("the checkpoint is quantised by {found}"),
                    None => "the checkpoint is not quantised, and weights are served as they are stored"
                        .to_owned(),
                },
            })
        }
        _ => Ok(()),
    }
}

/// The context length that the model is served with.
fn context_length(config: &ModelConfig, options: &ModelOptions) -> Result<u32> {
    let made_for = u32::try_from(config.usable_positions()).unwrap_or(u32::MAX);
    match options.context_length {
        // Encoders have a position table, so their context cannot be extended.
        Some(asked) if asked > made_for && options.longer_context && !config.has_position_table() => {
            tracing::warn!(
                "--context-length {asked} is more than the {made_for} positions that the model was made for; answers may be \
                 wrong beyond them"
            );
            Ok(asked)
        }
        Some(asked) if asked > made_for => Err(ModelError::Option {
            flag: "context-length",
            value: asked.to_string(),
            why: format!(
                "the model was made for {made_for} positions; expected 1 to {made_for}, or {LONGER_CONTEXT}=1 to risk it"
            ),
        }),
        Some(asked) => Ok(asked),
        None => Ok(made_for),
    }
}

/// The backend, and the form of weights that it needs. On a CPU, the native kernels always compute in float32; a 16-bit
/// `--dtype` then applies to the KV cache and to weights that were float32.
fn backend(
    options: &ModelOptions,
    device: Device,
    kind: Kind,
    threads: usize,
) -> Result<(Box<dyn Ops>, WeightTarget)> {
    match (options.backend, device) {
        (Backend::Auto | Backend::Native, Device::Cpu) => {
            Ok((Box::new(NativeOps::new(threads, kind)?), WeightTarget::Native(kind)))
        }
        (Backend::Native, _) => Err(ModelError::Option {
            flag: "device",
            value: options.device.clone(),
            why: "the native kernels run on a CPU".to_owned(),
        }),
        _ if options.deterministic => Err(ModelError::Option {
            flag: "enable-deterministic-inference",
            value: String::new(),
            why: format!(
                "libtorch's kernels on {} give other bits in other batches; use --device cpu",
                device_name(device)
            ),
        }),
        _ => {
            Ok((Box::new(TorchOps::new(device, kind).with_cuda_kernels()), WeightTarget::Torch(device, kind)))
        }
    }
}

/// The manager of LoRA adapters, with those of the command line; `None` if LoRA is off.
fn adapters(
    options: &ModelOptions,
    loaded: &LoadedModel,
    target: WeightTarget,
    vocab_size: usize,
) -> Result<Option<LoraManager>> {
    let Some(lora) = &options.lora else { return Ok(None) };
    LoraManager::new(lora, loaded.lora_sites.clone(), target, vocab_size).map(Some)
}

/// Estimates the model's memory from its configuration and the headers of its files.
fn forecast(
    options: &ModelOptions,
    config: &ModelConfig,
    source: &WeightSource,
    target: WeightTarget,
    context_length: u32,
    ops: &dyn Ops,
) -> MemoryForecast {
    let number = |key: &str| config.raw.get(key).and_then(serde_json::Value::as_u64).map(|n| n as usize);
    let shape = match (number("kv_lora_rank"), number("qk_rope_head_dim")) {
        (Some(kv_lora_rank), Some(qk_rope_head_dim)) => {
            KvCacheShape::Latent { kv_lora_rank, qk_rope_head_dim }
        }
        _ => KvCacheShape::Heads { kv_heads: config.num_key_value_heads, head_dim: config.head_dim },
    };
    let weight_bytes = source.kept_bytes(target);
    let budget = KvBudget {
        bytes_per_token: MHATokenToKVPool::bytes_per_token(config.num_hidden_layers, shape, ops.kv_kind()),
        free_bytes: free_bytes(ops.device()).saturating_sub(weight_bytes),
        weight_bytes,
        context_length,
        max_running_requests: max_running_requests(options),
    };
    let tokens = budget.tokens(options.max_total_tokens, options.mem_fraction_static, options.page_size);
    MemoryForecast {
        budget,
        tokens: tokens.ok(),
        fraction: options.mem_fraction_static.unwrap_or(DEFAULT_MEM_FRACTION_STATIC),
        is_asked: options.max_total_tokens.is_some(),
    }
}

fn kv_pool(
    options: &ModelOptions,
    model: &dyn CausalLM,
    context_length: u32,
    weight_bytes: u64,
    free_bytes: u64,
    ops: &dyn Ops,
) -> Result<MHATokenToKVPool> {
    let (device, kind) = (ops.device(), ops.kv_kind());
    let (layers, shape) = (model.num_layers(), model.kv_cache_shape());
    let budget = KvBudget {
        bytes_per_token: MHATokenToKVPool::bytes_per_token(layers, shape, kind),
        free_bytes,
        weight_bytes,
        context_length,
        max_running_requests: max_running_requests(options),
    };
    let slots = budget.tokens(options.max_total_tokens, options.mem_fraction_static, options.page_size)?;
    MHATokenToKVPool::new(layers, slots, shape, kind, device)
}
