//! Starts and runs a scheduler process.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use serde_json::{Value, json};
use sglang_checkpoint::{Checkpoint, GenerationConfig, ModelConfig};
use sglang_ipc::Identity;
use sglang_parsers::{DetectedParsers, ReasoningParser};
use sglang_planner::{Planner, PlannerConfig};
use sglang_process::ending;
use sglang_process::failure::Failure;
use sglang_process::ready::ReadyHandle;
use sglang_process::signals::TerminationSignals;
use sglang_proto::wire::Role;
use sglang_proto::worker::{ModelWorker, ModelWorkerInfo};
use sglang_server_args::ServerArgs;
use sglang_tokenizer::{Tokenizer, chat_template};

use crate::environment;
use crate::event_loop::EventLoop;
use crate::grammar::{GrammarBackend, StartBackend};
use crate::links::{Incoming, Links};
use crate::progress::Progress;
use crate::worker_thread::WorkerThread;
use crate::{SchedulerError, SchedulerSettings};

/// Creates the model worker from the arguments. Reports start-up phases and their seconds to the given function.
pub type LoadWorker =
    dyn Fn(&ServerArgs, &mut dyn FnMut(&str, f64)) -> Result<Box<dyn ModelWorker>, Failure> + Sync;

/// Runs the scheduler until an end is requested. Call it first in `main`: it blocks signals before any thread starts.
///
/// # Errors
/// Why it could not start or had to end; the launcher has already been informed.
pub fn run(args: &ServerArgs, load: &LoadWorker) -> Result<(), Failure> {
    let signals = TerminationSignals::block().map_err(SchedulerError::from)?;
    let mut ready = ReadyHandle::from_env("scheduler");
    let prepared = prepare(args, load, &mut ready);
    let parts = match prepared {
        Ok(parts) => parts,
        Err(error) => {
            let failure = Failure::from(error);
            ready.failed(&failure);
            return Err(failure);
        }
    };
    let inject = parts.links.inject.clone();
    ending::watch(signals, move || {
        let _ = inject.send(Incoming::Shutdown);
    })
    .map_err(SchedulerError::from)?;
    ready.ready(parts.info);
    let mut event_loop = EventLoop::new(
        parts.planner,
        parts.worker,
        parts.links,
        SchedulerSettings::from_server_args(args),
        parts.progress,
        parts.tokenizer.as_deref(),
    )
    .with_grammars(parts.grammars);
    event_loop.run()?;
    Ok(())
}

struct Parts {
    planner: Planner,
    worker: WorkerThread,
    links: Links,
    progress: Arc<Progress>,
    tokenizer: Option<Arc<Tokenizer>>,
    grammars: Option<StartBackend>,
    info: Value,
}

/// Seconds of the start-up phases that the reference reports.
struct StartupTimes {
    began: Instant,
    load_weight: f64,
    kv_cache_allocation: f64,
}

impl StartupTimes {
    fn note(&mut self, phase: &str, seconds: f64) {
        match phase {
            "load weights" => self.load_weight += seconds,
            "allocate KV cache" => self.kv_cache_allocation += seconds,
            _ => {}
        }
    }

    fn to_json(&self) -> Value {
        json!({
            "load_weight": self.load_weight,
            "kv_cache_allocation": self.kv_cache_allocation,
            "scheduler_e2e": self.began.elapsed().as_secs_f64(),
        })
    }
}

fn prepare(args: &ServerArgs, load: &LoadWorker, ready: &mut ReadyHandle) -> Result<Parts, SchedulerError> {
    let mut times = StartupTimes { began: Instant::now(), load_weight: 0.0, kv_cache_allocation: 0.0 };
    let ipc_dir = args.ipc_dir.as_deref().ok_or(SchedulerError::NoIpcDir)?;
    let checkpoint = Checkpoint::open(args.model_files())?;
    // The tokenizer is only needed for stop strings; it is loaded in parallel with the weights.
    let (worker, tokenizer) = std::thread::scope(|scope| {
        let tokenizer = scope.spawn(|| load_tokenizer(args, &checkpoint));
        let mut phase = |name: &str, seconds| {
            times.note(name, seconds);
            ready.phase(name, seconds);
        };
        let worker = load(args, &mut phase).map_err(SchedulerError::Model);
        let panicked = || Err(Failure::of_system("the tokenizer panicked").into());
        let tokenizer = tokenizer.join().unwrap_or_else(|_| panicked());
        (worker, tokenizer)
    });
    let (worker, tokenizer) = (worker?, tokenizer?.map(Arc::new));
    let eos = eos_token_ids(args, &checkpoint, tokenizer.as_deref())?;
    let config = PlannerConfig {
        tuning: environment::tuning(),
        ..PlannerConfig::from_server_args(args, worker.info(), eos)?
    };
    let vocab_size = worker.info().vocab_size;
    check_vocabulary(args, tokenizer.as_deref(), vocab_size)?;
    let think_end = think_end_ids(args, &checkpoint, tokenizer.as_deref())?;
    let eos = &config.eos_token_ids;
    let grammars = GrammarBackend::of_server(args, tokenizer.as_ref(), vocab_size, eos, think_end);
    let info = ready_info(&config, worker.info(), &times);
    let planner = Planner::new(config)?;
    let progress = Arc::new(Progress::default());
    let identity = Identity::begin(Role::Scheduler, Path::new(ipc_dir), info.clone())?;
    let links = Links::open(Path::new(ipc_dir), identity, progress.clone())?;
    let worker = WorkerThread::spawn(worker)?;
    Ok(Parts { planner, worker, links, progress, tokenizer, grammars, info })
}

