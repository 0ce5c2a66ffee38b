//! Scoring: the probabilities of given tokens after a prompt, or a classifier's scores of it (reference:
//! `TokenizerManagerScoreMixin`).

use std::sync::Arc;

use sglang_proto::sampling_params::{Given, SamplingRequest};

use super::{GenerateError, Generation, TokenizerManager};
use crate::requests::embedding::{EmbeddingPrompt, EmbeddingReqInput};
use crate::requests::score::{Labels, ScoreItems, ScoreQuery, ScoringRequest, softmax};
use crate::requests::{GenerateReqInput, OneOrMany, ValueError};
use crate::state::RequestHandle;

/// The result of scoring.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ScoreResult {
    /// The scores of each item.
    pub scores: Vec<Vec<f64>>,
    /// Number of tokens of all prompts.
    pub prompt_tokens: u64,
    /// Hidden states before the head.
    pub pooled_hidden_states: Option<Vec<Option<Vec<f32>>>>,
    /// The labels' log-probabilities over the whole vocabulary.
    pub token_logprobs: Option<Vec<Vec<f64>>>,
}

/// The composed prompts.
enum Prompts {
    Texts(Vec<String>),
    Ids(Vec<Vec<i64>>),
}

fn refuse<T>(text: impl Into<String>) -> Result<T, GenerateError> {
    Err(ValueError(text.into()).into())
}

impl TokenizerManager {
    /// Scores every item with the query.
    ///
    /// # Errors
    /// If the request is invalid or unsupported, or the scheduler cannot be reached.
    pub async fn score_request(
        self: &Arc<Self>,
        request: ScoringRequest,
    ) -> Result<ScoreResult, GenerateError> {
        let generates = self.limits.embedding.is_none();
        if let Some(name) = request.unsupported {
            return refuse(format!("{name} is not supported by this version of the server."));
        }
        if request.temperature != 1.0 && !request.apply_softmax {
            return refuse("temperature requires apply_softmax=True");
        }
        if request.return_token_logprobs && !generates {
            return refuse("return_token_logprobs is only supported for CausalLM models");
        }
        if generates && request.label_token_ids.is_none() {
            return refuse("label_token_ids is required for generation (CausalLM) models.");
        }
        let Some(items) = request.items.clone() else { return refuse("items must be provided") };
        if items.is_empty() {
            let token_logprobs = request.return_token_logprobs.then(Vec::new);
            return Ok(ScoreResult { token_logprobs, ..ScoreResult::default() });
        }
        if !generates {
            return self.classified(&request, compose(&request, items)?).await;
        }
        let labels = self.labels(request.label_token_ids.as_ref(), items.len())?;
        let prompts = compose(&request, items)?;
        if request.return_pooled_hidden_states {
            return refuse(
                "return_pooled_hidden_states is not supported for CausalLM models. It requires a model with a \
                 task-specific head (e.g. SequenceClassification or RewardModel).",
            );
        }
        self.likelihoods(&request, prompts, labels).await
    }

    /// One list of labels per item.
    fn labels(&self, labels: Option<&Labels>, items: usize) -> Result<Vec<Vec<i64>>, GenerateError> {
        let labels = match labels {
            None => return refuse("label_token_ids is required for generation (CausalLM) models."),
            Some(Labels::Shared(ids)) if ids.is_empty() => {
                return refuse("label_token_ids must be a nonempty list");
            }
            Some(Labels::Shared(ids)) => vec![ids.clone(); items],
            Some(Labels::PerItem(lists)) if lists.len() != items => {
                return refuse("label_token_ids must have one list per item");
            }
            Some(Labels::PerItem(lists)) => lists.clone(),
        };
        for list in &labels {
            if list.is_empty() {
                return refuse("each item must have a nonempty candidate list");
            }
            if list.iter().any(|id| *id < 0) {
                return refuse("label_token_ids must contain nonnegative integers");
            }
            let mut seen = ahash::AHashSet::with_capacity(list.len());
            if !list.iter().all(|id| seen.insert(*id)) {
                return refuse("label_token_ids must not contain duplicate tokens");
            }
            let size = self.limits.codec.as_ref().map(|codec| codec.vocab_size() as i64);
            if let Some((id, size)) = list.iter().zip(size.into_iter().cycle()).find(|(id, size)| *id >= size)
            {
                return refuse(format!("Token ID {id} is out of vocabulary (vocab size: {size})"));
            }
        }
        Ok(labels)
    }

    /// The probabilities of the labels as the next token after each prompt.
    async fn likelihoods(
        self: &Arc<Self>,
        request: &ScoringRequest,
        prompts: Prompts,
        labels: Vec<Vec<i64>>,
    ) -> Result<ScoreResult, GenerateError> {
        let mut generate = GenerateReqInput {
            return_logprob: Some(OneOrMany::One(true)),
            logprob_start_len: Some(OneOrMany::One(-1)),
            token_ids_logprob: Some(OneOrMany::Many(labels.clone())),
            sampling_params: Some(OneOrMany::One(SamplingRequest {
                max_new_tokens: Given::Value(0),
                ..SamplingRequest::default()
            })),
            lora_path: request.lora_path.clone().map(|name| OneOrMany::One(Some(name))),
            ..GenerateReqInput::default()
        };
        match prompts {
            Prompts::Texts(texts) => generate.text = Some(OneOrMany::Many(texts)),
            Prompts::Ids(lists) => generate.input_ids = Some(OneOrMany::Many(lists)),
        }
        let generation = self.generate_request(generate).await?;
        let handles = finished(generation).await?;
        let mut result = ScoreResult { prompt_tokens: prompt_tokens(&handles), ..ScoreResult::default() };
        let mut all_logprobs = Vec::with_capacity(handles.len());
        for (handle, labels) in handles.iter().zip(&labels) {
            let output = handle.state().output();
            let Some(Some(row)) = output.logprobs.output_token_ids.first() else {
                return Err(GenerateError::Refused {
                    status: 500,
                    message: "Internal server error: the scheduler gave no log-probabilities".into(),
                });
            };
            let logprob = |id: &i64| {
                let found = row.iter().find(|(_, token)| i64::from(*token) == *id);
                found.map_or(f64::NEG_INFINITY, |(logprob, _)| f64::from(*logprob))
            };
            let logprobs: Vec<f64> = labels.iter().map(logprob).collect();
            result.scores.push(match request.apply_softmax {
                true => softmax(&logprobs, request.temperature),
                false => logprobs.iter().map(|x| x.exp()).collect(),
            });
            all_logprobs.push(logprobs);
        }
        result.token_logprobs = request.return_token_logprobs.then_some(all_logprobs);
        Ok(result)
    }

