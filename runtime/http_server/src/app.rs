//! What every route sees: arguments, facts about the model, and the tokenizer manager.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::RwLock;
use serde_json::{Map, Value};

use sglang_parsers::{DetectedParsers, ToolParserOptions};
use sglang_process::env;
use sglang_server_args::ServerArgs;

use crate::http::client::TrustedProxies;
use crate::http::moved_routes::MovedRoutes;
use crate::lora::{LoraRegistry, LoraSettings};
use crate::manager::TokenizerManager;
use crate::metrics::Metrics;
use crate::model_name::{UnknownModel, adapter_of};
use crate::openai::completion_template::CompletionTemplate;
use crate::parsers::Parsers;
use crate::responses::store::ResponseStore;
use crate::served::Served;

/// Facts about the model that its configuration states.
#[derive(Clone, Debug, Default)]
pub struct ModelFacts {
    /// `model_type` of config.json.
    pub model_type: Option<String>,
    /// `architectures` of config.json.
    pub architectures: Vec<String>,
    /// Sampling defaults of generation_config.json, by the reference's names; empty with
    /// `--sampling-defaults openai`.
    pub default_sampling_params: Map<String, Value>,
    /// Parsers that the chat template points to.
    pub detected_parsers: DetectedParsers,
}

/// How slow a client may be.
#[derive(Clone, Copy, Debug)]
pub struct ClientLimits {
    /// Time for the head of a request, from its first byte to its last.
    pub head: Duration,
    /// Longest wait for the next piece of a body.
    pub piece: Duration,
    /// Time that a body has before its rate counts.
    pub body: Duration,
    /// Bytes of a body per second, on the average.
    pub body_rate: f64,
    /// How long an answer may lie unread before the connection is closed.
    pub unread: Duration,
}

impl Default for ClientLimits {
    fn default() -> Self {
        Self {
            head: Duration::from_secs(30),
            piece: Duration::from_secs(30),
            body: Duration::from_secs(60),
            body_rate: 8192.0,
            unread: Duration::from_secs(300),
        }
    }
}

impl ClientLimits {
    /// How long the next piece of a body may take, `elapsed` after its start and with `received` bytes of it.
    pub fn wait_for_piece(&self, elapsed: Duration, received: usize) -> Duration {
        let whole = self.body.as_secs_f64() + received as f64 / self.body_rate;
        let left = Duration::try_from_secs_f64(whole).unwrap_or(Duration::MAX).saturating_sub(elapsed);
        left.min(self.piece)
    }
}

/// Values of environment variables, and limits that only tests change.
#[derive(Clone, Debug)]
pub struct EnvSettings {
    /// `SGLANG_HEALTH_CHECK_TIMEOUT`, seconds.
    pub health_check_timeout: Duration,
    /// `SGLANG_ENABLE_HEALTH_ENDPOINT_GENERATION`.
    pub health_endpoint_generation: bool,
    /// `SGLANG_TIMEOUT_KEEP_ALIVE`, seconds.
    pub keep_alive: Duration,
    /// How slow clients may be.
    pub clients: ClientLimits,
    /// Where routes stand that can be moved.
    pub moved_routes: MovedRoutes,
    /// `SGLANG_FORWARD_UNKNOWN_TOOLS`: give calls of functions that a request does not have to the client.
    pub forward_unknown_tools: bool,
    /// `DISABLE_OPENAPI_DOC`, the other way round: whether there are `/openapi.json` and `/docs`.
    pub openapi_doc: bool,
    /// `SGLANG_ENABLE_REQUEST_HEADER_OVERRIDES`: `x-override-…` headers set fields of requests.
    pub request_header_overrides: bool,
    /// `SGLANG_RERANK_RESULTS`: `/v1/rerank` answers in the form of Cohere and Jina whatever the body is.
    pub rerank_results: bool,
    /// `SGLANG_ENABLE_REQUEST_DECOMPRESSION`: bodies may be compressed (`x-body-compressed`).
    pub request_decompression: bool,
    /// `FORWARDED_ALLOW_IPS`: proxies that say who calls.
    pub trusted_proxies: TrustedProxies,
}

impl Default for EnvSettings {
    fn default() -> Self {
        Self {
            health_check_timeout: Duration::from_secs(20),
            health_endpoint_generation: true,
            keep_alive: Duration::from_secs(5),
            clients: ClientLimits::default(),
            moved_routes: MovedRoutes::default(),
            forward_unknown_tools: false,
            openapi_doc: true,
            request_header_overrides: false,
            rerank_results: false,
            request_decompression: false,
            trusted_proxies: TrustedProxies::default(),
        }
    }
}

