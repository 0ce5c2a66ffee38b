//! Loads and unloads LoRA adapters while the server runs (reference: `Scheduler.load_lora_adapter`).
//!
//! A separate thread reads an adapter; the model takes it between two steps. The tokenizer manager knows the names of
//! adapters, and unloads one only when no request uses it.

use serde_json::{Map, Value};
use sglang_planner::Planner;
use sglang_proto::lora::{LORA_OFF, LoRARef};
use sglang_proto::messages::{
    AbortReq, CallId, LoRAUpdateOutput, LoadLoRAAdapterReqInput, TokenizedEmbeddingReqInput,
    TokenizedGenerateReqInput, UnloadLoRAAdapterReqInput,
};
use sglang_proto::worker::StagedWeights;

use crate::background::Reporter;
use crate::worker_thread::WorkerThread;

/// Inputs of [`Adapters`].
#[derive(Debug)]
pub enum AdaptersInput {
    /// Load an adapter.
    Load(LoadLoRAAdapterReqInput),
    /// A thread has finished reading an adapter.
    Read(AdapterRead),
    /// Unload an adapter.
    Unload(UnloadLoRAAdapterReqInput),
}

/// The adapter that a thread has read, or an error, with the original request.
#[derive(Debug)]
pub struct AdapterRead {
    request: LoadLoRAAdapterReqInput,
    read: Result<StagedWeights, String>,
}

/// The other parts of the scheduler that [`Adapters`] uses.
pub struct Access<'a> {
    /// Reserves places in batches for pinned adapters.
    pub planner: &'a mut Planner,
    /// Has the model that uses the adapters.
    pub worker: &'a WorkerThread,
}

/// A request whose adapter is being read.
#[derive(Debug)]
pub enum HeldRequest {
    /// A generation request.
    Generate(Box<TokenizedGenerateReqInput>),
    /// An embedding request.
    Embed(Box<TokenizedEmbeddingReqInput>),
}

impl HeldRequest {
    fn rid(&self) -> &str {
        match self {
            Self::Generate(request) => &request.rid,
            Self::Embed(request) => &request.rid,
        }
    }
}

/// Result of an input.
#[derive(Debug, Default)]
pub struct Handled {
    /// The answer, if it is ready.
    pub answer: Option<LoRAUpdateOutput>,
    /// Requests that waited for the adapter and can now continue, in order of arrival.
    pub released: Vec<HeldRequest>,
}

/// Status of a request's adapter.
#[derive(Debug, PartialEq, Eq)]
pub enum Found {
    /// The adapter is loaded, or the request has none.
    Loaded,
    /// The adapter is being read.
    Reading,
    /// There is no such adapter. The text is for the client.
    Nothing(String),
}

/// Manages the adapters that are loaded or being read.
///
/// No state must survive a restart: a new process loads the adapters of the command line, and the tokenizer manager
/// sends later changes again before it sends requests.
pub struct Adapters {
    loaded: Vec<LoRARef>,
    /// Ids of adapters that are being read.
    reading: Vec<String>,
    /// Requests whose adapter is being read. After a restart, they arrive directly after the call that loads it.
    held: Vec<HeldRequest>,
    reader: Reporter<AdapterRead>,
}

impl Adapters {
    /// Starts with the adapters of the command line. `reader` receives what threads have read, and passes it to
    /// [`Adapters::handle`].
    pub fn new(loaded: &[LoRARef], reader: Reporter<AdapterRead>) -> Self {
        Self { loaded: loaded.to_vec(), reading: Vec::new(), held: Vec::new(), reader }
    }

    /// Handles one input.
    pub fn handle(&mut self, input: AdaptersInput, on: &mut Access<'_>) -> Handled {
        match input {
            AdaptersInput::Load(request) => Handled { answer: self.load(request, on), released: Vec::new() },
            AdaptersInput::Read(read) => {
                let answer = Some(self.take(read, on));
                Handled { answer, released: std::mem::take(&mut self.held) }
            }
            AdaptersInput::Unload(request) => {
                Handled { answer: Some(self.unload(request, on)), released: Vec::new() }
            }
        }
    }

    /// Status of the adapter with this id.
    pub fn find(&self, lora_id: Option<&str>) -> Found {
        match lora_id {
            None => Found::Loaded,
            Some(id) if self.loaded.iter().any(|lora| lora.lora_id == id) => Found::Loaded,
            Some(id) if self.reading.iter().any(|reading| reading == id) => Found::Reading,
            Some(id) => Found::Nothing(format!("LoRA ID {id} is not loaded.")),
        }
    }

