//! Sampling parameters, from the request to the sampler (reference: `sampling/sampling_params.py`).
//!
//! `table.rs` has one row per parameter. The readers of the dialects, the checks, the log and the OpenAPI document are
//! generated from the rows. A new parameter therefore needs only a row and the code that uses it.
//!
//! The front end reads a [`SamplingRequest`], fills it from the defaults, and calls [`SamplingParams::normalize`] and
//! [`SamplingParams::verify`]. Only then does it send the [`SamplingParams`], so those in a message are always valid.

mod check;
mod rows;
mod table;
mod value;

pub use check::{MAX_STOP_COUNT, MAX_STOP_REGEX_COUNT, MAX_STOP_REGEX_LEN};
pub use table::{PARAMETERS, SamplingParams, SamplingRequest};
pub use value::{Given, Kind, Number, ParameterType, ParameterValue, TOP_K_ALL, python_float};

use serde_json::{Map, Value};

/// A parameter is out of range. The text is the reference's and names the field.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct SamplingParamsError(pub String);

/// An API with its own names for sampling parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// OpenAI's `/v1/completions` and `/v1/chat/completions`.
    OpenAi,
    /// Only `/v1/completions`.
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
    /// The name of the field, and of the parameter in `/generate`.
    pub name: &'static str,
    /// The kind of its values.
    pub kind: Kind,
    /// The dialects that have the parameter, each with its name there.
    pub aliases: &'static [(Dialect, &'static str)],
    /// A description, in a sentence or two.
    pub help: &'static str,
    /// The condition for a valid value, for errors; empty if every value of the kind is valid.
    pub must: &'static str,
    /// Whether the value is valid.
    pub fits: fn(&SamplingParams) -> bool,
    /// The value as the request wrote it, for errors.
    pub quote: fn(&SamplingParams, &SamplingRequest) -> String,
    /// The value as JSON.
    pub json: fn(&SamplingParams) -> Value,
    /// Sets the parameter to what the client wrote. `None` if the value is of another kind.
    pub set: fn(&mut SamplingRequest, Given<ParameterValue>) -> Option<()>,
}

impl Parameter {
    /// The row for a native name.
    pub fn by_name(name: &str) -> Option<&'static Self> {
        PARAMETERS.iter().find(|row| row.name == name)
    }

    /// The name in a dialect; `None` if the dialect does not have the parameter.
    pub fn alias(&self, dialect: Dialect) -> Option<&'static str> {
        self.aliases.iter().find(|(of, _)| *of == dialect).map(|(_, name)| *name)
    }
}

impl SamplingParams {
    /// Whether the most likely token is always chosen.
    pub fn is_greedy(&self) -> bool {
        self.top_k <= 1
    }

    /// The seed of the counter-based generator. The draw for position `p` depends only on (seed, p, distribution). The
    /// scheduler adds a seed to every request without one.
    pub fn seed(&self) -> u64 {
        self.sampling_seed.unwrap_or_default() as u64
    }

    /// Every parameter by name, for the log.
    pub fn to_json(&self) -> Map<String, Value> {
        let normalized = |row: &Parameter| match row.name {
            "stop" => self.stop_strs.0.as_slice().into(),
            "stop_regex" => self.stop_regex_strs.0.as_slice().into(),
            _ => (row.json)(self),
        };
        PARAMETERS.iter().map(|row| (row.name.to_owned(), normalized(row))).collect()
    }
}