impl EnvSettings {
    /// Reads the environment.
    pub fn from_env() -> Self {
        let default = Self::default();
        Self {
            health_check_timeout: env::seconds("SGLANG_HEALTH_CHECK_TIMEOUT")
                .unwrap_or(default.health_check_timeout),
            health_endpoint_generation: env::switch("SGLANG_ENABLE_HEALTH_ENDPOINT_GENERATION")
                .unwrap_or(default.health_endpoint_generation),
            keep_alive: env::seconds("SGLANG_TIMEOUT_KEEP_ALIVE").unwrap_or(default.keep_alive),
            clients: default.clients,
            moved_routes: MovedRoutes::new(|name| std::env::var(name).ok()),
            forward_unknown_tools: env::switch("SGLANG_FORWARD_UNKNOWN_TOOLS")
                .unwrap_or(default.forward_unknown_tools),
            openapi_doc: !env::switch("DISABLE_OPENAPI_DOC").unwrap_or(!default.openapi_doc),
            request_header_overrides: env::switch("SGLANG_ENABLE_REQUEST_HEADER_OVERRIDES")
                .unwrap_or(default.request_header_overrides),
            rerank_results: env::switch("SGLANG_RERANK_RESULTS").unwrap_or(default.rerank_results),
            request_decompression: env::switch("SGLANG_ENABLE_REQUEST_DECOMPRESSION")
                .unwrap_or(default.request_decompression),
            trusted_proxies: TrustedProxies::from_env(),
        }
    }
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
    /// What takes answers apart.
    pub parsers: Parsers,
    /// Requests and links.
    pub manager: Arc<TokenizerManager>,
    /// Seconds since 1970 at start.
    pub started_at: f64,
    /// Seconds that this process took to start.
    pub startup_seconds: f64,
    /// Kept responses of `/v1/responses`.
    pub responses: ResponseStore,
    served: Arc<RwLock<Served>>,
}

impl App {
    /// A server over `manager`. `auto` in the arguments becomes the name of the parser that was found.
    pub fn new(
        mut args: ServerArgs,
        env: EnvSettings,
        model: ModelFacts,
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
        // Start-up has refused one that cannot be read.
        let completion_template =
            args.completion_template.as_deref().and_then(|name| CompletionTemplate::load(name).ok());
        Self {
            args,
            env,
            model,
            completion_template,
            parsers,
            manager,
            started_at: crate::state::unix_seconds(),
            startup_seconds: 0.0,
            responses: ResponseStore::default(),
            served,
        }
    }

    /// Label of the weights.
    pub fn weight_version(&self) -> String {
        self.served.read().weight_version.clone()
    }

    /// Changes the label.
    pub fn set_weight_version(&self, version: String) {
        self.served.write().weight_version = version;
    }

    /// What is served at the moment.
    pub fn served(&self) -> Served {
        self.served.read().clone()
    }

    /// Name of the model in answers.
    pub fn served_model_name(&self) -> String {
        self.served.read().model_name.clone()
    }

    /// The adapter that a request's `model` means, if it means one.
    ///
    /// # Errors
    /// The name is none of those that are served.
    pub fn adapter_of(&self, model: &str) -> Result<Option<String>, UnknownModel> {
        let adapters = self.manager.adapters().map(LoraRegistry::known_names);
        adapter_of(model, &self.served_model_name(), adapters.as_deref())
    }

    /// The weights come from another checkpoint now, which is the model's name from now on (as in the reference).
    pub fn set_served_model(&self, model_path: String, load_format: String) {
        let mut served = self.served.write();
        served.model_name.clone_from(&model_path);
        (served.model_path, served.load_format) = (model_path, load_format);
    }

    /// Context length in tokens.
    pub fn context_len(&self) -> usize {
        self.manager.limits.context_len
    }

    /// Tokens of a request, prompt and answer, that really fit: the context, or the whole KV cache where that is smaller.
    pub fn max_model_len(&self) -> usize {
        let pool = self.manager.scheduler_number("max_total_num_tokens");
        let pool = pool.and_then(|tokens| usize::try_from(tokens).ok()).filter(|tokens| *tokens > 0);
        pool.map_or(self.context_len(), |pool| pool.min(self.context_len()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_that_keeps_its_rate_may_take_as_long_as_it_needs() {
        let limits = ClientLimits::default();
        let second = Duration::from_secs;
        assert_eq!(limits.wait_for_piece(second(0), 0), second(30));
        assert_eq!(limits.wait_for_piece(second(50), 0), second(10));
        assert_eq!(limits.wait_for_piece(second(70), 60), Duration::ZERO);
        assert_eq!(limits.wait_for_piece(second(1000), 8192 * 1000), second(30));
        assert_eq!(limits.wait_for_piece(second(1000), 8192 * 945), second(5));
    }
}
