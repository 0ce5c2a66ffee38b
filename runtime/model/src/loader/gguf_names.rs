//! Maps tensor names of Hugging Face models to GGUF files (as in llama.cpp's `gguf-py/gguf/tensor_mapping.py`).

/// Names outside the layers.
const GLOBAL: [(&str, &str); 3] =
    [("model.embed_tokens", "token_embd"), ("model.norm", "output_norm"), ("lm_head", "output")];

/// Names inside a layer, after `model.layers.N.` and `blk.N.`.
const LAYER: [(&str, &str); 31] = [
    ("input_layernorm", "attn_norm"),
    ("self_attn.qkv_proj", "attn_qkv"),
    ("self_attn.q_norm", "attn_q_norm"),
    ("self_attn.k_norm", "attn_k_norm"),
    ("self_attn.q_proj", "attn_q"),
    ("self_attn.k_proj", "attn_k"),
    ("self_attn.v_proj", "attn_v"),
    ("self_attn.o_proj", "attn_output"),
    ("post_attention_layernorm", "ffn_norm"),
    ("mlp.gate_proj", "ffn_gate"),
    ("mlp.up_proj", "ffn_up"),
    ("mlp.down_proj", "ffn_down"),
    ("post_feedforward_layernorm", "post_ffw_norm"),
    ("mlp.gate", "ffn_gate_inp"),
    ("block_sparse_moe.gate", "ffn_gate_inp"),
    ("mlp.shared_expert.gate_proj", "ffn_gate_shexp"),
    ("mlp.shared_expert.up_proj", "ffn_up_shexp"),
    ("mlp.shared_expert.down_proj", "ffn_down_shexp"),
    ("mlp.shared_expert_gate", "ffn_gate_inp_shexp"),
    ("mlp.router", "ffn_gate_inp"),
    ("mlp.shared_experts.gate_proj", "ffn_gate_shexp"),
    ("mlp.shared_experts.up_proj", "ffn_up_shexp"),
    ("mlp.shared_experts.down_proj", "ffn_down_shexp"),
    ("self_attn.q_a_proj", "attn_q_a"),
    ("self_attn.q_a_layernorm", "attn_q_a_norm"),
    ("self_attn.q_b_proj", "attn_q_b"),
    ("self_attn.kv_a_proj_with_mqa", "attn_kv_a_mqa"),
    ("self_attn.kv_a_layernorm", "attn_kv_a_norm"),
    ("self_attn.kv_b_proj", "attn_kv_b"),
    ("self_attn.k_b_proj", "attn_k_b"),
    ("self_attn.v_b_proj", "attn_v_b"),
];

/// Tensors of a layer whose names do not end with `weight` or `bias`.
const LAYER_WHOLE: [(&str, &str); 2] =
    [("self_attn.sinks", "attn_sinks.weight"), ("mlp.gate.e_score_correction_bias", "exp_probs_b.bias")];

/// Names inside a layer that have another meaning in some architectures; they override [`LAYER`].
const LAYER_OF: [(&[&str], &str, &str); 3] = [
    // If blocks are normalised after they run, the name of Llama's second norm belongs to such a norm. gpt-oss only
    // uses that name.
    (&["gemma2", "gemma3", "olmo2", "gpt-oss"], "post_attention_layernorm", "post_attention_norm"),
    (&["gemma2", "gemma3"], "pre_feedforward_layernorm", "ffn_norm"),
    (&["phi3"], "mlp.gate_up_proj", "ffn_up"),
];

/// Matrices of a layer's experts, after `experts.E.`. The file stacks them in one tensor.
const EXPERT: [(&str, &str); 6] = [
    ("gate_proj", "ffn_gate_exps"),
    ("up_proj", "ffn_up_exps"),
    ("down_proj", "ffn_down_exps"),
    ("w1", "ffn_gate_exps"),
    ("w3", "ffn_up_exps"),
    ("w2", "ffn_down_exps"),
];

/// For a matrix of one expert: the tensor that stacks the matrices of all experts, and the expert's index.
pub(super) fn gguf_expert(name: &str) -> Option<(String, usize)> {
    let (module, suffix) = name.rsplit_once('.')?;
    let (layer, part) = module.strip_prefix("model.layers.")?.split_once('.')?;
    let (expert, matrix) = part.split_once(".experts.")?.1.split_once('.')?;
    let (_, gguf) = EXPERT.iter().find(|(hf, _)| *hf == matrix)?;
    layer.parse::<u32>().ok()?;
    Some((format!("blk.{layer}.{gguf}.{suffix}"), expert.parse().ok()?))
}

