//! Sampling parameters from the door to the sampler (reference: `sampling/sampling_params.py`).
//!
//! `table.rs` has a row per parameter. The readers of the dialects, the checks, the log and the OpenAPI document are
//! made from the rows, so a new parameter is a row and its use.
//!
//! The front end reads a [`SamplingRequest`], fills it from the defaults, calls [`SamplingParams::normalize`] and
//! [`SamplingParams::verify`], and only then sends the [`SamplingParams`] on: inside a message they are always in range.

mod check;
mod rows;
mod table;
mod value;

pub use check::{MAX_STOP_COUNT, MAX_STOP_REGEX_COUNT, MAX_STOP_REGEX_LEN};
pub use table::{PARAMETERS, SamplingParams, SamplingRequest};
pub use value::{Given, Kind, Number, ParameterType, ParameterValue, TOP_K_ALL, python_float};

use serde_json::{Map, Value};

/// A parameter out of range. The text is the reference's and names the field.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct SamplingParamsError(pub String);

/// An API whose requests name sampling parameters in their own way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// Both `/v1/completions` and `/v1/chat/completions`.
    OpenAi,
    /// `/v1/completions` only.
    Completions,
    /// `/v1/responses`.
    Responses,
    /// Anthropic's `/v1/messages`.
    Messages,
    /// Ollama's `options`.
    Ollama,
}

/// A row of the table.
pub struct Parameter {
    /// Name of the field and in `/generate`.
    pub name: &'static str,
    /// What kind of value it has.
    pub kind: Kind,
    /// The dialects that have it, with its name there.
    pub aliases: &'static [(Dialect, &'static str)],
    /// What it does, in a sentence or two.
    pub help: &'static str,
    /// What the value must be, as errors say it; empty when every value of the kind is valid.
    pub must: &'static str,
    /// Whether the value is valid.
    pub fits: fn(&SamplingParams) -> bool,
    /// The value as an error quotes it: as the request wrote it.
    pub quote: fn(&SamplingParams, &SamplingRequest) -> String,
    /// The value as JSON.
    pub json: fn(&SamplingParams) -> Value,
    /// Puts what a client wrote in its place. `None`: the value is of another kind.
    pub set: fn(&mut SamplingRequest, Given<ParameterValue>) -> Option<()>,
}

impl Parameter {
    /// The row of a native name.
    pub fn by_name(name: &str) -> Option<&'static Self> {
        PARAMETERS.iter().find(|row| row.name == name)
    }

    /// The name in a dialect; `None` when its requests do not have the parameter.
    pub fn alias(&self, dialect: Dialect) -> Option<&'static str> {
        self.aliases.iter().find(|(of, _)| *of == dialect).map(|(_, name)| *name)
    }
}

impl SamplingParams {
    /// Whether the choice is the most likely token.
    pub fn is_greedy(&self) -> bool {
        self.top_k <= 1
    }

    /// Seed of the counter-based generator; the draw for position `p` depends only on (seed, p, distribution). The
    /// scheduler gives one to every request that brings none.
    pub fn seed(&self) -> u64 {
        self.sampling_seed.unwrap_or_default() as u64
    }

    /// Every parameter by name, as the log shows it.
    pub fn to_json(&self) -> Map<String, Value> {
        let normalized = |row: &Parameter| match row.name {
            "stop" => self.stop_strs.0.as_slice().into(),
            "stop_regex" => self.stop_regex_strs.0.as_slice().into(),
            _ => (row.json)(self),
        };
        PARAMETERS.iter().map(|row| (row.name.to_owned(), normalized(row))).collect()
    }
}
