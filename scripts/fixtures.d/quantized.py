#!/usr/bin/env python3
"""Writes runtime/model/tests/fixtures/quantized: small random Llama models in every supported quantised form, and
results of transformers in float32 for the same weights, dequantised with plain torch arithmetic.

usage: quantized.py OUT_DIR

NAME/ is the checkpoint; NAME.json and NAME.bin are as described in llama.py.
"""
import json
import pathlib
import sys

import torch
from safetensors.torch import save_file
from transformers import LlamaConfig, LlamaForCausalLM

from llama import write_case

torch.manual_seed(31)
torch.set_grad_enabled(False)

SHAPE = dict(vocab_size=128, hidden_size=96, intermediate_size=160, num_hidden_layers=1, num_attention_heads=4,
             num_key_value_heads=2, head_dim=24, max_position_embeddings=128, tie_word_embeddings=True)


def pack(numbers, bits, dim):
    """Packs unsigned numbers into 32-bit words along a dimension, lowest bits first."""
    numbers = numbers.to(torch.int64).movedim(dim, -1)
    per = 32 // bits
    pad = -numbers.shape[-1] % per
    numbers = torch.nn.functional.pad(numbers, (0, pad)).unflatten(-1, (-1, per))
    words = (numbers << (torch.arange(per) * bits)).sum(-1)
    words = torch.where(words >= 1 << 31, words - (1 << 32), words).to(torch.int32)
    return words.movedim(-1, dim).contiguous()


def grid(weight, group, bits, symmetric):
    """Numbers 0..2^bits, zero points and half-precision scales `[out, groups]` of a weight `[out, in]`."""
    top = (1 << bits) - 1
    groups = weight.unflatten(1, (-1, group))
    if symmetric:
        scale = (groups.abs().amax(-1) * 2 / top).half()
        zero = torch.full(scale.shape, 1 << (bits - 1))
    else:
        low, high = groups.amin(-1).clamp(max=0), groups.amax(-1).clamp(min=0)
        scale = ((high - low) / top).half()
        zero = (-low / scale.float()).round().clamp(1, top)
    numbers = (groups / scale.float()[..., None] + zero[..., None]).round().clamp(0, top)
    return numbers.flatten(1), zero, scale


def value(numbers, zero, scale, group_of):
    return (numbers - zero[:, group_of]) * scale.float()[:, group_of]


