//! What every route sees: arguments, facts about the model, and the tokenizer manager.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::RwLock;
use serde_json::{Map, Value};

use sglang_proto::server_args::ServerArgs;

use crate::manager::TokenizerManager;

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
}

/// Values of environment variables.
#[derive(Clone, Debug)]
pub struct EnvSettings {
    /// `SGLANG_HEALTH_CHECK_TIMEOUT`, seconds.
    pub health_check_timeout: Duration,
    /// `SGLANG_ENABLE_HEALTH_ENDPOINT_GENERATION`.
    pub health_endpoint_generation: bool,
    /// `SGLANG_TIMEOUT_KEEP_ALIVE`, seconds.
    pub keep_alive: Duration,
}

impl Default for EnvSettings {
    fn default() -> Self {
        Self {
            health_check_timeout: Duration::from_secs(20),
            health_endpoint_generation: true,
            keep_alive: Duration::from_secs(5),
        }
    }
}

impl EnvSettings {
    /// Reads the environment; a value that is no number or truth value counts as not set.
    pub fn from_env() -> Self {
        let default = Self::default();
        let seconds = |name: &str, default: Duration| {
            let value = std::env::var(name).ok()?.parse::<f64>().ok()?;
            Duration::try_from_secs_f64(value).ok().or(Some(default))
        };
        let switch = |name: &str| match std::env::var(name).ok()?.to_ascii_lowercase().as_str() {
            "1" | "true" | "yes" | "on" => Some(true),
            "0" | "false" | "no" | "off" => Some(false),
            _ => None,
        };
        Self {
            health_check_timeout: seconds("SGLANG_HEALTH_CHECK_TIMEOUT", default.health_check_timeout)
                .unwrap_or(default.health_check_timeout),
            health_endpoint_generation: switch("SGLANG_ENABLE_HEALTH_ENDPOINT_GENERATION")
                .unwrap_or(default.health_endpoint_generation),
            keep_alive: seconds("SGLANG_TIMEOUT_KEEP_ALIVE", default.keep_alive)
                .unwrap_or(default.keep_alive),
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
    /// Requests and links.
    pub manager: Arc<TokenizerManager>,
    /// Seconds since 1970 at start.
    pub started_at: f64,
    weight_version: RwLock<String>,
}

impl App {
    /// A server over `manager`.
    pub fn new(
        args: ServerArgs,
        env: EnvSettings,
        model: ModelFacts,
        manager: Arc<TokenizerManager>,
    ) -> Self {
        let weight_version = RwLock::new(args.weight_version.clone());
        Self { args, env, model, manager, started_at: crate::state::unix_seconds(), weight_version }
    }

    /// Label of the weights.
    pub fn weight_version(&self) -> String {
        self.weight_version.read().clone()
    }

    /// Changes the label.
    pub fn set_weight_version(&self, version: String) {
        *self.weight_version.write() = version;
    }

    /// Context length in tokens.
    pub fn context_len(&self) -> usize {
        self.manager.limits.context_len
    }
}
