//! Architectures that embed, score or classify, by their name in checkpoints.

use sglang_checkpoint::ModelConfig;

/// The head after a decoder's body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DecoderHead {
    /// No head: the pooled row is the result.
    None,
    /// One linear layer, `score`.
    Score,
    /// Two linear layers with a ReLU between them, `score.0` and `score.2`.
    Reward,
}

/// The kind of an architecture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// The body of a generating architecture.
    Decoder(&'static str, DecoderHead),
    /// A BERT encoder, with or without classifier.
    Bert { classifies: bool },
    /// The same, with the positions and classifier of RoBERTa.
    XlmRoberta { classifies: bool },
}

const FORMS: [(&str, Form); 16] = [
    ("LlamaModel", Form::Decoder("LlamaForCausalLM", DecoderHead::None)),
    ("LlamaEmbeddingModel", Form::Decoder("LlamaForCausalLM", DecoderHead::None)),
    ("MistralModel", Form::Decoder("MistralForCausalLM", DecoderHead::None)),
    ("Qwen2Model", Form::Decoder("Qwen2ForCausalLM", DecoderHead::None)),
    ("Qwen3Model", Form::Decoder("Qwen3ForCausalLM", DecoderHead::None)),
    ("LlamaForSequenceClassification", Form::Decoder("LlamaForCausalLM", DecoderHead::Score)),
    ("MistralForSequenceClassification", Form::Decoder("MistralForCausalLM", DecoderHead::Score)),
    ("Qwen2ForSequenceClassification", Form::Decoder("Qwen2ForCausalLM", DecoderHead::Score)),
    ("Qwen3ForSequenceClassification", Form::Decoder("Qwen3ForCausalLM", DecoderHead::Score)),
    ("Qwen2ForRewardModel", Form::Decoder("Qwen2ForCausalLM", DecoderHead::Reward)),
    ("Qwen3ForRewardModel", Form::Decoder("Qwen3ForCausalLM", DecoderHead::Reward)),
    ("BertModel", Form::Bert { classifies: false }),
    ("Contriever", Form::Bert { classifies: false }),
    ("BertForSequenceClassification", Form::Bert { classifies: true }),
    ("XLMRobertaModel", Form::XlmRoberta { classifies: false }),
    ("XLMRobertaForSequenceClassification", Form::XlmRoberta { classifies: true }),
];

/// Names of the architectures that only embed, score or classify.
pub(super) fn architectures() -> impl Iterator<Item = &'static str> {
    FORMS.iter().map(|(name, _)| *name)
}

/// The form of the first listed architecture of the configuration.
pub(super) fn form(config: &ModelConfig) -> Option<Form> {
    config.architectures.iter().find_map(|a| FORMS.iter().find(|(name, _)| name == a)).map(|(_, form)| *form)
}
