//! LoRA adapters that come and go while the server runs (reference: `Scheduler.load_lora_adapter`).
//!
//! An adapter is read on a thread of its own; between two steps the model takes it. It is the tokenizer manager that
//! knows names and that lets an adapter go only when no request uses it.

use std::panic::{AssertUnwindSafe, catch_unwind};

use serde_json::{Map, Value};
use sglang_proto::lora::LoRARef;
use sglang_proto::messages::{
    AbortReq, AnyMessage, LoRAUpdateOutput, LoadLoRAAdapterReqInput, UnloadLoRAAdapterReqInput,
};
use sglang_proto::worker::StagedWeights;

use crate::event_loop::EventLoop;
use crate::links::Incoming;
use crate::worker_thread::panic_text;

const LORA_OFF: &str = "LoRA is not enabled. Please set `--enable-lora` to enable LoRA.";

/// What is known of a request's adapter.
#[derive(Debug, PartialEq, Eq)]
pub enum Found {
    /// It can run, or has none.
    Loaded,
    /// Its adapter is being read.
    Reading,
    /// There is no such adapter; the text is for the client.
    Nothing(String),
}

/// The adapters that are loaded or being read.
#[derive(Debug, Default)]
pub struct Adapters {
    loaded: Vec<LoRARef>,
    /// Ids of adapters that are being read.
    reading: Vec<String>,
    /// Requests whose adapter is being read: after a restart they come right behind it.
    held: Vec<AnyMessage>,
}

impl Adapters {
    /// With those of the command line.
    pub fn new(loaded: &[LoRARef]) -> Self {
        Self { loaded: loaded.to_vec(), ..Self::default() }
    }

    /// What is known of the adapter with this id.
    pub fn find(&self, lora_id: Option<&str>) -> Found {
        match lora_id {
            None => Found::Loaded,
            Some(id) if self.loaded.iter().any(|lora| lora.lora_id == id) => Found::Loaded,
            Some(id) if self.reading.iter().any(|reading| reading == id) => Found::Reading,
            Some(id) => Found::Nothing(format!("LoRA ID {id} is not loaded.")),
        }
    }

    /// Keeps a request until its adapter has been read.
    pub fn hold(&mut self, request: AnyMessage) {
        self.held.push(request);
    }

    /// Lets requests go that are to be aborted; gives their ids.
    pub fn abort(&mut self, abort: &AbortReq) -> Vec<String> {
        let aborted = |request: &mut AnyMessage| abort.abort_all || (rid(request) == abort.rid.as_ref());
        self.held.extract_if(.., aborted).filter_map(|request| rid(&request).cloned()).collect()
    }

    /// Paths by name, as answers give them.
    fn paths(&self) -> Map<String, Value> {
        self.loaded.iter().map(|lora| (lora.name().to_owned(), lora.path().into())).collect()
    }
}

fn rid(request: &AnyMessage) -> Option<&String> {
    match request {
        AnyMessage::TokenizedGenerateReqInput(request) => request.rid.as_ref(),
        AnyMessage::TokenizedEmbeddingReqInput(request) => request.rid.as_ref(),
        _ => None,
    }
}

impl EventLoop<'_> {
    /// Starts to read an adapter.
    pub(crate) fn load_adapter(&mut self, request: LoadLoRAAdapterReqInput) {
        let Some(reader) = self.worker.adapter_reader() else {
            return self.adapters_changed(request.rid, Err(LORA_OFF.to_owned()));
        };
        let lora = request.to_ref();
        tracing::info!("LoRA adapter loading starts: {} from {}", lora.name(), lora.path());
        let inject = self.links.inject.clone();
        let rid = request.rid.clone();
        let read = move || {
            let read = AssertUnwindSafe(|| reader.read(&request.to_ref()));
            let result = catch_unwind(read).unwrap_or_else(|cause| Err(panic_text(cause.as_ref())));
            // The loop may have ended meanwhile.
            let _ = inject.send(Incoming::Adapter(Box::new(request), result));
        };
        match std::thread::Builder::new().name("adapter".into()).spawn(read) {
            Ok(_) => self.adapters.reading.push(lora.lora_id),
            Err(error) => self.adapters_changed(rid, Err(error.to_string())),
        }
    }

    /// An adapter has been read, or could not be.
    pub(crate) fn on_adapter(
        &mut self,
        request: LoadLoRAAdapterReqInput,
        read: Result<StagedWeights, String>,
    ) {
        let lora = request.to_ref();
        self.adapters.reading.retain(|id| *id != lora.lora_id);
        let limit = self.settings.watchdog_timeout;
        let taken = read.and_then(|read| {
            let lora = lora.clone();
            let call = self.worker.call(limit, move |worker| worker.load_adapter(lora, read));
            call.unwrap_or_else(|error| Err(error.to_string()))
        });
        if taken.is_ok() {
            self.scheduler.pin_adapter(&lora.lora_id, lora.is_pinned());
            self.adapters.loaded.push(lora);
        }
        self.adapters_changed(request.rid, taken);
        for request in std::mem::take(&mut self.adapters.held) {
            match request {
                AnyMessage::TokenizedGenerateReqInput(request) => self.add(*request),
                AnyMessage::TokenizedEmbeddingReqInput(request) => self.add_embedding(*request),
                _ => {}
            }
        }
    }

    /// Forgets an adapter.
    pub(crate) fn unload_adapter(&mut self, request: &UnloadLoRAAdapterReqInput) {
        let id = request.lora_id.clone().unwrap_or_default();
        let limit = self.settings.watchdog_timeout;
        let lora_id = id.clone();
        let call = self.worker.call(limit, move |worker| worker.unload_adapter(&lora_id));
        let done = call.map_err(|error| error.to_string());
        if done.is_ok() {
            self.adapters.loaded.retain(|lora| lora.lora_id != id);
            self.scheduler.pin_adapter(&id, false);
        }
        self.adapters_changed(request.rid.clone(), done);
    }

    fn adapters_changed(&self, rid: Option<String>, result: Result<(), String>) {
        if let Err(error) = &result {
            tracing::error!("LoRA adapter: {error}");
        }
        self.reply(LoRAUpdateOutput {
            rid,
            http_worker_ipc: None,
            success: result.is_ok(),
            error_message: Some(result.err().unwrap_or_default()),
            loaded_adapters: Some(self.adapters.paths()),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sglang_proto::messages::TokenizedGenerateReqInput;

    #[test]
    fn requests_wait_for_an_adapter_that_is_being_read_and_can_be_aborted() {
        let mut adapters = Adapters::new(&[LoRARef::at_start("a", "/a", false)]);
        let loaded = adapters.loaded[0].lora_id.clone();
        adapters.reading.push("soon".into());
        assert_eq!(adapters.find(None), Found::Loaded);
        assert_eq!(adapters.find(Some(&loaded)), Found::Loaded);
        assert_eq!(adapters.find(Some("soon")), Found::Reading);
        assert!(matches!(adapters.find(Some("gone")), Found::Nothing(why) if why.contains("gone")));
        for rid in ["x", "y", "z"] {
            let request = TokenizedGenerateReqInput { rid: Some(rid.into()), ..Default::default() };
            adapters.hold(request.into());
        }
        assert_eq!(adapters.abort(&AbortReq { rid: Some("y".into()), ..Default::default() }), ["y"]);
        assert_eq!(adapters.abort(&AbortReq { rid: Some("y".into()), ..Default::default() }).len(), 0);
        assert_eq!(adapters.abort(&AbortReq { abort_all: true, ..Default::default() }), ["x", "z"]);
    }
}
