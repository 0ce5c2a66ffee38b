//! `options`: sampling parameters under Ollama's names.

use serde_json::{Map, Value};
use sglang_proto::sampling_params::{Dialect, Given, PARAMETERS, SamplingRequest};
use sglang_tokenizer_manager::requests::sampling::read;
use sglang_tokenizer_manager::requests::validation::{Read, object};

/// The output limit in tokens if the request has none.
const DEFAULT_MAX_NEW_TOKENS: i64 = 2048;

/// Options about loading and running the model. Here the command line decides these.
const LOADING: [&str; 13] = [
    "numa",
    "num_ctx",
    "num_batch",
    "num_gpu",
    "main_gpu",
    "low_vram",
    "f16_kv",
    "logits_all",
    "vocab_only",
    "use_mmap",
    "use_mlock",
    "embedding_only",
    "num_thread",
];

/// `options` of a request.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    sampling_params: SamplingRequest,
    /// Names that this server does not know.
    unknown: Vec<String>,
}

impl Default for Options {
    fn default() -> Self {
        Self::of(&Map::new())
    }
}

impl Options {
    /// Reads `options`.
    ///
    /// # Errors
    /// If the value is not an object. An invalid parameter in it is refused later, when the request is built.
    pub fn read(value: &Value) -> Read<Self> {
        read::note_options(Dialect::Ollama);
        object(value).map(|options| Self::of(&options))
    }

    fn of(options: &Map<String, Value>) -> Self {
        let known = |name: &str| {
            LOADING.contains(&name) || PARAMETERS.iter().any(|row| row.alias(Dialect::Ollama) == Some(name))
        };
        let mut sampling_params = read::options(options, Dialect::Ollama);
        sampling_params.max_new_tokens = match sampling_params.max_new_tokens {
            // In Ollama a negative limit means "as many as fit".
            Given::Value(limit) if limit < 0 => Given::Null,
            Given::Value(limit) => Given::Value(limit),
            Given::Absent | Given::Null => Given::Value(DEFAULT_MAX_NEW_TOKENS),
        };
        if sampling_params.top_k == Given::Value(0) {
            // In Ollama 0 means "all tokens".
            sampling_params.top_k = Given::Value(-1);
        }
        if sampling_params.sampling_seed.value().is_some_and(|seed| *seed < 0) {
            // In Ollama a negative seed means a random one.
            sampling_params.sampling_seed = Given::Absent;
        }
        let unknown = options.keys().filter(|name| !known(name)).cloned().collect();
        Self { sampling_params, unknown }
    }

    /// The sampling parameters. Unknown options are logged, as in Ollama.
    pub fn sampling_params(&self) -> SamplingRequest {
        if !self.unknown.is_empty() {
            tracing::warn!("Ollama options without effect: {}", self.unknown.join(", "));
        }
        self.sampling_params.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// The options under the native names.
    fn sampling(options: Value) -> SamplingRequest {
        Options::read(&options).unwrap().sampling_params()
    }

    fn native(params: Value) -> SamplingRequest {
        read::native(params.as_object().unwrap())
    }

    #[test]
    fn options_have_native_names_and_the_limit_is_2048() {
        assert_eq!(
            sampling(json!({"num_ctx": 100, "seed": 7, "mirostat": 1})),
            native(json!({"sampling_seed": 7, "max_new_tokens": 2048}))
        );
        assert_eq!(
            sampling(
                json!({"num_predict": 5, "stop": ["x"], "top_k": null, "min_p": 0.1, "repeat_penalty": 1.1})
            ),
            native(json!({"min_p": 0.1, "max_new_tokens": 5, "stop": ["x"], "repetition_penalty": 1.1}))
        );
        assert_eq!(Options::default().sampling_params(), native(json!({"max_new_tokens": 2048})));
    }

    #[test]
    fn special_values_have_ollamas_meaning() {
        assert_eq!(sampling(json!({"num_predict": -1})), native(json!({"max_new_tokens": null})));
        assert_eq!(
            sampling(json!({"top_k": 0, "seed": -1, "num_predict": 0})),
            native(json!({"top_k": -1, "max_new_tokens": 0}))
        );
    }

    #[test]
    fn options_that_mean_nothing_are_known_by_name() {
        let options = Options::read(&json!({"num_ctx": 1, "mirostat": 1, "seed": 2})).unwrap();
        assert_eq!(options.unknown, ["mirostat"]);
    }
}
