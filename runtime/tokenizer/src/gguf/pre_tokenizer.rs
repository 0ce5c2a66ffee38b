//! How byte-level vocabularies cut text into words before merging, by the name in `tokenizer.ggml.pre`.
//!
//! Names are llama.cpp's (`src/llama-vocab.cpp`); the patterns are those of the models' own `tokenizer.json` files.

use tokenizers::SplitDelimiterBehavior;
use tokenizers::pre_tokenizers::PreTokenizerWrapper;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::pre_tokenizers::digits::Digits;
use tokenizers::pre_tokenizers::sequence::Sequence;
use tokenizers::pre_tokenizers::split::{Split, SplitPattern};

/// One step of cutting.
enum Step {
    /// Every digit on its own.
    EachDigit,
    /// Matches of a pattern become words of their own.
    Pattern(&'static str),
    /// GPT-2's own pattern.
    Gpt2,
}

/// A way of cutting.
pub(super) struct Splitting {
    names: &'static [&'static str],
    steps: &'static [Step],
    /// A word that is a token is taken whole, even where merges would not make it.
    pub(super) ignore_merges: bool,
    /// Whether a file that does not say adds the beginning-of-sequence token.
    adds_bos: bool,
}

const LLAMA3: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const QWEN2: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const QWEN35: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const GPT4O: &str = r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const TEKKEN: &str = r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const DEEPSEEK3: &str = r##"[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"##;

const SPLITTINGS: [Splitting; 9] = [
    Splitting {
        names: &["gpt-2", "default", "phi-2", "olmo", "mpt", "jais", "trillion", "granite-docling"],
        steps: &[Step::Gpt2],
        ignore_merges: false,
        adds_bos: false,
    },
    Splitting {
        names: &["smollm", "starcoder", "refact", "command-r", "codeshell", "exaone", "minerva-7b"],
        steps: &[Step::EachDigit, Step::Gpt2],
        ignore_merges: false,
        adds_bos: false,
    },
    Splitting {
        names: &["llama-bpe", "llama3", "llama-v3", "falcon3", "falcon-h1", "pixtral", "midm-2.0", "lfm2"],
        steps: &[Step::Pattern(LLAMA3)],
        ignore_merges: true,
        adds_bos: true,
    },
    Splitting {
        names: &["dbrx", "smaug-bpe", "chatglm-bpe", "glm4"],
        steps: &[Step::Pattern(LLAMA3)],
        ignore_merges: false,
        adds_bos: false,
    },
    Splitting {
        names: &["qwen2", "deepseek-r1-qwen", "stablelm2", "hunyuan", "megrez", "kormo", "grok-2"],
        steps: &[Step::Pattern(QWEN2)],
        ignore_merges: false,
        adds_bos: false,
    },
    Splitting { names: &["tekken"], steps: &[Step::Pattern(TEKKEN)], ignore_merges: true, adds_bos: false },
    Splitting { names: &["qwen35"], steps: &[Step::Pattern(QWEN35)], ignore_merges: false, adds_bos: false },
    Splitting {
        names: &["gpt-4o", "llama4", "minimax-m2"],
        steps: &[Step::Pattern(GPT4O)],
        ignore_merges: false,
        adds_bos: false,
    },
    Splitting {
        names: &["deepseek-v3", "hunyuan-dense", "joyai-llm"],
        steps: &[Step::Pattern(r"\p{N}{1,3}"), Step::Pattern("[一-龥぀-ゟ゠-ヿ]+"), Step::Pattern(DEEPSEEK3)],
        ignore_merges: false,
        adds_bos: false,
    },
];

/// The way of cutting with this name.
pub(super) fn for_name(name: &str) -> Option<&'static Splitting> {
    SPLITTINGS.iter().find(|s| s.names.contains(&name))
}

/// All names, for error messages.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    SPLITTINGS.iter().flat_map(|s| s.names.iter().copied())
}

/// Whether a file with this pre-tokenizer that says nothing else begins texts with the begin token.
pub(super) fn adds_bos(name: &str) -> bool {
    for_name(name).is_some_and(|s| s.adds_bos)
}

impl Splitting {
    /// The pre-tokenizer.
    pub(super) fn build(&self) -> Result<PreTokenizerWrapper, String> {
        let mut steps: Vec<PreTokenizerWrapper> = Vec::new();
        let mut uses_gpt2 = false;
        for step in self.steps {
            match step {
                Step::EachDigit => steps.push(Digits::new(true).into()),
                Step::Gpt2 => uses_gpt2 = true,
                Step::Pattern(pattern) => {
                    let pattern = SplitPattern::Regex((*pattern).to_owned());
                    let split = Split::new(pattern, SplitDelimiterBehavior::Isolated, false);
                    steps.push(split.map_err(|e| e.to_string())?.into());
                }
            }
        }
        steps.push(ByteLevel::new(false, true, uses_gpt2).into());
        Ok(Sequence::new(steps).into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_given_once_and_its_patterns_compile() {
        let names: Vec<_> = names().collect();
        let mut unique = names.clone();
        unique.sort_unstable();
        unique.dedup();
        assert_eq!(unique.len(), names.len());
        for name in names {
            assert!(for_name(name).unwrap().build().is_ok(), "{name}");
        }
    }
}
