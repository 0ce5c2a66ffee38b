#!/usr/bin/env python3
"""Writes the DeepSeek models of runtime/model/tests/fixtures/moe, in the form of moe.py.

usage: deepseek.py OUT_DIR

OUT_DIR is runtime/model/tests/fixtures. Sizes are not multiples of a vector register, and every kind of head has a different width.
"""
import json
import pathlib
import sys
import tempfile

import gguf
import torch
import transformers
from safetensors.torch import load_file, save_file
from transformers.models.deepseek_v2.modeling_deepseek_v2 import DeepseekV2MLP

from llama import greedy
from moe import add_tensor, close, gguf_writer, randomize, save, write
from quantized import fp8_block

torch.set_grad_enabled(False)

SHAPE = dict(vocab_size=160, hidden_size=48, intermediate_size=40, num_attention_heads=3, num_key_value_heads=3,
    kv_lora_rank=36, qk_nope_head_dim=20, qk_rope_head_dim=12, v_head_dim=28, max_position_embeddings=256,
    tie_word_embeddings=False, bos_token_id=1, eos_token_id=2)
# Long enough that a backend expands keys and values.
LENGTHS = (1, 5, 17, 60, 131)


def yarn(mscale, mscale_all_dim):
    return dict(rope_type="yarn", rope_theta=10000.0, factor=8.0, beta_fast=32.0, beta_slow=1.0, mscale=mscale,
        mscale_all_dim=mscale_all_dim, original_max_position_embeddings=32)


def build(config):
    config._attn_implementation = "eager"
    return transformers.AutoModelForCausalLM.from_config(config).float().eval()


def finish(out, name, model):
    """Writes the checkpoint and its results."""
    generator = torch.Generator().manual_seed(11)
    prompts = [torch.randint(0, model.config.vocab_size, (n,), generator=generator).tolist() for n in LENGTHS]
    # Greedy tokens are compared exactly, so the two best logits must not be close.
    while True:
        randomize(model)
        for layer in model.model.layers:
            gate = getattr(layer.mlp, "gate", None)
            if hasattr(gate, "e_score_correction_bias"):
                bias = gate.e_score_correction_bias
                bias.copy_(torch.empty_like(bias).normal_(0, 0.3).bfloat16().float())
        if min(greedy(model, prompt, 32)[1] for prompt in prompts) > 1e-3:
            break
    save(out / name, model)
    write(out, name, model, model.config.n_routed_experts, LENGTHS)


def edit(folder, change):
    file = folder / "config.json"
    config = json.loads(file.read_text())
    change(config)
    file.write_text(json.dumps(config, indent=2) + "\n")


def v2_lite(out):
    """Uncompressed queries and plain top-k routing."""
    config = transformers.DeepseekV2Config(**SHAPE, q_lora_rank=None, moe_intermediate_size=24, num_hidden_layers=3,
        n_routed_experts=6, num_experts_per_tok=2, n_shared_experts=2, topk_method="greedy", first_k_dense_replace=1,
        rope_parameters=yarn(0.707, 0.707))
    model = build(config)
    finish(out, "tiny-deepseek-v2-lite", model)
    write_gguf(out / "tiny-deepseek-v2-lite.gguf", model, split=False)


def v2(out):
    """Compressed queries, biases, expert groups, and experts in every other layer after the first."""
    config = transformers.DeepseekV2Config(**SHAPE, q_lora_rank=26, moe_intermediate_size=16, num_hidden_layers=5,
        n_routed_experts=8, num_experts_per_tok=3, n_shared_experts=1, topk_method="group_limited_greedy", n_group=4,
        topk_group=2, routed_scaling_factor=1.7, first_k_dense_replace=1, attention_bias=True,
        rope_parameters=yarn(0.8, 0.6))
    model = build(config)
    for i in (1, 3):
        model.model.layers[i].mlp = DeepseekV2MLP(config)
    finish(out, "tiny-deepseek-v2", model)

    def change(config):
        config["moe_layer_freq"] = 2
        # Keys that only transformers writes.
        del config["head_dim"], config["qk_head_dim"]

    edit(out / "tiny-deepseek-v2", change)


def v3(out):
    """Sigmoid scores with a correction bias, groups ranked by their two best, and a multi-token-prediction layer."""
    name = "tiny-deepseek-v3"
    config = transformers.DeepseekV3Config(**SHAPE, q_lora_rank=26, moe_intermediate_size=16, num_hidden_layers=3,
        n_routed_experts=12, num_experts_per_tok=4, n_shared_experts=1, n_group=3, topk_group=2, norm_topk_prob=True,
        routed_scaling_factor=2.5, first_k_dense_replace=1, rope_parameters=yarn(1.0, 1.0), num_mtp_layers=0)
    model = build(config)
    finish(out, name, model)
    write_gguf(out / f"{name}.gguf", model, split=True)
    folder = out / name
    tensors = load_file(folder / "model.safetensors")
    fp8(out, folder, tensors)
    hidden = config.hidden_size
    tensors["model.layers.3.eh_proj.weight"] = torch.ones(hidden, 2 * hidden, dtype=torch.bfloat16)
    tensors["model.layers.3.enorm.weight"] = torch.ones(hidden, dtype=torch.bfloat16)
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    edit(folder, lambda config: config.update(num_nextn_predict_layers=1))


