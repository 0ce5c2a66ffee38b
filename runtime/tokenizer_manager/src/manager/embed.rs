//! Runs embedding, classification and reranking requests, like [`super::generate`] but with one vector per prompt.

use std::sync::Arc;
use std::time::Instant;

use super::{GenerateError, Generation, ShowOptions, TokenizerManager};
use crate::call_trace;
use crate::requests::ValueError;
use crate::requests::embedding::{EmbeddingPrompt, EmbeddingReqInput, SingleEmbeddingReqInput};
use crate::requests::tokenize::{INLINE_BYTES, adapter_name, lora_off};
use crate::state::ReqState;

impl TokenizerManager {
    /// Checks that the model generates text.
    ///
    /// # Errors
    /// If the model computes embeddings. The error says which routes to use instead.
    pub fn check_generates(&self) -> Result<(), ValueError> {
        match &self.limits.embedding {
            None => Ok(()),
            Some(facts) => Err(ValueError(facts.not_a_generation_model())),
        }
    }

    /// Starts an embedding request.
    ///
    /// # Errors
    /// If the request is invalid or unsupported, or the scheduler cannot be reached.
    pub async fn embedding_request(
        self: &Arc<Self>,
        request: EmbeddingReqInput,
    ) -> Result<Generation, GenerateError> {
        let created = Instant::now();
        if let Some(name) = adapter_name(&request.lora_path).filter(|_| self.adapters().is_none()) {
            return Err(ValueError(lora_off(name)).into());
        }
        let show = ShowOptions {
            return_prompt_token_ids: request.return_prompt_token_ids,
            ..ShowOptions::default()
        };
        let (items, is_single) = request.normalize()?;
        items.iter().for_each(|item| call_trace::note_request(&item.rid));
        let names: Vec<Option<String>> = items.iter().map(|item| item.lora_path.clone()).collect();
        let adapters = self.acquire_adapters(&names).await?;
        let states = self.tokenize_embeddings(items, created).await?;
        let states: Vec<ReqState> =
            states.into_iter().zip(adapters).map(|(state, adapter)| state.with_adapter(adapter)).collect();
        for state in &states {
            self.log_received(&state.request);
        }
        self.admitted().await?;
        let handles = states.into_iter().map(|state| self.send(state)).collect::<Result<_, _>>()?;
        Ok(Generation { handles, is_single, show })
    }

    async fn tokenize_embeddings(
        self: &Arc<Self>,
        items: Vec<SingleEmbeddingReqInput>,
        created: Instant,
    ) -> Result<Vec<ReqState>, GenerateError> {
        let manager = self.clone();
        let small = items.iter().map(|item| bytes(&item.prompt)).sum::<usize>() <= INLINE_BYTES;
        let run = move || -> Result<Vec<ReqState>, ValueError> {
            let tokenize = |item| {
                let (request, params) = manager.limits.tokenize_embedding(item)?;
                Ok(ReqState::new(request, created).with_embedding(params))
            };
            items.into_iter().map(tokenize).collect()
        };
        if small {
            return Ok(run()?);
        }
        match tokio::task::spawn_blocking(run).await {
            Ok(states) => Ok(states?),
            Err(error) => Err(GenerateError::Refused {
                status: 500,
                message: format!("Internal server error: tokenizing failed: {error}"),
            }),
        }
    }
}

fn bytes(prompt: &EmbeddingPrompt) -> usize {
    match prompt {
        EmbeddingPrompt::Text(text) => text.len(),
        EmbeddingPrompt::Pair(first, second) => first.len() + second.len(),
        EmbeddingPrompt::Ids(ids) => ids.len() / 8,
    }
}
