//! Configuration of models that output embeddings or classes.

use crate::checkpoint::Checkpoint;
use crate::error::CheckpointError;
use crate::pooling::PoolingConfig;

use super::ModelConfig;

/// Architectures that never generate text (reference: `is_generation_model` in `configs/model_config.py`, and the
/// headless classes that checkpoints of embedding models name).
const EMBEDDING_ARCHITECTURES: [&str; 16] = [
    "LlamaEmbeddingModel",
    "LlamaModel",
    "MistralModel",
    "Qwen2Model",
    "Qwen3Model",
    "LlamaForSequenceClassification",
    "MistralForSequenceClassification",
    "Qwen2ForSequenceClassification",
    "Qwen3ForSequenceClassification",
    "Qwen2ForRewardModel",
    "Qwen3ForRewardModel",
    "BertModel",
    "Contriever",
    "BertForSequenceClassification",
    "XLMRobertaModel",
    "XLMRobertaForSequenceClassification",
];

impl ModelConfig {
    /// Whether the model generates text. `is_embedding` is the server's flag `--is-embedding`, which turns a generating
    /// model into an embedding model.
    pub fn is_generation(&self, is_embedding: bool) -> bool {
        let embeds = |name: &String| EMBEDDING_ARCHITECTURES.contains(&name.as_str());
        !is_embedding && !self.architectures.iter().any(embeds)
    }

    /// Fills [`ModelConfig::pooling`] if the model is to embed.
    ///
    /// # Errors
    /// Same as [`PoolingConfig::from_checkpoint`].
    pub fn read_pooling(
        &mut self,
        checkpoint: &Checkpoint,
        is_embedding: bool,
    ) -> Result<(), CheckpointError> {
        self.pooling = match self.is_generation(is_embedding) {
            true => None,
            false => Some(PoolingConfig::from_checkpoint(checkpoint)?),
        };
        Ok(())
    }

    /// Positions that a prompt and its answer can use. Encoders have as many as their position table has rows. RoBERTa
    /// starts counting after the padding token's id, so no prompt reaches the first rows of its table.
    pub fn usable_positions(&self) -> usize {
        match self.model_type.as_str() {
            "roberta" | "xlm-roberta" | "xlm-roberta-xl" | "camembert" => {
                let first = self.pad_token_id.map_or(1, |id| id as usize) + 1;
                self.max_position_embeddings.saturating_sub(first).max(1)
            }
            "bert" => self.context_length.min(self.max_position_embeddings),
            _ => self.context_length,
        }
    }

    /// Whether positions are rows of a learned table, which limits the sequence length.
    pub fn has_position_table(&self) -> bool {
        matches!(
            self.model_type.as_str(),
            "bert" | "roberta" | "xlm-roberta" | "xlm-roberta-xl" | "camembert"
        )
    }

    /// Class names of a classification model, by index. If the file has none, they are `LABEL_0`, `LABEL_1` and so on,
    /// `num_labels` of them or two (as in transformers).
    pub fn labels(&self) -> Vec<String> {
        if let Some(names) = self.raw.get("id2label").and_then(serde_json::Value::as_object)
            && !names.is_empty()
        {
            let name = |i: usize| names.get(&i.to_string()).and_then(serde_json::Value::as_str);
            return (0..names.len())
                .map(|i| name(i).map_or_else(|| format!("LABEL_{i}"), str::to_owned))
                .collect();
        }
        let count = self.raw.get("num_labels").and_then(serde_json::Value::as_u64).unwrap_or(2);
        (0..count.min(1 << 16)).map(|i| format!("LABEL_{i}")).collect()
    }

    /// Sizes to which embeddings may be truncated (matryoshka embeddings): `None` if they may not, an empty list if any
    /// size is allowed.
    pub fn matryoshka_dimensions(&self) -> Option<Vec<u64>> {
        let list = self.raw.get("matryoshka_dimensions").and_then(serde_json::Value::as_array);
        let sizes: Vec<u64> = list.into_iter().flatten().filter_map(serde_json::Value::as_u64).collect();
        let any = self.raw.get("is_matryoshka").and_then(serde_json::Value::as_bool).unwrap_or(false);
        (any || !sizes.is_empty()).then_some(sizes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn config(extra: serde_json::Value) -> ModelConfig {
        let mut value = json!({"architectures": ["LlamaForCausalLM"], "vocab_size": 10, "hidden_size": 8,
            "num_hidden_layers": 1, "num_attention_heads": 2, "max_position_embeddings": 514});
        for (key, new) in extra.as_object().unwrap() {
            value[key] = new.clone();
        }
        ModelConfig::from_json("config.json".as_ref(), value, None).unwrap()
    }

    #[test]
    fn the_flag_or_the_architecture_makes_an_embedding_model() {
        assert!(config(json!({})).is_generation(false));
        assert!(!config(json!({})).is_generation(true));
        for name in EMBEDDING_ARCHITECTURES {
            assert!(!config(json!({"architectures": [name]})).is_generation(false), "{name}");
        }
    }

    #[test]
    fn robertas_positions_begin_after_the_padding_token() {
        assert!(config(json!({"model_type": "bert"})).has_position_table());
        assert!(!config(json!({})).has_position_table());
        assert_eq!(config(json!({"model_type": "bert"})).usable_positions(), 514);
        assert_eq!(config(json!({"model_type": "xlm-roberta", "pad_token_id": 1})).usable_positions(), 512);
        assert_eq!(config(json!({"model_type": "roberta", "pad_token_id": 3})).usable_positions(), 510);
    }

    #[test]
    fn classes_have_names_also_when_the_file_gives_none() {
        assert_eq!(config(json!({})).labels(), ["LABEL_0", "LABEL_1"]);
        assert_eq!(config(json!({"num_labels": 1})).labels(), ["LABEL_0"]);
        assert_eq!(config(json!({"id2label": {"1": "no", "0": "yes"}})).labels(), ["yes", "no"]);
    }

    #[test]
    fn embeddings_may_be_truncated_only_if_the_file_says_so() {
        assert_eq!(config(json!({})).matryoshka_dimensions(), None);
        assert_eq!(config(json!({"is_matryoshka": true})).matryoshka_dimensions(), Some(vec![]));
        assert_eq!(
            config(json!({"matryoshka_dimensions": [4, 8]})).matryoshka_dimensions(),
            Some(vec![4, 8])
        );
    }
}