    /// A classifier's scores of each prompt.
    async fn classified(
        self: &Arc<Self>,
        request: &ScoringRequest,
        prompts: Prompts,
    ) -> Result<ScoreResult, GenerateError> {
        let prompts = match prompts {
            Prompts::Texts(texts) => texts.into_iter().map(EmbeddingPrompt::Text).collect(),
            Prompts::Ids(lists) => lists.into_iter().map(EmbeddingPrompt::Ids).collect(),
        };
        let embed = EmbeddingReqInput {
            return_pooled_hidden_states: request.return_pooled_hidden_states,
            lora_path: request.lora_path.clone().map(|name| OneOrMany::One(Some(name))),
            ..EmbeddingReqInput::of(OneOrMany::Many(prompts))
        };
        let generation = self.embedding_request(embed).await?;
        let handles = finished(generation).await?;
        let mut result = ScoreResult { prompt_tokens: prompt_tokens(&handles), ..ScoreResult::default() };
        let mut hidden = Vec::with_capacity(handles.len());
        for handle in &handles {
            let output = handle.state().output();
            let scores: Vec<f64> = output.embedding.iter().map(|x| f64::from(*x)).collect();
            result.scores.push(match request.apply_softmax {
                true => softmax(&scores, request.temperature),
                false => scores,
            });
            hidden.push(output.pooled_hidden_state.clone());
        }
        result.pooled_hidden_states = hidden.iter().any(Option::is_some).then_some(hidden);
        Ok(result)
    }
}

/// Joins query and item into one prompt per item, as texts or as ids. Nothing is put between them.
fn compose(request: &ScoringRequest, items: ScoreItems) -> Result<Prompts, GenerateError> {
    fn join<T: Clone>(query: &[T], item: &[T], item_first: bool) -> Vec<T> {
        if item_first { [item, query].concat() } else { [query, item].concat() }
    }
    let texts = match items {
        ScoreItems::Ids(lists) => {
            let query = match &request.query {
                None => &[][..],
                Some(ScoreQuery::Ids(ids)) => ids,
                Some(ScoreQuery::Text(_)) => return refuse(MIXED),
            };
            let join = |item: Vec<i64>| join(query, &item, request.item_first);
            return Ok(Prompts::Ids(lists.into_iter().map(join).collect()));
        }
        ScoreItems::Text(text) => vec![text],
        ScoreItems::Texts(texts) => texts,
    };
    let query = match &request.query {
        None => "",
        Some(ScoreQuery::Text(text)) => text,
        Some(ScoreQuery::Ids(_)) => return refuse(MIXED),
    };
    let join = |item: String| match request.item_first {
        true => item + query,
        false => query.to_owned() + &item,
    };
    Ok(Prompts::Texts(texts.into_iter().map(join).collect()))
}

/// The reference's words.
const MIXED: &str = "Invalid combination of query/items types for score_request.";

async fn finished(mut generation: Generation) -> Result<Vec<RequestHandle>, GenerateError> {
    generation.finished().await?;
    Ok(generation.handles)
}

fn prompt_tokens(handles: &[RequestHandle]) -> u64 {
    handles.iter().map(|handle| handle.state().output().counts.prompt_tokens).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(query: Option<&str>, items: &[&str], item_first: bool) -> Vec<String> {
        let request = ScoringRequest {
            query: query.map(|q| ScoreQuery::Text(q.into())),
            item_first,
            ..ScoringRequest::default()
        };
        let items = ScoreItems::Texts(items.iter().map(|i| (*i).into()).collect());
        match compose(&request, items).unwrap() {
            Prompts::Texts(texts) => texts,
            Prompts::Ids(_) => panic!("texts"),
        }
    }

    #[test]
    fn texts_are_joined_in_both_orders_without_a_separator() {
        assert_eq!(texts(Some("q "), &["a", "b"], false), ["q a", "q b"]);
        assert_eq!(texts(Some("q "), &["a"], true), ["aq "]);
        assert_eq!(texts(None, &["a"], false), ["a"]);
    }

    #[test]
    fn texts_and_ids_do_not_mix() {
        let request = ScoringRequest { query: Some(ScoreQuery::Ids(vec![1])), ..ScoringRequest::default() };
        assert!(compose(&request, ScoreItems::Text("a".into())).is_err());
        let Ok(Prompts::Ids(ids)) = compose(&request, ScoreItems::Ids(vec![vec![2, 3], vec![]])) else {
            panic!("ids")
        };
        assert_eq!(ids, [vec![1, 2, 3], vec![1]]);
    }
}
