//! The links of the scheduler process to other processes, on an I/O thread. Messages reach the loop through a channel;
//! queries of the loop's state are answered at once, even while the loop waits for the model.

use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;

use crossbeam_channel::{Receiver, Sender, unbounded};
use sglang_ipc::{Endpoints, Identity, IpcError, PullLink, PushLink, Received};
use sglang_proto::messages::{AnyMessage, GetInternalStateReqOutput, SchedulerMessage};

use crate::SchedulerError;
use crate::background::Reporter;
pub use crate::incoming::Incoming;
use crate::progress::Progress;

/// The links of scheduler rank 0.
#[derive(Debug)]
pub struct Links {
    /// Inputs in order of arrival.
    pub incoming: Receiver<Incoming>,
    /// Adds to `incoming` from within the process.
    pub inject: Sender<Incoming>,
    /// Link to the detokenizer.
    pub detokenizer: PushLink,
    /// Link to the tokenizer manager.
    pub tokenizer: PushLink,
    stop: Option<tokio::sync::oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Links {
    /// Binds the scheduler's input in `ipc_dir` and connects to the other two processes.
    ///
    /// # Errors
    /// The socket cannot be bound, or the thread cannot be started.
    pub fn open(ipc_dir: &Path, identity: Identity, progress: Arc<Progress>) -> Result<Self, SchedulerError> {
        let endpoints = Endpoints::in_dir(ipc_dir);
        let (sender, incoming) = unbounded();
        let inject = sender.clone();
        let (opened, result) = crossbeam_channel::bounded(1);
        let (stop, stopped) = tokio::sync::oneshot::channel();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let thread = std::thread::Builder::new().name("ipc".into()).spawn(move || {
            runtime.block_on(async move {
                let identity = Arc::new(identity);
                match PullLink::bind(&endpoints.scheduler_input).await {
                    Err(error) => {
                        let _ = opened.send(Err(error));
                    }
                    Ok(pull) => {
                        let detokenizer = PushLink::connect(&endpoints.detokenizer, identity.clone());
                        // Say hello only after the first message of the tokenizer manager.
                        let tokenizer = PushLink::connect_silent(&endpoints.tokenizer, identity);
                        let _ = opened.send(Ok((detokenizer, tokenizer.clone())));
                        tokio::select! {
                            () = receive(pull, sender, tokenizer, progress) => {}
                            _ = stopped => {}
                        }
                        // Gives the push links time to write their last messages.
                        tokio::time::sleep(std::time::Duration::from_millis(60)).await;
                    }
                }
            });
        })?;
        let (detokenizer, tokenizer) =
            result.recv().map_err(|_| SchedulerError::Ipc(IpcError::Closed("ipc thread".into())))??;
        Ok(Self { incoming, inject, detokenizer, tokenizer, stop: Some(stop), thread: Some(thread) })
    }
}

impl Links {
    /// A reporter that adds reports of other threads to `incoming`, converted by `wrap`.
    pub fn reporter<T: 'static>(&self, wrap: fn(T) -> Incoming) -> Reporter<T> {
        let inject = self.inject.clone();
        // The loop may have ended meanwhile.
        Reporter::new(move |report| drop(inject.send(wrap(report))))
    }

    /// Sends an answer to the tokenizer manager.
    pub fn answer(&self, message: impl Into<AnyMessage>) {
        answer(&self.tokenizer, message);
    }
}

impl Drop for Links {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

async fn receive(
    mut pull: PullLink<SchedulerMessage>,
    sender: Sender<Incoming>,
    tokenizer: PushLink,
    progress: Arc<Progress>,
) {
    // How many times something from the tokenizer manager may have been lost.
    let mut epoch = 0;
    while let Some(received) = pull.recv().await {
        let incoming = match received {
            Received::Message(SchedulerMessage::GetInternalStateReq(req)) => {
                let internal_state = progress.to_json();
                answer(&tokenizer, GetInternalStateReqOutput { rid: req.rid, internal_state });
                continue;
            }
            Received::Message(SchedulerMessage::HealthCheckOutput(probe)) => {
                // Echoed unchanged: the state of the loop has a separate query.
                answer(&tokenizer, *probe);
                continue;
            }
            Received::Message(message) => Incoming::Message(message),
            Received::Hello(hello) => {
                tracing::debug!("Life {} of the {} says hello", hello.life, hello.role);
                if hello.restarted {
                    tokenizer.refresh();
                }
                if hello.first || hello.lost {
                    epoch += 1;
                    tokenizer.announce(epoch, 0);
                }
                Incoming::TokenizerManager { restarted: hello.restarted }
            }
            Received::Lost(role) => {
                tracing::debug!("Something of the {role} was lost");
                epoch += 1;
                tokenizer.announce(epoch, 0);
                continue;
            }
        };
        if sender.send(incoming).is_err() {
            return;
        }
    }
}

/// Sends an answer to the tokenizer manager over `link`.
pub fn answer(link: &PushLink, message: impl Into<AnyMessage>) {
    if let Err(error) = link.send(message) {
        tracing::error!("Cannot answer the tokenizer manager: {error}");
    }
}
