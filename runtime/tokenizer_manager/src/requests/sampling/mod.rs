//! From the sampling parameters of a request, as JSON, to the [`SamplingParams`] that the scheduler gets.

use serde_json::{Map, Value};

use sglang_proto::SamplingParams;
use sglang_proto::wire::StringList;

use super::ValueError;
use super::contract::{SAMPLING_KEYS, check_sampling};
use super::probe::{self, Asked};
use super::validation::{Mismatch, Read, object};

/// Sampling parameters by name, as a request gives them.
pub type SamplingMap = Map<String, Value>;

/// Reads an object of sampling parameters; [`build`] reads what stands in it.
pub fn sampling_map(value: &Value) -> Read<SamplingMap> {
    for name in SAMPLING_KEYS {
        note_parameter(name, name);
    }
    object(value)
}

/// Notes that an object has the sampling parameter `native` by the name `name`.
pub fn note_parameter(name: &'static str, native: &'static str) {
    probe::note(name, Asked::Optional, None, &|value| {
        check_sampling(native, value).map_err(|error| Mismatch::rule(error.0, value))
    });
}

fn strings(value: &Value) -> Option<StringList> {
    match value {
        Value::String(s) => Some(StringList(vec![s.clone()])),
        Value::Array(items) => {
            items.iter().map(|v| v.as_str().map(str::to_owned)).collect::<Option<_>>().map(StringList)
        }
        _ => None,
    }
}

/// Puts one value in its place. `None`: the value is of the wrong type.
fn set(params: &mut SamplingParams, key: &str, value: &Value) -> Option<()> {
    let text = || value.as_str().map(|s| Some(s.to_owned()));
    match key {
        "max_new_tokens" => params.max_new_tokens = Some(value.as_i64()?),
        "stop" => params.stop = strings(value)?,
        "stop_regex" => params.stop_regex = strings(value)?,
        "stop_token_ids" => {
            params.stop_token_ids =
                Some(value.as_array()?.iter().map(Value::as_i64).collect::<Option<Vec<_>>>()?);
        }
        "temperature" => params.temperature = value.as_f64()?,
        "top_p" => params.top_p = value.as_f64()?,
        "top_k" => params.top_k = value.as_i64()?,
        "min_p" => params.min_p = value.as_f64()?,
        "frequency_penalty" => params.frequency_penalty = value.as_f64()?,
        "presence_penalty" => params.presence_penalty = value.as_f64()?,
        "repetition_penalty" => params.repetition_penalty = value.as_f64()?,
        "min_new_tokens" => params.min_new_tokens = value.as_i64()?,
        "n" => params.n = value.as_i64()?,
        "json_schema" => params.json_schema = text()?,
        "regex" => params.regex = text()?,
        "ebnf" => params.ebnf = text()?,
        "structural_tag" => params.structural_tag = text()?,
        "ignore_eos" => params.ignore_eos = value.as_bool()?,
        "skip_special_tokens" => params.skip_special_tokens = value.as_bool()?,
        "spaces_between_special_tokens" => params.spaces_between_special_tokens = value.as_bool()?,
        "no_stop_trim" => params.no_stop_trim = value.as_bool()?,
        "stream_interval" => params.stream_interval = Some(value.as_i64()?),
        "logit_bias" => {
            let map = value.as_object()?;
            let biases = map.iter().map(|(k, v)| Some((k.clone(), v.as_f64()?)));
            params.logit_bias = Some(biases.collect::<Option<_>>()?);
        }
        "sampling_seed" => params.sampling_seed = Some(value.as_i64()?),
        "custom_params" => params.custom_params = Some(value.clone()),
        "beam_width" => params.beam_width = Some(value.as_i64()?),
        // Accepted by the contract, without a meaning for a text model.
        "choice" => {}
        _ => return None,
    }
    Some(())
}

