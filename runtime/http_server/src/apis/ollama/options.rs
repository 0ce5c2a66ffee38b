//! `options`: sampling parameters under Ollama's names.

use serde_json::{Map, Value};
use sglang_tokenizer_manager::requests::sampling::{SamplingMap, note_parameter};
use sglang_tokenizer_manager::requests::validation::{Read, object};

/// Most output tokens when the request says nothing.
const DEFAULT_MAX_NEW_TOKENS: i64 = 2048;

/// Options and the native sampling parameters that they set.
const SAMPLING: [(&str, &str); 10] = [
    ("temperature", "temperature"),
    ("top_p", "top_p"),
    ("top_k", "top_k"),
    ("min_p", "min_p"),
    ("num_predict", "max_new_tokens"),
    ("stop", "stop"),
    ("presence_penalty", "presence_penalty"),
    ("frequency_penalty", "frequency_penalty"),
    ("repeat_penalty", "repetition_penalty"),
    ("seed", "sampling_seed"),
];

/// Options about loading a model and running it, which the command line decides here.
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

/// Reads `options`; the sampling parameters among them are checked with those of all requests.
pub fn read(value: &Value) -> Read<Map<String, Value>> {
    for (option, native) in SAMPLING {
        note_parameter(option, native);
    }
    object(value)
}

/// Sampling parameters by the native names. Options that are not known are named in the log, as Ollama does.
pub fn sampling_params(options: &Map<String, Value>) -> SamplingMap {
    let known = |name: &str| LOADING.contains(&name) || SAMPLING.iter().any(|(option, _)| *option == name);
    let unknown: Vec<&str> = options.keys().map(String::as_str).filter(|name| !known(name)).collect();
    if !unknown.is_empty() {
        tracing::warn!("Ollama options without effect: {}", unknown.join(", "));
    }
    let mut params: SamplingMap = SAMPLING
        .into_iter()
        .filter_map(|(option, name)| Some((name.to_owned(), options.get(option)?.clone())))
        .filter(|(_, value)| !value.is_null())
        .collect();
    let limit = params.entry("max_new_tokens").or_insert_with(|| DEFAULT_MAX_NEW_TOKENS.into());
    if limit.as_i64().is_some_and(|tokens| tokens < 0) {
        // To Ollama this is "as many as there is room for".
        *limit = Value::Null;
    }
    if params.get("top_k").and_then(Value::as_i64) == Some(0) {
        // To Ollama this is "all tokens".
        params.insert("top_k".into(), (-1).into());
    }
    // To Ollama a negative seed is a random one.
    params.retain(|name, value| name != "sampling_seed" || value.as_i64().is_none_or(|seed| seed >= 0));
    params
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn sampling(options: Value) -> Value {
        sampling_params(options.as_object().unwrap()).into()
    }

    #[test]
    fn options_have_native_names_and_the_limit_is_2048() {
        assert_eq!(
            sampling(json!({"num_ctx": 100, "seed": 7, "mirostat": 1})),
            json!({"sampling_seed": 7, "max_new_tokens": 2048})
        );
        assert_eq!(
            sampling(
                json!({"num_predict": 5, "stop": ["x"], "top_k": null, "min_p": 0.1, "repeat_penalty": 1.1})
            ),
            json!({"min_p": 0.1, "max_new_tokens": 5, "stop": ["x"], "repetition_penalty": 1.1})
        );
    }

    #[test]
    fn special_values_have_ollamas_meaning() {
        assert_eq!(sampling(json!({"num_predict": -1})), json!({"max_new_tokens": null}));
        assert_eq!(
            sampling(json!({"top_k": 0, "seed": -1, "num_predict": 0})),
            json!({"top_k": -1, "max_new_tokens": 0})
        );
    }
}
