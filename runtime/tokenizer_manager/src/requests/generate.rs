//! Reads and checks the body of `/generate` (reference: `GenerateReqInput` in `managers/io_struct.py`). The OpenAI
//! routes build the same struct.

use serde_json::{Map, Value};

use sglang_proto::CaptureHiddenMode;
use sglang_proto::messages::SessionParams;
use sglang_proto::sampling_params::SamplingRequest;

use super::python::type_name;
use super::sampling::read::native_object;
use super::validation::{FieldError, Fields, Mismatch, Read, boolean, int, list, nullable, object, string};

/// Fields of `session_params`.
const SESSION_KEYS: [&str; 5] = ["id", "rid", "offset", "replace", "drop_previous_output"];

/// Fields of media, which this server does not support.
pub(super) const MEDIA: [&str; 3] = ["image_data", "video_data", "audio_data"];

/// One value for all, or a list with one per prompt.
#[derive(Clone, Debug, PartialEq)]
pub enum OneOrMany<T> {
    /// One value.
    One(T),
    /// One per prompt.
    Many(Vec<T>),
}

/// A generation request as the client gave it, before it is split into single requests.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct GenerateReqInput {
    /// Request ids.
    pub rid: Option<OneOrMany<String>>,
    /// Prompt text.
    pub text: Option<OneOrMany<String>>,
    /// Prompt ids, as given. They are not checked against the vocabulary yet.
    pub input_ids: Option<OneOrMany<Vec<i64>>>,
    /// Whether embeddings were given as input.
    pub has_input_embeds: bool,
    /// Whether images, videos or audio were given.
    pub has_media: bool,
    /// Sampling parameters.
    pub sampling_params: Option<OneOrMany<SamplingRequest>>,
    /// Whether to return log-probabilities.
    pub return_logprob: Option<OneOrMany<bool>>,
    /// The first prompt position whose log-probability is returned.
    pub logprob_start_len: Option<OneOrMany<i64>>,
    /// Number of most likely tokens to return per position.
    pub top_logprobs_num: Option<OneOrMany<i64>>,
    /// Ids whose log-probabilities are returned at every position: one list for all prompts, or one per prompt.
    pub token_ids_logprob: Option<OneOrMany<Vec<i64>>>,
    /// Whether to return token texts in log-probability lists.
    pub return_text_in_logprobs: bool,
    /// Whether to stream the output.
    pub stream: bool,
    /// Which hidden states to return.
    pub return_hidden_states: Option<OneOrMany<CaptureHiddenMode>>,
    /// Whether to return the prompt's ids.
    pub return_prompt_token_ids: bool,
    /// Adapter names.
    pub lora_path: Option<OneOrMany<Option<String>>>,
    /// Whether a custom logit processor was given.
    pub has_custom_logit_processor: bool,
    /// Session id (short form).
    pub session_id: Option<String>,
    /// Session position.
    pub session_params: Option<SessionParams>,
    /// Priority.
    pub priority: Option<i64>,
    /// Cache namespaces chosen by the caller.
    pub extra_key: Option<OneOrMany<String>>,
    /// Cache namespaces that isolate equal prefixes.
    pub cache_salt: Option<OneOrMany<String>>,
    /// Data-parallel rank to run on.
    pub routed_dp_rank: Option<i64>,
    /// Key of the routing-key policy.
    pub routing_key: Option<String>,
    /// Whether to keep this request out of the logs.
    pub no_logs: bool,
    /// Whether the answer starts with reasoning.
    pub require_reasoning: bool,
    /// Thinking budget in tokens.
    pub max_thinking_tokens: Option<i64>,
}