    /// Keeps a request until its adapter has been read.
    pub fn hold(&mut self, request: HeldRequest) {
        self.held.push(request);
    }

    /// Removes held requests that `abort` matches and returns their ids.
    pub fn abort(&mut self, abort: &AbortReq) -> Vec<String> {
        let aborted =
            |request: &mut HeldRequest| abort.abort_all || Some(request.rid()) == abort.rid.as_deref();
        self.held.extract_if(.., aborted).map(|request| request.rid().to_owned()).collect()
    }

    /// Starts reading an adapter. Returns an answer only if that fails.
    fn load(&mut self, request: LoadLoRAAdapterReqInput, on: &Access<'_>) -> Option<LoRAUpdateOutput> {
        let Some(reader) = on.worker.adapter_reader() else {
            return Some(self.answer(request.rid, Err(LORA_OFF.to_owned())));
        };
        let lora = request.to_ref();
        tracing::info!("LoRA adapter loading starts: {} from {}", lora.name(), lora.path());
        let (id, rid) = (lora.lora_id.clone(), request.rid.clone());
        let report = |read: Result<_, String>| AdapterRead { request, read: read.flatten() };
        match self.reader.spawn("adapter", move || reader.read(&lora), report) {
            Ok(()) => {
                self.reading.push(id);
                None
            }
            Err(error) => Some(self.answer(rid, Err(error.to_string()))),
        }
    }

    /// Passes an adapter that has been read to the model, or reports that reading failed.
    fn take(&mut self, done: AdapterRead, on: &mut Access<'_>) -> LoRAUpdateOutput {
        let AdapterRead { request, read } = done;
        let lora = request.to_ref();
        self.reading.retain(|id| *id != lora.lora_id);
        let taken = read.and_then(|read| {
            let lora = lora.clone();
            let call = on.worker.call(move |worker| worker.load_adapter(lora, read));
            call.unwrap_or_else(|error| Err(error.to_string()))
        });
        if taken.is_ok() {
            on.planner.pin_adapter(&lora.lora_id, lora.is_pinned());
            self.loaded.push(lora);
        }
        self.answer(request.rid, taken)
    }

    /// Unloads an adapter.
    fn unload(&mut self, request: UnloadLoRAAdapterReqInput, on: &mut Access<'_>) -> LoRAUpdateOutput {
        let id = request.lora_id.unwrap_or_default();
        let lora_id = id.clone();
        let call = on.worker.call(move |worker| worker.unload_adapter(&lora_id));
        let done = call.map_err(|error| error.to_string());
        if done.is_ok() {
            self.loaded.retain(|lora| lora.lora_id != id);
            on.planner.pin_adapter(&id, false);
        }
        self.answer(request.rid, done)
    }

    fn answer(&self, rid: CallId, result: Result<(), String>) -> LoRAUpdateOutput {
        if let Err(error) = &result {
            tracing::error!("LoRA adapter: {error}");
        }
        LoRAUpdateOutput {
            rid,
            success: result.is_ok(),
            error_message: Some(result.err().unwrap_or_default()),
            loaded_adapters: Some(self.paths()),
        }
    }

    /// Paths of all adapters by name, as in answers.
    fn paths(&self) -> Map<String, Value> {
        self.loaded.iter().map(|lora| (lora.name().to_owned(), lora.path().into())).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_wait_for_an_adapter_that_is_being_read_and_can_be_aborted() {
        let mut adapters = Adapters::new(&[LoRARef::at_start("a", "/a", false)], Reporter::new(drop));
        let loaded = adapters.loaded[0].lora_id.clone();
        adapters.reading.push("soon".into());
        assert_eq!(adapters.find(None), Found::Loaded);
        assert_eq!(adapters.find(Some(&loaded)), Found::Loaded);
        assert_eq!(adapters.find(Some("soon")), Found::Reading);
        assert!(matches!(adapters.find(Some("gone")), Found::Nothing(why) if why.contains("gone")));
        for rid in ["x", "y", "z"] {
            let request = TokenizedGenerateReqInput { rid: rid.into(), ..Default::default() };
            adapters.hold(HeldRequest::Generate(Box::new(request)));
        }
        assert_eq!(adapters.abort(&AbortReq { rid: Some("y".into()), ..Default::default() }), ["y"]);
        assert_eq!(adapters.abort(&AbortReq { rid: Some("y".into()), ..Default::default() }).len(), 0);
        assert_eq!(adapters.abort(&AbortReq { abort_all: true, ..Default::default() }), ["x", "z"]);
    }
}
