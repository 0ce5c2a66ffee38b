#!/usr/bin/env python3
"""Writes runtime/model/tests/fixtures/moe: results of Hugging Face transformers in float32 for mixtures of experts.

usage: moe.py OUT_DIR

OUT_DIR is runtime/model/tests/fixtures. Every architecture has a small random checkpoint, and NAME.json and NAME.bin as
llama.py writes them; the JSON also has, for each prompt, how often each layer's router chose each expert.
"""
import copy
import json
import pathlib
import sys

import gguf
import numpy
import torch
import transformers
from safetensors.torch import load_file, save_file

from llama import write_case

torch.set_grad_enabled(False)

SHAPE = dict(vocab_size=160, hidden_size=96, num_attention_heads=6, num_key_value_heads=2, head_dim=16,
    max_position_embeddings=256, tie_word_embeddings=False)
FP4 = [0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0]


def randomize(model):
    for key, value in model.named_parameters():
        if "norm" in key:
            value.uniform_(0.5, 1.5)
        elif key.endswith("bias") or key.endswith("sinks"):
            value.normal_(0, 0.5)
        elif "gate.weight" in key or "router.weight" in key:
            value.normal_(0, 0.6)
        else:
            value.normal_(0, 0.15)
        # Numbers that bfloat16 can represent, so that checkpoints are half as large.
        value.copy_(value.bfloat16().float())


def counts(model, ids, layers, experts):
    """The experts that every layer's router chose."""
    table = [[0] * experts for _ in range(layers)]
    hooks = []
    for i, layer in enumerate(model.model.layers):
        router = getattr(layer.mlp, "gate", getattr(layer.mlp, "router", None))
        if router is None:
            continue

        def note(_module, _inputs, output, i=i):
            for expert in output[2].flatten().tolist():
                table[i][expert] += 1

        hooks.append(router.register_forward_hook(note))
    model(torch.tensor([ids]))
    for hook in hooks:
        hook.remove()
    return table


def write(out, name, model, experts, lengths=(1, 5, 17, 60)):
    generator = torch.Generator().manual_seed(11)
    config = model.config
    prompts = [torch.randint(0, config.vocab_size, (n,), generator=generator).tolist() for n in lengths]
    write_case(out, name, model, prompts, 3, 32)
    info = json.loads((out / f"{name}.json").read_text())
    info["counts"] = [counts(model, ids, config.num_hidden_layers, experts) for ids in prompts]
    (out / f"{name}.json").write_text(json.dumps(info) + "\n")


def make(out, name, config, experts):
    # An attention implementation that supports sinks; all agree in float32.
    config._attn_implementation = "eager"
    model = transformers.AutoModelForCausalLM.from_config(config).float().eval()
    randomize(model)
    save(out / name, model)
    write(out, name, model, experts)
    return model


def save(folder, model):
    # A copy: the rotary frequencies must not be rounded.
    copy.deepcopy(model).bfloat16().save_pretrained(folder)
    (folder / "generation_config.json").unlink(missing_ok=True)


def qwen2_moe(out):
    config = transformers.Qwen2MoeConfig(**SHAPE, intermediate_size=64, moe_intermediate_size=32,
        shared_expert_intermediate_size=64, num_hidden_layers=3, num_experts=6, num_experts_per_tok=2,
        norm_topk_prob=False, mlp_only_layers=[1])
    make(out, "tiny-qwen2-moe", config, 6)


def qwen3_moe(out):
    config = transformers.Qwen3MoeConfig(**SHAPE, intermediate_size=64, moe_intermediate_size=32, num_hidden_layers=4,
        num_experts=7, num_experts_per_tok=3, norm_topk_prob=True, decoder_sparse_step=2)
    make(out, "tiny-qwen3-moe", config, 7)


def mixtral(out):
    config = transformers.MixtralConfig(**SHAPE, intermediate_size=64, num_hidden_layers=2, num_local_experts=5,
        num_experts_per_tok=2, sliding_window=24)
    make(out, "tiny-mixtral", config, 5)


def gpt_oss(out):
    rope = dict(rope_type="yarn", rope_theta=150000.0, factor=4.0, beta_fast=32.0, beta_slow=1.0, truncate=False,
        original_max_position_embeddings=64)
    config = transformers.GptOssConfig(**SHAPE, intermediate_size=64, num_hidden_layers=2, num_local_experts=5,
        num_experts_per_tok=2, sliding_window=12, rope_parameters=rope)
    model = make(out, "tiny-gpt-oss", config, 5)
    mxfp4(out, model)


