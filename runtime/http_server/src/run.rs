//! Runs a tokenizer manager process, from its start to its end.

use std::net::TcpListener;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix_web::web;
use anyhow::Context;
use serde_json::{Value, json};
use sglang_checkpoint::{Checkpoint, GenerationConfig, ModelConfig};
use sglang_ipc::{Endpoints, Identity, PullLink, PushLink};
use sglang_process::control::{self, ControlEvent};
use sglang_process::failure::Failure;
use sglang_process::heartbeat::{Heartbeat, PERIOD};
use sglang_process::listen::{self, ListenError};
use sglang_process::peer::{Peer, PeerNews};
use sglang_process::ready::ReadyHandle;
use sglang_process::signals::{Termination, TerminationSignals};
use sglang_proto::sampling_params::{Given, SamplingRequest};
use sglang_proto::wire::Role;
use sglang_server_args::ServerArgs;
use sglang_tokenizer_manager::ModelCodec;
use sglang_tokenizer_manager::manager::{Status, TokenizerManager};
use sglang_tokenizer_manager::request_log::RequestLog;
use sglang_tokenizer_manager::requests::embedding::EmbeddingFacts;
use sglang_tokenizer_manager::requests::sampling::read;
use sglang_tokenizer_manager::requests::tokenize::RequestLimits;
use sglang_tokenizer_manager::text::TextCodec;
use tokio::sync::mpsc;

use crate::app::{App, ModelFacts};
use crate::completion::template::CompletionTemplate;
use crate::environment::EnvSettings;
use crate::server;

/// How often a drain checks whether the last request has ended.
const DRAIN_POLL: Duration = Duration::from_millis(50);
/// The longest drain if no launcher limits it (the default of `SGLANG_SHUTDOWN_TIMEOUT`).
const DRAIN_LIMIT: Duration = Duration::from_secs(15);

/// A message to the running process.
enum Event {
    Up,
    Drain,
    End,
    Peer(Peer, PeerNews),
}

/// Runs until told to end. Call it first in `main`: it blocks signals before any thread starts.
///
/// # Errors
/// If the process cannot start or serve. The launcher already knows the reason.
pub fn run(args: ServerArgs) -> Result<(), Failure> {
    let signals = TerminationSignals::block().map_err(Failure::of_system)?;
    let mut ready = ReadyHandle::from_env("tokenizer-manager");
    let (events, received) = mpsc::unbounded_channel();
    let on_signal = events.clone();
    signals
        .watch(move |signal| {
            let event = if signal == Termination::Graceful { Event::Drain } else { Event::End };
            // Nobody receives the event if the process is already ending.
            let _ = on_signal.send(event);
        })
        .map_err(Failure::of_system)?;
    let launched = control::watch(move |event| {
        let event = match event {
            ControlEvent::Up => Event::Up,
            ControlEvent::Drain => Event::Drain,
            ControlEvent::End | ControlEvent::ParentGone => Event::End,
            ControlEvent::Peer(peer, news) => Event::Peer(peer, news),
        };
        let _ = events.send(event);
    })
    .map_err(Failure::of_system)?;
    match prepare(&args, &mut ready) {
        Ok(model) => actix_web::rt::System::new().block_on(serve(args, model, ready, received, launched)),
        Err(error) => {
            let failure = Failure::of_input(format!("{error:#}"));
            ready.failed(&failure);
            Err(failure)
        }
    }
}

/// Everything that is loaded before the process opens links and sockets.
struct Model {
    /// The start time.
    began: Instant,
    facts: ModelFacts,
    context_len: usize,
    vocab_size: u32,
    embedding: Option<EmbeddingFacts>,
    codec: Option<Arc<dyn TextCodec>>,
    completion_template: Option<CompletionTemplate>,
}

