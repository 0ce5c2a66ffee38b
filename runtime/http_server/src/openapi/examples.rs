//! Valid bodies of the routes, for readers of the document and for probing the body readers: an object that is accepted
//! only in certain forms can be discovered only from an example.

use serde_json::{Map, Value, json};

/// A body and what it demonstrates.
pub(super) struct Example {
    /// What it demonstrates, in a few words.
    pub summary: &'static str,
    /// The body.
    pub body: Map<String, Value>,
}

/// A tool of a chat completion.
fn tool() -> Value {
    json!({"type": "function", "function": {
        "name": "get_weather",
        "description": "The weather in a city.",
        "strict": false,
        "defer_loading": false,
        "parameters": weather(),
    }})
}

fn weather() -> Value {
    json!({"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]})
}

fn generate() -> Vec<(&'static str, Value)> {
    vec![
        ("A text", json!({"text": "Once upon a time", "sampling_params": {"max_new_tokens": 32}})),
        (
            "Token ids, as a stream",
            json!({"input_ids": [1, 2, 3], "sampling_params": {"max_new_tokens": 32, "temperature": 0}, "stream": true,
                "session_params": {"id": null, "rid": null, "offset": null, "replace": null,
                    "drop_previous_output": null}}),
        ),
    ]
}

fn chat() -> Vec<(&'static str, Value)> {
    vec![
        (
            "A question",
            json!({"model": "default", "messages": [{"role": "user", "content": "What is the capital of France?"}],
                "max_tokens": 64}),
        ),
        (
            "A call of a tool, as a stream",
            json!({"model": "default", "stream": true, "stream_options": {"include_usage": true},
                "tools": [tool()], "tool_choice": {"type": "function", "function": {"name": "get_weather"}},
                "messages": [
                    {"role": "system", "content": "Be brief."},
                    {"role": "user", "content": [{"type": "text", "text": "Paris and Rome?"}]},
                    {"role": "assistant", "content": null, "name": "a", "reasoning_content": "Hm.", "tool_calls": [
                        {"id": "call_1", "index": 0, "type": "function",
                            "function": {"name": "get_weather", "arguments": "{\"city\": \"Paris\"}"}}]},
                    {"role": "tool", "tool_call_id": "call_1", "content": "Sun"}]}),
        ),
        (
            "An answer by a schema",
            json!({"model": "default", "messages": [{"role": "user", "content": "A city, please."}],
                "reasoning": {"enabled": true}, "reasoning_effort": "low",
                "response_format": {"type": "json_schema", "json_schema": {"name": "city", "schema": weather()}}}),
        ),
    ]
}

fn messages() -> Vec<(&'static str, Value)> {
    vec![
        (
            "A question",
            json!({"model": "default", "max_tokens": 64,
                "messages": [{"role": "user", "content": "What is the capital of France?"}]}),
        ),
        (
            "A call of a tool",
            json!({"model": "default", "max_tokens": 64,
                "system": [{"type": "text", "text": "Be brief."}],
                "messages": [
                    {"role": "user", "content": [{"type": "text", "text": "The weather in Paris?"}]},
                    {"role": "assistant", "content": [{"type": "tool_use", "id": "t1", "name": "get_weather",
                        "input": {"city": "Paris"}}]},
                    {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t1", "content": "Sun",
                        "is_error": false}]}],
                "tools": [{"name": "get_weather", "description": "The weather in a city.", "input_schema": weather()}],
                "tool_choice": {"type": "auto", "disable_parallel_tool_use": false},
                "thinking": {"type": "disabled"},
                "output_config": {"effort": "low", "task_budget": {"type": "tokens", "total": 1000}}}),
        ),
    ]
}

/// Bodies for counting have no output limit.
fn without_limit(mut body: Value) -> Value {
    if let Some(body) = body.as_object_mut() {
        body.shift_remove("max_tokens");
    }
    body
}

fn responses() -> Vec<(&'static str, Value)> {
    vec![
        ("A question", json!({"model": "default", "input": "What is the capital of France?"})),
        (
            "A conversation with a tool, as a stream",
            json!({"model": "default", "stream": true, "max_output_tokens": 64,
                "instructions": "Be brief.",
                "reasoning": {"effort": "medium", "summary": "auto"},
                "text": {"format": {"type": "text"}, "verbosity": "low"},
                "tools": [{"type": "function", "name": "get_weather", "description": "The weather in a city.",
                    "strict": false, "parameters": weather()}],
                "tool_choice": {"type": "function", "name": "get_weather"},
                "input": [
                    {"role": "user", "content": [{"type": "input_text", "text": "The weather in Paris?"}]},
                    {"type": "function_call", "call_id": "c1", "name": "get_weather",
                        "arguments": "{\"city\": \"Paris\"}"},
                    {"type": "function_call_output", "call_id": "c1", "output": "Sun"}]}),
        ),
    ]
}

fn ollama_chat() -> Vec<(&'static str, Value)> {
    vec![(
        "A question",
        json!({"model": "default", "stream": false, "options": {"num_predict": 64, "temperature": 0.5},
            "messages": [
                {"role": "user", "content": "The weather in Paris?", "images": []},
                {"role": "assistant", "content": "", "thinking": "Hm.", "tool_calls": [
                    {"function": {"name": "get_weather", "arguments": {"city": "Paris"}}}]},
                {"role": "tool", "content": "Sun", "tool_name": "get_weather"}],
            "tools": [tool()]}),
    )]
}

