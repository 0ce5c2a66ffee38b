//! Where a tensor of a Hugging Face model is found in a GGUF file (llama.cpp's `gguf-py/gguf/tensor_mapping.py` gives
//! the pairs).

/// Names outside the layers.
const GLOBAL: [(&str, &str); 3] =
    [("model.embed_tokens", "token_embd"), ("model.norm", "output_norm"), ("lm_head", "output")];

/// Names inside a layer, after `model.layers.N.` and `blk.N.`.
const LAYER: [(&str, &str); 9] = [
    ("input_layernorm", "attn_norm"),
    ("self_attn.q_proj", "attn_q"),
    ("self_attn.k_proj", "attn_k"),
    ("self_attn.v_proj", "attn_v"),
    ("self_attn.o_proj", "attn_output"),
    ("post_attention_layernorm", "ffn_norm"),
    ("mlp.gate_proj", "ffn_gate"),
    ("mlp.up_proj", "ffn_up"),
    ("mlp.down_proj", "ffn_down"),
];

/// The GGUF name of a tensor; `None` when the table has none.
pub(super) fn gguf_name(name: &str) -> Option<String> {
    let (module, suffix) = name.rsplit_once('.')?;
    let find =
        |table: &[(&str, &'static str)], key: &str| table.iter().find(|(hf, _)| *hf == key).map(|(_, g)| *g);
    if let Some(gguf) = find(&GLOBAL, module) {
        return Some(format!("{gguf}.{suffix}"));
    }
    let (layer, part) = module.strip_prefix("model.layers.")?.split_once('.')?;
    layer.parse::<u32>().ok()?;
    Some(format!("blk.{layer}.{}.{suffix}", find(&LAYER, part)?))
}

/// Whether the rows of a tensor are in llama.cpp's order for interleaved rotation: it reorders the query and key
/// projections of the `llama` architecture.
pub(super) fn is_permuted(architecture: &str, name: &str) -> bool {
    architecture == "llama" && (name.contains(".q_proj.") || name.contains(".k_proj."))
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
        let name = |n| gguf_name(n);
        assert_eq!(name("model.embed_tokens.weight").as_deref(), Some("token_embd.weight"));
        assert_eq!(name("lm_head.weight").as_deref(), Some("output.weight"));
        assert_eq!(name("model.layers.12.self_attn.q_proj.bias").as_deref(), Some("blk.12.attn_q.bias"));
        assert_eq!(name("model.layers.x.mlp.up_proj.weight"), None);
        assert_eq!(name("model.layers.0.unknown.weight"), None);
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