def write_gguf(file, model, split):
    """The model as llama.cpp's converter writes it; `split`: for the compressed cache, as since 2025."""
    config = model.config
    heads = 1 if split else config.num_attention_heads
    key_length = config.kv_lora_rank + config.qk_rope_head_dim if split else config.qk_head_dim
    writer = gguf_writer(file, "deepseek2", config, heads, key_length)
    writer.add_kv_lora_rank(config.kv_lora_rank)
    if config.q_lora_rank:
        writer.add_q_lora_rank(config.q_lora_rank)
    writer.add_rope_dimension_count(config.qk_rope_head_dim)
    if split:
        writer.add_value_length(config.kv_lora_rank)
        writer.add_key_length_mla(config.qk_head_dim)
        writer.add_value_length_mla(config.v_head_dim)
    else:
        writer.add_value_length(config.v_head_dim)
    writer.add_leading_dense_block_count(config.first_k_dense_replace)
    writer.add_expert_count(config.n_routed_experts)
    writer.add_expert_used_count(config.num_experts_per_tok)
    writer.add_expert_shared_count(config.n_shared_experts)
    writer.add_expert_feed_forward_length(config.moe_intermediate_size)
    writer.add_expert_weights_scale(config.routed_scaling_factor)
    if config.norm_topk_prob:
        writer.add_expert_weights_norm(True)
    if config.n_group:
        writer.add_expert_group_count(config.n_group)
        writer.add_expert_group_used_count(config.topk_group)
    if config.model_type == "deepseek_v3":
        writer.add_expert_gating_func(gguf.ExpertGatingFuncType.SIGMOID)
    writer.add_rope_scaling_yarn_log_mul(0.1 * config.rope_parameters["mscale_all_dim"])
    add_tensor(writer, "token_embd.weight", model.model.embed_tokens.weight)
    add_tensor(writer, "output_norm.weight", model.model.norm.weight)
    add_tensor(writer, "output.weight", model.lm_head.weight)
    for i, layer in enumerate(model.model.layers):
        def add(key, tensor, suffix="weight"):
            add_tensor(writer, f"blk.{i}.{key}.{suffix}", tensor)

        attn, mlp = layer.self_attn, layer.mlp
        add("attn_norm", layer.input_layernorm.weight)
        add("ffn_norm", layer.post_attention_layernorm.weight)
        if config.q_lora_rank:
            add("attn_q_a", attn.q_a_proj.weight)
            add("attn_q_a_norm", attn.q_a_layernorm.weight)
            add("attn_q_b", attn.q_b_proj.weight)
        else:
            add("attn_q", attn.q_proj.weight)
        add("attn_kv_a_mqa", attn.kv_a_proj_with_mqa.weight)
        add("attn_kv_a_norm", attn.kv_a_layernorm.weight)
        if split:
            merged = attn.kv_b_proj.weight.unflatten(0, (config.num_attention_heads, -1))
            keys, values = merged.split([config.qk_nope_head_dim, config.v_head_dim], 1)
            add("attn_k_b", keys.transpose(1, 2))
            add("attn_v_b", values)
        else:
            add("attn_kv_b", attn.kv_b_proj.weight)
        add("attn_output", attn.o_proj.weight)
        if not hasattr(mlp, "experts"):
            for key in ["gate", "up", "down"]:
                add(f"ffn_{key}", getattr(mlp, f"{key}_proj").weight)
            continue
        inner = config.moe_intermediate_size
        add("ffn_gate_inp", mlp.gate.weight)
        add("ffn_gate_exps", mlp.experts.gate_up_proj[:, :inner])
        add("ffn_up_exps", mlp.experts.gate_up_proj[:, inner:])
        add("ffn_down_exps", mlp.experts.down_proj)
        for key in ["gate", "up", "down"]:
            add(f"ffn_{key}_shexp", getattr(mlp.shared_experts, f"{key}_proj").weight)
        if config.model_type == "deepseek_v3":
            add("exp_probs_b", mlp.gate.e_score_correction_bias, "bias")
    close(writer)


def fp8(out, source, tensors):
    """The same model in the format of the published DeepSeek-V3."""
    name, block = "tiny-deepseek-v3-fp8", (32, 16)
    stored, values = {}, {}
    for key, tensor in tensors.items():
        if key.endswith("_proj.weight") or key.endswith("_proj_with_mqa.weight"):
            parts, value = fp8_block(tensor.float(), block)
            stored |= {key.removesuffix("weight") + part: t for part, t in parts.items()}
            values[key] = value
        else:
            stored[key], values[key] = tensor, tensor.float()
    folder = out / name
    folder.mkdir(exist_ok=True)
    save_file(stored, folder / "model.safetensors", {"format": "pt"})
    (folder / "config.json").write_text((source / "config.json").read_text())
    with tempfile.TemporaryDirectory() as plain:
        save_file(values, pathlib.Path(plain) / "model.safetensors", {"format": "pt"})
        (pathlib.Path(plain) / "config.json").write_text((source / "config.json").read_text())
        model = transformers.AutoModelForCausalLM.from_pretrained(plain, dtype=torch.float32, attn_implementation="eager")
    write(out, name, model.eval(), model.config.n_routed_experts, LENGTHS)
    quantization = {"quant_method": "fp8", "fmt": "e4m3", "weight_block_size": list(block), "activation_scheme": "dynamic"}
    edit(folder, lambda config: config.update(quantization_config=quantization))


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    out = pathlib.Path(sys.argv[1]) / "moe"
    out.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(20)
    v2_lite(out)
    v2(out)
    v3(out)


if __name__ == "__main__":
    main()
