//! The sampling parameters. A row is `name: type = default, [dialects], "help"`, optionally followed by the check: the
//! condition in the words of the error, and its test. The list has the dialects whose requests have the parameter; a
//! string after a dialect is the parameter's name there, if it differs from the native one. `/generate` has every
//! parameter under its native name.
//!
//! The rows are also the first fields on the wire, in the reference's order (`sampling/sampling_params.py`). The fields
//! after them are set only by the server itself.

use std::collections::BTreeMap;

use serde_json::Value;

use super::rows::sampling_params;
use super::value::{Given, ParameterType, TOP_K_ALL, apply};
use super::{Dialect, Parameter};
use crate::wire::{StringList, positional};

sampling_params! {
    max_new_tokens: Option<i64> = Some(128), [OpenAi "max_tokens", Responses "max_output_tokens", Messages "max_tokens", Ollama "num_predict"],
        "Most tokens to generate. Null: up to the context's end.",
        must "be at least 0" if |max| max.is_none_or(|max| max >= 0);
    stop: StringList = StringList::default(), [OpenAi, Responses, Messages "stop_sequences", Ollama],
        "Texts that end the output.";
    stop_token_ids: Option<Vec<i64>> = None, [OpenAi],
        "Token ids that end the output, besides the model's end-of-sequence ids.";
    stop_regex: StringList = StringList::default(), [OpenAi],
        "Regular expressions that end the output where they match.";
    temperature: f64 = 1.0, [OpenAi, Responses, Messages, Ollama],
        "Divides the logits. Below 1e-6 the most likely token is taken.",
        must "be a non-negative finite number" if |t| t.is_finite() && *t >= 0.0;
    top_p: f64 = 1.0, [OpenAi, Responses, Messages, Ollama],
        "Keeps the most likely tokens until their probabilities reach this sum.",
        must "be in (0, 1]" if |p| *p > 0.0 && *p <= 1.0;
    top_k: i64 = TOP_K_ALL, [OpenAi, Responses, Messages, Ollama],
        "Keeps this many of the most likely tokens; -1 keeps all.",
        must "be -1 (disable) or at least 1" if |k| *k >= 1;
    min_p: f64 = 0.0, [OpenAi, Responses, Ollama],
        "Drops tokens less likely than this share of the most likely token's probability.",
        must "be in [0, 1]" if |p| (0.0..=1.0).contains(p);
    frequency_penalty: f64 = 0.0, [OpenAi, Responses, Ollama],
        "Subtracted from a token's logit for every time the output has it.",
        must "be in [-2, 2]" if |penalty| (-2.0..=2.0).contains(penalty);
    presence_penalty: f64 = 0.0, [OpenAi, Responses, Ollama],
        "Subtracted once from the logits of tokens that the output has.",
        must "be in [-2, 2]" if |penalty| (-2.0..=2.0).contains(penalty);
    repetition_penalty: f64 = 1.0, [OpenAi, Responses, Ollama "repeat_penalty"],
        "Divides positive and multiplies negative logits of tokens that the output has.",
        must "be in (0, 2] (1.0 = no penalty)" if |penalty| *penalty > 0.0 && *penalty <= 2.0;
    min_new_tokens: i64 = 0, [OpenAi "min_tokens"],
        "Suppresses end-of-sequence and stop ids until the output has this many tokens.",
        must "be in [0, max_new_tokens]" if |min| *min >= 0;
    n: i64 = 1, [OpenAi],
        "Samples per prompt.",
        must "be at least 1" if |n| *n >= 1;
    beam_width: Option<i64> = None, [],
        "Beam width. Beam search is not supported, so only 1 is valid.",
        must "be at least 1" if |width| width.is_none_or(|width| width >= 1);
    json_schema: Option<String> = None, [Completions],
        "JSON schema, as text, that the output follows.";
    regex: Option<String> = None, [OpenAi],
        "Regular expression that the output matches.";
    ebnf: Option<String> = None, [OpenAi],
        "Grammar that the output follows.";
    structural_tag: Option<String> = None, [],
        "Structural tags, as JSON text, that the output follows.";
    ignore_eos: bool = false, [OpenAi],
        "Goes on behind end-of-sequence ids and stop_token_ids.";
    skip_special_tokens: bool = true, [OpenAi],
        "Leaves special tokens out of the text.";
    spaces_between_special_tokens: bool = true, [],
        "No effect: only slow tokenizers of the reference know it, and this server has none.";
    no_stop_trim: bool = false, [OpenAi],
        "Keeps the matched stop text or token in the text.";
    stream_interval: Option<i64> = None, [],
        "Tokens per chunk of a stream. Null: the server's --stream-interval.",
        must "be at least 1" if |interval| interval.is_none_or(|interval| interval >= 1);
    logit_bias: Option<BTreeMap<String, f64>> = None, [OpenAi],
        "Numbers to add to logits, by token id in decimal text.";
    sampling_seed: Option<i64> = None, [OpenAi "seed", Ollama "seed"],
        "Seed of the random draws. Null: derived from --random-seed and the request's id.";
    custom_params: Option<Value> = None, [OpenAi],
        "Values for custom logit processors, which this server does not have.";
    watermark: Option<Value> = None, [OpenAi],
        "Watermark of the output. Watermarking is not supported, so only enabled=false is valid.";

    @server
    /// The non-empty stop strings.
    stop_strs: StringList = StringList::default();
    /// The non-empty stop patterns.
    stop_regex_strs: StringList = StringList::default();
    /// Length in tokens of the longest stop string.
    stop_str_max_len: i64 = 0;
    /// Upper bound in characters of a `stop_regex` match.
    stop_regex_max_len: i64 = 0;
    /// Whether [`SamplingParams::normalize`] has run.
    is_normalized: bool = false;
    /// Whether the grammar describes the whole assistant turn.
    ebnf_full_assistant: bool = false;
}
