//! Translates a request's grammar for the library and compiles it.

use std::sync::Arc;

use llguidance::ParserFactory;
use llguidance::api::TopLevelGrammar;
use serde_json::Value;

use crate::compiled::CompiledGrammar;
use crate::ebnf;
use crate::environment::TokenEnvironment;
use crate::json::{self, JsonOptions};
use crate::lark::Lark;
use crate::regex;
use crate::slices::SliceBias;
use crate::spec::GrammarSpec;
use crate::structural_tag;

/// Compiles `spec`; the error says what is wrong and where.
pub(crate) fn compile(
    spec: &GrammarSpec,
    json: &JsonOptions,
    env: &TokenEnvironment,
    factory: &ParserFactory,
    slices: &Arc<SliceBias>,
) -> Result<CompiledGrammar, String> {
    if spec.text().contains('\0') {
        return Err(format!("Invalid {}: NUL bytes (\\u0000) are not allowed", spec.kind()));
    }
    let build = |grammar| CompiledGrammar::build(env, factory, slices, grammar);
    match spec {
        GrammarSpec::JsonSchema(text) => {
            let schema: Value = json::parse(text)?;
            let grammar = TopLevelGrammar::from_json_schema(json.apply(schema.clone())?);
            build(grammar).map_err(|message| json::with_place(message, &schema))
        }
        GrammarSpec::Regex(pattern) => {
            let pattern = regex::to_lark(pattern)?;
            let text = Lark::default().finish(&format!("/{pattern}/"));
            build(TopLevelGrammar::from_lark(text)).map_err(plain)
        }
        GrammarSpec::Ebnf(text) => {
            let mut lark = Lark::default();
            let root = ebnf::to_lark(text, &mut lark)?;
            build(TopLevelGrammar::from_lark(lark.finish(&root))).map_err(plain)
        }
        GrammarSpec::StructuralTag(text) => {
            let lark = structural_tag::to_lark(text, json, env)?;
            build(TopLevelGrammar::from_lark(lark)).map_err(|message| {
                let message = plain(message);
                serde_json::from_str(text).map_or(message.clone(), |tag| json::with_place(message, &tag))
            })
        }
    }
}

/// The library's message without positions in the generated grammar, which the client never saw.
fn plain(message: String) -> String {
    let line = message.lines().next().unwrap_or_default();
    let rest = line.strip_prefix("at ").and_then(|rest| rest.split_once("): "));
    match rest {
        Some((place, text)) if place.chars().all(|c| c.is_ascii_digit() || c == '(') => text.to_owned(),
        _ => line.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::plain;

    #[test]
    fn places_in_generated_text_are_dropped() {
        assert_eq!(plain("at 3(14): too big\n  1 | start".into()), "too big");
        assert_eq!(plain("no place\nmore".into()), "no place");
        assert_eq!(plain("at EOF: x".into()), "at EOF: x");
    }
}
