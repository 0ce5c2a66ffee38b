//! The grammar that a request asks for.

use std::fmt;

use sglang_proto::sampling_params::SamplingParams;

/// The `json_schema` value that stands for any JSON object or array.
pub const ANY_JSON: &str = "$$ANY$$";

/// The grammar of a request, as sent.
#[derive(Clone, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub enum GrammarSpec {
    /// A JSON schema as JSON text, or [`ANY_JSON`].
    JsonSchema(String),
    /// A regular expression that the whole output matches.
    Regex(String),
    /// A grammar in xgrammar's EBNF.
    Ebnf(String),
    /// Structural tags as JSON text, in the legacy or the newer form.
    StructuralTag(String),
}

/// The language of a grammar; displayed as in the reference's messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum GrammarKind {
    /// JSON schema.
    Json,
    /// Regular expression.
    Regex,
    /// EBNF.
    Ebnf,
    /// Structural tags.
    StructuralTag,
}

impl fmt::Display for GrammarKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Json => "json",
            Self::Regex => "regex",
            Self::Ebnf => "ebnf",
            Self::StructuralTag => "structural_tag",
        })
    }
}

impl GrammarSpec {
    /// The grammar that `params` asks for; `None` if the output is unconstrained. Verified parameters set at most one
    /// of the fields; otherwise the first in the reference's order is used.
    pub fn from_sampling_params(params: &SamplingParams) -> Option<Self> {
        let own = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
        if let Some(text) = own(&params.json_schema) {
            Some(Self::JsonSchema(text))
        } else if let Some(text) = own(&params.regex) {
            Some(Self::Regex(text))
        } else if let Some(text) = own(&params.ebnf) {
            Some(Self::Ebnf(text))
        } else {
            own(&params.structural_tag).map(Self::StructuralTag)
        }
    }

    /// The grammar's language.
    pub fn kind(&self) -> GrammarKind {
        match self {
            Self::JsonSchema(_) => GrammarKind::Json,
            Self::Regex(_) => GrammarKind::Regex,
            Self::Ebnf(_) => GrammarKind::Ebnf,
            Self::StructuralTag(_) => GrammarKind::StructuralTag,
        }
    }

    /// The text as sent.
    pub fn text(&self) -> &str {
        match self {
            Self::JsonSchema(text) | Self::Regex(text) | Self::Ebnf(text) | Self::StructuralTag(text) => text,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_set_field_becomes_the_spec() {
        let mut params = SamplingParams::default();
        assert_eq!(GrammarSpec::from_sampling_params(&params), None);
        params.ebnf = Some(String::new());
        assert_eq!(GrammarSpec::from_sampling_params(&params), None);
        params.ebnf = Some("root ::= \"a\"".into());
        let spec = GrammarSpec::from_sampling_params(&params).unwrap();
        assert_eq!((spec.kind().to_string(), spec.text()), ("ebnf".into(), "root ::= \"a\""));
        params.json_schema = Some(ANY_JSON.into());
        assert_eq!(GrammarSpec::from_sampling_params(&params).unwrap().kind(), GrammarKind::Json);
    }
}
