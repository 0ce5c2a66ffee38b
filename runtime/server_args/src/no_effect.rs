//! Flags for features of the reference that this server lacks: its kernels, graphs, collectives and processes. They are
//! accepted and ignored, so that existing command lines work; the launcher logs which were given. A flag that would
//! change an answer does not belong here.

use super::known::known_flags;
use super::range::Range;
use super::spec::Default::{Is, Unset};
use super::spec::{FlagSpec, Group, Kind, Support};

// The reason for each group.
const ONE_WAY_OF_READING: &str = "Weights, tokenizers and model code have one implementation here.";
const ONE_BY_ONE: &str = "Tokens and text are handled as they come, not in batches.";
const ONE_POOL: &str = "The scheduler looks for requests at every step, and one pool holds every layer.";
const NO_PYTHON: &str = "There is no Python garbage collector and no second device.";
const ONE_DEVICE: &str = "A single device needs no communication.";
const ONE_SET_OF_KERNELS: &str = "There is one set of kernels per device.";
const NO_GRAPHS: &str = "There are no CUDA graphs yet, and nothing is compiled by PyTorch.";
const ONE_WAY_OF_ADAPTING: &str = "There is one way to load and apply adapters.";
const NO_MEDIA: &str = "There are no images, audio or video yet.";

