//! Runs a client request: splits it, tokenizes it, sends it to the scheduler, and returns one handle per answer
//! (reference: `TokenizerManager.generate_request`).

use std::sync::Arc;
use std::time::Instant;

use sglang_proto::CaptureHiddenMode;
use sglang_proto::messages::{FinishReason, TokenizedGenerateReqInput};

use super::TokenizerManager;
use crate::call_trace;
use crate::lora::AdapterUse;
use crate::requests::normalize::new_rid;
use crate::requests::tokenize::{self, INLINE_BYTES};
use crate::requests::{GenerateReqInput, SingleReqInput, ValueError};
use crate::state::{ReqState, RequestHandle};

/// The reason why a request failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GenerateError {
    /// The request is invalid or unsupported (400).
    #[error(transparent)]
    Value(#[from] ValueError),
    /// The scheduler or this process refused it, with an HTTP status.
    #[error("{message}")]
    Refused {
        /// HTTP status of the answer.
        status: u16,
        /// Text of the answer.
        message: String,
    },
}

impl GenerateError {
    /// HTTP status of the answer.
    pub fn status(&self) -> u16 {
        match self {
            Self::Value(_) => 400,
            Self::Refused { status, .. } => *status,
        }
    }
}

/// A request that was sent to the scheduler.
pub struct Generation {
    /// One handle per answer: prompt by prompt, with all samples of each.
    pub handles: Vec<RequestHandle>,
    /// Whether the answer is one object instead of an array.
    pub is_single: bool,
    /// How to show the answers.
    pub show: ShowOptions,
}

impl Generation {
    /// Waits for all answers.
    ///
    /// # Errors
    /// If the scheduler refuses one of them.
    pub async fn finished(&mut self) -> Result<(), GenerateError> {
        for handle in &mut self.handles {
            handle.finished().await;
            let finish = handle.state().output().finish.clone();
            if let Some(finish) = finish {
                check_finish(&finish.reason)?;
            }
        }
        Ok(())
    }
}

/// The fields of a request that decide how its answers look.
#[derive(Clone, Copy, Debug, Default)]
pub struct ShowOptions {
    /// Whether to return token texts in log-probability lists.
    pub return_text_in_logprobs: bool,
    /// Whether to return the prompt's ids at the top of the answer.
    pub return_prompt_token_ids: bool,
}

/// Checks whether `reason` is an error.
///
/// # Errors
/// If it is an abort with a status code.
pub fn check_finish(reason: &FinishReason) -> Result<(), GenerateError> {
    match reason {
        FinishReason::Abort { message, status_code: Some(400), .. } => {
            Err(GenerateError::Value(ValueError(message.clone())))
        }
        FinishReason::Abort { message, status_code: Some(status), .. } if (401..600).contains(status) => {
            Err(GenerateError::Refused { status: *status, message: message.clone() })
        }
        _ => Ok(()),
    }
}

impl TokenizerManager {
    /// Starts a generation request.
    ///
    /// # Errors
    /// If the request is invalid or unsupported, or the scheduler cannot be reached.
    pub async fn generate_request(
        self: &Arc<Self>,
        request: GenerateReqInput,
    ) -> Result<Generation, GenerateError> {
        let created = Instant::now();
        self.check_generates()?;
        tokenize::check_features(&request, &self.limits, self.adapters().is_some())?;
        let show = ShowOptions {
            return_text_in_logprobs: request.return_text_in_logprobs && self.limits.codec.is_some(),
            return_prompt_token_ids: request.return_prompt_token_ids,
        };
        let normalized = request.normalize()?;
        let samples = normalized.parallel_sample_num;
        normalized.items.iter().for_each(|item| call_trace::note_request(&item.rid));
        let names: Vec<Option<String>> = normalized.items.iter().map(|item| item.lora_path.clone()).collect();
        let adapters = self.acquire_adapters(&names).await?;
        let tokenized = self.tokenize_all(normalized.items).await?;
        for request in &tokenized {
            self.log_received(request);
        }
        self.admitted().await?;
        let handles = match samples {
            1 => tokenized
                .into_iter()
                .zip(adapters)
                .map(|(request, adapter)| self.dispatch(request, adapter, created))
                .collect::<Result<Vec<_>, GenerateError>>()?,
            _ => self.dispatch_samples(tokenized, adapters, samples, created).await?,
        };
        Ok(Generation { handles, is_single: normalized.is_single, show })
    }

