//! Runs a client request: splits it, tokenizes it, sends it to the scheduler, and hands back one handle per answer
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

/// Why a request has no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GenerateError {
    /// The request cannot be served as it is (400).
    #[error(transparent)]
    Value(#[from] ValueError),
    /// The scheduler refused it, with an HTTP status.
    #[error("{message}")]
    Refused {
        /// Status of the answer.
        status: u16,
        /// Text of the answer.
        message: String,
    },
}

impl GenerateError {
    /// Status of the answer.
    pub fn status(&self) -> u16 {
        match self {
            Self::Value(_) => 400,
            Self::Refused { status, .. } => *status,
        }
    }
}

/// A request on its way.
pub struct Generation {
    /// One per answer: prompt by prompt, all samples of each.
    pub handles: Vec<RequestHandle>,
    /// Whether the answer is one object, not an array.
    pub is_single: bool,
    /// How answers are to be shown.
    pub show: ShowOptions,
}

impl Generation {
    /// Waits for all answers.
    ///
    /// # Errors
    /// The scheduler refused one of them.
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

/// What of a request decides how its answers look.
#[derive(Clone, Copy, Debug, Default)]
pub struct ShowOptions {
    /// Token texts in log-probability lists.
    pub return_text_in_logprobs: bool,
    /// The prompt's ids at the top of the answer.
    pub return_prompt_token_ids: bool,
}

/// The refusal in `reason`, if it is one.
///
/// # Errors
/// An abort with a status code is an error of the request.
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
    /// Starts a request.
    ///
    /// # Errors
    /// The request cannot be served as it is, or the scheduler cannot be reached.
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

    /// Waits until requests are taken.
    ///
    /// # Errors
    /// A process is being started again, and that takes too long.
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

    /// Enters a request and sends it to the scheduler.
    pub(super) fn send(&self, state: ReqState) -> Result<RequestHandle, GenerateError> {
        call_trace::note_request(state.rid());
        let handle = self.registry.enter(state)?;
        let state = handle.state();
        if let Some(end) = self.think_end.get().filter(|_| state.request.require_reasoning) {
            state.count_reasoning_up_to(end.clone());
        }
        // Before its output can be there.
        state.timing.note_dispatch();
        self.registry
            .submit(state.rid())
            .map_err(|e| GenerateError::Refused { status: 503, message: e.to_string() })?;
        Ok(handle)
    }

    /// Sends every prompt once without output, so that its samples find it in the cache, then the samples under fresh
    /// ids.
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
                    // Equal seeds would make equal samples.
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
