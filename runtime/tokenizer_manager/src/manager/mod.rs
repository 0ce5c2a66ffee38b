//! The tokenizer manager: accepts requests from the HTTP routes and exchanges messages with the other processes.

mod control;
mod embed;
mod generate;
mod lora;
mod memory;
mod receive;
mod score;
mod status;
mod weights;

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use parking_lot::{Mutex, RwLock};
use sglang_ipc::PushLink;
use sglang_proto::messages::{ContinueGenerationReqInput, PauseGenerationReqInput};
use sglang_proto::wire::Role;

pub use control::{Control, ControlError};
pub use generate::{GenerateError, Generation, ShowOptions, check_finish};
pub use memory::Done;
pub use score::ScoreResult;
pub use status::Status;

use crate::lora::LoraRegistry;
use crate::metrics::Metrics;
use crate::request_log::RequestLog;
use crate::requests::tokenize::RequestLimits;
use crate::state::Registry;

/// How often a pause checks whether the aborted requests have ended.
const PAUSE_POLL: Duration = Duration::from_millis(20);

/// State of requests and links, shared by all routes.
pub struct TokenizerManager {
    /// Rules for requests.
    pub limits: RequestLimits,
    /// Health and start-up state.
    pub status: Status,
    /// Requests in flight.
    pub registry: Arc<Registry>,
    /// What the scheduler reported at start (KV pool size, …).
    pub scheduler_info: RwLock<serde_json::Value>,
    /// `--log-requests`, as last changed by `/configure_logging`.
    pub request_log: RwLock<RequestLog>,
    /// The metrics, with `--enable-metrics`.
    pub metrics: OnceLock<Metrics>,
    scheduler: PushLink,
    /// The life and epoch of each peer.
    peers: Mutex<BTreeMap<Role, (u64, u64)>>,
    /// The mode in which the scheduler was told to pause; `None` unless it is paused.
    pause_mode: Mutex<Option<String>>,
    control: Control,
    disable_radix_cache: bool,
    think_end: OnceLock<Vec<u32>>,
    lora: OnceLock<LoraRegistry>,
    weight_updates: tokio::sync::Mutex<()>,
    on_restart: OnceLock<Box<dyn Fn() + Send + Sync>>,
}

impl TokenizerManager {
    /// A manager that sends requests to `scheduler`. Run [`TokenizerManager::handle_loop`] next to it.
    pub fn new(
        limits: RequestLimits,
        status: Status,
        scheduler: PushLink,
        request_log: RequestLog,
        disable_radix_cache: bool,
    ) -> Arc<Self> {
        Arc::new(Self {
            limits,
            status,
            registry: Registry::new(scheduler.clone()),
            scheduler_info: RwLock::new(serde_json::Value::Null),
            request_log: RwLock::new(request_log),
            metrics: OnceLock::new(),
            scheduler,
            peers: Mutex::default(),
            pause_mode: Mutex::default(),
            control: Control::default(),
            disable_radix_cache,
            think_end: OnceLock::new(),
            lora: OnceLock::new(),
            weight_updates: tokio::sync::Mutex::new(()),
            on_restart: OnceLock::new(),
        })
    }

    /// Starts to count the reasoning tokens of requests that start with reasoning: those up to the first `think_end`,
    /// inclusive. Only the first call has an effect, and an empty list does nothing.
    pub fn count_reasoning_up_to(&self, think_end: Vec<u32>) {
        if !think_end.is_empty() {
            self.think_end.get_or_init(|| think_end);
        }
    }

    /// Sets the function to call whenever a new scheduler process has replaced an old one. Only the first call has an
    /// effect.
    pub fn on_scheduler_restart(&self, act: impl Fn() + Send + Sync + 'static) {
        self.on_restart.get_or_init(|| Box::new(act));
    }

    /// A number that the scheduler reported in its hello.
    pub fn scheduler_number(&self, name: &str) -> Option<u64> {
        self.scheduler_info.read().get(name).and_then(serde_json::Value::as_u64)
    }

    /// Stops admitting requests. Mode `abort` aborts the running requests and returns when they have ended; `retract`
    /// and `in_place` leave them to the scheduler.
    pub async fn pause_generation(&self, mode: &str) -> Result<(), ControlError> {
        self.status.set_paused(true);
        if mode != "abort" {
            *self.pause_mode.lock() = Some(mode.to_owned());
            return self.tell(PauseGenerationReqInput { mode: mode.into() });
        }
        while self.registry.live() > 0 {
            self.registry.abort_all();
            tokio::time::sleep(PAUSE_POLL).await;
        }
        Ok(())
    }

    /// Makes a new scheduler process pause like its predecessor, so that it does not run the requests that are sent to
    /// it.
    fn restore_pause(&self) {
        let Some(mode) = self.pause_mode.lock().clone() else { return };
        if let Err(error) = self.tell(PauseGenerationReqInput { mode }) {
            tracing::error!("Cannot pause the new scheduler: {error}");
        }
    }

    /// Ends a pause.
    pub fn continue_generation(&self, torch_empty_cache: bool) -> Result<(), ControlError> {
        self.status.set_paused(false);
        *self.pause_mode.lock() = None;
        self.tell(ContinueGenerationReqInput { torch_empty_cache })
    }

    fn tell(&self, message: impl Into<sglang_proto::messages::AnyMessage>) -> Result<(), ControlError> {
        self.scheduler.send(message).map_err(|e| ControlError::Unreachable(e.to_string()))
    }
}