fn load_tokenizer(args: &ServerArgs, model: &Checkpoint) -> Result<Option<Tokenizer>, SchedulerError> {
    if args.skip_tokenizer_init {
        return Ok(None);
    }
    let tokenizer = match args.own_tokenizer_files() {
        Some(path) => Tokenizer::from_checkpoint(&Checkpoint::open(path)?),
        None => Tokenizer::from_checkpoint(model),
    };
    tokenizer.map(Some).map_err(tokenizer_error)
}

/// Returns an error if the tokenizer belongs to another model. Added tokens may lie beyond the embedding (such as Gemma
/// 3's image token in its text models); requests with such ids are refused when they arrive.
fn check_vocabulary(
    args: &ServerArgs,
    tokenizer: Option<&Tokenizer>,
    vocab_size: u32,
) -> Result<(), SchedulerError> {
    let tokens = tokenizer.map_or(0, Tokenizer::vocab_size);
    if tokens <= vocab_size as usize {
        return Ok(());
    }
    Err(SchedulerError::Tokenizer(format!(
        "{}: the tokenizer does not fit the model {}: expected at most {vocab_size} tokens, the rows of its embedding, found \
         {tokens}",
        args.tokenizer_files(),
        args.model_files()
    )))
}

/// Ids that end every request: those of the configuration, the generation configuration and the tokenizer.
fn eos_token_ids(
    args: &ServerArgs,
    checkpoint: &Checkpoint,
    tokenizer: Option<&Tokenizer>,
) -> Result<Vec<u32>, SchedulerError> {
    let overrides = Value::Object(args.json_model_override_args.clone());
    let config = ModelConfig::from_checkpoint(checkpoint, Some(&overrides))?;
    let mut ids = config.eos_token_ids;
    ids.extend(GenerationConfig::from_checkpoint(checkpoint)?.into_iter().flat_map(|c| c.eos_token_ids));
    if let Some(tokenizer) = tokenizer {
        // Files of the tokenizer may name tokens beyond the model's embedding.
        let own = tokenizer.eos_token_id().into_iter().chain(tokenizer.additional_stop_ids().iter().copied());
        ids.extend(own.filter(|id| (*id as usize) < config.vocab_size));
    }
    ids.sort_unstable();
    ids.dedup();
    Ok(ids)
}

/// The ids that end the model's reasoning, according to `--reasoning-parser`; empty without one.
fn think_end_ids(
    args: &ServerArgs,
    model: &Checkpoint,
    tokenizer: Option<&Tokenizer>,
) -> Result<Vec<u32>, SchedulerError> {
    let (Some(name), Some(tokenizer)) = (args.reasoning_parser.as_deref(), tokenizer) else {
        return Ok(Vec::new());
    };
    let detected = if name == "auto" {
        let own = args.own_tokenizer_files().map(Checkpoint::open).transpose()?;
        let file = args.chat_template.as_deref().map(Path::new);
        let template = args.hf_chat_template_name.as_deref();
        let source = chat_template::load_source(file, template, own.as_ref().unwrap_or(model))
            .map_err(tokenizer_error)?;
        chat_template::detect_parsers(source.as_ref(), tokenizer).map_err(tokenizer_error)?
    } else {
        DetectedParsers::default()
    };
    let parser = detected.reasoning_name(name).and_then(ReasoningParser::by_name);
    let Some(parser) = parser else { return Ok(Vec::new()) };
    tokenizer.encode(parser.think_end(), false).map_err(tokenizer_error)
}

fn tokenizer_error(error: impl std::fmt::Display) -> SchedulerError {
    SchedulerError::Tokenizer(error.to_string())
}

/// What this scheduler reports to the launcher and its peers when it is ready.
fn ready_info(config: &PlannerConfig, worker: &ModelWorkerInfo, times: &StartupTimes) -> Value {
    json!({
        "max_total_num_tokens": config.max_total_num_tokens,
        "max_req_input_len": config.max_req_input_len(),
        "max_running_requests": config.max_running_requests,
        "context_length": config.context_length,
        "vocab_size": config.vocab_size,
        "is_generation": config.is_generation,
        "page_size": config.page_size,
        "chunked_prefill_size": config.chunked_prefill_size,
        "eos_token_ids": config.eos_token_ids,
        "device": worker.device,
        "weight_bytes": worker.weight_bytes,
        "kv_cache_bytes": worker.kv_cache_bytes,
        "available_bytes": worker.available_bytes,
        "dtype": worker.dtype,
        "startup_time": times.to_json(),
    })
}