    /// Waits while the server is paused or a process restarts.
    ///
    /// # Errors
    /// If a restart takes too long.
    pub(super) async fn admitted(&self) -> Result<(), GenerateError> {
        self.status.while_paused().await;
        if self.status.while_restarting().await {
            return Ok(());
        }
        Err(GenerateError::Refused {
            status: 503,
            message: "A process of the server is being started again. Please try again later.".into(),
        })
    }

    async fn tokenize_all(
        self: &Arc<Self>,
        items: Vec<SingleReqInput>,
    ) -> Result<Vec<TokenizedGenerateReqInput>, GenerateError> {
        if tokenize::text_bytes(&items) <= INLINE_BYTES {
            return Ok(items.into_iter().map(|item| self.limits.tokenize(item)).collect::<Result<_, _>>()?);
        }
        let manager = self.clone();
        let tokenized = tokio::task::spawn_blocking(move || {
            items.into_iter().map(|item| manager.limits.tokenize(item)).collect::<Result<Vec<_>, _>>()
        });
        match tokenized.await {
            Ok(tokenized) => Ok(tokenized?),
            Err(error) => Err(GenerateError::Refused {
                status: 500,
                message: format!("Internal server error: tokenizing failed: {error}"),
            }),
        }
    }

    fn dispatch(
        &self,
        request: TokenizedGenerateReqInput,
        adapter: Option<AdapterUse>,
        created: Instant,
    ) -> Result<RequestHandle, GenerateError> {
        self.send(ReqState::new(request, created).with_adapter(adapter))
    }

    /// Adds a request to the registry and sends it to the scheduler.
    pub(super) fn send(&self, state: ReqState) -> Result<RequestHandle, GenerateError> {
        call_trace::note_request(state.rid());
        let handle = self.registry.enter(state)?;
        let state = handle.state();
        if let Some(end) = self.think_end.get().filter(|_| state.request.require_reasoning) {
            state.count_reasoning_up_to(end.clone());
        }
        // Noted before the submission, since output may arrive right after it.
        state.timing.note_dispatch();
        self.registry
            .submit(state.rid())
            .map_err(|e| GenerateError::Refused { status: 503, message: e.to_string() })?;
        Ok(handle)
    }

    /// Sends every prompt once without output, so that its samples find it in the cache. Then sends the samples under
    /// new ids.
    async fn dispatch_samples(
        &self,
        tokenized: Vec<TokenizedGenerateReqInput>,
        adapters: Vec<Option<AdapterUse>>,
        samples: usize,
        created: Instant,
    ) -> Result<Vec<RequestHandle>, GenerateError> {
        if !self.disable_radix_cache {
            let warm_ups = tokenized.iter().zip(&adapters).map(|(request, adapter)| {
                let mut warm_up = request.clone();
                warm_up.rid = new_rid();
                warm_up.sampling_params.max_new_tokens = Some(0);
                warm_up.sampling_params.min_new_tokens = 0;
                warm_up.stream = false;
                warm_up.return_logprob = false;
                warm_up.return_hidden_states = CaptureHiddenMode::Null;
                self.dispatch(warm_up, adapter.clone(), created)
            });
            for mut handle in warm_ups.collect::<Result<Vec<_>, _>>()? {
                handle.finished().await;
                let finish = handle.state().output().finish.clone();
                if let Some(finish) = finish {
                    check_finish(&finish.reason)?;
                }
            }
        }
        let mut handles = Vec::with_capacity(tokenized.len() * samples);
        for (request, adapter) in tokenized.into_iter().zip(adapters) {
            for sample in 0..samples {
                let mut copy = request.clone();
                copy.rid = new_rid();
                if let Some(seed) = &mut copy.sampling_params.sampling_seed {
                    // Equal seeds would give equal samples.
                    *seed = seed.wrapping_add(i64::try_from(sample).unwrap_or_default());
                }
                handles.push(self.dispatch(copy, adapter.clone(), created)?);
            }
        }
        Ok(handles)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_aborts_with_an_error_status_are_errors() {
        check_finish(&FinishReason::aborted("Aborted")).unwrap();
        check_finish(&FinishReason::Length { length: 3 }).unwrap();
        assert_eq!(
            check_finish(&FinishReason::refused("too long", 400, "BadRequestError")),
            Err(GenerateError::Value(ValueError("too long".into())))
        );
        assert_eq!(
            check_finish(&FinishReason::refused("The request queue is full.", 503, "ServiceUnavailable")),
            Err(GenerateError::Refused { status: 503, message: "The request queue is full.".into() })
        );
    }
}