/// Builds and checks the parameters: `preferred` (`--preferred-sampling-params`) fills what the request leaves out, the
/// request wins. `stop_token_len` gives the length of a stop string in tokens.
///
/// # Errors
/// A parameter of the wrong type or out of range, in the reference's words.
pub fn build(
    map: &SamplingMap,
    preferred: Option<&SamplingMap>,
    vocab_size: u32,
    stop_token_len: impl Fn(&str) -> usize,
) -> Result<SamplingParams, ValueError> {
    let mut params = SamplingParams::default();
    let fill = preferred.into_iter().flatten().filter(|(key, _)| !map.contains_key(*key));
    for (key, value) in fill.chain(map) {
        if value.is_null() {
            // Null is "the default", and for this one "no limit".
            if key == "max_new_tokens" {
                params.max_new_tokens = None;
            }
            continue;
        }
        set(&mut params, key, value).ok_or_else(|| {
            ValueError(format!(
                "sampling parameter {key} has an unknown name or a value of the wrong type: {value}"
            ))
        })?;
    }
    if params.beam_width.is_some_and(|w| w > 1) {
        return Err(ValueError("Beam search is not supported: beam_width must be 1.".into()));
    }
    params.normalize(stop_token_len).map_err(|e| ValueError(e.0))?;
    params.verify(vocab_size).map_err(|e| ValueError(as_given(e.0, map)))?;
    if params.stream_interval.is_some_and(|i| i < 1) {
        return Err(ValueError(format!(
            "stream_interval must be at least 1, got {}.",
            params.stream_interval.unwrap_or_default()
        )));
    }
    if params.n < 1 {
        return Err(ValueError(format!("n must be at least 1, got {}.", params.n)));
    }
    Ok(params)
}

/// Whether a grammar restricts the output.
pub fn has_grammar(params: &SamplingParams) -> bool {
    [&params.json_schema, &params.regex, &params.ebnf, &params.structural_tag]
        .into_iter()
        .any(Option::is_some)
}

/// Range errors quote a number as the client wrote it: `-1` stays `-1` although the parameter is a float.
fn as_given(message: String, map: &SamplingMap) -> String {
    for (key, value) in map {
        if value.is_f64() || !value.is_number() || !message.starts_with(key.as_str()) {
            continue;
        }
        if let Some(head) = message.strip_suffix(&format!("got {value}.0.")) {
            return format!("{head}got {value}.");
        }
    }
    message
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn built(map: Value, preferred: Option<Value>) -> Result<SamplingParams, String> {
        let preferred = preferred.map(|p| p.as_object().cloned().unwrap());
        build(map.as_object().unwrap(), preferred.as_ref(), 100, str::len).map_err(|e| e.0)
    }

    #[test]
    fn preferred_values_fill_gaps_and_explicit_ones_win() {
        let params =
            built(json!({"temperature": 0.5}), Some(json!({"temperature": 0.1, "top_p": 0.3}))).unwrap();
        assert_eq!((params.temperature, params.top_p), (0.5, 0.3));
    }

    #[test]
    fn null_is_the_default_and_for_max_new_tokens_no_limit() {
        let params = built(json!({"temperature": null, "max_new_tokens": null}), None).unwrap();
        assert_eq!((params.temperature, params.max_new_tokens), (1.0, None));
        assert_eq!(built(json!({}), None).unwrap().max_new_tokens, Some(128));
    }

    #[test]
    fn range_errors_quote_numbers_as_they_were_written() {
        let error = |map| built(map, None).unwrap_err();
        assert_eq!(
            error(json!({"temperature": -1})),
            "temperature must be a non-negative finite number, got -1."
        );
        assert_eq!(
            error(json!({"temperature": -1.0})),
            "temperature must be a non-negative finite number, got -1.0."
        );
        assert_eq!(error(json!({"top_p": 0})), "top_p must be in (0, 1], got 0.");
    }

    #[test]
    fn beams_and_unknown_names_are_refused() {
        assert!(built(json!({"beam_width": 2}), None).unwrap_err().contains("beam_width"));
        assert!(built(json!({"seed": 2}), None).unwrap_err().contains("seed"));
    }
}
