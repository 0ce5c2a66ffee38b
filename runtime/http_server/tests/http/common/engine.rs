//! A simulated scheduler and detokenizer in one task. By default it answers every request with its own prompt, over
//! real links.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use serde_json::json;
use sglang_ipc::{Endpoints, Identity, PullLink, PushLink, Received};
use sglang_proto::messages::{
    AbortReq, AnyMessage, BatchEmbeddingOutput, BatchStrOutput, CheckWeightsReqOutput, Counts,
    EmbeddingOutput, FinishReason, FlushCacheReqOutput, GenerationOutput, GetInternalStateReqOutput,
    Logprobs, OpenSessionReqOutput, ProfileReqOutput, ReleaseMemoryOccupationReqOutput, ReqTimeStats,
    ResumeMemoryOccupationReqOutput, SetInternalStateReqOutput, SlowDownReqOutput, StrOutput,
    TokenizedEmbeddingReqInput, TokenizedGenerateReqInput, TopLogprobs, UpdateWeightFromDiskReqInput,
    UpdateWeightVersionReqOutput,
};
use sglang_proto::wire::Role;
use sglang_proto::{CaptureHiddenMode, HiddenStateChunk, HiddenStates};
use sglang_tokenizer_manager::text::TextCodec;

use super::byte_codec::ByteCodec;

/// How the engine treats requests.
#[derive(Clone, Debug)]
pub enum Behaviour {
    /// Answers with the prompt, over and over, up to `max_new_tokens` or the end-of-sequence token.
    Echo,
    /// Answers with this text and the end-of-sequence token, up to `max_new_tokens`.
    Script(String),
    /// Keeps them in its queue forever.
    Queue,
    /// Sends a single token and no end.
    OneToken,
    /// Refuses with a message and a status, before anything runs.
    Refuse(String, u16),
}

/// Answers a call; `None` for no answer.
type Answer = Box<dyn Fn(&AnyMessage) -> Option<AnyMessage> + Send>;

/// The engine: the messages that it has received, and its behaviour.
#[derive(Clone)]
pub struct Engine {
    pub behaviour: Arc<Mutex<Behaviour>>,
    pub seen: Arc<Mutex<Vec<AnyMessage>>>,
    /// Whether control calls are answered.
    pub responsive: Arc<Mutex<bool>>,
    /// The function that answers the calls that the engine does not know.
    calls: Arc<Mutex<Answer>>,
    task: Arc<tokio::task::JoinHandle<()>>,
}

impl Engine {
    /// Starts an engine in `dir`; a later one replaces an earlier one, as after a restart.
    pub async fn start(dir: &Path) -> Self {
        static LIVES: AtomicU64 = AtomicU64::new(1);
        let life = LIVES.fetch_add(1, Ordering::Relaxed);
        let endpoints = Endpoints::in_dir(dir);
        let info = json!({"max_total_num_tokens": 32768, "max_req_input_len": 4090});
        let scheduler = Arc::new(Identity::of_life(Role::Scheduler, life, info));
        let detokenizer = Arc::new(Identity::of_life(Role::Detokenizer, life, json!(null)));
        let pull = PullLink::bind(&endpoints.scheduler_input).await.unwrap();
        let behaviour = Arc::new(Mutex::new(Behaviour::Echo));
        let seen = Arc::new(Mutex::new(Vec::new()));
        let responsive = Arc::new(Mutex::new(true));
        let calls: Arc<Mutex<Answer>> = Arc::new(Mutex::new(Box::new(|_| None)));
        let worker = Worker {
            pull,
            scheduler: PushLink::connect(&endpoints.tokenizer, scheduler),
            detokenizer: PushLink::connect(&endpoints.tokenizer, detokenizer),
            behaviour: behaviour.clone(),
            seen: seen.clone(),
            responsive: responsive.clone(),
            calls: calls.clone(),
            waiting: Vec::new(),
        };
        Self { behaviour, seen, responsive, calls, task: Arc::new(tokio::spawn(worker.run())) }
    }

    pub fn set(&self, behaviour: Behaviour) {
        *self.behaviour.lock() = behaviour;
    }

    /// Sets the function that answers the calls that the engine does not know.
    pub fn answer_calls(&self, answer: impl Fn(&AnyMessage) -> Option<AnyMessage> + Send + 'static) {
        *self.calls.lock() = Box::new(answer);
    }

    /// Ends the engine without a farewell message, like a crash.
    pub fn kill(&self) {
        self.task.abort();
    }