fn prepare(args: &ServerArgs, ready: &mut ReadyHandle) -> anyhow::Result<Model> {
    let began = Instant::now();
    let completion_template = CompletionTemplate::of_server(args).map_err(anyhow::Error::msg)?;
    let checkpoint = Checkpoint::open(args.model_files())?;
    let overrides = Some(Value::Object(args.json_model_override_args.clone())).filter(|v| *v != json!({}));
    let config = ModelConfig::from_checkpoint(&checkpoint, overrides.as_ref())?;
    let classifies = config
        .architectures
        .iter()
        .any(|a| a.contains("ForSequenceClassification") || a.contains("ForRewardModel"));
    let embedding = (!config.is_generation(args.is_embedding)).then(|| EmbeddingFacts {
        model_path: args.model_path.clone(),
        by_flag: config.is_generation(false),
        hidden_size: config.hidden_size as u64,
        matryoshka_dimensions: config.matryoshka_dimensions(),
        labels: classifies.then(|| config.labels()),
    });
    let defaults = match args.sampling_defaults.as_str() {
        "model" => GenerationConfig::from_checkpoint(&checkpoint)?.unwrap_or_default(),
        _ => GenerationConfig::default(),
    };
    let codec = match args.skip_tokenizer_init {
        true => None,
        false => Some(Arc::new(ready.time("tokenizer", || ModelCodec::load(args))?)),
    };
    let detected_parsers = codec.as_ref().map(|codec| codec.detected_parsers()).unwrap_or_default();
    Ok(Model {
        began,
        embedding,
        context_len: args.context_length.unwrap_or(config.usable_positions()),
        vocab_size: u32::try_from(config.vocab_size).context("the vocabulary is too large")?,
        codec: codec.map(|codec| codec as Arc<dyn TextCodec>),
        completion_template,
        facts: ModelFacts {
            model_type: Some(config.model_type.clone()).filter(|t| !t.is_empty()),
            architectures: config.architectures.clone(),
            default_sampling_params: sampling_defaults(&defaults),
            detected_parsers,
        },
    })
}

/// The sampling defaults in generation_config.json.
fn sampling_defaults(config: &GenerationConfig) -> SamplingRequest {
    let number = |value: Option<f64>| value.map_or(Given::Absent, |value| Given::Value(value.into()));
    SamplingRequest {
        temperature: number(config.temperature),
        top_p: number(config.top_p),
        min_p: number(config.min_p),
        repetition_penalty: number(config.repetition_penalty),
        // Both 0 and -1 mean no limit.
        top_k: config.top_k.map_or(Given::Absent, |k| Given::Value(if k < 1 { -1 } else { k })),
        ..SamplingRequest::default()
    }
}

/// `--preferred-sampling-params`.
fn preferred_sampling_params(args: &ServerArgs) -> Result<Option<SamplingRequest>, Failure> {
    let preferred = args.preferred_sampling_params.as_ref().map(read::native);
    match preferred.as_ref().and_then(|preferred| preferred.misfit.as_ref()) {
        Some(misfit) => Err(Failure::of_input(format!("--preferred-sampling-params: {misfit}"))),
        None => Ok(preferred),
    }
}

fn listener(args: &ServerArgs) -> Result<TcpListener, ListenError> {
    if let Some(listener) = listen::inherited_listener() {
        return Ok(listener);
    }
    listen::bind(&args.host, args.port)
}

async fn serve(
    args: ServerArgs,
    model: Model,
    ready: ReadyHandle,
    events: mpsc::UnboundedReceiver<Event>,
    launched: bool,
) -> Result<(), Failure> {
    let opened = open(args, model, launched).await;
    match opened {
        Ok((app, server)) => {
            ready.ready(json!({}));
            let served = serve_until_told(app, server, events, launched).await;
            served.map_err(|error| Failure::of_system(format!("{error:#}")))
        }
        Err(failure) => {
            ready.failed(&failure);
            Err(failure)
        }
    }
}

