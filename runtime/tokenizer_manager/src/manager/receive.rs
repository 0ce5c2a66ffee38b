//! The task that receives messages from the scheduler and the detokenizer.

use std::sync::Arc;

use sglang_ipc::{Greeting, PullLink, Received};
use sglang_proto::messages::{
    Answer, Attempt, EmbeddingOutput, ReqTimeStats, StrOutput, TokenizedGenerateReqInput,
    TokenizerManagerMessage,
};
use sglang_proto::wire::Role;

use super::TokenizerManager;
use crate::state::ReqState;

impl TokenizerManager {
    /// Handles the messages of `link` until it closes.
    pub async fn handle_loop(self: Arc<Self>, mut link: PullLink<TokenizerManagerMessage>) {
        while let Some(received) = link.recv().await {
            match received {
                Received::Hello(hello) => self.handle_hello(hello),
                Received::Lost(role) => {
                    tracing::warn!("Something of the {role} was lost between the processes");
                    self.recover(role);
                }
                Received::Message(message) => self.handle_message(message),
            }
        }
    }

    /// Handles the hello of a peer. If its life or epoch is new, or messages may have been lost, all requests are sent
    /// again.
    fn handle_hello(&self, hello: Greeting) {
        tracing::debug!("Life {} of the {} is there, epoch {}", hello.life, hello.role, hello.epoch);
        let standing = (hello.life, hello.epoch);
        let changed = self.peers.lock().insert(hello.role, standing) != Some(standing);
        if hello.role == Role::Scheduler {
            *self.scheduler_info.write() = hello.info;
            if hello.restarted {
                // The next message would be lost on the old connection.
                self.scheduler.refresh();
                self.control.forget_all();
                self.status.set_released(false);
                if let Some(act) = self.on_restart.get() {
                    act();
                }
                // Before the requests are sent again, since they may need them.
                self.restore_adapters();
                self.restore_pause();
            }
        }
        if hello.restarted {
            tracing::warn!("The {} was restarted", hello.role);
        }
        if changed || hello.lost {
            self.recover(hello.role);
        }
        self.status.said_hello(hello.role, hello.life);
    }

    fn recover(&self, role: Role) {
        let sent = self.registry.recover();
        if sent > 0 {
            tracing::info!("Sent {sent} unfinished requests again, because of the {role}");
        }
    }

    fn handle_message(&self, message: TokenizerManagerMessage) {
        use TokenizerManagerMessage as M;
        match message {
            M::BatchStrOutput(batch) => batch.rows.into_iter().for_each(|row| self.handle_output(row)),
            M::BatchTokenIDOutput(batch) => {
                let rows = batch.rows.into_iter();
                rows.for_each(|row| {
                    self.handle_output(StrOutput { output: row.output, text: String::new() })
                });
            }
            M::BatchEmbeddingOutput(batch) => {
                batch.rows.into_iter().for_each(|row| self.handle_embedding(row));
            }
            M::AbortReq(abort) => self.log_end(self.registry.apply_abort(*abort)),
            M::Answer(answer) => {
                match &answer {
                    Answer::ReleaseMemoryOccupationReqOutput(reply) => {
                        self.status.set_released(reply.released)
                    }
                    Answer::ResumeMemoryOccupationReqOutput(reply) => {
                        self.status.set_released(reply.released)
                    }
                    _ => {}
                }
                self.control.reply(answer);
            }
            // It carries no information but its arrival.
            M::HealthCheckOutput(_) => {}
        }
    }

    fn handle_output(&self, new: StrOutput) {
        let output = &new.output;
        self.observe(&output.rid, output.attempt, output.output_ids.len(), output.time_stats.as_ref());
        self.log_end(self.registry.apply(new));
    }

    fn handle_embedding(&self, new: EmbeddingOutput) {
        self.observe(&new.rid, new.attempt, 0, new.time_stats.as_ref());
        self.log_end(self.registry.apply_embedding(new));
    }

    /// Updates the metrics for the new output of a request, before the output is applied.
    fn observe(&self, rid: &str, attempt: Option<Attempt>, new_tokens: usize, times: Option<&ReqTimeStats>) {
        if let Some(metrics) = self.metrics.get()
            && let Some(state) = self.registry.current(rid, attempt)
        {
            metrics.observe_output(&state, new_tokens, times);
        }
    }

    /// Logs that a request has arrived, if enabled.
    pub(super) fn log_received(&self, request: &TokenizedGenerateReqInput) {
        self.request_log.read().received(request, self.limits.codec.as_deref());
    }

    fn log_end(&self, ended: Option<Arc<ReqState>>) {
        if let Some(state) = ended {
            if let Some(metrics) = self.metrics.get() {
                metrics.observe_finished(&state);
            }
            self.request_log.read().finished(&state, self.limits.codec.as_deref());
        }
    }
}
