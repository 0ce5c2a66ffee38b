//! The second check of a `/generate` body. The reference shares a schema with its native server, which refuses what the
//! first, laxer reading accepts, in serde's words (reference: `sglang/api/v1/api_types.py`).

use serde_json::{Map, Value};

use sglang_proto::sampling_params::{Kind, PARAMETERS, Parameter, python_float};

use super::probe::{self, Asked};
use super::validation::Mismatch;

/// Names that errors list last. `choice` has no row in the table: the reference accepts and ignores it.
const LISTED_LAST: [&str; 3] = ["beam_width", "watermark", "choice"];

/// Names that `sampling_params` may have, in the order of error messages.
pub fn sampling_keys() -> impl Iterator<Item = &'static str> {
    PARAMETERS.iter().map(|row| row.name).filter(|name| !LISTED_LAST.contains(name)).chain(LISTED_LAST)
}

/// Fields of unsupported features. Only their types are checked.
const ONLY_CHECKED: [&str; 6] = [
    "return_sampling_mask",
    "disagg_prefill_dp_rank",
    "routed_experts_start_len",
    "bootstrap_host",
    "bootstrap_pair_key",
    "custom_labels",
];

/// A body that violates the contract. The text is the answer's `error`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ContractError(pub String);

/// The result of a check.
pub type Check = Result<(), ContractError>;

fn unexpected(value: &Value) -> String {
    match value {
        Value::Null => "null".into(),
        Value::Bool(b) => format!("boolean `{b}`"),
        Value::Number(n) => match n.as_f64() {
            Some(f) if n.is_f64() => format!("floating point `{}`", python_float(f)),
            _ => format!("integer `{n}`"),
        },
        Value::String(s) => format!("string \"{s}\""),
        Value::Array(_) => "sequence".into(),
        Value::Object(_) => "map".into(),
    }
}

fn expect(fits: bool, value: &Value, expected: &str) -> Check {
    match fits {
        true => Ok(()),
        false => Err(ContractError(format!("invalid type: {}, expected {expected}", unexpected(value)))),
    }
}

fn is_int(value: &Value) -> bool {
    value.is_i64() || value.is_u64()
}

fn int(value: &Value) -> Check {
    expect(is_int(value), value, "i64")
}

fn string(value: &Value) -> Check {
    expect(value.is_string(), value, "a string")
}

fn boolean(value: &Value) -> Check {
    expect(value.is_boolean(), value, "a boolean")
}

fn float(value: &Value) -> Check {
    expect(value.is_number(), value, "f64")
}

fn seq(value: &Value, item: impl Fn(&Value) -> Check) -> Check {
    match value.as_array() {
        Some(items) => items.iter().try_for_each(item),
        None => expect(false, value, "a sequence"),
    }
}

fn map<'a>(value: &'a Value, expected: &str) -> Result<&'a Map<String, Value>, ContractError> {
    expect(value.is_object(), value, expected)?;
    value.as_object().ok_or_else(|| ContractError("invalid type: not a map".into()))
}

/// Accepts null, which means "not given", or a value that `check` accepts.
fn opt(value: &Value, check: impl Fn(&Value) -> Check) -> Check {
    if value.is_null() { Ok(()) } else { check(value) }
}

fn one_or_list(value: &Value, name: &str, scalar: fn(&Value) -> bool, item: fn(&Value) -> Check) -> Check {
    match value.is_array() {
        true => seq(value, item),
        false => expect(scalar(value), value, &format!("a value or an array of values for {name}")),
    }
}

fn string_or_list(value: &Value) -> Check {
    one_or_list(value, "StringOrList", Value::is_string, string)
}

fn ids_or_lists(value: &Value) -> Check {
    match value.as_array() {
        Some(items) if items.first().is_none_or(Value::is_number) => seq(value, int),
        Some(_) => seq(value, |row| seq(row, int)),
        None => expect(false, value, "a value or an array of values for TokenIdsOrList"),
    }
}

fn optional_string(value: &Value) -> Check {
    opt(value, string)
}

/// Checks that a sampling parameter is known and has a value of its type. Null counts as missing.
///
/// # Errors
/// The text says what would be valid.
pub fn check_sampling(name: &str, value: &Value) -> Check {
    match (name, Parameter::by_name(name)) {
        ("watermark", _) => opt(value, watermark),
        (_, Some(row)) => opt(value, |value| of_kind(value, row.kind)),
        ("choice", None) => opt(value, |value| seq(value, string)),
        (other, None) => {
            let listed: Vec<String> = sampling_keys().map(|name| format!("`{name}`")).collect();
            Err(ContractError(format!("unknown field `{other}`, expected one of {}", listed.join(", "))))
        }
    }
}

fn of_kind(value: &Value, kind: Kind) -> Check {
    match kind {
        Kind::Int => int(value),
        Kind::Float => float(value),
        Kind::Bool => boolean(value),
        Kind::Text => string(value),
        Kind::Texts => string_or_list(value),
        Kind::Ids => seq(value, int),
        Kind::Bias => map(value, "a map")?.values().try_for_each(float),
        Kind::Json => Ok(()),
    }
}

