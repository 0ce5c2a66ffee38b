//! The links of the scheduler process, on an I/O thread: messages come in through a channel, questions about the loop's
//! state are answered at once, even while the loop waits for the model.

use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;

use crossbeam_channel::{Receiver, Sender, unbounded};
use sglang_ipc::{Endpoints, Identity, IpcError, PullLink, PushLink, Received};
use sglang_proto::messages::{AnyMessage, GetInternalStateReqOutput, HealthCheckOutput};

use crate::SchedulerError;
use crate::background::Reporter;
pub use crate::incoming::Incoming;
use crate::progress::Progress;

/// The links of scheduler rank 0.
#[derive(Debug)]
pub struct Links {
    /// What arrived, in order.
    pub incoming: Receiver<Incoming>,
    /// Puts something into `incoming` from within the process.
    pub inject: Sender<Incoming>,
    /// To the detokenizer.
    pub detokenizer: PushLink,
    /// To the tokenizer manager.
    pub tokenizer: PushLink,
    stop: Option<tokio::sync::oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Links {
    /// Binds the scheduler's input in `ipc_dir` and connects to the other two processes.
    ///
    /// # Errors
    /// When the socket cannot be bound or the thread cannot be started.
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
                        // It is there for requests once it hears who sends them.
                        let tokenizer = PushLink::connect_silent(&endpoints.tokenizer, identity);
                        let _ = opened.send(Ok((detokenizer, tokenizer.clone())));
                        tokio::select! {
                            () = receive(pull, sender, tokenizer, progress) => {}
                            _ = stopped => {}
                        }
                        // Lets the push links write what they were given last.
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
    /// Brings reports of other threads into `incoming`, as `wrap` makes them.
    pub fn reporter<T: 'static>(&self, wrap: fn(T) -> Incoming) -> Reporter<T> {
        let inject = self.inject.clone();
        // The loop may have ended meanwhile.
        Reporter::new(move |report| drop(inject.send(wrap(report))))
    }

    /// Answers the tokenizer manager.
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

async fn receive(mut pull: PullLink, sender: Sender<Incoming>, tokenizer: PushLink, progress: Arc<Progress>) {
    // How often something from the tokenizer manager may have been lost.
    let mut epoch = 0;
    while let Some(received) = pull.recv().await {
        let incoming = match received {
            Received::Message(AnyMessage::GetInternalStateReq(req)) => {
                let reply = GetInternalStateReqOutput {
                    rid: req.rid,
                    http_worker_ipc: None,
                    internal_state: progress.to_json(),
                };
                answer(&tokenizer, reply);
                continue;
            }
            Received::Message(AnyMessage::HealthCheckOutput(probe)) => {
                // Sent back as it came: the loop's state is asked for separately.
                answer(&tokenizer, HealthCheckOutput { rid: probe.rid, http_worker_ipc: None });
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

/// Answers the tokenizer manager over `link`.
pub fn answer(link: &PushLink, message: impl Into<AnyMessage>) {
    if let Err(error) = link.send(message) {
        tracing::error!("Cannot answer the tokenizer manager: {error}");
    }
}