fn embedding() -> Vec<(&'static str, Value)> {
    vec![
        ("Texts", json!({"text": ["A cat", "A dog"]})),
        ("A pair", json!({"text": [["A question", "An answer"]]})),
        ("Token ids", json!({"input_ids": [1, 2, 3]})),
    ]
}

fn rerank() -> Vec<(&'static str, Value)> {
    vec![
        ("Texts", json!({"query": "What is a panda?", "documents": ["A bear.", "A river."], "top_n": 1})),
        (
            "Objects",
            json!({"query": "What is a panda?", "rank_fields": ["title", "text"], "return_documents": true,
                "documents": [{"title": "Panda", "text": "A bear."}]}),
        ),
    ]
}

fn of(path: &str) -> Vec<(&'static str, Value)> {
    let one = |body: Value| vec![("An example", body)];
    match path {
        "/generate" => generate(),
        "/vertex_generate" => one(json!({"instances": [{"text": "Once upon a time"}],
            "parameters": {"sampling_params": {"max_new_tokens": 32}}})),
        "/v1/chat/completions" | "/invocations" => chat(),
        "/v1/completions" => vec![
            ("A text", json!({"model": "default", "prompt": "Once upon a time", "max_tokens": 32})),
            (
                "Several, as a stream",
                json!({"model": "default", "prompt": ["One", "Two"], "stream": true, "logprobs": 1,
                    "stream_options": {"include_usage": true}, "response_format": {"type": "json_object"}}),
            ),
        ],
        "/v1/messages" => messages(),
        "/v1/messages/count_tokens" => {
            messages().into_iter().map(|(name, body)| (name, without_limit(body))).collect()
        }
        "/v1/responses" => responses(),
        "/encode" | "/classify" => embedding(),
        "/v1/embeddings" => vec![
            ("Texts", json!({"model": "default", "input": ["A cat", "A dog"]})),
            (
                "Objects",
                json!({"model": "default", "input": [{"text": "A cat"}], "encoding_format": "base64"}),
            ),
        ],
        "/v1/classify" => one(json!({"model": "default", "input": "I like it."})),
        "/v1/rerank" | "/rerank" | "/v2/rerank" => rerank(),
        "/v1/score" => one(json!({"query": "Is this a fruit?", "items": ["apple", "chair"],
            "label_token_ids": [9454, 2753], "apply_softmax": true})),
        "/api/chat" => ollama_chat(),
        "/api/generate" => one(json!({"model": "default", "prompt": "Once upon a time", "stream": false,
            "options": {"num_predict": 32}})),
        "/api/embed" => one(json!({"model": "default", "input": ["A cat", "A dog"]})),
        "/api/embeddings" => one(json!({"model": "default", "prompt": "A cat"})),
        "/api/show" => one(json!({"model": "default"})),
        "/tokenize" | "/v1/tokenize" => vec![
            ("A text", json!({"prompt": "Once upon a time"})),
            (
                "Messages",
                json!({"messages": [{"role": "user", "content": "Hello"}], "add_generation_prompt": true}),
            ),
        ],
        "/detokenize" | "/v1/detokenize" => one(json!({"tokens": [1, 2, 3]})),
        "/parse_function_call" => one(json!({"tool_call_parser": "hermes", "tools": [tool()],
            "text": "<tool_call>{\"name\": \"get_weather\", \"arguments\": {\"city\": \"Paris\"}}</tool_call>"})),
        "/separate_reasoning" => {
            one(json!({"reasoning_parser": "qwen3", "text": "<think>Hm.</think>Paris."}))
        }
        "/open_session" => one(json!({"capacity_of_str_len": 1000})),
        "/close_session" => one(json!({"session_id": "a"})),
        "/abort_request" => one(json!({"rid": "a"})),
        "/pause_generation" => one(json!({"mode": "in_place"})),
        "/update_weight_version" => one(json!({"new_version": "2", "abort_all_requests": false})),
        "/set_internal_state" => one(json!({"server_args": {"pp_max_micro_batch_size": 8}})),
        "/configure_logging" => one(json!({"log_requests": true, "log_requests_level": 1})),
        "/release_memory_occupation" | "/resume_memory_occupation" => one(json!({"tags": ["kv_cache"]})),
        "/slow_down" => one(json!({"forward_sleep_time": null})),
        "/update_weights_from_disk" => one(json!({"model_path": "org/model", "manifest": {}})),
        "/get_weights_by_name" => one(json!({"name": "model.norm.weight", "truncate_size": 10})),
        "/weights_checker" => one(json!({"action": "checksum"})),
        "/start_profile" => one(json!({"output_dir": "/tmp/profile", "num_steps": 5})),
        "/load_lora_adapter" => one(json!({"lora_name": "sql", "lora_path": "/adapters/sql"})),
        "/unload_lora_adapter" => one(json!({"lora_name": "sql"})),
        "/remove_external_corpus" => one(json!({"corpus_id": "a"})),
        "/pd_role_switch" => one(json!({"new_role": "prefill"})),
        _ => one(json!({})),
    }
}

/// Valid bodies of the route.
pub(super) fn examples(path: &str) -> Vec<Example> {
    let object = |(summary, body)| match body {
        Value::Object(body) => Some(Example { summary, body }),
        _ => None,
    };
    of(path).into_iter().filter_map(object).collect()
}
