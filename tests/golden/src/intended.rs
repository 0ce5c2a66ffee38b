//! The intended differences from the reference.

/// Places of an exchange where our answer intentionally differs.
#[derive(Clone, Copy, Debug)]
pub struct Intended {
    /// `SET/NAME` of the exchange.
    pub exchange: &'static str,
    /// Prefixes of the lines that the comparison writes: `status`, `header NAME`, `$.PLACE`.
    pub places: &'static [&'static str],
    /// What our answer must contain instead.
    pub says: &'static str,
    /// First column of the row of docs/api.md, "Differences", that says why.
    pub row: &'static str,
}

const fn different(
    exchange: &'static str,
    places: &'static [&'static str],
    says: &'static str,
    row: &'static str,
) -> Intended {
    Intended { exchange, places, says, row }
}

/// Every intended difference.
pub const INTENDED: &[Intended] = &[
    different(
        "generate/info-get_model_info",
        &[
            "$.served_model_name: missing",
            "$.load_format: missing",
            "$.reasoning_parser: missing",
            "$.tool_call_parser: missing",
            "$.disaggregation_mode: missing",
            "$.embedding: missing",
        ],
        "",
        "`/get_model_info`",
    ),
    different(
        "rerank/rerank-model_info",
        &[
            "$.served_model_name: missing",
            "$.load_format: missing",
            "$.reasoning_parser: missing",
            "$.tool_call_parser: missing",
            "$.disaggregation_mode: missing",
            "$.embedding: missing",
        ],
        "",
        "`/get_model_info`",
    ),
    different(
        "reward/reward-model_info",
        &[
            "$.served_model_name: missing",
            "$.load_format: missing",
            "$.reasoning_parser: missing",
            "$.tool_call_parser: missing",
            "$.disaggregation_mode: missing",
            "$.embedding: missing",
        ],
        "",
        "`/get_model_info`",
    ),
    different(
        "embedding/embedding-model_info",
        &[
            "$.served_model_name: missing",
            "$.load_format: missing",
            "$.reasoning_parser: missing",
            "$.tool_call_parser: missing",
            "$.disaggregation_mode: missing",
            "$.embedding: missing",
        ],
        "",
        "`/get_model_info`",
    ),
    different(
        "embedding/causal-embedding-model_info",
        &[
            "$.served_model_name: missing",
            "$.load_format: missing",
            "$.reasoning_parser: missing",
            "$.tool_call_parser: missing",
            "$.disaggregation_mode: missing",
            "$.embedding: missing",
        ],
        "",
        "`/get_model_info`",
    ),
    different("tool_parser/info-model_info", &["$.embedding: missing"], "", "`/model_info`"),
    different("reasoning_parser/info-model_info", &["$.embedding: missing"], "", "`/model_info`"),
    different(
        "generate/info-get_server_info",
        &[
            "$.mem_fraction_static",
            "$.chunked_prefill_size",
            "$.grammar_backend",
            "$.enable_lora",
            "$.ipc_dir: added",
            "$.scheduler_threads: added",
            "$.strict_json_schema: added",
            "$.restart_policy: added",
            "$.max_restarts: added",
            "$.restart_window: added",
            "$.restart_wait: added",
            "$.cuda_graph_config.",
            "$.frontend",
            "$.internal_states[0].mem_fraction_static",
            "$.internal_states[0].chunked_prefill_size",
            "$.internal_states[0].grammar_backend",
            "$.internal_states[0].enable_lora",
            "$.internal_states[0].ipc_dir: added",
            "$.internal_states[0].scheduler_threads: added",
            "$.internal_states[0].strict_json_schema: added",
            "$.internal_states[0].restart_policy: added",
            "$.internal_states[0].max_restarts: added",
            "$.internal_states[0].restart_window: added",
            "$.internal_states[0].restart_wait: added",
            "$.internal_states[0].cuda_graph_config.",
        ],
        "",
        "`/get_server_info`: arguments",
    ),
    different(
        "generate/info-get_server_info",
        &[
            "$.internal_states[0].disable_chunked_prefix_cache",
            "$.internal_states[0].disaggregation_decode_retraction_backup",
            "$.internal_states[0].num_",
            "$.internal_states[0].max_total_num_tokens: added",
            "$.internal_states[0].token_usage: added",
            "$.internal_states[0].cache_",
            "$.internal_states[0].new_token_ratio: added",
            "$.internal_states[0].total_",
            "$.internal_states[0].paused: added",
            "$.internal_states[0].released_memory: added",
            "$.internal_states[0].gen_throughput: added",
            "$.internal_states[0].model_busy_s: added",
            "$.internal_states[0].uptime_s: added",
            "$.internal_states[0].loop: added",
            "$.internal_states[0].step_counters: added",
        ],
        "\"num_running_reqs\":0",
        "`/get_server_info`: `internal_states`",
    ),
    different("generate/info-metrics", &["$.sglang:"], "# TYPE sglang:num_running_reqs gauge", "`/metrics`"),
    different(
        "special/metrics-unknown-subpath",
        &["$.sglang:"],
        "# TYPE sglang:num_running_reqs gauge",
        "`/metrics`",
    ),
    different(
        "tool_parser/tool-required",
        &[
            "$.choices[0].message.tool_calls[0].function.arguments",
            "$.choices[0].finish_reason",
            "$.usage.",
            "$.metadata.",
        ],
        "",
        "arguments of forced calls of tools that are not `strict`, in the parser's format",
    ),
    different(
        "tool_parser/tool-required-stream",
        &[
            "$[2].choices[0].delta.tool_calls[0].function.arguments",
            "$[3].choices[0].finish_reason",
            "$[3].choices[0].matched_stop",
        ],
        "",
        "arguments of forced calls of tools that are not `strict`, in the parser's format",
    ),
    different(
        "tool_parser/tool-named",
        &[
            "$.choices[0].message.tool_calls[0].function.arguments",
            "$.choices[0].finish_reason",
            "$.usage.",
            "$.metadata.",
        ],
        "",
        "a named tool with a tool parser",
    ),
    different(
        "tool_parser/tool-anthropic-any",
        &["status", "header content-type", "header vary", "$"],
        "\"stop_reason\":\"tool_use\"",
        "`/v1/messages`: call arguments that are no object",
    ),
    different(
        "tool_parser/tool-anthropic-any-stream",
        &["$[2].delta.partial_json", "$[4].delta.stop_reason", "$[4].usage."],
        "",
        "arguments of forced calls of tools that are not `strict`, in the parser's format",
    ),
    different(
        "tool_parser/tool-responses-required",
        &["$.output[0].arguments", "$.status", "$.usage.", "$.incomplete_details"],
        "",
        "arguments of forced calls of tools that are not `strict`, in the parser's format",
    ),
    different(
        "generate/error-generate-bad-json",
        &["$.message"],
        "'type': 'json_invalid', 'loc': ('body', 1), 'msg': 'JSON decode error'",
        "JSON syntax errors",
    ),
    different(
        "generate/error-chat-bad-json",
        &["$.message"],
        "'type': 'json_invalid', 'loc': ('body', 1), 'msg': 'JSON decode error'",
        "JSON syntax errors",
    ),
    different(
        "generate/error-chat-content-type",
        &["$.message"],
        "Unsupported Media Type: Only 'application/json' is allowed",
        "schema errors of a header",
    ),
    different(
        "generate/error-chat-array-body",
        &["status", "header content-type", "header vary", "$"],
        "\"code\":400",
        "a JSON array sent to `/v1/chat/completions`",
    ),
    different(
        "generate/error-generate-bad-ebnf",
        &["$.error.message"],
        "Failed to compile ebnf grammar: ",
        "text of grammar errors",
    ),
    different(
        "generate/error-generate-bad-regex",
        &["$.error.message"],
        "Failed to compile regex grammar: ",
        "text of grammar errors",
    ),
    different(
        "generate/error-chat-grammar",
        &["$.message"],
        "Failed to compile ebnf grammar: ",
        "text of grammar errors",
    ),
    different(
        "generate/error-chat-no-messages",
        &["$.message"],
        "'loc': ('body', 'messages'), 'msg': 'Field required', 'input': {'model': 'my-model'}",
        "schema errors of a chat",
    ),
    different(
        "generate/error-chat-role",
        &["$.message"],
        "'role' must be one of",
        "schema errors of a union (roles, `response_format`, bodies with alternatives)",
    ),
    different(
        "generate/error-chat-response-format",
        &["$.message"],
        "'json_schema' or 'structural_tag'",
        "schema errors of a union (roles, `response_format`, bodies with alternatives)",
    ),
    different(
        "generate/error-update-weights-missing-field",
        &["$.message"],
        "'loc': ('body', 'model_path'), 'msg': 'Field required'",
        "schema errors of a union (roles, `response_format`, bodies with alternatives)",
    ),
    different(
        "generate/error-separate-reasoning-no-parser",
        &["$.message"],
        "'loc': ('body', 'reasoning_parser'), 'msg': 'Field required'",
        "schema errors of a union (roles, `response_format`, bodies with alternatives)",
    ),
    different(
        "generate/error-responses-no-model",
        &["status", "$."],
        "\"object\":\"response\"",
        "`/v1/responses` without `model`",
    ),
    different(
        "generate/error-ollama-seed",
        &["status", "header content-type", "header vary", "$"],
        "\"done\":true",
        "Ollama option `seed`",
    ),
    different(
        "generate/error-update-weights-bad-path",
        &["$.message"],
        "(repository not found).",
        "`/update_weights_from_disk` of what is not there",
    ),
    different(
        "generate/error-update-weights-bad-repo",
        &["$.message"],
        "Failed to get weights iterator: qwen/qwen2.5-0.5b-instruct-wrong",
        "`/update_weights_from_disk` of what is not there",
    ),
    different(
        "generate/error-parse-function-unknown-parser",
        &["status", "header content-type", "header vary", "$"],
        "Unsupported tool_call_parser: nope.",
        "unknown parser in `/parse_function_call`, `/separate_reasoning`",
    ),
    different(
        "generate/ollama-generate",
        &["$.done_reason", "$.context"],
        "\"done_reason\":\"length\"",
        "Ollama `done_reason`",
    ),
    different(
        "generate/error-ollama-no-model",
        &["$.error: added"],
        "\"error\":\"1 validation",
        "Ollama errors",
    ),
    different(
        "generate/error-responses-unknown-model",
        &["status", "$."],
        "\"object\":\"response\"",
        "`model` of `/v1/responses`",
    ),
    different("generate/ollama-generate-stream", &["$"], "\"done\":true", "Ollama streams"),
    different("generate/ollama-chat-stream", &["$"], "\"done\":true", "Ollama streams"),
    different("auth/ollama-stream-incremental", &["$"], "\"done\":true", "Ollama streams"),
    different(
        "embedding/embedding-error-encode-string-rid-batch",
        &["status", "header content-type", "header vary", "$"],
        "\"id\":\"r_1\"",
        "`/encode` with one rid for a batch",
    ),
    different(
        "embedding/embedding-error-chat",
        &["$.message"],
        "does not generate text",
        "a request for text on a server that embeds",
    ),
    different(
        "embedding/causal-embedding-error-chat-ends-server",
        &["status", "header", "$"],
        "does not generate text",
        "a request for text on a server that embeds",
    ),
    different(
        "embedding/embedding-error-generate-ends-server",
        &["status", "header", "$"],
        "does not generate text",
        "a request for text on a server that embeds",
    ),
    different(
        "limits/expert-record-without-flag-ends-server",
        &["status", "header", "$"],
        "--expert-distribution-recorder-mode",
        "expert-record routes without the flag",
    ),
    different("limits/health-after-that", &["status", "header"], "", "expert-record routes without the flag"),
];