/// Reads `input_ids`: a list of ids, or a list of such lists. The errors are the reference's.
pub(super) fn input_ids(value: &Value) -> Read<OneOrMany<Vec<i64>>> {
    let refuse = |why: String| Mismatch::rule(why, value);
    let row = |row: &Value| -> Result<Vec<i64>, String> {
        let items = row.as_array().ok_or_else(|| format!("must be list; got {}", type_name(row)))?;
        let id = |(i, v): (usize, &Value)| match (v, v.as_i64()) {
            (Value::Bool(_), _) | (_, None) => Err(format!("element {i} must be int; got {}", type_name(v))),
            (_, Some(id)) => Ok(id),
        };
        items.iter().enumerate().map(id).collect()
    };
    let items =
        value.as_array().ok_or_else(|| refuse(format!("must be list or null; got {}", type_name(value))))?;
    match items.first() {
        None | Some(Value::Number(_)) => row(value).map(OneOrMany::One).map_err(refuse),
        Some(Value::Array(_)) => items
            .iter()
            .enumerate()
            .map(|(i, v)| row(v).map_err(|e| refuse(format!("row {i}: {e}"))))
            .collect::<Read<_>>()
            .map(OneOrMany::Many),
        Some(first) => Err(refuse(format!("elements must be int or list; got {}", type_name(first)))),
    }
}

/// Reads `return_hidden_states` of one prompt.
pub fn hidden_mode(value: &Value) -> Read<CaptureHiddenMode> {
    match value.as_str() {
        Some("last") => Ok(CaptureHiddenMode::Last),
        _ => match boolean(value) {
            Ok(true) => Ok(CaptureHiddenMode::Full),
            Ok(false) => Ok(CaptureHiddenMode::Null),
            Err(_) => Err(Mismatch::rule("return_hidden_states must be a boolean or 'last'", value)),
        },
    }
}

pub fn one<T>(read: impl Fn(&Value) -> Read<T>) -> impl Fn(&Value) -> Read<OneOrMany<T>> {
    move |v| read(v).map(OneOrMany::One)
}

pub fn many<T>(read: impl Fn(&Value) -> Read<T>) -> impl Fn(&Value) -> Read<OneOrMany<T>> {
    let read = list(read);
    move |v| read(v).map(OneOrMany::Many)
}

fn any_true(value: Option<&Value>) -> bool {
    match value {
        None | Some(Value::Null | Value::Bool(false)) => false,
        Some(Value::Array(items)) => items.iter().any(|v| any_true(Some(v))),
        Some(Value::String(s)) => !s.is_empty(),
        Some(_) => true,
    }
}

/// Reads `session_params`: an object with no other fields than those of [`SessionParams`].
pub fn session_params(value: &Value) -> Read<SessionParams> {
    let map = object(value)?;
    if let Some((key, value)) = map.iter().find(|(key, _)| !SESSION_KEYS.contains(&key.as_str())) {
        let rule = format!("session_params has no {key:?}; it may have {}", SESSION_KEYS.join(", "));
        return Err(Mismatch::rule(rule, value));
    }
    fn field<T>(map: &Map<String, Value>, key: &'static str, read: fn(&Value) -> Read<T>) -> Read<Option<T>> {
        map.get(key).map_or(Ok(None), nullable(read)).map_err(|m| m.under(key))
    }
    Ok(SessionParams {
        id: field(&map, "id", string)?,
        rid: field(&map, "rid", string)?,
        offset: field(&map, "offset", int)?,
        replace: field(&map, "replace", boolean)?,
        drop_previous_output: field(&map, "drop_previous_output", boolean)?,
    })
}

