//! Where a tensor of a Hugging Face model is found in a GGUF file (llama.cpp's `gguf-py/gguf/tensor_mapping.py` gives
//! the pairs).

/// Names outside the layers.
const GLOBAL: [(&str, &str); 3] =
    [("model.embed_tokens", "token_embd"), ("model.norm", "output_norm"), ("lm_head", "output")];

/// Names inside a layer, after `model.layers.N.` and `blk.N.`.
const LAYER: [(&str, &str); 13] = [
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
];

/// Names inside a layer that mean something else in some architectures; they win over [`LAYER`].
const LAYER_OF: [(&[&str], &str, &str); 3] = [
    // Where blocks are normalised after they have run, the name of Llama's second norm is that of such a norm.
    (&["gemma2", "gemma3", "olmo2"], "post_attention_layernorm", "post_attention_norm"),
    (&["gemma2", "gemma3"], "pre_feedforward_layernorm", "ffn_norm"),
    (&["phi3"], "mlp.gate_up_proj", "ffn_up"),
];

/// The GGUF name of a tensor in a file of some `general.architecture`; `None` when the tables have none.
pub(super) fn gguf_name(architecture: &str, name: &str) -> Option<String> {
    let (module, suffix) = name.rsplit_once('.')?;
    let find =
        |table: &[(&str, &'static str)], key: &str| table.iter().find(|(hf, _)| *hf == key).map(|(_, g)| *g);
    if let Some(gguf) = find(&GLOBAL, module) {
        return Some(format!("{gguf}.{suffix}"));
    }
    let (layer, part) = module.strip_prefix("model.layers.")?.split_once('.')?;
    layer.parse::<u32>().ok()?;
    let own = LAYER_OF.iter().find(|(of, hf, _)| *hf == part && of.contains(&architecture));
    let gguf = own.map(|(_, _, gguf)| *gguf).or_else(|| find(&LAYER, part))?;
    Some(format!("blk.{layer}.{gguf}.{suffix}"))
}

/// Whether the rows of a tensor are in llama.cpp's order for interleaved rotation: it reorders the query and key
/// projections of Llama and of what its converter derives from it.
pub(super) fn is_permuted(architecture: &str, name: &str) -> bool {
    ["llama", "granite"].contains(&architecture) && (name.contains(".q_proj.") || name.contains(".k_proj."))
}

/// For each row in Hugging Face order, the row of the GGUF file: of every head, llama.cpp's rows `2i` and `2i + 1` are
/// Hugging Face's `i` and `i + head_dim / 2`.
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
    }

    #[test]
    fn a_norms_name_depends_on_where_the_architecture_has_it() {
        let name =
            |architecture, part: &str| gguf_name(architecture, &format!("model.layers.3.{part}.weight"));
        for (architecture, expected) in [("qwen3", "ffn_norm"), ("gemma3", "post_attention_norm")] {
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
    fn rows_of_a_head_go_from_pairs_to_halves() {
        assert_eq!(unpermuted_rows(8, 4), [0, 2, 1, 3, 4, 6, 5, 7]);
        assert_eq!(unpermuted_rows(6, 6), [0, 2, 4, 1, 3, 5]);
        assert!(is_permuted("llama", "model.layers.0.self_attn.k_proj.weight"));
        assert!(!is_permuted("qwen2", "model.layers.0.self_attn.k_proj.weight"));
        assert!(!is_permuted("llama", "model.layers.0.self_attn.v_proj.weight"));
    }
}
