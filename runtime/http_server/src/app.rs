//! The state that all routes share: arguments, facts about the model, and the tokenizer manager.

use std::sync::Arc;

use parking_lot::RwLock;
use sglang_parsers::{DetectedParsers, ToolParserOptions};
use sglang_proto::sampling_params::SamplingRequest;
use sglang_server_args::ServerArgs;
use sglang_tokenizer_manager::lora::{LoraRegistry, LoraSettings};
use sglang_tokenizer_manager::manager::TokenizerManager;
use sglang_tokenizer_manager::metrics::Metrics;
use sglang_tokenizer_manager::model_name::{UnknownModel, adapter_of};

use crate::completion::template::CompletionTemplate;
use crate::environment::EnvSettings;
use crate::parsers::Parsers;
use crate::response_store::ResponseStore;
use crate::served::Served;

/// Facts about the model, from its configuration.
#[derive(Clone, Debug, Default)]
pub struct ModelFacts {
    /// `model_type` of config.json.
    pub model_type: Option<String>,
    /// `architectures` of config.json.
    pub architectures: Vec<String>,
    /// Sampling defaults of generation_config.json, by the reference's names; empty with
    /// `--sampling-defaults openai`.
    pub default_sampling_params: SamplingRequest,
    /// Parsers that the chat template implies.
    pub detected_parsers: DetectedParsers,
}

/// State shared by all routes.
pub struct App {
    /// The command line.
    pub args: ServerArgs,
    /// The environment.
    pub env: EnvSettings,
    /// The model.
    pub model: ModelFacts,
    /// `--completion-template`.
    pub completion_template: Option<CompletionTemplate>,
    /// The parsers for answers.
    pub parsers: Parsers,
    /// The requests, and the links to the other processes.
    pub manager: Arc<TokenizerManager>,
    /// Start time in seconds since 1970.
    pub started_at: f64,
    /// Seconds that the start of this process took.
    pub startup_seconds: f64,
    /// Stored responses of `/v1/responses`.
    pub responses: ResponseStore,
    served: Arc<RwLock<Served>>,
}

impl App {
    /// A server on top of `manager`. In the arguments, `auto` is replaced by the name of the detected parser.
    /// `completion_template` is the value of `--completion-template`.
    pub fn new(
        mut args: ServerArgs,
        env: EnvSettings,
        model: ModelFacts,
        completion_template: Option<CompletionTemplate>,
        manager: Arc<TokenizerManager>,
    ) -> Self {
        let tool_options = ToolParserOptions { forward_unknown_tools: env.forward_unknown_tools };
        let parsers = Parsers::new(&args, &model.detected_parsers, tool_options);
        args.tool_call_parser = parsers.tool_call.map(|p| p.reported_name().to_owned());
        args.reasoning_parser = parsers.reasoning.map(|p| p.name().to_owned());
        if args.enable_metrics {
            match Metrics::new(args.served_model_name()) {
                Ok(metrics) => drop(manager.metrics.set(metrics)),
                Err(error) => tracing::error!("There will be no metrics: {error}"),
            }
        }
        let codec = manager.limits.codec.as_deref();
        if let (Some(parser), Some(codec)) = (&parsers.reasoning, codec) {
            let end = codec.encode(parser.think_end(), false);
            manager.count_reasoning_up_to(end.unwrap_or_default());
        }
        if args.enable_lora {
            let (adapters, max_loaded_loras) = (args.lora_refs(), args.max_loaded_loras);
            manager.serve_adapters(LoraSettings { adapters, max_loaded_loras });
        }
        let at_start = Served::at_start(&args);
        let served = Arc::new(RwLock::new(at_start.clone()));
        let restarted = served.clone();
        manager.on_scheduler_restart(move || *restarted.write() = at_start.clone());
        Self {
            args,
            env,
            model,
            completion_template,
            parsers,
            manager,
            started_at: sglang_tokenizer_manager::state::unix_seconds(),
            startup_seconds: 0.0,
            responses: ResponseStore::default(),
            served,
        }
    }

    /// The current label of the weights.
    pub fn weight_version(&self) -> String {
        self.served.read().weight_version.clone()
    }

    /// Changes the label of the weights.
    pub fn set_weight_version(&self, version: String) {
        self.served.write().weight_version = version;
    }

    /// The checkpoint that is served now.
    pub fn served(&self) -> Served {
        self.served.read().clone()
    }

    /// Name of the model in answers.
    pub fn served_model_name(&self) -> String {
        self.served.read().model_name.clone()
    }

    /// The adapter that a request's `model` names, if any.
    ///
    /// # Errors
    /// If no model or adapter of this name is served.
    pub fn adapter_of(&self, model: &str) -> Result<Option<String>, UnknownModel> {
        let adapters = self.manager.adapters().map(LoraRegistry::known_names);
        adapter_of(model, &self.served_model_name(), adapters.as_deref())
    }

    /// Records that the weights now come from another checkpoint. As in the reference, its path becomes the model's
    /// name.
    pub fn set_served_model(&self, model_path: String, load_format: String) {
        let mut served = self.served.write();
        served.model_name.clone_from(&model_path);
        (served.model_path, served.load_format) = (model_path, load_format);
    }

    /// Context length in tokens.
    pub fn context_len(&self) -> usize {
        self.manager.limits.context_len
    }

    /// The largest number of tokens, prompt and answer, that a request can have: the context length, or the size of the
    /// KV cache if that is smaller.
    pub fn max_model_len(&self) -> usize {
        let pool = self.manager.scheduler_number("max_total_num_tokens");
        let pool = pool.and_then(|tokens| usize::try_from(tokens).ok()).filter(|tokens| *tokens > 0);
        pool.map_or(self.context_len(), |pool| pool.min(self.context_len()))
    }
}