def fp8_block(weight, block=(40, 56)):
    rows, columns = weight.shape
    tall, wide = -(-rows // block[0]), -(-columns // block[1])
    scale = torch.empty(tall, wide)
    stored, out = torch.empty(rows, columns, dtype=torch.float8_e4m3fn), torch.empty(rows, columns)
    for i in range(tall):
        for j in range(wide):
            at = (slice(i * block[0], (i + 1) * block[0]), slice(j * block[1], (j + 1) * block[1]))
            scale[i, j] = weight[at].abs().max() / 448
            stored[at] = (weight[at] / scale[i, j]).to(torch.float8_e4m3fn)
            out[at] = stored[at].float() * scale[i, j]
    return {"weight": stored, "weight_scale_inv": scale}, out


def fp8_tensor(weight):
    scale = weight.abs().max() / 448
    stored = (weight / scale).to(torch.float8_e4m3fn)
    return {"weight": stored, "weight_scale": scale, "input_scale": torch.tensor(1.0)}, stored.float() * scale


def fp8_channel(weight):
    scale = (weight.abs().amax(1, keepdim=True) / 448).bfloat16()
    stored = (weight / scale.float()).to(torch.float8_e4m3fn)
    return {"weight": stored, "weight_scale": scale}, stored.float() * scale.float()


def int8_channel(weight):
    scale = (weight.abs().amax(1, keepdim=True) / 127).bfloat16()
    stored = (weight / scale.float()).round().clamp(-128, 127).to(torch.int8)
    return {"weight": stored, "weight_scale": scale}, stored.float() * scale.float()


def int4_packed(symmetric):
    def convert(weight, group=32):
        numbers, zero, scale = grid(weight, group, 4, symmetric)
        parts = {"weight_packed": pack(numbers, 4, 1), "weight_scale": scale,
                 "weight_shape": torch.tensor(weight.shape)}
        if not symmetric:
            parts["weight_zero_point"] = pack(zero, 4, 0)
        return parts, value(numbers, zero, scale, torch.arange(weight.shape[1]) // group)
    return convert


def awq(weight, group=32):
    numbers, zero, scale = grid(weight, group, 4, False)
    order = [0, 2, 4, 6, 1, 3, 5, 7]

    def columns(matrix):  # [in or groups, out], the columns of each word in AutoAWQ's order
        return pack(matrix.unflatten(1, (-1, 8))[..., order].flatten(1), 4, 1)

    parts = {"qweight": columns(numbers.T), "qzeros": columns(zero.T), "scales": scale.T.contiguous()}
    return parts, value(numbers, zero, scale, torch.arange(weight.shape[1]) // group)


def gptq(bits, act_order, first_version):
    def convert(weight, group=32):
        inputs = weight.shape[1]
        order = torch.randperm(inputs) if act_order else torch.arange(inputs)
        numbers, zero, scale = grid(weight[:, order], group, bits, False)
        back = torch.argsort(order)
        group_of, numbers = back // group, numbers[:, back]
        parts = {"qweight": pack(numbers.T, bits, 0), "qzeros": pack(zero.T - int(first_version), bits, 1),
                 "scales": scale.T.contiguous(), "g_idx": group_of.to(torch.int32)}
        return parts, value(numbers, zero, scale, group_of)
    return convert


def compressed(format, bits, kind):
    group = {"targets": ["Linear"], "weights": {"num_bits": bits, "type": kind, "symmetric": True}}
    return {"quant_method": "compressed-tensors", "format": format, "config_groups": {"group_0": group},
            "ignore": ["lm_head"]}


CASES = {
    "fp8-block": (fp8_block, {"quant_method": "fp8", "weight_block_size": [40, 56], "activation_scheme": "dynamic"}),
    "fp8-tensor": (fp8_tensor, {"quant_method": "fp8", "activation_scheme": "static"}),
    "awq": (awq, {"quant_method": "awq", "bits": 4, "group_size": 32, "zero_point": True, "version": "gemm"}),
    "gptq-4-act-order": (gptq(4, True, True), {"quant_method": "gptq", "bits": 4, "group_size": 32, "desc_act": True}),
    "gptq-8-v2": (gptq(8, False, False),
                  {"quant_method": "gptq", "bits": 8, "group_size": 32, "checkpoint_format": "gptq_v2"}),
    "compressed-fp8": (fp8_channel, compressed("float-quantized", 8, "float")),
    "compressed-int8": (int8_channel, compressed("int-quantized", 8, "int")),
    "compressed-int4": (int4_packed(True), compressed("pack-quantized", 4, "int")),
    "compressed-int4-zero": (int4_packed(False), compressed("pack-quantized", 4, "int")),
}


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    out = pathlib.Path(sys.argv[1]) / "quantized"
    for name, (convert, settings) in CASES.items():
        model = LlamaForCausalLM(LlamaConfig(**SHAPE)).eval()
        stored = {}
        for key, weight in model.named_parameters():
            if "norm" in key:
                weight.uniform_(0.5, 1.5)
                stored[key] = weight.clone()
            elif "proj" in key:
                weight.normal_(0, 0.15)
                parts, dequantised = convert(weight.clone())
                weight.copy_(dequantised)
                stored |= {key.removesuffix("weight") + part: tensor for part, tensor in parts.items()}
            else:
                weight.copy_(weight.normal_(0, 0.15).bfloat16())
                stored[key] = weight.bfloat16()
        folder = out / name
        folder.mkdir(parents=True, exist_ok=True)
        save_file({key: tensor.contiguous() for key, tensor in stored.items()}, folder / "model.safetensors")
        config = model.config.to_dict() | {"architectures": ["LlamaForCausalLM"], "quantization_config": settings}
        (folder / "config.json").write_text(json.dumps(config, indent=1) + "\n")
        generator = torch.Generator().manual_seed(7)
        prompts = [torch.randint(0, SHAPE["vocab_size"], (n,), generator=generator).tolist() for n in (1, 9)]
        write_case(out, name, model, prompts, 1, 8)


if __name__ == "__main__":
    main()
