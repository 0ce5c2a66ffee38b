//! Tokenizes the prompt of an embedding request and checks its length (reference:
//! `TokenizerManager._tokenize_one_request`).

use sglang_proto::SamplingParams;
use sglang_proto::messages::TokenizedGenerateReqInput;
use sglang_proto::refusal;
use sglang_proto::wire::TokenIds;

use super::ValueError;
use super::embedding::{EmbeddingPrompt, SingleEmbeddingReqInput};
use super::embedding_params::EmbeddingParams;
use super::tokenize::RequestLimits;

impl RequestLimits {
    /// Tokenizes an embedding request and checks it: the rules of all requests, and those of this kind.
    ///
    /// # Errors
    /// If the model generates text; if the prompt is empty, too long or outside the vocabulary; or if the vector cannot
    /// have the requested size.
    pub fn tokenize_embedding(
        &self,
        item: SingleEmbeddingReqInput,
    ) -> Result<(TokenizedGenerateReqInput, EmbeddingParams), ValueError> {
        let (mut input_ids, mut token_type_ids, input_text) = self.embedding_ids(item.prompt)?;
        if input_ids.is_empty() {
            return Err(ValueError(refusal::EMPTY_INPUT_IDS.into()));
        }
        let (len, context) = (input_ids.len(), self.context_len);
        if len > context {
            if !(self.allow_auto_truncate || item.truncate) {
                return Err(self.too_long(len));
            }
            tracing::warn!(
                "The input ({len} tokens) is cut to the model's context length ({context} tokens)"
            );
            input_ids.truncate(context);
            token_type_ids.truncate(context);
        }
        let Some(facts) = &self.embedding else {
            return Err(ValueError(refusal::NOT_AN_EMBEDDING_MODEL.into()));
        };
        facts.check_dimensions(item.dimensions)?;
        let params = EmbeddingParams {
            // If all segments are 0, the field is left out: that is its default on the wire.
            token_type_ids: token_type_ids.iter().any(|t| *t != 0).then_some(token_type_ids),
            dimensions: item.dimensions,
            return_pooled_hidden_states: item.return_pooled_hidden_states,
        };
        let request = TokenizedGenerateReqInput {
            rid: item.rid,
            input_text,
            input_ids: Some(TokenIds(input_ids)),
            sampling_params: SamplingParams { max_new_tokens: Some(0), ..SamplingParams::default() },
            priority: item.priority.or(self.default_priority),
            ..Default::default()
        };
        Ok((request, params))
    }

    #[allow(clippy::type_complexity)] // ids, segments and text go to three places at once
    fn embedding_ids(
        &self,
        prompt: EmbeddingPrompt,
    ) -> Result<(Vec<u32>, Vec<i64>, Option<String>), ValueError> {
        match prompt {
            EmbeddingPrompt::Ids(ids) => Ok((self.valid_ids(&ids, "input_ids")?, Vec::new(), None)),
            EmbeddingPrompt::Text(text) => {
                let ids = self.codec()?.encode(&text, true).map_err(|e| ValueError(e.0))?;
                Ok((self.known_ids(ids)?, Vec::new(), Some(text)))
            }
            EmbeddingPrompt::Pair(first, second) => {
                let (ids, types) = self.codec()?.encode_pair(&first, &second).map_err(|e| ValueError(e.0))?;
                Ok((
                    self.known_ids(ids)?,
                    types.into_iter().map(i64::from).collect(),
                    Some(first + " " + &second),
                ))
            }
        }
    }
}
