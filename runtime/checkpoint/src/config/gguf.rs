//! Converts GGUF metadata to the keys of `config.json`.
//!
//! Key names follow ggml's `docs/gguf.md` and the constants of the `gguf` Python package.

use serde_json::{Map, Value, json};

use super::deepseek2;
use super::gguf_keys::Keys;
use crate::error::CheckpointError;
use crate::gguf::{GgmlType, GgufFile, MetadataValue};

/// A model family, as `general.architecture` names it.
struct Family {
    gguf: &'static str,
    architecture: &'static str,
    model_type: &'static str,
    /// Class and type if the file has experts.
    experts: Option<(&'static str, &'static str)>,
    hidden_act: &'static str,
}

const fn family(gguf: &'static str, architecture: &'static str, model_type: &'static str) -> Family {
    Family { gguf, architecture, model_type, experts: None, hidden_act: "silu" }
}

const FAMILIES: [Family; 12] = [
    Family {
        experts: Some(("MixtralForCausalLM", "mixtral")),
        ..family("llama", "LlamaForCausalLM", "llama")
    },
    family("qwen2", "Qwen2ForCausalLM", "qwen2"),
    family("qwen3", "Qwen3ForCausalLM", "qwen3"),
    family("qwen2moe", "Qwen2MoeForCausalLM", "qwen2_moe"),
    family("qwen3moe", "Qwen3MoeForCausalLM", "qwen3_moe"),
    Family { hidden_act: "gelu_pytorch_tanh", ..family("gemma2", "Gemma2ForCausalLM", "gemma2") },
    Family { hidden_act: "gelu_pytorch_tanh", ..family("gemma3", "Gemma3ForCausalLM", "gemma3_text") },
    family("phi3", "Phi3ForCausalLM", "phi3"),
    family("granite", "GraniteForCausalLM", "granite"),
    family("olmo2", "Olmo2ForCausalLM", "olmo2"),
    family("gpt-oss", "GptOssForCausalLM", "gpt_oss"),
    family("deepseek2", "DeepseekV2ForCausalLM", "deepseek_v2"),
];