def mxfp4(out, model):
    """The same model with 4-bit experts."""
    generator = torch.Generator().manual_seed(3)
    tensors, folder = {}, out / "tiny-gpt-oss-mxfp4"
    for i, layer in enumerate(model.model.layers):
        for key in ["gate_up_proj", "down_proj"]:
            weight = getattr(layer.mlp.experts, key)
            experts, columns, rows = weight.shape
            groups = columns // 32
            blocks = torch.randint(0, 256, (experts, rows, groups, 16), generator=generator, dtype=torch.uint8)
            scales = torch.randint(121, 125, (experts, rows, groups), generator=generator, dtype=torch.uint8)
            bits = torch.stack([blocks & 15, blocks >> 4], -1).flatten(-2).long()
            values = torch.tensor(FP4 + [-x for x in FP4])[bits] * torch.exp2(scales.float() - 127).unsqueeze(-1)
            weight.copy_(values.flatten(-2).transpose(1, 2))
            tensors[f"model.layers.{i}.mlp.experts.{key}_blocks"] = blocks
            tensors[f"model.layers.{i}.mlp.experts.{key}_scales"] = scales
    save(folder, model)
    kept = load_file(folder / "model.safetensors")
    packed = {key.rsplit("_", 1)[0] for key in tensors}
    save_file({k: v for k, v in kept.items() if k not in packed} | tensors, folder / "model.safetensors", {"format": "pt"})
    config = json.loads((folder / "config.json").read_text())
    config["quantization_config"] = {"quant_method": "mxfp4", "modules_to_not_convert": ["model.layers.*.self_attn", "lm_head"]}
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    write(out, "tiny-gpt-oss-mxfp4", model, 5)
    gguf_gpt_oss(out, model, tensors)


def gguf_writer(file, arch, config, kv_heads, key_length):
    """A GGUF file with the keys that llama.cpp's converter writes for all families."""
    writer = gguf.GGUFWriter(str(file), arch)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(kv_heads)
    writer.add_key_length(key_length)
    writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    rope = config.rope_parameters
    if rope["rope_type"] == "yarn":
        writer.add_rope_scaling_type(gguf.RopeScalingType.YARN)
        writer.add_rope_scaling_factor(rope["factor"])
        writer.add_rope_scaling_orig_ctx_len(rope["original_max_position_embeddings"])
    return writer


def close(writer):
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def add_tensor(writer, key, tensor):
    """Vectors in float32, matrices in bfloat16, which holds them exactly."""
    kind = gguf.GGMLQuantizationType.BF16 if tensor.dim() > 1 else gguf.GGMLQuantizationType.F32
    data = tensor.detach().float().contiguous().numpy()
    writer.add_tensor(key, gguf.quants.quantize(data, kind), raw_dtype=kind)


def gguf_gpt_oss(out, model, packed):
    """The model as llama.cpp's converter writes it: separate gate and up, and blocks that begin with their scale."""
    config = model.config
    file = out / "tiny-gpt-oss-mxfp4.gguf"
    writer = gguf_writer(file, "gpt-oss", config, config.num_key_value_heads, config.head_dim)
    writer.add_value_length(config.head_dim)
    writer.add_sliding_window(config.sliding_window)
    writer.add_expert_count(config.num_local_experts)
    writer.add_expert_used_count(config.num_experts_per_tok)
    writer.add_expert_feed_forward_length(config.intermediate_size)

    def experts(key, source, rows):
        blocks, scales = packed[f"{source}_blocks"][:, rows], packed[f"{source}_scales"][:, rows]
        numbers = torch.stack([blocks & 15, blocks >> 4], -1).flatten(-2)
        halves = numbers[..., :16] | numbers[..., 16:] << 4
        data = torch.cat([scales[..., None], halves], -1).flatten(-2).contiguous().numpy()
        writer.add_tensor(key, data, raw_dtype=gguf.GGMLQuantizationType.MXFP4)

    add_tensor(writer, "token_embd.weight", model.model.embed_tokens.weight)
    add_tensor(writer, "output_norm.weight", model.model.norm.weight)
    add_tensor(writer, "output.weight", model.lm_head.weight)
    for i, layer in enumerate(model.model.layers):
        attn, mlp = layer.self_attn, layer.mlp
        linear = {"attn_q": attn.q_proj, "attn_k": attn.k_proj, "attn_v": attn.v_proj, "attn_output": attn.o_proj,
            "ffn_gate_inp": mlp.router}
        for key, module in linear.items():
            add_tensor(writer, f"blk.{i}.{key}.weight", module.weight)
            add_tensor(writer, f"blk.{i}.{key}.bias", module.bias)
        add_tensor(writer, f"blk.{i}.attn_sinks.weight", attn.sinks)
        add_tensor(writer, f"blk.{i}.attn_norm.weight", layer.input_layernorm.weight)
        add_tensor(writer, f"blk.{i}.post_attention_norm.weight", layer.post_attention_layernorm.weight)
        source = f"model.layers.{i}.mlp.experts"
        for key, stack, rows in [("gate", "gate_up", slice(0, None, 2)), ("up", "gate_up", slice(1, None, 2)),
                ("down", "down", slice(None))]:
            experts(f"blk.{i}.ffn_{key}_exps.weight", f"{source}.{stack}_proj", rows)
            bias = getattr(mlp.experts, f"{stack}_proj_bias")[:, rows]
            writer.add_tensor(f"blk.{i}.ffn_{key}_exps.bias", bias.detach().float().contiguous().numpy())
    close(writer)


