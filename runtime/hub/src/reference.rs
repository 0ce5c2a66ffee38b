//! References to hub models in `--model-path`: a repository, and optionally one of its files.

use std::fmt;

/// Longest organisation or repository name.
const LONGEST_NAME: usize = 96;

/// The file of a repository that a reference names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FileChoice {
    /// None: the repository's checkpoint folder, or its GGUF file.
    Any,
    /// A file, by its path in the repository or its name.
    File(String),
    /// The GGUF file of a quantisation, such as `Q4_K_M`.
    Quant(String),
}

/// A model on the hub.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HubReference {
    /// `org/name`.
    pub repository: String,
    /// The file.
    pub file: FileChoice,
}

impl HubReference {
    /// Parses `org/name`, `org/name:QUANT`, `org/name:file.gguf` or `org/name/path/of/file.gguf`. `None` if the text
    /// can only be a path.
    pub fn parse(text: &str) -> Option<Self> {
        let (path, choice) = match text.split_once(':') {
            Some((path, choice)) => (path, Some(choice)),
            None => (text, None),
        };
        let mut parts = path.splitn(3, '/');
        let (organisation, name) = (parts.next()?, parts.next()?);
        if !is_name(organisation) || !is_name(name) {
            return None;
        }
        let is_file = |file: &str| {
            file.to_ascii_lowercase().ends_with(".gguf")
                && file.split('/').all(|part| !part.is_empty() && part != "." && part != "..")
        };
        let file = match (parts.next(), choice) {
            (None, None) => FileChoice::Any,
            (Some(file), None) if is_file(file) => FileChoice::File(file.to_owned()),
            (None, Some(file)) if is_file(file) => FileChoice::File(file.to_owned()),
            (None, Some(quant)) if is_name(quant) => FileChoice::Quant(quant.to_owned()),
            _ => return None,
        };
        Some(Self { repository: format!("{organisation}/{name}"), file })
    }
}

impl fmt::Display for HubReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.repository)?;
        match &self.file {
            FileChoice::Any => Ok(()),
            FileChoice::File(choice) | FileChoice::Quant(choice) => write!(f, ":{choice}"),
        }
    }
}

/// The hub's own rule for names (`huggingface_hub`'s `validate_repo_id`).
fn is_name(text: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    !text.is_empty()
        && text.len() <= LONGEST_NAME
        && text.bytes().all(allowed)
        && !text.starts_with(['-', '.'])
        && !text.ends_with(['-', '.'])
        && !text.contains("--")
        && !text.contains("..")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_name_a_repository_and_perhaps_a_file() {
        let read = |text: &str| HubReference::parse(text).map(|r| (r.repository, r.file));
        let quant = |q: &str| FileChoice::Quant(q.to_owned());
        let file = |f: &str| FileChoice::File(f.to_owned());
        for (text, expected) in [
            ("Qwen/Qwen3-0.6B", FileChoice::Any),
            ("Qwen/Qwen3-0.6B:Q8_0", quant("Q8_0")),
            ("Qwen/Qwen3-0.6B:q4_k_m", quant("q4_k_m")),
            ("Qwen/Qwen3-0.6B:model-Q8_0.gguf", file("model-Q8_0.gguf")),
            ("Qwen/Qwen3-0.6B:sub/model.gguf", file("sub/model.gguf")),
            ("Qwen/Qwen3-0.6B/sub/model.gguf", file("sub/model.gguf")),
        ] {
            assert_eq!(read(text), Some(("Qwen/Qwen3-0.6B".to_owned(), expected)), "{text}");
        }
    }

    #[test]
    fn local_paths_are_not_references() {
        for text in [
            "",
            "model",
            "/srv/model",
            "./a/b",
            "../a/b",
            "~/models/x",
            "a/b/c",
            "a/b/",
            "a//b",
            "a/b:",
            "a/b:../x.gguf",
            "a/b/../x.gguf",
            "a b/c",
            "a/b--c",
            "-a/b",
            "a/b.",
            "a/b:x:y",
            "a/b/c.gguf:Q4_0",
            "C:/models/x",
        ] {
            assert_eq!(HubReference::parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_reference_is_displayed_as_written() {
        for text in ["a/b", "a/b:Q4_0", "a/b:x.gguf"] {
            assert_eq!(HubReference::parse(text).expect("valid").to_string(), text);
        }
    }
}
