//! Architectures that embed, score or classify, by the name that checkpoints give them.

use sglang_checkpoint::ModelConfig;

/// What follows a decoder's body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DecoderHead {
    /// Nothing: the pooled row is the answer.
    None,
    /// One linear layer, `score`.
    Score,
    /// Two linear layers with a ReLU between them, `score.0` and `score.2`.
    Reward,
}

/// How an architecture is built.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// The body of a generating architecture.
    Decoder(&'static str, DecoderHead),
    /// An encoder; the flag says whether its classifier is there.
    Bert { classifies: bool },
    /// The same with RoBERTa's positions and classifier.
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

/// How the first architecture of the configuration that is among them is built.
pub(super) fn form(config: &ModelConfig) -> Option<Form> {
    config.architectures.iter().find_map(|a| FORMS.iter().find(|(name, _)| name == a)).map(|(_, form)| *form)
}
