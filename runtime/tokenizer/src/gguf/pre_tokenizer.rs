//! Builds the pre-tokenizer for a [`Splitting`].

use tokenizers::SplitDelimiterBehavior;
use tokenizers::pre_tokenizers::PreTokenizerWrapper;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::pre_tokenizers::digits::Digits;
use tokenizers::pre_tokenizers::sequence::Sequence;
use tokenizers::pre_tokenizers::split::{Split, SplitPattern};

use super::splittings::{GPT2, Splitting, Step, Writing};

/// Splits at the matches of a pattern.
fn pattern(pattern: &str) -> Result<PreTokenizerWrapper, String> {
    let pattern = SplitPattern::Regex(pattern.to_owned());
    let split = Split::new(pattern, SplitDelimiterBehavior::Isolated, false);
    Ok(split.map_err(|e| e.to_string())?.into())
}

/// The pre-tokenizer for a way of splitting.
pub(super) fn build(splitting: &Splitting) -> Result<PreTokenizerWrapper, String> {
    let in_bytes = splitting.writing == Writing::Bytes;
    let mut steps: Vec<PreTokenizerWrapper> = Vec::new();
    // The byte-level step at the end already includes GPT-2's pattern.
    let (own, ends_with_gpt2) = match splitting.steps {
        [own @ .., Step::Gpt2] if in_bytes => (own, true),
        own => (own, false),
    };
    for step in own {
        steps.push(match step {
            Step::EachDigit => Digits::new(true).into(),
            Step::Gpt2 => pattern(GPT2)?,
            Step::Pattern(text) => pattern(text)?,
        });
    }
    if in_bytes {
        steps.push(ByteLevel::new(false, true, ends_with_gpt2).into());
    }
    Ok(Sequence::new(steps).into())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::Value;
    use tokenizers::{OffsetReferential, OffsetType, PreTokenizedString, PreTokenizer};

    use super::super::splittings::{for_name, names};
    use super::*;

    #[test]
    fn every_name_is_given_once_and_its_patterns_compile() {
        let names: Vec<_> = names().collect();
        let mut unique = names.clone();
        unique.sort_unstable();
        unique.dedup();
        assert_eq!(unique.len(), names.len());
        for name in names {
            assert!(build(for_name(name).unwrap()).is_ok(), "{name}");
        }
    }

    /// The lengths in characters of a text's words.
    fn lengths(pre_tokenizer: &PreTokenizerWrapper, text: &str) -> Vec<u64> {
        let mut words = PreTokenizedString::from(text);
        pre_tokenizer.pre_tokenize(&mut words).unwrap();
        let splits = words.get_splits(OffsetReferential::Original, OffsetType::Char);
        splits.iter().map(|(_, (start, end), _)| (end - start) as u64).collect()
    }

    #[test]
    fn words_are_those_of_an_independent_statement_of_each_rule() {
        let fixture: Value =
            serde_json::from_str(include_str!("../../tests/fixtures/pre_tokenizers.json")).unwrap();
        let rows = fixture["rules"].as_array().unwrap().iter();
        let rules: BTreeMap<&str, &Value> = rows
            .flat_map(|row| {
                row["names"].as_array().unwrap().iter().map(|n| (n.as_str().unwrap(), &row["lengths"]))
            })
            .collect();
        let mut missing: Vec<_> = names().filter(|name| !rules.contains_key(*name)).collect();
        missing.extend(rules.keys().copied().filter(|name| for_name(name).is_none()));
        assert!(missing.is_empty(), "no rule, or no name: {missing:?}");
        let texts = fixture["texts"].as_array().unwrap();
        let mut wrong = Vec::new();
        for (name, expected) in rules {
            let pre_tokenizer = build(for_name(name).unwrap()).unwrap();
            for (text, expected) in texts.iter().zip(expected.as_array().unwrap()) {
                let text = text.as_str().unwrap();
                let expected: Vec<u64> =
                    expected.as_array().unwrap().iter().map(|n| n.as_u64().unwrap()).collect();
                let found = lengths(&pre_tokenizer, text);
                if found != expected {
                    wrong.push(format!("{name}: {text:?}: {found:?}, expected {expected:?}"));
                }
            }
        }
        assert!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), wrong.join("\n"));
    }
}