/// The configuration of a GGUF file as a `config.json` object.
pub(super) fn to_hf(file: &GgufFile) -> Result<Map<String, Value>, CheckpointError> {
    let metadata = file.metadata();
    let arch = metadata.str("general.architecture")?;
    let family = FAMILIES.iter().find(|f| f.gguf == arch).ok_or_else(|| {
        let known = FAMILIES.map(|f| f.gguf).join(", ");
        CheckpointError::wrong_key(file.path(), "general.architecture", format!("one of {known}"), arch)
    })?;
    let keys = Keys { file, arch };
    let experts = keys.opt_u64("expert_count")?.filter(|n| *n > 0);
    let (architecture, model_type) =
        family.experts.filter(|_| experts.is_some()).unwrap_or((family.architecture, family.model_type));
    let embedding = file.tensor("token_embd.weight")?;
    let hidden = keys.u64("embedding_length")?;
    let heads = keys.u64("attention.head_count")?;
    if embedding.shape.get(1).is_none_or(|n| *n as u64 != hidden) {
        let expected = format!("shape [vocabulary, {hidden}]");
        let found = format!("{:?}", embedding.shape);
        return Err(CheckpointError::malformed(file.path(), "tensor `token_embd.weight`", expected, found));
    }
    let mut out = Map::new();
    let mut put = |key: &str, value: Value| out.insert(key.to_owned(), value);
    put("architectures", json!([architecture]));
    put("model_type", json!(model_type));
    put("vocab_size", json!(embedding.shape.first()));
    put("hidden_size", json!(hidden));
    let expert_width = keys.opt_u64("expert_feed_forward_length")?;
    put("intermediate_size", json!(keys.opt_u64("feed_forward_length")?.or(expert_width)));
    put("num_hidden_layers", json!(keys.u64("block_count")?));
    put("num_attention_heads", json!(heads));
    put("num_key_value_heads", json!(keys.opt_u64("attention.head_count_kv")?.unwrap_or(heads)));
    put("head_dim", json!(keys.opt_u64("attention.key_length")?.or_else(|| hidden.checked_div(heads))));
    put("max_position_embeddings", json!(keys.u64("context_length")?));
    put("rms_norm_eps", json!(keys.f64("attention.layer_norm_rms_epsilon")?));
    put("hidden_act", json!(family.hidden_act));
    put("tie_word_embeddings", json!(!file.has_tensor("output.weight")));
    put("attention_bias", json!(file.has_tensor("blk.0.attn_q.bias")));
    put("mlp_bias", json!(file.has_tensor("blk.0.ffn_down.bias")));
    put("dtype", json!(saved_type(file)?));
    put("bos_token_id", json!(metadata.opt_u32("tokenizer.ggml.bos_token_id")?));
    put("pad_token_id", json!(metadata.opt_u32("tokenizer.ggml.padding_token_id")?));
    put("eos_token_id", json!(end_tokens(file)?));
    put("sliding_window", json!(keys.opt_u64("attention.sliding_window")?));
    put("rope_theta", json!(keys.opt_f64("rope.freq_base")?));
    put("rope_local_base_freq", json!(keys.opt_f64("rope.freq_base_swa")?));
    put("rope_scaling", rope_scaling(&keys)?);
    put("partial_rotary_factor", json!(partial_rotary_factor(&keys, hidden, heads)?));
    for (key, gguf_key) in [
        ("attn_logit_softcapping", "attn_logit_softcapping"),
        ("final_logit_softcapping", "final_logit_softcapping"),
        ("embedding_multiplier", "embedding_scale"),
        ("residual_multiplier", "residual_scale"),
        ("attention_multiplier", "attention.scale"),
        ("logits_scaling", "logit_scale"),
    ] {
        put(key, json!(keys.opt_f64(gguf_key)?));
    }
    if let Some(experts) = experts {
        put("num_experts", json!(experts));
        put("num_local_experts", json!(experts));
        put("num_experts_per_tok", json!(keys.u64("expert_used_count")?));
        // Older files have no key for the widths, but the down projections have as many columns.
        let columns = |name: &str| file.tensor(name).ok().and_then(|t| t.shape.last().map(|n| *n as u64));
        put("moe_intermediate_size", json!(expert_width.or_else(|| columns("blk.0.ffn_down_exps.weight"))));
        let width = keys.opt_u64("expert_shared_feed_forward_length")?;
        put(
            "shared_expert_intermediate_size",
            json!(width.or_else(|| columns("blk.0.ffn_down_shexp.weight"))),
        );
        put("norm_topk_prob", json!(arch == "qwen3moe"));
    }
    if arch.starts_with("gemma") {
        put("query_pre_attn_scalar", json!(gemma_query_scale(&keys, hidden, heads)?));
    }
    let (key, pattern) = window_pattern(&keys)?;
    put(key, pattern);
    if arch == "deepseek2" {
        out.extend(deepseek2::keys(&keys)?);
    }
    out.retain(|_, value| !value.is_null());
    Ok(out)
}

/// Fraction of a head's columns that is rotated; `None` if all are.
fn partial_rotary_factor(keys: &Keys<'_>, hidden: u64, heads: u64) -> Result<Option<f64>, CheckpointError> {
    let head_dim = keys.opt_u64("attention.key_length")?.or_else(|| hidden.checked_div(heads));
    if keys.arch == "deepseek2" {
        return Ok(None);
    }
    let rotated = keys.opt_u64("rope.dimension_count")?;
    Ok(rotated.zip(head_dim).filter(|(r, d)| *r > 0 && r < d).map(|(r, d)| r as f64 / d as f64))
}

/// The key and value that say which layers have a sliding window: all but every `n`-th layer, or a list of all layers.
fn window_pattern(keys: &Keys<'_>) -> Result<(&'static str, Value), CheckpointError> {
    let name = keys.name("attention.sliding_window_pattern");
    let metadata = keys.file.metadata();
    if let Some(MetadataValue::Array(_)) = metadata.get(&name) {
        let kind = |slides: &i64| if *slides != 0 { "sliding_attention" } else { "full_attention" };
        let layers = metadata.opt_integers(&name)?.unwrap_or_default();
        return Ok(("layer_types", layers.iter().map(kind).collect()));
    }
    let default = match keys.arch {
        "gemma2" => Some(2),
        "gemma3" => Some(6),
        _ => None,
    };
    Ok(("sliding_window_pattern", json!(metadata.opt_u64(&name)?.or(default))))
}

