//! The flags that the program reads, and the [`ServerArgs`] struct made from them. A row is
//! `field: type = default, "long" | "alias", support, "help"`, then what concerns it of:
//!
//! - `one_of`: the values that may be given; `not_yet`: those that the reference knows beyond them;
//! - `range`: the valid values of its type, which `--help` and the error name;
//! - `secret true`: the value is shown nowhere;
//! - `check`: a rule that needs other flags too. Its error says what would be valid.
//!
//! Names and defaults are the reference's (`srt/arg_groups/fields/`).

use super::lora::{self, Lora};
use super::range::Range::{self, Above, AtLeast, AtLeastOrMinusOne, Between, FromTo};
use super::rows::server_args;
use super::rules::{belongs_to, check_chunk, is_key, needs_https};
use super::spec::Default::{Is, Required, Unset};
use super::spec::{FlagSpec, Group, Support};
use super::value::{FlagValue, JsonObject};

/// What `Authorization: Bearer` can carry.
const KEY: Range = Range::Text("printable ASCII characters without spaces", is_key);

server_args! {
    Model {
        model_path: String = Required, "model-path" | "model", Supported,
            "Folder of a Hugging Face checkpoint, a GGUF file, or a repository of the hub: org/name, org/name:QUANT or \
             org/name:file.gguf.",
            check |args| match args.model_path.as_str() {
                "" => Err("expected a folder, a GGUF file or a repository of the hub".to_owned()),
                _ => Ok(()),
            };
        tokenizer_path: Option<String> = Unset, "tokenizer-path", Supported,
            "Folder, GGUF file or repository of the hub to take the tokenizer from, when it is not the model's own.";
        tokenizer_mode: String = Is("auto"), "tokenizer-mode", Supported,
            "Which tokenizer to use; both values mean the one fast implementation here.", one_of &["auto", "slow"];
        skip_tokenizer_init: bool = Unset, "skip-tokenizer-init", Supported,
            "Load no tokenizer: requests carry input_ids and answers carry output_ids.";
        load_format: String = Is("auto"), "load-format", Supported,
            "Format of the weights. dummy fills them with random numbers.",
            one_of &["auto", "safetensors", "gguf", "dummy"],
            not_yet &["pt", "npcache", "sharded_state", "bitsandbytes", "mistral", "layered", "remote",
                "remote_instance", "fastsafetensors", "runai_streamer"];
        trust_remote_code: bool = Unset, "trust-remote-code", Supported,
            "Accepted so that existing command lines work; code from a checkpoint is never run.";
        context_length: Option<usize> = Unset, "context-length", Supported,
            "Longest prompt plus output in tokens. Default: what the model's configuration says.",
            range AtLeast(1);
        is_embedding: bool = Unset, "is-embedding", Supported,
            "Serve a generating model as an embedding model: one vector per prompt.";
        revision: Option<String> = Unset, "revision", Supported,
            "Branch, tag or commit of a model on the hub.";
        json_model_override_args: JsonObject = Is("{}"), "json-model-override-args", Supported,
            "JSON object whose keys replace those of the model's config.json.";
        served_model_name: Option<String> = Unset, "served-model-name", Supported,
            "Name of the model in /v1/models and in answers. Default: --model-path.";
        weight_version: String = Is("default"), "weight-version", Supported,
            "Label of the weights, returned in meta_info.";
        download_dir: Option<String> = Unset, "download-dir", Supported,
            "Folder for models fetched from the hub. Default: the cache that HF_HUB_CACHE or HF_HOME names.";
        model_files: Option<String> = Unset, "model-files", Supported,
            "Folder of the downloaded files when --model-path is a repository of the hub. The launcher sets it.";
        tokenizer_files: Option<String> = Unset, "tokenizer-files", Supported,
            "Folder of the downloaded files when --tokenizer-path is a repository of the hub. The launcher sets it.";
    }
    DataTypes {
        dtype: String = Is("auto"), "dtype", Supported,
            "Number format of weights and activations. auto: float32 on a CPU; on a GPU bfloat16 stays and the others \
             become float16.",
            one_of &["auto", "half", "float16", "bfloat16", "float", "float32"];
        quantization: Option<String> = Unset, "quantization", Supported,
            "How the weights are quantised. The checkpoint says so itself; the flag only checks it.",
            one_of &["gguf", "fp8", "awq", "gptq", "compressed-tensors"],
            not_yet &["mxfp8", "gptq_marlin", "awq_marlin", "bitsandbytes", "modelopt",
                "modelopt_fp8", "modelopt_fp4", "w8a8_int8", "w8a8_fp8", "moe_wna16", "w4afp8", "mxfp4",
                "auto-round", "quark"];
        kv_cache_dtype: String = Is("auto"), "kv-cache-dtype", Supported,
            "Number format of the KV cache. auto: the model's.",
            one_of &["auto"], not_yet &["fp8_e5m2", "fp8_e4m3", "bf16", "bfloat16", "fp4_e2m1", "nvfp4"];
    }
    HttpServer {
        host: String = Is("127.0.0.1"), "host", Supported,
            "Address or name to listen on; 0.0.0.0 is every IPv4 interface.";
        port: u16 = Is("30000"), "port", Supported,
            "TCP port to listen on; 0 takes a free one and says which.";
        fastapi_root_path: String = Is(""), "fastapi-root-path", Supported,
            "Path prefix that a reverse proxy in front strips.";
        ssl_keyfile: Option<String> = Unset, "ssl-keyfile", Supported,
            "Private key for HTTPS, a PEM file; needs --ssl-certfile.",
            check |args| belongs_to(args.ssl_keyfile.as_deref(), args.ssl_certfile.as_deref(), "ssl-certfile");
        ssl_certfile: Option<String> = Unset, "ssl-certfile", Supported,
            "Certificate for HTTPS with its chain, a PEM file; needs --ssl-keyfile.",
            check |args| belongs_to(args.ssl_certfile.as_deref(), args.ssl_keyfile.as_deref(), "ssl-keyfile");
        ssl_ca_certs: Option<String> = Unset, "ssl-ca-certs", Supported,
            "CA certificates, a PEM file. Clients must present a certificate that one of these CAs signed.",
            check |args| needs_https(args.ssl_ca_certs.is_some(), args.ssl_certfile.as_deref());
        ssl_keyfile_password: Option<String> = Unset, "ssl-keyfile-password", Supported,
            "Password of an encrypted key (PKCS#8).",
            secret true,
            check |args| needs_https(args.ssl_keyfile_password.is_some(), args.ssl_certfile.as_deref());
        enable_ssl_refresh: bool = Unset, "enable-ssl-refresh", Supported,
            "Reload key and certificates when their files change.",
            check |args| needs_https(args.enable_ssl_refresh, args.ssl_certfile.as_deref());
        enable_http2: bool = Unset, "enable-http2", Supported,
            "Let clients speak HTTP/2 without TLS, by prior knowledge. With TLS they always may.";
        http2_initial_connection_window_size: u32 = Is("1048576"), "http2-initial-connection-window-size", Supported,
            "Bytes that an HTTP/2 client may send ahead on a connection.",
            range FromTo(1024, i32::MAX as i64);
        uvicorn_access_log_exclude_prefixes: Vec<String> = Unset, "uvicorn-access-log-exclude-prefixes",
            Supported, "Path prefixes that the access log leaves out.";
        skip_server_warmup: bool = Unset, "skip-server-warmup", Supported,
            "Skip the warm-up request, which the launcher sends before it reports that the server is ready.";
        api_key: Option<String> = Unset, "api-key", Supported,
            "Key that every request must carry as a bearer token.",
            range KEY, secret true;
        admin_api_key: Option<String> = Unset, "admin-api-key", Supported,
            "Key for the routes that manage the server.",
            range KEY, secret true;
        ipc_dir: Option<String> = Unset, "ipc-dir", Supported,
            "Folder of the sockets between the processes. Default: a fresh one per run, with mode 0700. Give it when \
             the roles are started one by one.";
    }
    Api {
        chat_template: Option<String> = Unset, "chat-template", Supported,
            "Jinja file to use in place of the model's own chat template.";
        hf_chat_template_name: Option<String> = Unset, "hf-chat-template-name", Supported,
            "Which of the model's named chat templates to use, for all requests. Default: tool_use for requests with \
             tools where there is one, else default.";
        completion_template: Option<String> = Unset, "completion-template", Supported,
            "Template that puts prompt and suffix of /v1/completions together: deepseek_coder, star_coder, qwen_coder, or \
             a JSON file.";
        trust_request_chat_template: bool = Unset, "trust-request-chat-template", NotYet,
            "Let a request bring its own chat template.";
        default_chat_template_kwargs: Option<JsonObject> = Unset, "default-chat-template-kwargs", Supported,
            "JSON object of template arguments for requests that do not set them.";
        sampling_defaults: String = Is("model"), "sampling-defaults", Supported,
            "Where defaults of sampling parameters come from: the model's generation_config.json, or OpenAI's.",
            one_of &["model", "openai"];
        preferred_sampling_params: Option<JsonObject> = Unset, "preferred-sampling-params", Supported,
            "JSON object of sampling parameters for requests that do not set them.";
        tool_call_parser: Option<String> = Unset, "tool-call-parser", Supported,
            "Format of the tool calls that the model writes; auto finds it by the chat template.",
            one_of &["auto", "qwen", "qwen25", "hermes", "llama3", "mistral", "pythonic", "deepseekv3",
                "deepseekv31", "deepseekv32", "deepseekv4", "deepseekv41", "qwen3_coder", "step3p5", "nanbeige", "glm",
                "glm45", "glm47", "ling3", "kimi_k2", "gpt-oss", "cohere_command4", "dots", "gigachat3", "gigachat35",
                "hunyuan", "interns1", "iquest_q1", "lfm2", "mimo", "minicpm5", "minimax-m2", "poolside_v1", "spark25",
                "step3", "trinity"],
            not_yet &["apertus2509", "beam", "gemma4", "inkling", "k2_horizon", "kimi_k3", "minimax-m3", "muse",
                "response_template"];
        reasoning_parser: Option<String> = Unset, "reasoning-parser", Supported,
            "Format of the model's reasoning; auto finds it by the chat template.",
            one_of &["auto", "deepseek-r1", "deepseek-v3", "deepseek-v4", "deepseek-v41", "qwen3", "qwen3-thinking",
                "glm45", "ling3", "kimi", "kimi_k2", "gpt-oss", "minimax", "minimax-append-think", "step3", "step3p5",
                "dots", "gigachat35", "granite_thinking_parser", "hunyuan", "interns1", "iquest_q1", "mimo", "mistral",
                "nanbeige", "nemotron_3", "poolside_v1"],
            not_yet &["apertus2509", "beam", "cohere_command4", "gemma4", "inkling", "k2_horizon", "kimi_k3",
                "minimax-m3", "muse", "response_template"];
        enable_cache_report: bool = Unset, "enable-cache-report", Supported,
            "Report cached prompt tokens in usage.prompt_tokens_details.";
        allow_auto_truncate: bool = Unset, "allow-auto-truncate", Supported,
            "Cut a prompt that is too long instead of refusing it.";
        stream_interval: usize = Is("1"), "stream-interval", Supported,
            "Tokens per streamed chunk; the first one is never held back.",
            range AtLeast(1);
        incremental_streaming_output: bool = Unset, "incremental-streaming-output", Supported,
            "Native streams carry only what is new in each chunk.";
        stream_response_default_include_usage: bool = Unset, "stream-response-default-include-usage", Supported,
            "Send usage at the end of every OpenAI stream, asked for or not.";
        enable_streaming_session: bool = Unset, "enable-streaming-session", Supported,
            "Let /open_session open sessions that only grow, one request at a time.";
        enable_response_store: bool = Unset, "enable-response-store", Supported,
            "Keep responses of /v1/responses, for retrieval, background work and previous_response_id.";
        enable_custom_logit_processor: bool = Unset, "enable-custom-logit-processor", NotYet,
            "Accept custom logit processors in requests.";
        enable_return_hidden_states: bool = Unset, "enable-return-hidden-states", Supported,
            "Let requests ask for hidden states; the same as --return-hidden-states-mode full.";
        return_hidden_states_mode: Option<String> = Unset, "return-hidden-states-mode", Supported,
            "Which hidden states requests may ask for: that of the last token, or those of all tokens.",
            one_of &["last", "full"];
    }
    MemoryAndScheduling {
        mem_fraction_static: Option<f64> = Unset, "mem-fraction-static", Supported,
            "Share of the memory for weights and KV pool. Default: 0.8.",
            range Between(0.0, 1.0);
        max_running_requests: Option<usize> = Unset, "max-running-requests", Supported,
            "Most requests that run at once.",
            range AtLeast(1);
        max_queued_requests: Option<usize> = Unset, "max-queued-requests", Supported,
            "Most requests that wait; further ones get 503.";
        max_total_tokens: Option<usize> = Unset, "max-total-tokens", Supported,
            "Size of the KV pool in tokens.",
            range AtLeast(1);
        chunked_prefill_size: Option<i64> = Unset, "chunked-prefill-size", Supported,
            "Most prompt tokens in one prefill step. Default: 4096 on a GPU; on a CPU 256, and 128 while other requests \
             decode.",
            range AtLeastOrMinusOne(1, "to put a whole prompt into one step"),
            check |args| match args.chunked_prefill_size.map(u64::try_from) {
                Some(Ok(size)) => check_chunk(size, args.page_size as u64),
                _ => Ok(()),
            };
        max_prefill_tokens: usize = Is("16384"), "max-prefill-tokens", Supported,
            "Most tokens in one prefill batch.",
            range AtLeast(1);
        prefill_max_requests: Option<usize> = Unset, "prefill-max-requests", Supported,
            "Most requests in one prefill batch.",
            range AtLeast(1);
        schedule_policy: String = Is("fcfs"), "schedule-policy", Supported,
            "Order of the waiting requests.",
            one_of &["lpm", "random", "fcfs", "dfs-weight", "lof", "priority"], not_yet &["routing-key"];
        schedule_conservativeness: f64 = Is("1.0"), "schedule-conservativeness", Supported,
            "Larger values admit fewer requests and retract less often.",
            range Above(0.0);
        retraction_policy: String = Is("length"), "retraction-policy", Supported,
            "Which running request goes back to the queue when the KV pool is full.",
            one_of &["length", "priority"];
        page_size: usize = Is("1"), "page-size", Supported,
            "Tokens per page of the KV pool. The prefix cache shares whole pages.",
            range AtLeast(1);
        disable_radix_cache: bool = Unset, "disable-radix-cache", Supported,
            "Do not reuse the KV cache of shared prefixes.";
        radix_eviction_policy: String = Is("lru"), "radix-eviction-policy", Supported,
            "Which cached prefix is evicted first.",
            one_of &["lru", "lfu", "fifo", "mru", "filo", "priority", "slru"], not_yet &["tlru"];
        disable_overlap_schedule: bool = Unset, "disable-overlap-schedule", Supported,
            "Schedule only while the model is idle.";
        enable_mixed_chunk: bool = Unset, "enable-mixed-chunk", Supported,
            "Let prefill chunks and decoding share a step.";
        enable_memory_saver: bool = Unset, "enable-memory-saver", Supported,
            "Accepted so that existing command lines work; /release_memory_occupation needs no flag here.";
        num_continuous_decode_steps: usize = Is("1"), "num-continuous-decode-steps", NotYet,
            "Decode steps per scheduling decision.";
    }
    Priority {
        enable_priority_scheduling: bool = Unset, "enable-priority-scheduling", Supported,
            "Use the priority of requests; larger numbers go first.";
        schedule_low_priority_values_first: bool = Unset, "schedule-low-priority-values-first", Supported,
            "With priority scheduling, smaller numbers go first.";
        default_priority_value: Option<i64> = Unset, "default-priority-value", Supported,
            "Priority of requests that bring none.";
        disable_priority_preemption: bool = Unset, "disable-priority-preemption", Supported,
            "Never stop a running request for one of higher priority.";
        priority_scheduling_preemption_threshold: i64 = Is("10"), "priority-scheduling-preemption-threshold", Supported,
            "Least difference of priorities for which a running request is stopped.";
        abort_on_priority_when_disabled: bool = Unset, "abort-on-priority-when-disabled", Supported,
            "Refuse requests with a priority when priority scheduling is off.";
    }
    Runtime {
        device: String = Is("auto"), "device", Supported,
            "Where the model runs. auto: a CUDA GPU when there is one.",
            one_of &["auto", "cpu", "cuda"], not_yet &["xpu", "hpu", "npu", "musa"];
        scheduler_threads: Option<usize> = Unset, "scheduler-threads", Supported,
            "CPU threads for the model. Default: one per core.",
            range AtLeast(1);
        random_seed: Option<u64> = Unset, "random-seed", Supported,
            "Seed of sampling for requests without their own. Default: random.";
        enable_deterministic_inference: bool = Unset, "enable-deterministic-inference", Supported,
            "Make a request's answer independent of what else is in the batch.";
        watchdog_timeout: f64 = Is("300"), "watchdog-timeout", Supported,
            "Seconds that a model step may take, and that a process may show no sign of life; after that the launcher ends \
             the process.",
            range Above(0.0);
        soft_watchdog_timeout: Option<f64> = Unset, "soft-watchdog-timeout", NotYet,
            "Seconds after which a model step that does not end is logged.";
        restart_policy: String = Is("on-failure"), "restart-policy", Supported,
            "What the launcher does when a process dies. on-failure: start it again; requests go on. never: end the \
             server, as the reference does.",
            one_of &["on-failure", "never"];
        max_restarts: usize = Is("10"), "max-restarts", Supported,
            "Most restarts of a process within --restart-window, and most in a row that fail; then the server ends.";
        restart_window: f64 = Is("600"), "restart-window", Supported,
            "Seconds over which --max-restarts counts.",
            range Above(0.0);
        restart_wait: u64 = Is("30"), "restart-wait", Supported,
            "Seconds that a request waits for a process that is started again before it is answered with 503.";
        sleep_on_idle: bool = Unset, "sleep-on-idle", Supported,
            "Accepted so that existing command lines work; an idle server always sleeps.";
        base_gpu_id: usize = Is("0"), "base-gpu-id", NotYet,
            "First GPU to use.";
    }
    Parallelism {
        tp_size: usize = Is("1"), "tp-size" | "tensor-parallel-size", NotYet,
            "Tensor parallel ranks.",
            range AtLeast(1);
        pp_size: usize = Is("1"), "pp-size" | "pipeline-parallel-size", NotYet,
            "Pipeline stages.";
        dp_size: usize = Is("1"), "dp-size" | "data-parallel-size", NotYet,
            "Replicas of the model behind one address.",
            range AtLeast(1);
        ep_size: usize = Is("1"), "ep-size" | "expert-parallel-size" | "ep", NotYet,
            "Expert parallel ranks.";
        expert_distribution_recorder_mode: Option<String> = Unset, "expert-distribution-recorder-mode", Supported,
            "Let /start_expert_distribution_record and its like record which experts tokens go to: counts of the last \
             steps (stat, stat_approx), of every step (per_pass), or with every token (per_token).",
            one_of &["stat", "stat_approx", "per_pass", "per_token"];
        expert_distribution_recorder_buffer_size: Option<i64> = Unset, "expert-distribution-recorder-buffer-size",
            Supported, "Steps that stat keeps. Default: 1000.",
            range AtLeastOrMinusOne(1, "to keep all steps");
        nnodes: usize = Is("1"), "nnodes", NotYet,
            "Machines.";
        node_rank: usize = Is("0"), "node-rank", NotYet,
            "Which of the machines this one is.";
        dist_init_addr: Option<String> = Unset, "dist-init-addr" | "nccl-init-addr", NotYet,
            "host:port at which the machines meet.";
    }
    ConstrainedDecoding {
        grammar_backend: String = Is("llguidance"), "grammar-backend", Supported,
            "Engine for structured output; none refuses such requests. xgrammar and outlines are accepted and mean \
             llguidance.",
            one_of &["llguidance", "xgrammar", "outlines", "none"];
        constrained_json_whitespace_pattern: Option<String> = Unset, "constrained-json-whitespace-pattern", Supported,
            "Regular expression for white space in constrained JSON.";
        constrained_json_disable_any_whitespace: bool = Unset, "constrained-json-disable-any-whitespace", Supported,
            "Write constrained JSON without white space.";
        strict_json_schema: bool = Unset, "strict-json-schema", Supported,
            "Refuse a JSON schema of which a part cannot be enforced. Default: the log says which part.";
    }
    Kernels {
        attention_backend: Option<String> = Unset, "attention-backend", Supported,
            "Accepted so that existing command lines work; there is one set of attention kernels per device.",
            one_of &["triton", "torch_native", "flex_attention", "fa3", "fa4", "flashinfer", "flashmla",
                "trtllm_mla", "cutedsl_mla", "trtllm_mha", "aiter", "wave", "intel_amx", "ascend", "intel_xpu"];
        disable_cuda_graph: bool = Unset, "disable-cuda-graph", Supported,
            "Use no CUDA graphs, which is always so in this version.";
    }
    Lora {
        enable_lora: bool = Unset, "enable-lora", Supported,
            "Serve LoRA adapters. --lora-paths implies it.",
            check |args| args.lora().check_enabled();
        lora_paths: Option<Vec<String>> = Unset, "lora-paths", Supported,
            "Adapters to load at start: PATH, NAME=PATH, or JSON such as {\"lora_name\": \"a\", \"lora_path\": \"p\", \"pinned\": true}.",
            check |args| args.lora().check_paths();
        max_lora_rank: Option<usize> = Unset, "max-lora-rank", Supported,
            "Largest rank of an adapter. Default: the largest of --lora-paths.",
            range AtLeast(1);
        lora_target_modules: Option<Vec<String>> = Unset, "lora-target-modules", Supported,
            "Modules that adapters may change, such as q_proj, or all. Default: those of --lora-paths.",
            one_of lora::TARGET_MODULES, check |args| args.lora().check_modules();
        max_loras_per_batch: usize = Is("8"), "max-loras-per-batch", Supported,
            "Most adapters in one batch; requests without an adapter count as one more.",
            range AtLeast(1);
        max_loaded_loras: Option<usize> = Unset, "max-loaded-loras", Supported,
            "Most loaded adapters. Beyond it the least recently used one is unloaded, and loaded again when a request names it.",
            check |args| args.lora().check_max_loaded(args.max_loaded_loras);
        lora_eviction_policy: String = Is("lru"), "lora-eviction-policy", Supported,
            "Which adapter is evicted from the device's memory pool when it is full.", one_of &["lru", "fifo"];
        lora_backend: String = Is("csgmv"), "lora-backend", Supported,
            "Accepted so that existing command lines work; adapters have one set of kernels per device.",
            one_of &["triton", "csgmv", "ascend", "torch_native", "triton_v2"];
        max_lora_chunk_size: Option<usize> = Is("16"), "max-lora-chunk-size", Supported,
            "Accepted so that existing command lines work.", one_of &["16", "32", "64", "128"];
    }
    Observability {
        log_level: String = Is("info"), "log-level", Supported,
            "Lowest severity that is logged.",
            one_of &["debug", "info", "warning", "error", "critical", "trace"];
        log_level_http: Option<String> = Unset, "log-level-http", Supported,
            "Lowest severity that is logged of the HTTP server's lines. Default: --log-level.",
            one_of &["debug", "info", "warning", "error", "critical", "trace"];
        log_requests: bool = Unset, "log-requests", Supported,
            "Log every request and its answer.";
        log_requests_level: u8 = Is("2"), "log-requests-level", Supported,
            "0: metadata; 1: and sampling parameters; 2: and 2,048 characters of text; 3: everything.",
            one_of &["0", "1", "2", "3"];
        log_requests_format: String = Is("text"), "log-requests-format", Supported,
            "Form of the request log.", one_of &["text", "json"];
        log_requests_target: Option<Vec<String>> = Unset, "log-requests-target", NotYet,
            "stdout, or folders for request log files.";
        enable_metrics: bool = Unset, "enable-metrics", Supported,
            "Serve Prometheus metrics at /metrics.";
        decode_log_interval: usize = Is("40"), "decode-log-interval", Supported,
            "Decode steps between two log lines.",
            range AtLeast(1);
    }
}

impl ServerArgs {
    /// The flags that the rules of LoRA look at.
    fn lora(&self) -> Lora<'_> {
        Lora {
            enabled: self.enable_lora,
            paths: self.lora_paths.as_deref().unwrap_or_default(),
            modules: self.lora_target_modules.as_deref().unwrap_or_default(),
            max_rank: self.max_lora_rank,
            per_batch: self.max_loras_per_batch,
        }
    }
}