known_flags! {
    NoEffect;
    Model {
        tokenizer_backend, "tokenizer-backend", Text, Is("huggingface"), ONE_WAY_OF_READING;
        tokenizer_worker_num, "tokenizer-worker-num", Int, Is("1"), ONE_WAY_OF_READING;
        detokenizer_worker_num, "detokenizer-worker-num", Int, Is("1"), ONE_WAY_OF_READING;
        model_loader_extra_config, "model-loader-extra-config", Json, Is("{}"), ONE_WAY_OF_READING;
        model_impl, "model-impl", Text, Is("auto"), ONE_WAY_OF_READING;
        weight_loader_disable_mmap, "weight-loader-disable-mmap", Switch, Unset, ONE_WAY_OF_READING;
        startup_weight_load_mode, "startup-weight-load-mode", Text, Is("serial"), ONE_WAY_OF_READING;
        weight_loader_prefetch_checkpoints, "weight-loader-prefetch-checkpoints", Switch, Unset, ONE_WAY_OF_READING;
        weight_loader_prefetch_num_threads, "weight-loader-prefetch-num-threads", Int, Is("4"), ONE_WAY_OF_READING;
        weight_loader_drop_cache_after_load, "weight-loader-drop-cache-after-load", Switch, Unset, ONE_WAY_OF_READING;
    }
    Api {
        batch_notify_size, "batch-notify-size", Int, Is("16"), ONE_BY_ONE;
        enable_dynamic_batch_tokenizer, "enable-dynamic-batch-tokenizer", Switch, Unset, ONE_BY_ONE;
        dynamic_batch_tokenizer_batch_size, "dynamic-batch-tokenizer-batch-size", Int, Is("32"), ONE_BY_ONE;
        dynamic_batch_tokenizer_batch_timeout, "dynamic-batch-tokenizer-batch-timeout", Float, Is("0.002"), ONE_BY_ONE;
        enable_tokenizer_batch_encode, "enable-tokenizer-batch-encode", Switch, Unset, ONE_BY_ONE;
        disable_tokenizer_batch_decode, "disable-tokenizer-batch-decode", Switch, Unset, ONE_BY_ONE;
    }
    MemoryAndScheduling {
        scheduler_recv_interval, "scheduler-recv-interval", Int, Is("1"), ONE_POOL;
        enable_dynamic_chunking, "enable-dynamic-chunking", Switch, Unset, ONE_POOL;
        disable_hybrid_swa_memory, "disable-hybrid-swa-memory", Switch, Unset, ONE_POOL;
        swa_full_tokens_ratio, "swa-full-tokens-ratio", Float, Unset, ONE_POOL;
        disable_chunked_prefix_cache, "disable-chunked-prefix-cache", Switch, Unset, ONE_POOL;
    }
    Runtime {
        gpu_id_step, "gpu-id-step", Int, Is("1"), NO_PYTHON;
        numa_node, "numa-node", List, Unset, NO_PYTHON;
        gc_threshold, "gc-threshold", List, Unset, NO_PYTHON;
        gc_warning_threshold_secs, "gc-warning-threshold-secs", Float, Is("0.0"), NO_PYTHON;
    }
    Parallelism {
        nccl_port, "nccl-port", Int, Unset, ONE_DEVICE;
        dist_timeout, "dist-timeout", Int, Unset, ONE_DEVICE;
        load_balance_method, "load-balance-method", Text, Is("auto"), ONE_DEVICE;
        pp_async_batch_depth, "pp-async-batch-depth", Int, Is("0"), ONE_DEVICE;
        disable_custom_all_reduce, "disable-custom-all-reduce", Switch, Unset, ONE_DEVICE;
        enable_nccl_nvls, "enable-nccl-nvls", Switch, Unset, ONE_DEVICE;
        enable_symm_mem, "enable-symm-mem", Switch, Unset, ONE_DEVICE;
        enable_torch_symm_mem, "enable-torch-symm-mem", Switch, Unset, ONE_DEVICE;
        enable_mscclpp, "enable-mscclpp", Switch, Unset, ONE_DEVICE;
        pre_warm_nccl, "pre-warm-nccl", Switch, Unset, ONE_DEVICE;
        enable_p2p_check, "enable-p2p-check", Switch, Unset, ONE_DEVICE;
        boundary_reduction, "boundary-reduction", Text, Is("auto"), ONE_DEVICE;
        disable_attn_tp_gather, "disable-attn-tp-gather", Switch, Unset, ONE_DEVICE;
        enable_flashinfer_allreduce_fusion, "enable-flashinfer-allreduce-fusion", Switch, Unset, ONE_DEVICE;
        enforce_disable_flashinfer_allreduce_fusion, "enforce-disable-flashinfer-allreduce-fusion", Switch, Unset, ONE_DEVICE;
        flashinfer_allreduce_fusion_backend, "flashinfer-allreduce-fusion-backend", Text, Unset, ONE_DEVICE;
        enable_aiter_allreduce_fusion, "enable-aiter-allreduce-fusion", Switch, Unset, ONE_DEVICE;
        enable_fused_moe_sum_all_reduce, "enable-fused-moe-sum-all-reduce", Switch, Unset, ONE_DEVICE;
        deepep_mode, "deepep-mode", Text, Is("auto"), ONE_DEVICE;
        enable_two_batch_overlap, "enable-two-batch-overlap", Switch, Unset, ONE_DEVICE;
        enable_single_batch_overlap, "enable-single-batch-overlap", Switch, Unset, ONE_DEVICE;
        tbo_token_distribution_threshold, "tbo-token-distribution-threshold", Float, Is("0.48"), ONE_DEVICE;
    }
    Kernels {
        prefill_attention_backend, "prefill-attention-backend", Text, Unset, ONE_SET_OF_KERNELS;
        decode_attention_backend, "decode-attention-backend", Text, Unset, ONE_SET_OF_KERNELS;
        sampling_backend, "sampling-backend", Text, Unset, ONE_SET_OF_KERNELS;
        moe_runner_backend, "moe-runner-backend", Text, Is("auto"), ONE_SET_OF_KERNELS;
        fp8_gemm_runner_backend, "fp8-gemm-runner-backend" | "fp8-gemm-backend", Text, Is("auto"), ONE_SET_OF_KERNELS;
        fp4_gemm_runner_backend, "fp4-gemm-runner-backend" | "fp4-gemm-backend", Text, Is("auto"), ONE_SET_OF_KERNELS;
        bf16_gemm_backend, "bf16-gemm-backend", Text, Is("auto"), ONE_SET_OF_KERNELS;
        enable_tf32_matmul, "enable-tf32-matmul", Switch, Unset, ONE_SET_OF_KERNELS;
        enable_fused_qk_norm_rope, "enable-fused-qk-norm-rope", Switch, Unset, ONE_SET_OF_KERNELS;
        disable_shared_experts_fusion, "disable-shared-experts-fusion", Switch, Unset, ONE_SET_OF_KERNELS;
        enforce_shared_experts_fusion, "enforce-shared-experts-fusion", Switch, Unset, ONE_SET_OF_KERNELS;
        disable_flashinfer_autotune, "disable-flashinfer-autotune", Switch, Unset, ONE_SET_OF_KERNELS;
        flashinfer_autotune_skip_ops, "flashinfer-autotune-skip-ops", List, Unset, ONE_SET_OF_KERNELS;
        flashinfer_mla_disable_ragged, "flashinfer-mla-disable-ragged", Switch, Unset, ONE_SET_OF_KERNELS;
        triton_attention_reduce_in_fp32, "triton-attention-reduce-in-fp32", Switch, Unset, ONE_SET_OF_KERNELS;
        triton_attention_num_kv_splits, "triton-attention-num-kv-splits", Int, Is("8"), ONE_SET_OF_KERNELS;
        triton_attention_split_tile_size, "triton-attention-split-tile-size", Int, Unset, ONE_SET_OF_KERNELS;
        disable_outlines_disk_cache, "disable-outlines-disk-cache", Switch, Unset, ONE_SET_OF_KERNELS;
    }
    Kernels {
        cuda_graph_config, "cuda-graph-config", Text, Unset, NO_GRAPHS;
        cuda_graph_backend_decode, "cuda-graph-backend-decode", Text, Unset, NO_GRAPHS;
        cuda_graph_backend_prefill, "cuda-graph-backend-prefill", Text, Unset, NO_GRAPHS;
        cuda_graph_max_bs_decode, "cuda-graph-max-bs-decode" | "cuda-graph-max-bs", Int, Unset, NO_GRAPHS;
        cuda_graph_max_bs_prefill, "cuda-graph-max-bs-prefill", Int, Unset, NO_GRAPHS;
        cuda_graph_bs_decode, "cuda-graph-bs-decode" | "cuda-graph-bs", List, Unset, NO_GRAPHS;
        cuda_graph_bs_prefill, "cuda-graph-bs-prefill", List, Unset, NO_GRAPHS;
        cuda_graph_max_seq_len_prefill, "cuda-graph-max-seq-len-prefill", Int, Unset, NO_GRAPHS;
        cuda_graph_prefill_max_context, "cuda-graph-prefill-max-context" | "context-bucket", Int, Unset, NO_GRAPHS;
        disable_cuda_graph_padding, "disable-cuda-graph-padding", Switch, Unset, NO_GRAPHS;
        disable_prefill_cuda_graph, "disable-prefill-cuda-graph", Switch, Unset, NO_GRAPHS;
        disable_decode_cuda_graph, "disable-decode-cuda-graph", Switch, Unset, NO_GRAPHS;
        enable_profile_cuda_graph, "enable-profile-cuda-graph", Switch, Unset, NO_GRAPHS;
        enable_cudagraph_gc, "enable-cudagraph-gc", Switch, Unset, NO_GRAPHS;
        debug_cuda_graph, "debug-cuda-graph", Switch, Unset, NO_GRAPHS;
        enable_layerwise_nvtx_marker, "enable-layerwise-nvtx-marker", Switch, Unset, NO_GRAPHS;
        enable_torch_compile, "enable-torch-compile", Switch, Unset, NO_GRAPHS;
        enable_torch_compile_debug_mode, "enable-torch-compile-debug-mode", Switch, Unset, NO_GRAPHS;
        torch_compile_max_bs, "torch-compile-max-bs", Int, Is("32"), NO_GRAPHS;
    }
    Lora {
        enable_lora_overlap_loading, "enable-lora-overlap-loading", Switch, Unset, ONE_WAY_OF_ADAPTING;
        lora_use_virtual_experts, "lora-use-virtual-experts", Switch, Unset, ONE_WAY_OF_ADAPTING;
    }
    Multimodal {
        mm_attention_backend, "mm-attention-backend", Text, Unset, NO_MEDIA;
        mm_processor_worker_num, "mm-processor-worker-num", Int, Is("0"), NO_MEDIA;
        mm_io_worker_num, "mm-io-worker-num", Int, Is("0"), NO_MEDIA;
        disable_fast_image_processor, "disable-fast-image-processor", Switch, Unset, NO_MEDIA;
        image_processor_backend, "image-processor-backend", Text, Is("auto"), NO_MEDIA;
    }
}
