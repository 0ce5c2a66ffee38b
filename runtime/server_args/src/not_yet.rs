//! Flags of the reference that this version knows by name only. `/get_server_info` shows their defaults; any other value
//! is an error at start-up that names the flag. A row moves to [`super::table`] when the program begins to read it.

use serde_json::Value;

use super::known::known_flags;
use super::range::Range;
use super::spec::Default::{self, Is, Unset};
use super::spec::{FlagSpec, Group, Kind, Support};

/// The default of a flag as JSON. A text that is not of its flag's kind is returned as it is; the tests of the tables
/// make sure that there is none.
pub(super) fn default_json(flag: &FlagSpec) -> Value {
    match (flag.kind, flag.default) {
        (Kind::Switch, Default::Unset) => Value::Bool(false),
        (_, Default::Unset | Default::Required) => Value::Null,
        (Kind::Int | Kind::Float | Kind::Json, Default::Is(text)) => {
            serde_json::from_str(text).unwrap_or_else(|_| text.into())
        }
        (Kind::Switch, Default::Is(text)) => Value::Bool(text == "true"),
        (Kind::Text, Default::Is(text)) => text.into(),
        (Kind::List, Default::Is(text)) => text.split_whitespace().collect::<Vec<_>>().into(),
    }
}

known_flags! {
    NotYet;
    Model {
        model_config_parser, "model-config-parser", Text, Is("auto"), "Reader of the model's configuration.";
        model_checksum, "model-checksum", Text, Unset, "Checksums of the model's files.";
        custom_weight_loader, "custom-weight-loader", List, Unset, "Python functions that load weights.";
        delete_ckpt_after_loading, "delete-ckpt-after-loading", Switch, Unset, "Delete the checkpoint once loaded.";
    }
    DataTypes {
        quantization_param_path, "quantization-param-path", Text, Unset, "Scaling factors of the KV cache.";
        enable_fp32_lm_head, "enable-fp32-lm-head", Switch, Unset, "Logits in float32.";
        modelopt_quant, "modelopt-quant", Text, Unset, "ModelOpt quantisation.";
    }
    HttpServer {
        http2_max_concurrent_streams, "http2-max-concurrent-streams", Int, Is("200"),
            "Most requests at once on a connection with HTTP/2.";
        grpc_port, "grpc-port", Int, Unset, "Port of a gRPC server.";
        warmups, "warmups", Text, Unset, "Named warm-ups to run.";
        file_storage_path, "file-storage-path", Text, Unset, "Folder for uploaded files.";
    }
    Api {
        tool_server, "tool-server", Text, Unset, "Tool servers for /v1/responses.";
        enable_return_routed_experts, "enable-return-routed-experts", Switch, Unset, "Return the experts used.";
        enable_strict_thinking, "enable-strict-thinking", Switch, Unset, "Filter tokens while thinking.";
        enable_session_radix_cache, "enable-session-radix-cache", Switch, Unset, "Prefix cache per session.";
        enable_mis, "enable-mis", Switch, Unset, "Score several items in one pass.";
        return_input_ids, "return-input-ids", Switch, Unset, "Return the prompt's ids.";
        return_output_ids, "return-output-ids", Switch, Unset, "Return the output's ids.";
    }
    MemoryAndScheduling {
        enable_hierarchical_cache, "enable-hierarchical-cache" | "enable-hicache", Switch, Unset,
            "Keep prefixes in host memory too.";
        hicache_ratio, "hicache-ratio", Float, Is("2.0"), "Host cache size in device pools.";
        hicache_size, "hicache-size", Int, Is("0"), "Host cache size in GB.";
        hicache_write_policy, "hicache-write-policy", Text, Is("write_through"), "When to write to the host cache.";
        hicache_storage_backend, "hicache-storage-backend", Text, Unset, "Third cache level.";
        cpu_offload_gb, "cpu-offload-gb", Int, Is("0"), "Weights kept in host memory, in GB.";
        radix_cache_backend, "radix-cache-backend", Text, Unset, "Other prefix cache.";
    }
    Runtime {
        use_ray, "use-ray", Switch, Unset, "Start processes through Ray.";
    }
    Parallelism {
        attn_dp_size, "attn-dp-size", Int, Is("1"), "Data parallel attention groups.";
        attn_cp_size, "attn-cp-size" | "attention-context-parallel-size", Int, Is("1"), "Context parallel ranks.";
        moe_dp_size, "moe-dp-size" | "moe-data-parallel-size", Int, Is("1"), "Data parallel expert groups.";
        pp_max_micro_batch_size, "pp-max-micro-batch-size", Int, Unset, "Largest micro batch of a pipeline.";
        enable_dp_attention, "enable-dp-attention", Switch, Unset, "Data parallel attention.";
        enable_dp_lm_head, "enable-dp-lm-head", Switch, Unset, "Vocabulary parallel across attention groups.";
        moe_a2a_backend, "moe-a2a-backend", Text, Is("none"), "Exchange between experts.";
        moe_dense_tp_size, "moe-dense-tp-size", Int, Unset, "Tensor parallel ranks of dense layers.";
        enable_eplb, "enable-eplb", Switch, Unset, "Balance experts.";
        ep_num_redundant_experts, "ep-num-redundant-experts", Int, Is("0"), "Copies of experts.";
        init_expert_location, "init-expert-location", Text, Is("trivial"), "First placement of experts.";
    }
    ConstrainedDecoding {
        constrained_json_max_whitespace_cnt, "constrained-json-max-whitespace-cnt", Int, Unset,
            "Most white space in a row.";
    }
    Lora {
        experts_shared_outer_loras, "experts-shared-outer-loras", Switch, Unset, "Adapters of experts that share their outer matrices.";
        lora_strict_loading, "lora-strict-loading", Switch, Unset, "Refuse adapters with keys too many or too few.";
        lora_drain_wait_threshold, "lora-drain-wait-threshold", Float, Is("0.0"), "Seconds after which a waiting adapter gets the place of a running one.";
    }
    Speculative {
        speculative_algorithm, "speculative-algorithm", Text, Unset, "Speculative decoding.";
        speculative_draft_model_path, "speculative-draft-model-path", Text, Unset, "Draft model.";
        speculative_num_steps, "speculative-num-steps", Int, Unset, "Draft steps.";
        speculative_eagle_topk, "speculative-eagle-topk", Int, Unset, "Draft branches.";
        speculative_num_draft_tokens, "speculative-num-draft-tokens", Int, Unset, "Draft tokens.";
    }
    Disaggregation {
        disaggregation_mode, "disaggregation-mode", Text, Is("null"), "Prefill or decode role.";
        disaggregation_transfer_backend, "disaggregation-transfer-backend", Text, Is("mooncake"), "KV transfer.";
        disaggregation_bootstrap_port, "disaggregation-bootstrap-port", Int, Is("8998"), "Port of the bootstrap.";
    }
    Multimodal {
        enable_multimodal, "enable-multimodal", Switch, Unset, "Images, audio and video.";
        limit_mm_data_per_request, "limit-mm-data-per-request", Text, Unset, "Most inputs per request.";
        media_url_max_file_size_mb, "media-url-max-file-size-mb", Int, Is("64"), "Largest download.";
    }
    Observability {
        enable_metrics_for_all_schedulers, "enable-metrics-for-all-schedulers", Switch, Unset, "Metrics per rank.";
        extra_metric_labels, "extra-metric-labels", Json, Unset, "More labels of metrics.";
        bucket_time_to_first_token, "bucket-time-to-first-token", List, Unset, "Buckets of the histogram.";
        bucket_inter_token_latency, "bucket-inter-token-latency", List, Unset, "Buckets of the histogram.";
        bucket_e2e_request_latency, "bucket-e2e-request-latency", List, Unset, "Buckets of the histogram.";
        crash_dump_folder, "crash-dump-folder", Text, Unset, "Folder for requests before a crash.";
        show_time_cost, "show-time-cost", Switch, Unset, "Timing marks.";
        enable_request_time_stats_logging, "enable-request-time-stats-logging", Switch, Unset, "Times per request.";
        export_metrics_to_file, "export-metrics-to-file", Switch, Unset, "Records per request in files.";
        export_metrics_to_file_dir, "export-metrics-to-file-dir", Text, Unset, "Folder of these files.";
        kv_events_config, "kv-events-config", Text, Unset, "Publisher of KV cache events.";
        enable_trace, "enable-trace", Switch, Unset, "OpenTelemetry traces.";
        otlp_traces_endpoint, "otlp-traces-endpoint", Text, Is("localhost:4317"), "Where traces go.";
    }
}
