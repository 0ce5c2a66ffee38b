//! Dispatches what arrives to components.

use std::time::Instant;

use sglang_planner::PauseMode;
use sglang_proto::messages::{AbortReq, ConfigureLoggingReq, SchedulerMessage};

use super::EventLoop;
use crate::adapters::{self, AdaptersInput, HeldRequest};
use crate::incoming::Incoming;
use crate::model_calls::ModelInput;
use crate::sessions::SessionsInput;
use crate::weights::{self, WeightsInput};
use crate::{flush, internal_state, model_calls};

impl EventLoop<'_> {
    /// Handles one input. Returns `true` if the loop must end.
    pub(super) fn handle(&mut self, incoming: Incoming) -> bool {
        match incoming {
            Incoming::Message(message) => return self.handle_message(message),
            Incoming::TokenizerManager { restarted: true } => self.drop_requests(),
            Incoming::TokenizerManager { restarted: false } => {}
            Incoming::Grammar(news) => {
                for outcome in self.grammars.handle(news) {
                    self.leave_grammar_queue(outcome);
                }
            }
            Incoming::Adapter(read) => self.handle_adapters(AdaptersInput::Read(*read)),
            Incoming::Weights(read) => self.handle_weights(WeightsInput::Read(read)),
            Incoming::Shutdown => return true,
        }
        false
    }

    fn handle_message(&mut self, message: SchedulerMessage) -> bool {
        use SchedulerMessage as M;
        match message {
            M::TokenizedGenerateReqInput(request) => self.add(*request),
            M::BatchTokenizedGenerateReqInput(batch) => {
                batch.batch.into_iter().for_each(|request| self.add(request));
            }
            M::TokenizedEmbeddingReqInput(request) => self.add_embedding(*request),
            M::BatchTokenizedEmbeddingReqInput(batch) => {
                batch.batch.into_iter().for_each(|request| self.add_embedding(request));
            }
            M::AbortReq(abort) => self.abort(&abort),
            M::PauseGenerationReqInput(pause) => self.pause(&pause.mode),
            M::ContinueGenerationReqInput(_) => self.planner.resume(),
            M::FlushCacheReqInput(request) => {
                let on = &mut flush::Access { planner: &mut self.planner, grammars: &self.grammars };
                let answer = self.flush.handle(*request, on);
                self.answer(answer);
            }
            M::LoadLoRAAdapterReqInput(request) => self.handle_adapters(AdaptersInput::Load(*request)),
            M::UnloadLoRAAdapterReqInput(request) => self.handle_adapters(AdaptersInput::Unload(*request)),
            M::UpdateWeightFromDiskReqInput(request) => self.handle_weights(WeightsInput::Update(*request)),
            M::UpdateWeightVersionReqInput(request) => {
                self.handle_weights(WeightsInput::UpdateVersion(*request));
            }
            M::GetWeightsByNameReqInput(request) => self.handle_weights(WeightsInput::Get(*request)),
            M::CheckWeightsReqInput(request) => self.handle_weights(WeightsInput::Check(*request)),
            M::ReleaseMemoryOccupationReqInput(request) => {
                self.handle_weights(WeightsInput::Release(*request));
            }
            M::ResumeMemoryOccupationReqInput(request) => {
                self.handle_weights(WeightsInput::Resume(*request));
            }
            M::OpenSessionReqInput(request) => self.handle_sessions(SessionsInput::Open(*request)),
            M::CloseSessionReqInput(request) => self.handle_sessions(SessionsInput::Close(*request)),
            M::ProfileReq(request) => {
                let next_step = self.planner.next_forward_id();
                let answer = self.profiler.handle(*request, next_step);
                self.answer(answer);
            }
            M::ExpertDistributionReq(request) => self.call_model(ModelInput::ExpertDistribution(*request)),
            M::SlowDownReqInput(request) => self.call_model(ModelInput::SlowDown(*request)),
            M::SetInternalStateReq(request) => {
                let answer = internal_state::handle(*request, &mut self.planner);
                self.answer(Some(answer));
            }
            M::ConfigureLoggingReq(request) => self.configure_logging(*request),
            M::ShutdownReq(_) => return true,
            // The I/O thread of the links answers these.
            M::GetInternalStateReq(_) | M::HealthCheckOutput(_) => {}
        }
        false
    }

    fn handle_weights(&mut self, input: WeightsInput) {
        let on = &mut weights::Access {
            planner: &mut self.planner,
            worker: &self.worker,
            grammars_wait: !self.grammars.is_empty(),
        };
        let answer = self.weights.handle(input, on);
        self.answer(answer);
    }

    fn handle_adapters(&mut self, input: AdaptersInput) {
        let on = &mut adapters::Access { planner: &mut self.planner, worker: &self.worker };
        let handled = self.adapters.handle(input, on);
        self.answer(handled.answer);
        for request in handled.released {
            match request {
                HeldRequest::Generate(request) => self.add(*request),
                HeldRequest::Embed(request) => self.add_embedding(*request),
            }
        }
    }

    fn handle_sessions(&mut self, input: SessionsInput) {
        let answer = self.sessions.handle(input, Instant::now());
        self.answer(answer);
    }

    fn call_model(&mut self, input: ModelInput) {
        let answer = model_calls::handle(input, &self.worker);
        self.answer(Some(answer));
    }

    fn pause(&mut self, mode: &str) {
        match mode.parse::<PauseMode>() {
            Ok(mode) => self.planner.pause(mode),
            Err(error) => tracing::warn!("Not paused: {error}"),
        }
    }

    /// Ends all requests after a restart of the tokenizer manager, because they have no client left. Their ends are
    /// still sent, so that the detokenizer drops them too.
    fn drop_requests(&mut self) {
        tracing::warn!("The tokenizer manager was restarted: its requests are dropped");
        self.abort(&AbortReq { abort_all: true, ..Default::default() });
        self.send_events();
    }

    /// Sets the log level of this process, and forwards the request to the detokenizer, to which the tokenizer manager
    /// has no link.
    fn configure_logging(&self, request: ConfigureLoggingReq) {
        if let Some(level) = &request.log_level
            && let Err(error) = sglang_process::logging::set_level(level)
        {
            tracing::warn!("{error}");
        }
        if let Err(error) = self.links.detokenizer.send(request) {
            tracing::error!("Cannot tell the detokenizer: {error}");
        }
    }
}