/// Gemma's 27B models scale queries by `hidden_size / heads`, the others by the head width.
fn gemma_query_scale(keys: &Keys<'_>, hidden: u64, heads: u64) -> Result<Option<u64>, CheckpointError> {
    let large = matches!((keys.arch, keys.u64("block_count")?), ("gemma2", 46) | ("gemma3", 62));
    let per_head = hidden.checked_div(heads);
    Ok(if large { per_head } else { keys.opt_u64("attention.key_length")?.or(per_head) })
}

fn saved_type(file: &GgufFile) -> Result<Option<&'static str>, CheckpointError> {
    Ok(match file.metadata().opt_u64("general.file_type")? {
        Some(0) => Some("float32"),
        Some(1) => Some("float16"),
        Some(32) => Some("bfloat16"),
        _ => None,
    })
}

/// The tokens for end of text and, in chat models, end of turn and end of message.
fn end_tokens(file: &GgufFile) -> Result<Vec<u32>, CheckpointError> {
    let mut ids = Vec::new();
    for key in ["eos", "eot", "eom"] {
        ids.extend(file.metadata().opt_u32(&format!("tokenizer.ggml.{key}_token_id"))?);
    }
    Ok(ids)
}

fn rope_scaling(keys: &Keys<'_>) -> Result<Value, CheckpointError> {
    let name = keys.name("rope.scaling.type");
    let original = keys.opt_u64("rope.scaling.original_context_length")?;
    Ok(match keys.file.metadata().opt_str(&name)? {
        None if long_factors(keys.file)? => longrope(keys, original)?,
        // States the absence of scaling, because the default of the family's configuration class is YaRN.
        None | Some("none") if keys.arch == "gpt-oss" => json!({"rope_type": "default"}),
        None | Some("none") => Value::Null,
        Some("linear") => json!({
            "rope_type": "linear",
            "factor": keys.f64("rope.scaling.factor")?,
            // `context_length` already includes the factor, so the original length keeps it from being applied again.
            "original_max_position_embeddings": original.or(keys.opt_u64("context_length")?),
        }),
        Some("yarn") => json!({
            "rope_type": "yarn",
            "factor": keys.f64("rope.scaling.factor")?,
            "original_max_position_embeddings": original,
            "attention_factor": keys.opt_f64("rope.scaling.attn_factor")?,
            // gpt-oss was trained with a band whose ends are not rounded to whole columns.
            "truncate": keys.arch != "gpt-oss",
            "mscale": deepseek2::mscale(keys)?,
            "mscale_all_dim": deepseek2::mscale(keys)?,
        }),
        Some("longrope") => longrope(keys, original)?,
        Some(other) => {
            let expected = "one of none, linear, yarn, longrope";
            return Err(CheckpointError::wrong_key(keys.file.path(), name, expected, other));
        }
    })
}

const LONG_FACTORS: &str = "rope_factors_long.weight";

fn long_factors(file: &GgufFile) -> Result<bool, CheckpointError> {
    Ok(file.has_tensor(LONG_FACTORS))
}

fn longrope(keys: &Keys<'_>, original: Option<u64>) -> Result<Value, CheckpointError> {
    Ok(json!({
        "rope_type": "longrope",
        "short_factor": small_tensor(keys.file, "rope_factors_short.weight")?,
        "long_factor": small_tensor(keys.file, LONG_FACTORS)?,
        "original_max_position_embeddings": original,
        "attention_factor": keys.opt_f64("rope.scaling.attn_factor")?,
    }))
}

/// The frequency divisors (`rope_freqs.weight`) that converters store for llama3 scaling.
pub(super) fn rope_freq_factors(file: &GgufFile) -> Result<Option<Vec<f32>>, CheckpointError> {
    let name = "rope_freqs.weight";
    if file.has_tensor(name) { small_tensor(file, name).map(Some) } else { Ok(None) }
}

fn small_tensor(file: &GgufFile, name: &str) -> Result<Vec<f32>, CheckpointError> {
    let tensor = file.tensor(name)?;
    if tensor.ggml_type != GgmlType::F32 || tensor.shape.len() != 1 {
        return Err(CheckpointError::malformed(
            file.path(),
            format!("tensor `{name}`"),
            "one row of F32",
            format!("{} of shape {:?}", tensor.ggml_type, tensor.shape),
        ));
    }
    Ok(tensor.data.as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect())
}