fn watermark(value: &Value) -> Check {
    map(value, "struct WatermarkRequestConfig")?.iter().try_for_each(|(name, value)| match name.as_str() {
        "enabled" => opt(value, boolean),
        "key" => optional_string(value),
        "context_window" => opt(value, int),
        other => Err(ContractError(format!(
            "unknown field `{other}`, expected one of `enabled`, `key`, `context_window`"
        ))),
    })
}

fn sampling_params(value: &Value) -> Check {
    map(value, "struct SamplingParams")?.iter().try_for_each(|(name, value)| check_sampling(name, value))
}

/// Checks a `/generate` body against the contract. Unknown keys are ignored at the top level and refused inside
/// `sampling_params`.
///
/// # Errors
/// The first violation, in the order of the body's keys.
pub fn check_generate(body: &Map<String, Value>) -> Check {
    for name in ONLY_CHECKED {
        probe::note(name, Asked::Optional, body.get(name), &|value| {
            check_field(name, value).map_err(|error| Mismatch::rule(error.0, value))
        });
    }
    body.iter().try_for_each(|(key, value)| check_field(key, value))
}

fn check_field(key: &str, x: &Value) -> Check {
    match key {
        "rid" | "text" | "extra_key" | "cache_salt" => opt(x, string_or_list)?,
        "input_ids" | "token_ids_logprob" => opt(x, ids_or_lists)?,
        "stream" | "return_text_in_logprobs" | "require_reasoning" | "return_prompt_token_ids" => {
            opt(x, boolean)?;
        }
        "sampling_params" => opt(x, |x| match x.is_array() {
            true => seq(x, sampling_params),
            false => {
                expect(x.is_object(), x, "a value or an array of values for SamplingParamsOrList")?;
                sampling_params(x)
            }
        })?,
        "return_logprob" | "return_hidden_states" | "return_sampling_mask" => {
            opt(x, |x| one_or_list(x, "BoolOrList", Value::is_boolean, boolean))?;
        }
        "logprob_start_len" | "top_logprobs_num" => {
            opt(x, |x| one_or_list(x, "Int64OrList", is_int, int))?;
        }
        "priority" | "routed_dp_rank" | "disagg_prefill_dp_rank" | "routed_experts_start_len" => {
            opt(x, int)?;
        }
        "lora_path" | "custom_logit_processor" | "bootstrap_host" | "bootstrap_pair_key" => {
            opt(x, |x| one_or_list(x, "OptionalStringOrList", Value::is_string, optional_string))?;
        }
        "routing_key" | "session_id" => opt(x, string)?,
        "max_thinking_tokens" => opt(x, |x| expect(is_int(x), x, "u64"))?,
        "custom_labels" => opt(x, |x| map(x, "a map")?.values().try_for_each(string))?,
        _ => {}
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn error(body: Value) -> String {
        check_generate(body.as_object().unwrap()).unwrap_err().0
    }

    #[test]
    fn wrong_types_are_named_in_serdes_words() {
        assert_eq!(
            error(json!({"sampling_params": {"temperature": "hot"}})),
            "invalid type: string \"hot\", expected f64"
        );
        assert_eq!(
            error(json!({"sampling_params": {"n": 1.0}})),
            "invalid type: floating point `1.0`, expected i64"
        );
        assert_eq!(
            error(json!({"sampling_params": {"ignore_eos": 1}})),
            "invalid type: integer `1`, expected a boolean"
        );
        assert_eq!(
            error(json!({"sampling_params": 3})),
            "invalid type: integer `3`, expected a value or an array of values for SamplingParamsOrList"
        );
        assert_eq!(
            error(json!({"return_hidden_states": "last"})),
            "invalid type: string \"last\", expected a value or an array of values for BoolOrList"
        );
    }

    #[test]
    fn unknown_sampling_keys_are_refused_and_unknown_top_keys_are_not() {
        let text = error(json!({"sampling_params": {"temprature": 1}}));
        assert!(text.starts_with("unknown field `temprature`, expected one of `max_new_tokens`, `stop`, "));
        assert!(text.ends_with("`beam_width`, `watermark`, `choice`"));
        check_generate(json!({"text": "x", "model": 5}).as_object().unwrap()).unwrap();
    }

    #[test]
    fn a_watermark_has_three_fields() {
        let watermark = |watermark: Value| check_sampling("watermark", &watermark).map_err(|e| e.0);
        assert_eq!(watermark(json!({"enabled": true, "key": null, "context_window": -1})), Ok(()));
        for (value, text) in [
            (json!(1), "invalid type: integer `1`, expected struct WatermarkRequestConfig"),
            (json!({"enabled": 1}), "invalid type: integer `1`, expected a boolean"),
            (json!({"key": 1}), "invalid type: integer `1`, expected a string"),
            (json!({"x": 1}), "unknown field `x`, expected one of `enabled`, `key`, `context_window`"),
        ] {
            assert_eq!(watermark(value), Err(text.to_owned()));
        }
    }

    #[test]
    fn null_means_not_given() {
        let nulls: Map<String, Value> = sampling_keys().map(|name| (name.to_owned(), Value::Null)).collect();
        check_generate(json!({"sampling_params": nulls, "rid": null}).as_object().unwrap()).unwrap();
    }
}