/// A value that our answers have in another place.
#[derive(Clone, Copy, Debug)]
pub struct Moved {
    /// JSON pointer to the object that has it in the reference's answers.
    pub theirs: &'static str,
    /// JSON pointer to the object that has it in ours.
    pub ours: &'static str,
    /// The key.
    pub key: &'static str,
    /// First column of the row of docs/api.md, "Differences", that says why.
    pub row: &'static str,
}

/// All values that have moved.
pub const MOVED: &[Moved] = &[Moved {
    theirs: "/metadata",
    ours: "/sglext",
    key: "weight_versions",
    row: "`metadata.weight_versions`",
}];

/// Places that are not compared because they depend on time or on arithmetic.
pub const FREE: &[(&str, &[&str])] = &[
    // Logits of quantised weights are so close that another alternative can be chosen.
    ("generate/completions-logprobs-echo", &["$.choices[0].logprobs.top_logprobs"]),
    // How far it came depends on time.
    (
        "special/generate-aborted",
        &["$.text", "$.output_ids", "$.meta_info.completion_tokens", "$.meta_info.weight_versions[0].end"],
    ),
    // How far it came depends on time.
    ("special/generate-stream-aborted", &["$"]),
    // How far it came depends on time.
    ("special/chat-aborted", &["$.choices[0].message.content", "$.usage.", "$.metadata."]),
    // There are none before the first decode steps.
    ("generate/info-v1_loads", &["$.loads[0].decode_moments: missing"]),
    // The server has another address, and its speed depends on time.
    (
        "generate/info-get_server_info",
        &["$.port: ", "$.internal_states[0].port: ", "$.internal_states[0].last_gen_throughput: "],
    ),
    // How many requests run depends on when the load is read.
    ("special/v1_loads-while-busy", &["$.loads[0].num", "$.loads[0].token_usage", "$.loads[0].utilization"]),
];

/// Exchanges that are not replayed, and why.
pub const NOT_REPLAYED: &[(&str, &str)] = &[];

/// The entries of an exchange.
pub fn intended(set: &str, name: &str) -> impl Iterator<Item = &'static Intended> {
    INTENDED.iter().filter(move |entry| entry.exchange.split_once('/') == Some((set, name)))
}
