//! Starts and runs a detokenizer process.

use std::path::Path;
use std::sync::Arc;

use serde_json::{Value, json};
use sglang_checkpoint::Checkpoint;
use sglang_ipc::{Endpoints, Identity, IpcError, PullLink, PushLink, Received};
use sglang_process::ending;
use sglang_process::failure::Failure;
use sglang_process::heartbeat::{Heartbeat, PERIOD};
use sglang_process::ready::ReadyHandle;
use sglang_process::signals::TerminationSignals;
use sglang_proto::messages::{AnyMessage, ConfigureLoggingReq, DetokenizerMessage};
use sglang_proto::wire::Role;
use sglang_server_args::ServerArgs;
use sglang_tokenizer::Tokenizer;
use tokio::sync::mpsc;

use crate::Detokenizer;

/// Why a detokenizer cannot start or continue.
#[derive(Debug, thiserror::Error)]
pub enum DetokenizerError {
    /// A link cannot be opened.
    #[error(transparent)]
    Ipc(#[from] IpcError),
    /// The system cannot start a thread or runtime, or set the signal mask.
    #[error("cannot start: {0}")]
    System(#[from] std::io::Error),
    /// The tokenizer cannot be read.
    #[error("{0}")]
    Tokenizer(String),
    /// `--ipc-dir` is missing.
    #[error("--ipc-dir is needed when a process is started by hand; it names the folder of the sockets")]
    NoIpcDir,
}

impl From<DetokenizerError> for Failure {
    fn from(error: DetokenizerError) -> Self {
        match error {
            DetokenizerError::Tokenizer(_) | DetokenizerError::NoIpcDir => Failure::of_input(error),
            DetokenizerError::Ipc(_) | DetokenizerError::System(_) => Failure::of_system(error),
        }
    }
}

/// Runs a detokenizer until an end is requested. Call it first in `main`: it blocks signals before any thread starts.
///
/// # Errors
/// Why it could not start; the launcher has already been informed.
pub fn run(args: &ServerArgs) -> Result<(), Failure> {
    let signals = TerminationSignals::block().map_err(DetokenizerError::from)?;
    let mut ready = ReadyHandle::from_env("detokenizer");
    let (stop, stopped) = mpsc::channel(1);
    let result = prepare(args, &mut ready).and_then(|(detokenizer, runtime)| {
        ending::watch(signals, move || {
            let _ = stop.try_send(());
        })?;
        Ok((detokenizer, runtime))
    });
    match result {
        Ok((detokenizer, runtime)) => runtime.block_on(serve(args, detokenizer, ready, stopped)),
        Err(error) => fail(ready, error),
    }
}

/// Reports a failed start to the launcher.
fn fail(ready: ReadyHandle, error: DetokenizerError) -> Result<(), Failure> {
    let failure = Failure::from(error);
    ready.failed(&failure);
    Err(failure)
}

fn prepare(
    args: &ServerArgs,
    ready: &mut ReadyHandle,
) -> Result<(Option<Detokenizer>, tokio::runtime::Runtime), DetokenizerError> {
    let detokenizer = match args.skip_tokenizer_init {
        true => None,
        false => {
            let tokenizer = ready.time("tokenizer", || {
                let checkpoint = Checkpoint::open(args.tokenizer_files()).map_err(|e| e.to_string())?;
                Tokenizer::from_checkpoint(&checkpoint).map_err(|e| e.to_string())
            });
            Some(Detokenizer::new(tokenizer.map_err(DetokenizerError::Tokenizer)?))
        }
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    Ok((detokenizer, runtime))
}

/// Opens the links. Says hello to the tokenizer manager only after the first message of the scheduler.
async fn open(args: &ServerArgs) -> Result<(PullLink<DetokenizerMessage>, PushLink), DetokenizerError> {
    let dir = Path::new(args.ipc_dir.as_deref().ok_or(DetokenizerError::NoIpcDir)?);
    let identity = Arc::new(Identity::begin(Role::Detokenizer, dir, Value::Null)?);
    let endpoints = Endpoints::in_dir(dir);
    let pull = PullLink::bind(&endpoints.detokenizer).await?;
    Ok((pull, PushLink::connect_silent(&endpoints.tokenizer, identity)))
}

async fn serve(
    args: &ServerArgs,
    mut detokenizer: Option<Detokenizer>,
    ready: ReadyHandle,
    mut stopped: mpsc::Receiver<()>,
) -> Result<(), Failure> {
    let (mut pull, tokenizer_manager) = match open(args).await {
        Ok(links) => links,
        Err(error) => return fail(ready, error),
    };
    ready.ready(json!({}));
    let heartbeat = Heartbeat::of_thread("detokenizer");
    let mut beats = tokio::time::interval(PERIOD);
    // How many times something from the scheduler may have been lost.
    let mut epoch = 0;
    loop {
        heartbeat.beat();
        let received = tokio::select! {
            received = pull.recv() => received,
            _ = stopped.recv() => return Ok(()),
            _ = beats.tick(), if heartbeat.period().is_some() => continue,
        };
        match received {
            None => return Ok(()),
            Some(Received::Hello(hello)) => {
                tracing::debug!("Life {} of the {} says hello", hello.life, hello.role);
                if hello.first || hello.restarted || hello.lost {
                    detokenizer.iter_mut().for_each(Detokenizer::reset);
                }
                if hello.first || hello.lost {
                    epoch += 1;
                    tokenizer_manager.announce(epoch, 0);
                }
            }
            Some(Received::Lost(role)) => {
                tracing::debug!("Something of the {role} was lost");
                detokenizer.iter_mut().for_each(Detokenizer::reset);
                epoch += 1;
                tokenizer_manager.announce(epoch, 0);
            }
            Some(Received::Message(message)) => {
                let answer = match (message, &mut detokenizer) {
                    (DetokenizerMessage::ConfigureLoggingReq(request), _) => {
                        configure_logging(&request);
                        continue;
                    }
                    (DetokenizerMessage::BatchTokenIDOutput(batch), Some(detokenizer)) => {
                        let batch = detokenizer.decode(*batch);
                        if batch.rows.is_empty() {
                            continue;
                        }
                        AnyMessage::from(batch)
                    }
                    (DetokenizerMessage::AbortReq(end), detokenizer) => {
                        detokenizer.iter_mut().for_each(|detokenizer| detokenizer.end(&end));
                        (*end).into()
                    }
                    // Without a tokenizer, ids are passed on unchanged. Embeddings always are.
                    (DetokenizerMessage::BatchTokenIDOutput(batch), None) => (*batch).into(),
                    (DetokenizerMessage::BatchEmbeddingOutput(batch), _) => (*batch).into(),
                };
                if let Err(error) = tokenizer_manager.send(answer) {
                    tracing::error!("Cannot send text: {error}");
                }
            }
        }
    }
}

/// Sets the log level of this process.
fn configure_logging(request: &ConfigureLoggingReq) {
    let Some(level) = &request.log_level else { return };
    if let Err(error) = sglang_process::logging::set_level(level) {
        tracing::warn!("{error}");
    }
}
