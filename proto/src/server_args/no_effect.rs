//! Flags of the reference that tune what is not here: its kernels, graphs, collectives and processes. They are accepted, so
//! that existing command lines work, and change nothing; the launcher says which were given. No flag belongs here that
//! would change an answer.

use super::spec::Default::{Is, Unset};
use super::spec::{FlagSpec, Group, Kind, Support};

macro_rules! flags_without_effect {
    ($($group:ident, $help:literal {
        $($field:ident, $long:literal $(| $alias:literal)*, $kind:ident, $default:expr;)*
    })*) => {
        /// The rows.
        pub(super) const FLAGS: &[FlagSpec] = &[$($( FlagSpec {
            field: stringify!($field),
            long: $long,
            aliases: &[$($alias),*],
            group: Group::$group,
            kind: Kind::$kind,
            default: $default,
            choices: &[],
            choices_not_yet: &[],
            support: Support::NoEffect,
            help: $help,
        }, )*)*];
    };
}

flags_without_effect! {
    Model, "Weights, tokenizers and model code have one implementation here." {
        tokenizer_backend, "tokenizer-backend", Text, Is("huggingface");
        tokenizer_worker_num, "tokenizer-worker-num", Int, Is("1");
        detokenizer_worker_num, "detokenizer-worker-num", Int, Is("1");
        model_loader_extra_config, "model-loader-extra-config", Json, Is("{}");
        model_impl, "model-impl", Text, Is("auto");
        weight_loader_disable_mmap, "weight-loader-disable-mmap", Switch, Unset;
        startup_weight_load_mode, "startup-weight-load-mode", Text, Is("serial");
        weight_loader_prefetch_checkpoints, "weight-loader-prefetch-checkpoints", Switch, Unset;
        weight_loader_prefetch_num_threads, "weight-loader-prefetch-num-threads", Int, Is("4");
        weight_loader_drop_cache_after_load, "weight-loader-drop-cache-after-load", Switch, Unset;
    }
    Api, "Tokens and text are handled one by one as they come." {
        batch_notify_size, "batch-notify-size", Int, Is("16");
        enable_dynamic_batch_tokenizer, "enable-dynamic-batch-tokenizer", Switch, Unset;
        dynamic_batch_tokenizer_batch_size, "dynamic-batch-tokenizer-batch-size", Int, Is("32");
        dynamic_batch_tokenizer_batch_timeout, "dynamic-batch-tokenizer-batch-timeout", Float, Is("0.002");
        enable_tokenizer_batch_encode, "enable-tokenizer-batch-encode", Switch, Unset;
        disable_tokenizer_batch_decode, "disable-tokenizer-batch-decode", Switch, Unset;
    }
    MemoryAndScheduling, "The scheduler looks for requests at every step, and one pool holds every layer." {
        scheduler_recv_interval, "scheduler-recv-interval", Int, Is("1");
        enable_dynamic_chunking, "enable-dynamic-chunking", Switch, Unset;
        disable_hybrid_swa_memory, "disable-hybrid-swa-memory", Switch, Unset;
        swa_full_tokens_ratio, "swa-full-tokens-ratio", Float, Unset;
        disable_chunked_prefix_cache, "disable-chunked-prefix-cache", Switch, Unset;
    }
    Runtime, "There is no Python whose memory could be collected, and no second device." {
        gpu_id_step, "gpu-id-step", Int, Is("1");
        numa_node, "numa-node", List, Unset;
        gc_threshold, "gc-threshold", List, Unset;
        gc_warning_threshold_secs, "gc-warning-threshold-secs", Float, Is("0.0");
    }
    Parallelism, "One device has nobody to talk to." {
        nccl_port, "nccl-port", Int, Unset;
        dist_timeout, "dist-timeout", Int, Unset;
        load_balance_method, "load-balance-method", Text, Is("auto");
        pp_async_batch_depth, "pp-async-batch-depth", Int, Is("0");
        disable_custom_all_reduce, "disable-custom-all-reduce", Switch, Unset;
        enable_nccl_nvls, "enable-nccl-nvls", Switch, Unset;
        enable_symm_mem, "enable-symm-mem", Switch, Unset;
        enable_torch_symm_mem, "enable-torch-symm-mem", Switch, Unset;
        enable_mscclpp, "enable-mscclpp", Switch, Unset;
        pre_warm_nccl, "pre-warm-nccl", Switch, Unset;
        enable_p2p_check, "enable-p2p-check", Switch, Unset;
        boundary_reduction, "boundary-reduction", Text, Is("auto");
        disable_attn_tp_gather, "disable-attn-tp-gather", Switch, Unset;
        enable_flashinfer_allreduce_fusion, "enable-flashinfer-allreduce-fusion", Switch, Unset;
        enforce_disable_flashinfer_allreduce_fusion, "enforce-disable-flashinfer-allreduce-fusion", Switch, Unset;
        flashinfer_allreduce_fusion_backend, "flashinfer-allreduce-fusion-backend", Text, Unset;
        enable_aiter_allreduce_fusion, "enable-aiter-allreduce-fusion", Switch, Unset;
        enable_fused_moe_sum_all_reduce, "enable-fused-moe-sum-all-reduce", Switch, Unset;
        deepep_mode, "deepep-mode", Text, Is("auto");
        enable_two_batch_overlap, "enable-two-batch-overlap", Switch, Unset;
        enable_single_batch_overlap, "enable-single-batch-overlap", Switch, Unset;
        tbo_token_distribution_threshold, "tbo-token-distribution-threshold", Float, Is("0.48");
    }
    Kernels, "There is one set of kernels per device." {
        prefill_attention_backend, "prefill-attention-backend", Text, Unset;
        decode_attention_backend, "decode-attention-backend", Text, Unset;
        sampling_backend, "sampling-backend", Text, Unset;
        moe_runner_backend, "moe-runner-backend", Text, Is("auto");
        fp8_gemm_runner_backend, "fp8-gemm-runner-backend" | "fp8-gemm-backend", Text, Is("auto");
        fp4_gemm_runner_backend, "fp4-gemm-runner-backend" | "fp4-gemm-backend", Text, Is("auto");
        bf16_gemm_backend, "bf16-gemm-backend", Text, Is("auto");
        enable_tf32_matmul, "enable-tf32-matmul", Switch, Unset;
        enable_fused_qk_norm_rope, "enable-fused-qk-norm-rope", Switch, Unset;
        disable_shared_experts_fusion, "disable-shared-experts-fusion", Switch, Unset;
        enforce_shared_experts_fusion, "enforce-shared-experts-fusion", Switch, Unset;
        disable_flashinfer_autotune, "disable-flashinfer-autotune", Switch, Unset;
        flashinfer_autotune_skip_ops, "flashinfer-autotune-skip-ops", List, Unset;
        flashinfer_mla_disable_ragged, "flashinfer-mla-disable-ragged", Switch, Unset;
        triton_attention_reduce_in_fp32, "triton-attention-reduce-in-fp32", Switch, Unset;
        triton_attention_num_kv_splits, "triton-attention-num-kv-splits", Int, Is("8");
        triton_attention_split_tile_size, "triton-attention-split-tile-size", Int, Unset;
        disable_outlines_disk_cache, "disable-outlines-disk-cache", Switch, Unset;
    }
    Kernels, "There are no CUDA graphs yet, and nothing is compiled by PyTorch." {
        cuda_graph_config, "cuda-graph-config", Text, Unset;
        cuda_graph_backend_decode, "cuda-graph-backend-decode", Text, Unset;
        cuda_graph_backend_prefill, "cuda-graph-backend-prefill", Text, Unset;
        cuda_graph_max_bs_decode, "cuda-graph-max-bs-decode" | "cuda-graph-max-bs", Int, Unset;
        cuda_graph_max_bs_prefill, "cuda-graph-max-bs-prefill", Int, Unset;
        cuda_graph_bs_decode, "cuda-graph-bs-decode" | "cuda-graph-bs", List, Unset;
        cuda_graph_bs_prefill, "cuda-graph-bs-prefill", List, Unset;
        cuda_graph_max_seq_len_prefill, "cuda-graph-max-seq-len-prefill", Int, Unset;
        cuda_graph_prefill_max_context, "cuda-graph-prefill-max-context" | "context-bucket", Int, Unset;
        disable_cuda_graph_padding, "disable-cuda-graph-padding", Switch, Unset;
        disable_prefill_cuda_graph, "disable-prefill-cuda-graph", Switch, Unset;
        disable_decode_cuda_graph, "disable-decode-cuda-graph", Switch, Unset;
        enable_profile_cuda_graph, "enable-profile-cuda-graph", Switch, Unset;
        enable_cudagraph_gc, "enable-cudagraph-gc", Switch, Unset;
        debug_cuda_graph, "debug-cuda-graph", Switch, Unset;
        enable_layerwise_nvtx_marker, "enable-layerwise-nvtx-marker", Switch, Unset;
        enable_torch_compile, "enable-torch-compile", Switch, Unset;
        enable_torch_compile_debug_mode, "enable-torch-compile-debug-mode", Switch, Unset;
        torch_compile_max_bs, "torch-compile-max-bs", Int, Is("32");
    }
    Lora, "Adapters are read and applied in one way." {
        enable_lora_overlap_loading, "enable-lora-overlap-loading", Switch, Unset;
        lora_use_virtual_experts, "lora-use-virtual-experts", Switch, Unset;
    }
    Multimodal, "There are no images, audio or video yet." {
        mm_attention_backend, "mm-attention-backend", Text, Unset;
        mm_processor_worker_num, "mm-processor-worker-num", Int, Is("0");
        mm_io_worker_num, "mm-io-worker-num", Int, Is("0");
        disable_fast_image_processor, "disable-fast-image-processor", Switch, Unset;
        image_processor_backend, "image-processor-backend", Text, Is("auto");
    }
}