impl GenerateReqInput {
    /// Reads a body.
    ///
    /// # Errors
    /// Every invalid field.
    pub fn from_json(body: &Map<String, Value>) -> Result<Self, Vec<FieldError>> {
        let mut f = Fields::of_body(body);
        let request = Self {
            rid: f.union("rid", &[("list[str]", &many(string)), ("str", &one(string))]),
            text: f.union("text", &[("str", &one(string)), ("list[str]", &many(string))]),
            input_ids: f.optional("input_ids", input_ids),
            has_input_embeds: f.has("input_embeds"),
            has_media: MEDIA.map(|name| any_true(f.raw(name))).contains(&true),
            sampling_params: f.union(
                "sampling_params",
                &[("list[dict[str,any]]", &many(native_object)), ("dict[str,any]", &one(native_object))],
            ),
            return_logprob: f
                .union("return_logprob", &[("list[bool]", &many(boolean)), ("bool", &one(boolean))]),
            logprob_start_len: f.union("logprob_start_len", &[("list[int]", &many(int)), ("int", &one(int))]),
            top_logprobs_num: f.union("top_logprobs_num", &[("list[int]", &many(int)), ("int", &one(int))]),
            token_ids_logprob: f.union(
                "token_ids_logprob",
                &[("list[int]", &one(list(int))), ("list[list[int]]", &many(list(int)))],
            ),
            return_text_in_logprobs: f.optional("return_text_in_logprobs", boolean).unwrap_or_default(),
            stream: f.optional("stream", boolean).unwrap_or_default(),
            return_hidden_states: f.union(
                "return_hidden_states",
                &[
                    ("list[union[bool,literal['last']]]", &many(hidden_mode)),
                    ("union[bool,literal['last']]", &one(hidden_mode)),
                ],
            ),
            return_prompt_token_ids: f.or("return_prompt_token_ids", false, boolean),
            lora_path: f.union(
                "lora_path",
                &[("list[str]", &many(nullable(string))), ("str", &one(nullable(string)))],
            ),
            has_custom_logit_processor: any_true(f.raw("custom_logit_processor")),
            session_id: f.optional("session_id", string),
            session_params: f.optional("session_params", session_params),
            priority: f.optional("priority", int),
            extra_key: f.union("extra_key", &[("list[str]", &many(string)), ("str", &one(string))]),
            cache_salt: f.union("cache_salt", &[("list[str]", &many(string)), ("str", &one(string))]),
            routed_dp_rank: {
                let old = f.optional("data_parallel_rank", int);
                f.optional("routed_dp_rank", int).or(old)
            },
            routing_key: f.optional("routing_key", string),
            no_logs: f.or("no_logs", false, boolean),
            require_reasoning: f.or("require_reasoning", false, boolean),
            max_thinking_tokens: f.optional("max_thinking_tokens", int),
        };
        f.finish(Some(request))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(body: Value) -> Result<GenerateReqInput, String> {
        GenerateReqInput::from_json(body.as_object().unwrap())
            .map_err(|errors| errors.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn ids_of_the_wrong_type_are_named() {
        assert!(
            read(json!({"input_ids": ["a"]})).unwrap_err().contains("elements must be int or list; got str")
        );
        assert!(
            read(json!({"input_ids": [[1], [1, "b"]]}))
                .unwrap_err()
                .contains("row 1: element 1 must be int; got str")
        );
        assert!(read(json!({"input_ids": 3})).unwrap_err().contains("must be list or null; got int"));
        assert_eq!(read(json!({"input_ids": []})).unwrap().input_ids, Some(OneOrMany::One(vec![])));
    }

    #[test]
    fn session_params_of_the_wrong_type_are_refused_by_name() {
        let params = json!({"id": "s", "rid": null, "offset": -3, "replace": true});
        let request = read(json!({"text": "a", "session_params": params})).unwrap();
        let expected = SessionParams {
            id: Some("s".into()),
            offset: Some(-3),
            replace: Some(true),
            ..Default::default()
        };
        assert_eq!(request.session_params, Some(expected));
        let error = |params: Value| read(json!({"text": "a", "session_params": params})).unwrap_err();
        assert!(error(json!({"id": 5})).contains("('body', 'session_params', 'id')"));
        assert!(error(json!({"offset": "x"})).contains("('body', 'session_params', 'offset')"));
        assert!(error(json!({"ofset": 1})).contains("session_params has no"));
        assert!(error(json!([1])).contains("('body', 'session_params')"));
    }

    #[test]
    fn a_number_as_text_has_two_errors() {
        let error = read(json!({"text": 5})).unwrap_err();
        assert!(error.contains("('body', 'text', 'str')") && error.contains("('body', 'text', 'list[str]')"));
    }

    #[test]
    fn single_values_and_lists_are_told_apart() {
        let request = read(json!({"text": ["a", "b"], "rid": "x", "token_ids_logprob": [1, 2]})).unwrap();
        assert_eq!(request.text, Some(OneOrMany::Many(vec!["a".into(), "b".into()])));
        assert_eq!(request.rid, Some(OneOrMany::One("x".into())));
        assert_eq!(request.token_ids_logprob, Some(OneOrMany::One(vec![1, 2])));
    }
}
