//! Configuration keys that only GGUF files of DeepSeek-V2 and -V3 have.

use serde_json::{Map, Value, json};

use crate::error::CheckpointError;

use super::gguf_keys::Keys;

/// Value of `expert_gating_func` for sigmoid scores, which score each expert independently.
const SIGMOID: u64 = 2;

/// The keys under their `config.json` names. They override the keys that all families share.
pub(super) fn keys(keys: &Keys<'_>) -> Result<Map<String, Value>, CheckpointError> {
    let mut out = Map::new();
    let mut put = |key: &str, value: Value| out.insert(key.to_owned(), value);
    let rotated = keys.u64("rope.dimension_count")?;
    // Files converted for the compressed cache have separate keys for the width of expanded heads.
    let key_length = match keys.opt_u64("attention.key_length_mla")? {
        Some(n) => n,
        None => keys.u64("attention.key_length")?,
    };
    let value_length = match keys.opt_u64("attention.value_length_mla")? {
        Some(n) => n,
        None => keys.u64("attention.value_length")?,
    };
    put("kv_lora_rank", json!(keys.u64("attention.kv_lora_rank")?));
    put("q_lora_rank", json!(keys.opt_u64("attention.q_lora_rank")?.filter(|n| *n > 0)));
    put("qk_rope_head_dim", json!(rotated));
    put("qk_nope_head_dim", json!(key_length.saturating_sub(rotated)));
    put("v_head_dim", json!(value_length));
    // `head_count_kv` of such files counts the single compressed head.
    put("num_key_value_heads", json!(keys.u64("attention.head_count")?));
    put("attention_bias", json!(keys.file.has_tensor("blk.0.attn_kv_a_mqa.bias")));
    put("first_k_dense_replace", json!(keys.opt_u64("leading_dense_block_count")?.unwrap_or(0)));
    put("n_routed_experts", json!(keys.opt_u64("expert_count")?.filter(|n| *n > 0)));
    put("n_shared_experts", json!(keys.opt_u64("expert_shared_count")?));
    put(
        "routed_scaling_factor",
        json!(keys.opt_f64("expert_weights_scale")?.filter(|x| *x > 0.0).unwrap_or(1.0)),
    );
    let normalised = keys.file.metadata().opt_bool(&keys.name("expert_weights_norm"))?;
    put("norm_topk_prob", json!(normalised.unwrap_or(false)));
    let groups = keys.opt_u64("expert_group_count")?.unwrap_or(1).max(1);
    put("n_group", json!(groups));
    put("topk_group", json!(keys.opt_u64("expert_group_used_count")?.unwrap_or(groups)));
    if keys.opt_u64("expert_gating_func")? == Some(SIGMOID) {
        put("architectures", json!(["DeepseekV3ForCausalLM"]));
        put("model_type", json!("deepseek_v3"));
        put("scoring_func", json!("sigmoid"));
        put("topk_method", json!("noaux_tc"));
    } else {
        put("scoring_func", json!("softmax"));
        put("topk_method", json!(if groups > 1 { "group_limited_greedy" } else { "greedy" }));
    }
    Ok(out)
}

/// YaRN's `mscale_all_dim`, of which the file stores a tenth. DeepSeek uses the same value for `mscale`.
pub(super) fn mscale(keys: &Keys<'_>) -> Result<Option<f64>, CheckpointError> {
    let weight = keys.opt_f64("rope.scaling.yarn_log_multiplier")?.filter(|_| keys.arch == "deepseek2");
    // Rounds away the error of the file's float32.
    Ok(weight.map(|x| (x * 1e7).round() / 1e6))
}