/// The GGUF name of a tensor in a file of this `general.architecture`; `None` if the tables do not list it.
pub(super) fn gguf_name(architecture: &str, name: &str) -> Option<String> {
    let (module, suffix) = name.rsplit_once('.')?;
    let find =
        |table: &[(&str, &'static str)], key: &str| table.iter().find(|(hf, _)| *hf == key).map(|(_, g)| *g);
    if let Some(gguf) = find(&GLOBAL, module) {
        return Some(format!("{gguf}.{suffix}"));
    }
    let (layer, whole) = name.strip_prefix("model.layers.")?.split_once('.')?;
    layer.parse::<u32>().ok()?;
    if let Some(gguf) = find(&LAYER_WHOLE, whole) {
        return Some(format!("blk.{layer}.{gguf}"));
    }
    let part = whole.strip_suffix(suffix)?.strip_suffix('.')?;
    let own = LAYER_OF.iter().find(|(of, hf, _)| *hf == part && of.contains(&architecture));
    let gguf = own.map(|(_, _, gguf)| *gguf).or_else(|| find(&LAYER, part))?;
    Some(format!("blk.{layer}.{gguf}.{suffix}"))
}

/// Whether the rows of a tensor are in llama.cpp's order for interleaved (GPT-J) rotation. It permutes the query and
/// key projections of Llama and of the architectures that its converter derives from Llama.
pub(super) fn is_permuted(architecture: &str, name: &str) -> bool {
    ["llama", "granite"].contains(&architecture) && (name.contains(".q_proj.") || name.contains(".k_proj."))
}

/// For each row in Hugging Face order, the row of the GGUF file. Within a head, llama.cpp's rows `2i` and `2i + 1` are
/// Hugging Face's rows `i` and `i + head_dim / 2`.
pub(super) fn unpermuted_rows(rows: usize, head_dim: usize) -> Vec<usize> {
    let half = head_dim / 2;
    let source = |row: usize| {
        let (head, in_head) = (row / head_dim, row % head_dim);
        head * head_dim + 2 * (in_head % half) + in_head / half
    };
    (0..rows).map(source).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_map_with_their_layer_and_suffix() {
        let name = |n| gguf_name("llama", n);
        assert_eq!(name("model.embed_tokens.weight").as_deref(), Some("token_embd.weight"));
        assert_eq!(name("lm_head.weight").as_deref(), Some("output.weight"));
        assert_eq!(name("model.layers.12.self_attn.q_proj.bias").as_deref(), Some("blk.12.attn_q.bias"));
        assert_eq!(name("model.layers.x.mlp.up_proj.weight"), None);
        assert_eq!(name("model.layers.0.unknown.weight"), None);
        assert_eq!(name("model.layers.3.self_attn.sinks").as_deref(), Some("blk.3.attn_sinks.weight"));
        let bias = name("model.layers.4.mlp.gate.e_score_correction_bias");
        assert_eq!(bias.as_deref(), Some("blk.4.exp_probs_b.bias"));
    }

    #[test]
    fn a_norms_name_depends_on_where_the_architecture_has_it() {
        let name =
            |architecture, part: &str| gguf_name(architecture, &format!("model.layers.3.{part}.weight"));
        let norms = ["ffn_norm", "post_attention_norm", "post_attention_norm"];
        for (architecture, expected) in ["qwen3", "gemma3", "gpt-oss"].into_iter().zip(norms) {
            let found = name(architecture, "post_attention_layernorm");
            assert_eq!(found, Some(format!("blk.3.{expected}.weight")));
        }
        assert_eq!(name("gemma2", "pre_feedforward_layernorm").as_deref(), Some("blk.3.ffn_norm.weight"));
        assert_eq!(
            name("olmo2", "post_feedforward_layernorm").as_deref(),
            Some("blk.3.post_ffw_norm.weight")
        );
        assert_eq!(name("phi3", "mlp.gate_up_proj").as_deref(), Some("blk.3.ffn_up.weight"));
        assert_eq!(name("llama", "mlp.gate_up_proj"), None);
    }

    #[test]
    fn experts_are_found_in_their_stack() {
        let qwen = gguf_expert("model.layers.3.mlp.experts.12.up_proj.weight");
        assert_eq!(qwen, Some(("blk.3.ffn_up_exps.weight".to_owned(), 12)));
        let mixtral = gguf_expert("model.layers.0.block_sparse_moe.experts.7.w2.weight");
        assert_eq!(mixtral, Some(("blk.0.ffn_down_exps.weight".to_owned(), 7)));
        assert_eq!(gguf_expert("model.layers.0.mlp.experts.x.w2.weight"), None);
        assert_eq!(gguf_expert("model.layers.0.mlp.up_proj.weight"), None);
    }

    #[test]
    fn rows_of_a_head_go_from_interleaved_to_split_half() {
        assert_eq!(unpermuted_rows(8, 4), [0, 2, 1, 3, 4, 6, 5, 7]);
        assert_eq!(unpermuted_rows(6, 6), [0, 2, 4, 1, 3, 5]);
        assert!(is_permuted("llama", "model.layers.0.self_attn.k_proj.weight"));
        assert!(!is_permuted("qwen2", "model.layers.0.self_attn.k_proj.weight"));
        assert!(!is_permuted("llama", "model.layers.0.self_attn.v_proj.weight"));
    }
}