def gguf_qwen2_moe(out):
    """A GGUF file as llama.cpp's converter lays it out: stacked experts in Q8_0, everything else in float32."""
    config = transformers.Qwen2MoeConfig(**SHAPE, intermediate_size=64, moe_intermediate_size=32,
        shared_expert_intermediate_size=64, num_hidden_layers=2, num_experts=5, num_experts_per_tok=2)
    config._attn_implementation = "eager"
    model = transformers.AutoModelForCausalLM.from_config(config).float().eval()
    randomize(model)
    name = "tiny-qwen2-moe-gguf"
    file = out / f"{name}.gguf"
    writer = gguf_writer(file, "qwen2moe", config, config.num_key_value_heads, config.head_dim)
    writer.add_expert_count(config.num_experts)
    writer.add_expert_used_count(config.num_experts_per_tok)
    writer.add_expert_feed_forward_length(config.moe_intermediate_size)

    def add(key, tensor):
        writer.add_tensor(key, tensor.detach().float().numpy().copy())

    def quantized(key, tensor):
        kind = gguf.GGMLQuantizationType.Q8_0
        blocks = gguf.quants.quantize(tensor.detach().float().numpy().copy(), kind)
        tensor.copy_(torch.from_numpy(gguf.quants.dequantize(blocks, kind).astype(numpy.float32)))
        writer.add_tensor(key, blocks, raw_dtype=kind)

    inner = config.moe_intermediate_size
    add("token_embd.weight", model.model.embed_tokens.weight)
    add("output_norm.weight", model.model.norm.weight)
    add("output.weight", model.lm_head.weight)
    for i, layer in enumerate(model.model.layers):
        attn, mlp = layer.self_attn, layer.mlp
        for key, module in [("attn_q", attn.q_proj), ("attn_k", attn.k_proj), ("attn_v", attn.v_proj)]:
            add(f"blk.{i}.{key}.weight", module.weight)
            add(f"blk.{i}.{key}.bias", module.bias)
        add(f"blk.{i}.attn_output.weight", attn.o_proj.weight)
        add(f"blk.{i}.attn_norm.weight", layer.input_layernorm.weight)
        add(f"blk.{i}.ffn_norm.weight", layer.post_attention_layernorm.weight)
        add(f"blk.{i}.ffn_gate_inp.weight", mlp.gate.weight)
        quantized(f"blk.{i}.ffn_gate_exps.weight", mlp.experts.gate_up_proj[:, :inner])
        quantized(f"blk.{i}.ffn_up_exps.weight", mlp.experts.gate_up_proj[:, inner:])
        quantized(f"blk.{i}.ffn_down_exps.weight", mlp.experts.down_proj)
        add(f"blk.{i}.ffn_gate_inp_shexp.weight", mlp.shared_expert_gate.weight.flatten())
        for key in ["gate", "up", "down"]:
            add(f"blk.{i}.ffn_{key}_shexp.weight", getattr(mlp.shared_expert, f"{key}_proj").weight)
    close(writer)
    write(out, name, model, config.num_experts)


def torch_save(out):
    """Checks that torch.load reads the file that the unit tests of eplb compare with, and finds the right contents."""
    path = out.parent / "torch_save.pt"
    if not path.exists():
        return
    found = torch.load(path, weights_only=True)
    first, second, none, long = (found.pop(key) for key in ["first", "second", "none", "long"])
    assert found == {"rank": 0, "large": -(1 << 40), "nothing": None, "text": "primary – é", "list": [1, 2, 3], "empty": []}
    assert first.tolist() == [[1, -2], [3, 4]] and second.tolist() == [[5], [6]] and none.shape == (0, 3)
    assert long.tolist() == [[7, 8, 1 << 40]] and (first.dtype, long.dtype) == (torch.int32, torch.int64)
    print("torch_save.pt opens")


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    out = pathlib.Path(sys.argv[1]) / "moe"
    out.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(20)
    qwen2_moe(out)
    qwen3_moe(out)
    mixtral(out)
    gpt_oss(out)
    gguf_qwen2_moe(out)
    torch_save(out)


if __name__ == "__main__":
    main()