    /// Waits for a message that `pick` accepts.
    pub async fn saw<T>(&self, pick: impl Fn(&AnyMessage) -> Option<T>) -> T {
        for _ in 0..500 {
            if let Some(found) = self.seen.lock().iter().find_map(&pick) {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!(
            "the engine did not see the message; it saw {:?}",
            self.seen.lock().iter().map(AnyMessage::class).collect::<Vec<_>>()
        );
    }

    pub async fn saw_request(&self) -> TokenizedGenerateReqInput {
        self.saw(|m| match m {
            AnyMessage::TokenizedGenerateReqInput(r) => Some((**r).clone()),
            _ => None,
        })
        .await
    }

    pub async fn saw_update(&self) -> UpdateWeightFromDiskReqInput {
        self.saw(|m| match m {
            AnyMessage::UpdateWeightFromDiskReqInput(r) => Some((**r).clone()),
            _ => None,
        })
        .await
    }

    pub async fn saw_abort(&self) -> AbortReq {
        self.saw(|m| match m {
            AnyMessage::AbortReq(a) => Some((**a).clone()),
            _ => None,
        })
        .await
    }
}

struct Worker {
    pull: PullLink,
    scheduler: PushLink,
    detokenizer: PushLink,
    behaviour: Arc<Mutex<Behaviour>>,
    seen: Arc<Mutex<Vec<AnyMessage>>>,
    responsive: Arc<Mutex<bool>>,
    calls: Arc<Mutex<Answer>>,
    waiting: Vec<String>,
}

impl Worker {
    async fn run(mut self) {
        while let Some(received) = self.pull.recv().await {
            let Received::Message(message) = received else { continue };
            self.seen.lock().push(message.clone());
            match message {
                AnyMessage::TokenizedGenerateReqInput(request) => self.serve(&request),
                AnyMessage::TokenizedEmbeddingReqInput(request) => self.embed(&request),
                AnyMessage::AbortReq(abort) => self.abort(&abort),
                _ if !*self.responsive.lock() => {}
                AnyMessage::GetInternalStateReq(req) => self.reply(GetInternalStateReqOutput {
                    rid: req.rid,
                    internal_state: json!({"num_running_reqs": 0, "max_running_requests": 16,
                        "loop": {"phase": "idle", "age_s": 1.0, "step": 3}}),
                }),
                AnyMessage::FlushCacheReqInput(req) => self.reply(FlushCacheReqOutput {
                    rid: req.rid,
                    success: self.waiting.is_empty(),
                    message: String::new(),
                }),
                AnyMessage::ProfileReq(req) => self.reply(ProfileReqOutput {
                    rid: req.rid,
                    success: req.num_steps != Some(-1),
                    message: "as the scheduler says".into(),
                }),
                AnyMessage::OpenSessionReqInput(req) => self.reply(OpenSessionReqOutput {
                    rid: req.rid,
                    success: req.session_id.as_deref() != Some("taken"),
                    session_id: req.session_id,
                }),
                AnyMessage::SetInternalStateReq(req) => {
                    self.reply(SetInternalStateReqOutput { rid: req.rid, updated: false })
                }
                AnyMessage::UpdateWeightVersionReqInput(req) => {
                    self.reply(UpdateWeightVersionReqOutput { rid: req.rid });
                }
                AnyMessage::SlowDownReqInput(req) => {
                    self.reply(SlowDownReqOutput { rid: req.rid });
                }
                other => {
                    let answer = (self.calls.lock())(&other).or_else(|| memory_answer(&other));
                    if let Some(answer) = answer {
                        self.reply(answer);
                    }
                }
            }
        }
    }

    fn reply(&self, message: impl Into<AnyMessage>) {
        self.scheduler.send(message).unwrap();
    }

    fn abort(&mut self, abort: &AbortReq) {
        let ended: Vec<String> = match &abort.rid {
            _ if abort.abort_all => std::mem::take(&mut self.waiting),
            Some(rid) => self.waiting.extract_if(.., |w| w == rid).collect(),
            None => Vec::new(),
        };
        for rid in ended {
            self.reply(AbortReq { rid: Some(rid), attempt: abort.attempt, ..Default::default() });
        }
    }

    fn serve(&mut self, request: &TokenizedGenerateReqInput) {
        let rid = request.rid.clone();
        let behaviour = self.behaviour.lock().clone();
        match behaviour {
            Behaviour::Echo => self.echo(request, None),
            Behaviour::Script(text) => {
                let mut ids = ByteCodec::default().encode(&text, false).unwrap();
                ids.push(257);
                self.answer(request, &ids, None);
            }
            Behaviour::OneToken => {
                self.waiting.push(rid);
                self.echo(request, Some(1));
            }
            Behaviour::Queue => self.waiting.push(rid),
            Behaviour::Refuse(message, status) => self.reply(AbortReq {
                rid: Some(rid),
                attempt: request.attempt,
                finished_reason: Some(FinishReason::Abort {
                    message,
                    status_code: Some(status),
                    err_type: None,
                }),
                ..Default::default()
            }),
        }
    }

    /// Answers with a vector of the prompt's ids and their segments, cut to the requested size.
    fn embed(&mut self, request: &TokenizedEmbeddingReqInput) {
        let rid = request.rid.clone();
        if matches!(*self.behaviour.lock(), Behaviour::Queue) {
            return self.waiting.push(rid);
        }
        let ids = &request.input_ids.as_ref().unwrap().0;
        let mut vector: Vec<f32> = ids.iter().map(|id| *id as f32).collect();
        vector.extend(request.token_type_ids.iter().flatten().map(|t| *t as f32 / 2.0));
        vector.truncate(request.dimensions.map_or(usize::MAX, |n| n as usize));
        let row = EmbeddingOutput {
            rid,
            attempt: request.attempt,
            finished_reason: Some(FinishReason::Length { length: 0 }),
            pooled_hidden_state: request.return_pooled_hidden_states.then(|| vec![0.5]),
            embedding: vector,
            counts: Counts { prompt_tokens: ids.len() as u64, ..Default::default() },
            ..Default::default()
        };
        self.reply(BatchEmbeddingOutput { rows: vec![row] });
    }

    /// Sends the prompt back, or only its first tokens and no end.
    fn echo(&self, request: &TokenizedGenerateReqInput, only: Option<usize>) {
        self.answer(request, &request.input_ids.as_ref().unwrap().0, only);
    }

    /// Sends `source` over and over, or only its first tokens and no end.
    fn answer(&self, request: &TokenizedGenerateReqInput, source: &[u32], only: Option<usize>) {
        let params = &request.sampling_params;
        let limit = params.max_new_tokens.map_or(source.len().max(64), |n| n as usize);
        let already = request.resumed_output_ids.as_ref().map_or(0, |ids| ids.len());
        let mut ids: Vec<u32> = source.iter().cycle().take(limit).copied().collect();
        let mut reason = FinishReason::Length { length: limit as u64 };
        if let Some(end) = ids.iter().position(|id| *id == 257).filter(|_| !params.ignore_eos) {
            ids.truncate(end + 1);
            reason = FinishReason::matched_token(257);
        }
        let step = if request.stream { 1 } else { ids.len().max(1) };
        let stop = only.unwrap_or(ids.len());
        let codec = ByteCodec::default();
        let mut sent_text = codec.decode(&ids[..already], true).unwrap();
        let mut at = already;
        loop {
            let end = (at + step).min(ids.len());
            let text = codec.decode(&ids[..end], true).unwrap();
            // An incomplete character is held back.
            let text = text.trim_end_matches('\u{fffd}').to_owned();
            let last = end == ids.len() && only.is_none();
            let piece = text.strip_prefix(&sent_text).unwrap_or_default().to_owned();
            self.detokenizer
                .send(output(request, &ids[at..end], at, end, piece, last.then(|| reason.clone())))
                .unwrap();
            sent_text = text;
            at = end;
            if at >= stop {
                return;
            }
        }
    }
}

/// Answers calls about memory and weights: `kv_cache` can be released and resumed, other parts cannot.
fn memory_answer(request: &AnyMessage) -> Option<AnyMessage> {
    let known = |tags: &Option<Vec<String>>| tags.iter().flatten().all(|tag| tag == "kv_cache");
    let why = |success: bool| if success { String::new() } else { "as the scheduler says".to_owned() };
    match request {
        AnyMessage::ReleaseMemoryOccupationReqInput(req) => {
            let success = known(&req.tags);
            Some(
                ReleaseMemoryOccupationReqOutput {
                    rid: req.rid.clone(),
                    success,
                    message: why(success),
                    released: success,
                }
                .into(),
            )
        }
        AnyMessage::ResumeMemoryOccupationReqInput(req) => {
            let success = known(&req.tags);
            Some(
                ResumeMemoryOccupationReqOutput {
                    rid: req.rid.clone(),
                    success,
                    message: why(success),
                    released: !success,
                }
                .into(),
            )
        }
        AnyMessage::CheckWeightsReqInput(req) => {
            let payload = json!([{"checksums": {"a": "0123456789abcdef"}, "per_gpu_checksum": "00ff",
                "parallelism_info": []}]);
            let success = req.action != "compare";
            Some(
                CheckWeightsReqOutput {
                    rid: req.rid.clone(),
                    success,
                    message: "as the scheduler says".to_owned(),
                    payload: (req.action == "checksum").then_some(payload),
                }
                .into(),
            )
        }
        _ => None,
    }
}

/// The times of a request that waited for a quarter of a second.
fn times() -> ReqTimeStats {
    let now = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs_f64();
    ReqTimeStats {
        scheduler_recv_time: now - 0.5,
        wait_queue_entry_time: now - 0.5,
        forward_entry_time: now - 0.25,
        prefill_finished_time: now,
        queue_duration_s: 0.25,
        chunked_prefill_s: Vec::new(),
    }
}

/// The hidden state of position `p` is `[p + 0.5]`.
fn hidden_states(request: &TokenizedGenerateReqInput, from: usize, to: usize) -> Option<HiddenStates> {
    let prompt = request.input_ids.as_ref().unwrap().len();
    let state = |position: usize| vec![position as f32 + 0.5];
    let chunk = |output: usize| match output {
        0 => HiddenStateChunk::List((0..prompt).map(state).collect()),
        _ => HiddenStateChunk::Vector(state(prompt + output - 1)),
    };
    match request.return_hidden_states {
        CaptureHiddenMode::Null => None,
        CaptureHiddenMode::Last => Some(HiddenStates::Vector(state(prompt + to - 2))),
        CaptureHiddenMode::Full => Some(HiddenStates::List((from..to).map(chunk).collect())),
    }
}

fn output(
    request: &TokenizedGenerateReqInput,
    ids: &[u32],
    from: usize,
    to: usize,
    text: String,
    finished: Option<FinishReason>,
) -> BatchStrOutput {
    let prompt = &request.input_ids.as_ref().unwrap().0;
    let output = GenerationOutput {
        rid: request.rid.clone(),
        attempt: request.attempt,
        finished_reason: finished,
        output_ids: ids.to_vec().into(),
        output_offset: Some(from as u64),
        counts: Counts {
            prompt_tokens: prompt.len() as u64,
            completion_tokens: to as u64,
            ..Default::default()
        },
        time_stats: (from == 0).then(times),
        hidden_states: hidden_states(request, from, to),
        logprobs: request.return_logprob.then(|| Box::new(logprobs(request, ids, from))),
        ..Default::default()
    };
    BatchStrOutput { rows: vec![StrOutput { output, text }] }
}

/// Log-probabilities: chosen tokens have -0.5 in the output and -1.5 in the prompt; the most likely tokens are the ids
/// after the chosen one.
fn logprobs(request: &TokenizedGenerateReqInput, ids: &[u32], from: usize) -> Logprobs {
    let best = |id: u32| -> TopLogprobs {
        let top = request.top_logprobs_num as u32;
        Some((0..top).map(|k| (-0.5 - k as f32, (id + k) % 256)).collect())
    };
    let asked_for = |ids: &Vec<u32>| -> Vec<TopLogprobs> {
        vec![Some(ids.iter().enumerate().map(|(k, id)| (-1.0 - k as f32, *id)).collect())]
    };
    let mut lists = Logprobs {
        output_token: Some(ids.iter().map(|id| (Some(-0.5), *id)).collect()),
        output_top: Some(ids.iter().map(|id| best(*id)).collect()),
        output_token_ids: request.token_ids_logprob.as_ref().map(asked_for),
        ..Default::default()
    };
    if from == 0 && request.logprob_start_len >= 0 {
        let prompt = &request.input_ids.as_ref().unwrap().0;
        let asked = prompt[request.logprob_start_len as usize..].iter().enumerate();
        let token = |(i, id): (usize, &u32)| ((i > 0).then_some(-1.5), *id);
        let top = |(i, id): (usize, &u32)| if i > 0 { best(*id) } else { None };
        lists.input_token = Some(asked.clone().map(token).collect());
        lists.input_top = Some(asked.map(top).collect());
    }
    lists
}
