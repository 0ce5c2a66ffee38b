//! One command-line flag: the row type of the flag tables.

use super::range::Range;

/// Headings of `--help`, in the order in which they are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Group {
    /// Which model and tokenizer are served.
    Model,
    /// Number formats of weights, activations and the KV cache.
    DataTypes,
    /// Address, keys, warm-up.
    HttpServer,
    /// Behaviour of the APIs: templates, defaults, streaming.
    Api,
    /// KV pool and batching.
    MemoryAndScheduling,
    /// Priorities between requests.
    Priority,
    /// Device, threads, seeds, watchdogs.
    Runtime,
    /// Tensor, pipeline, data and expert parallelism, several machines.
    Parallelism,
    /// Structured output.
    ConstrainedDecoding,
    /// Kernel and graph choices.
    Kernels,
    /// LoRA adapters.
    Lora,
    /// Speculative decoding.
    Speculative,
    /// Prefill/decode disaggregation.
    Disaggregation,
    /// Images, audio and video.
    Multimodal,
    /// Logs, metrics, traces.
    Observability,
}

impl Group {
    /// The heading as `--help` prints it.
    pub fn heading(self) -> &'static str {
        match self {
            Group::Model => "Model and tokenizer",
            Group::DataTypes => "Data types",
            Group::HttpServer => "HTTP server",
            Group::Api => "API behaviour",
            Group::MemoryAndScheduling => "Memory and scheduling",
            Group::Priority => "Priority scheduling",
            Group::Runtime => "Device and runtime",
            Group::Parallelism => "Parallelism",
            Group::ConstrainedDecoding => "Constrained decoding",
            Group::Kernels => "Kernels",
            Group::Lora => "LoRA",
            Group::Speculative => "Speculative decoding",
            Group::Disaggregation => "Disaggregation",
            Group::Multimodal => "Multimodal",
            Group::Observability => "Logging, metrics and tracing",
        }
    }
}

/// The kind of value that a flag takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// No value; present means true.
    Switch,
    /// Whole number.
    Int,
    /// Decimal number.
    Float,
    /// Any text.
    Text,
    /// A JSON object.
    Json,
    /// One or more texts after one flag.
    List,
}

/// The value a flag has when it is not given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Default {
    /// Start-up fails without it.
    Required,
    /// Unset: `None`, `false` or chosen at start-up.
    Unset,
    /// This text, read like one that was typed.
    Is(&'static str),
}

/// Whether this version does what the flag asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Support {
    /// The flag has its effect.
    Supported,
    /// The flag is known, and start-up fails when it is given another value than its default.
    NotYet,
    /// The flag is for a feature that this server lacks: it is accepted and ignored.
    NoEffect,
}

/// One flag. The parser, `--help`, shell completions, `--config` and `/get_server_info` are all made from these rows.
#[derive(Debug, Clone, Copy)]
pub struct FlagSpec {
    /// The reference's snake_case name, also the field of [`super::ServerArgs`] and the JSON key.
    pub field: &'static str,
    /// Long name without dashes.
    pub long: &'static str,
    /// Other long names, without dashes.
    pub aliases: &'static [&'static str],
    /// Heading in `--help`.
    pub group: Group,
    /// Kind of value.
    pub kind: Kind,
    /// Value when absent.
    pub default: Default,
    /// Values that work; empty when any value of the kind may be given.
    pub choices: &'static [&'static str],
    /// Values the reference knows and this version does not support yet.
    pub choices_not_yet: &'static [&'static str],
    /// The valid values among those that the kind and the choices allow.
    pub range: Range,
    /// Whether the value is a key or a password, which no log and no answer shows.
    pub secret: bool,
    /// Whether the flag has its effect.
    pub support: Support,
    /// One or two sentences.
    pub help: &'static str,
}

impl FlagSpec {
    /// Says what would be valid, for the error about an invalid value.
    pub fn expected(&self) -> String {
        let range = self.range;
        let noun = match self.kind {
            Kind::Int => "a whole number",
            Kind::Float => "a number",
            Kind::Switch | Kind::Text | Kind::Json | Kind::List => return format!("expected {range}"),
        };
        match range {
            Range::Any => format!("expected {noun}"),
            Range::AtLeast(_) | Range::AtLeastOrMinusOne(..) => format!("expected {noun}, {range}"),
            _ => format!("expected {noun} {range}"),
        }
    }
}