async fn open(
    args: ServerArgs,
    model: Model,
    launched: bool,
) -> Result<(web::Data<App>, actix_web::dev::Server), Failure> {
    let Some(ipc_dir) = args.ipc_dir.clone() else {
        return Err(Failure::of_input(
            "--ipc-dir is needed when a process is started by hand; it names the folder of the sockets",
        ));
    };
    let endpoints = Endpoints::in_dir(Path::new(&ipc_dir));
    let identity = Identity::begin(Role::TokenizerManager, Path::new(&ipc_dir), Value::Null);
    let identity = Arc::new(identity.map_err(Failure::of_system)?);
    let listener = listener(&args)?;
    let pull = PullLink::bind(&endpoints.tokenizer).await.map_err(Failure::of_system)?;
    let scheduler = PushLink::connect(&endpoints.scheduler_input, identity);
    let limits = RequestLimits {
        context_len: model.context_len,
        vocab_size: model.vocab_size,
        preferred_sampling_params: preferred_sampling_params(&args)?,
        allow_auto_truncate: args.allow_auto_truncate,
        default_priority: args.default_priority_value,
        hidden_states: args.hidden_states(),
        dp_size: args.dp_size,
        grammars: args.grammar_backend != "none" && !args.skip_tokenizer_init,
        embedding: model.embedding,
        codec: model.codec,
    };
    let request_log = RequestLog {
        enabled: args.log_requests,
        level: args.log_requests_level,
        json: args.log_requests_format == "json",
    };
    // Without a tokenizer the scheduler sends outputs directly; the detokenizer only forwards them.
    let restart_wait = Duration::from_secs(args.restart_wait);
    let status = Status::new(launched, !args.skip_tokenizer_init, restart_wait);
    let manager = TokenizerManager::new(limits, status, scheduler, request_log, args.disable_radix_cache);
    tokio::spawn(manager.clone().handle_loop(pull));
    tokio::spawn(beat());
    let address = listener.local_addr().map_err(Failure::of_system)?;
    let scheme = args.url_scheme();
    let mut app = App::new(args, EnvSettings::from_env(), model.facts, model.completion_template, manager);
    app.startup_seconds = model.began.elapsed().as_secs_f64();
    let app = web::Data::new(app);
    // The files of `--ssl-…` are unusable.
    let server = server::serve(app.clone(), listener).map_err(|e| Failure::of_input(format!("{e:#}")))?;
    if !launched {
        tracing::info!("Listening on {scheme}://{address}");
    }
    Ok((app, server))
}

/// Shows the launcher that this runtime is not blocked.
async fn beat() {
    let heartbeat = Heartbeat::of_thread("runtime");
    let mut beats = tokio::time::interval(PERIOD);
    while heartbeat.period().is_some() {
        beats.tick().await;
        heartbeat.beat();
    }
}

/// Serves until a signal or the launcher ends it. The first request to end lets running requests finish; the second one
/// does not.
async fn serve_until_told(
    app: web::Data<App>,
    server: actix_web::dev::Server,
    mut events: mpsc::UnboundedReceiver<Event>,
    launched: bool,
) -> anyhow::Result<()> {
    let handle = server.handle();
    let mut server = std::pin::pin!(server);
    let status = &app.manager.status;
    let mut graceful = false;
    loop {
        tokio::select! {
            result = &mut server => {
                return result.context("the HTTP server ended by itself");
            }
            event = events.recv() => match event {
                Some(Event::Up) => status.launcher_up(),
                Some(Event::Peer(peer, news)) => status.heard_of(peer, news),
                Some(Event::Drain) if !status.is_draining() => {
                    tracing::info!("Draining: {} requests are running", app.manager.registry.live());
                    status.start_draining();
                }
                // The launcher's message comes in addition to the signal and does not count as a second request.
                Some(Event::Drain) if launched => {}
                Some(Event::Drain | Event::End) | None => break,
            },
            () = drained(&app, launched), if status.is_draining() => {
                graceful = true;
                break;
            }
        }
    }
    tokio::join!(handle.stop(graceful), server).1.context("the HTTP server ended with an error")
}

/// Waits until no request is running. A launcher has its own limit, so under one the wait is unlimited.
async fn drained(app: &App, launched: bool) {
    let limit = std::env::var("SGLANG_SHUTDOWN_TIMEOUT")
        .ok()
        .and_then(|text| text.parse().ok())
        .map_or(DRAIN_LIMIT, Duration::from_secs);
    let idle = async {
        loop {
            // Checked twice, since a request that is being tokenized is not in the registry yet.
            tokio::time::sleep(DRAIN_POLL).await;
            if app.manager.registry.live() > 0 {
                continue;
            }
            tokio::time::sleep(DRAIN_POLL).await;
            if app.manager.registry.live() == 0 {
                return;
            }
        }
    };
    if launched {
        idle.await;
    } else if tokio::time::timeout(limit, idle).await.is_err() {
        tracing::warn!("Ending with {} requests still running", app.manager.registry.live());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn generation_defaults_keep_only_what_the_file_says() {
        let config = GenerationConfig { temperature: Some(0.6), top_k: Some(0), ..Default::default() };
        let expected = SamplingRequest {
            temperature: Given::Value(0.6.into()),
            top_k: Given::Value(-1),
            ..SamplingRequest::default()
        };
        assert_eq!(sampling_defaults(&config), expected);
    }
}
