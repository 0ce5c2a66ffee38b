#!/usr/bin/env python3
"""Writes runtime/model/tests/fixtures/gguf_blocks.json: what transformers computes in float32 from a Llama whose matrices are
blocks of the types that are converted to other types or float32 when they are read.

usage: gguf_blocks.py OUT_DIR

The blocks are not stored: the test makes them with the same generator. The gguf package decodes them.
"""
import json
import pathlib
import sys

import numpy as np
import torch
from gguf import GGML_QUANT_SIZES, GGMLQuantizationType as T
from gguf.quants import dequantize
from transformers import LlamaConfig, LlamaForCausalLM

HIDDEN, HEADS, KV_HEADS, HEAD_DIM, VOCAB, LAYERS = 256, 4, 2, 64, 96, 2
# Offsets of the half-precision scales of a block; IQ1_M's scale is the highest bits of four numbers.
SCALES = {
    T.Q2_K: [80, 82], T.Q3_K: [108], T.IQ1_S: [0], T.IQ1_M: [], T.IQ2_XXS: [0], T.IQ2_XS: [0], T.IQ2_S: [0],
    T.IQ3_XXS: [0], T.IQ3_S: [0], T.IQ4_NL: [0], T.IQ4_XS: [0], T.TQ1_0: [52], T.TQ2_0: [64],
}
# Tensor, rows, type; columns are always 256.
TENSORS = [
    ("token_embd", VOCAB, T.Q3_K), ("output", VOCAB, T.IQ4_XS),
    ("blk.0.attn_q", 256, T.Q2_K), ("blk.0.attn_k", 128, T.Q3_K), ("blk.0.attn_v", 128, T.IQ1_S),
    ("blk.0.attn_output", 256, T.IQ1_M), ("blk.0.ffn_gate", 256, T.IQ2_XXS), ("blk.0.ffn_up", 256, T.IQ2_XS),
    ("blk.0.ffn_down", 256, T.IQ2_S),
    ("blk.1.attn_q", 256, T.IQ3_XXS), ("blk.1.attn_k", 128, T.IQ3_S), ("blk.1.attn_v", 128, T.IQ4_NL),
    ("blk.1.attn_output", 256, T.IQ4_XS), ("blk.1.ffn_gate", 256, T.TQ1_0), ("blk.1.ffn_up", 256, T.TQ2_0),
    ("blk.1.ffn_down", 256, T.Q2_K),
]
NAMES = {
    "attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj", "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj", "ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
PROMPT = [3, 90, 17, 44, 8, 61, 29, 5, 72, 33, 90, 11]


def blocks(ty, seed, rows, exponent):
    """Bytes of a linear congruential generator, the scales with this exponent (that of IQ1_M: the highest nibble)."""
    length, size = GGML_QUANT_SIZES[ty]
    count = rows * HIDDEN // length
    state, data = seed, bytearray()
    for _ in range(count * size):
        state = (state * 1664525 + 1013904223) % 2**32
        data.append(state >> 24)
    data = np.frombuffer(bytes(data), dtype=np.uint8).reshape(count, size).copy()
    for offset in SCALES[ty]:
        data[:, offset + 1] = data[:, offset + 1] & 0x83 | exponent << 2
    if ty == T.IQ1_M:
        # Bits 8 to 15 of the scale.
        data[:, 55] = data[:, 55] & 0x0F | (exponent >> 2) << 4
        data[:, 53] = data[:, 53] & 0x3F | (exponent & 3) << 6
    return data


def matrix(ty, seed, rows):
    """The exponent for which the numbers are about 1/16, and the numbers."""
    for exponent in range(14, 0, -1):
        values = dequantize(blocks(ty, seed, rows, exponent).reshape(rows, -1), ty)
        if np.std(values) < 0.12:
            return exponent, values.astype(np.float32)
    raise ValueError(ty)


def main():
    out = pathlib.Path(sys.argv[1])
    config = LlamaConfig(
        vocab_size=VOCAB, hidden_size=HIDDEN, intermediate_size=256, num_hidden_layers=LAYERS, num_attention_heads=HEADS,
        num_key_value_heads=KV_HEADS, head_dim=HEAD_DIM, max_position_embeddings=64, rms_norm_eps=1e-5, rope_theta=10000.0,
        tie_word_embeddings=False, bos_token_id=1, eos_token_id=2,
    )
    model = LlamaForCausalLM(config).eval()
    tensors, state = [], {}
    for i, (name, rows, ty) in enumerate(TENSORS):
        exponent, values = matrix(ty, 1000 + i, rows)
        tensors.append({"name": f"{name}.weight", "rows": rows, "type": ty.name, "seed": 1000 + i,
                        "exponent": exponent, "scales": SCALES[ty]})
        if name.endswith(("attn_q", "attn_k")):
            # llama.cpp's rows 2i and 2i + 1 of a head are i and i + 32 here.
            values = values.reshape(-1, HEAD_DIM // 2, 2, HIDDEN).swapaxes(1, 2).reshape(rows, HIDDEN)
        if name in ("token_embd", "output"):
            key = {"token_embd": "model.embed_tokens", "output": "lm_head"}[name]
        else:
            _, layer, part = name.split(".")
            key = f"model.layers.{layer}.{NAMES[part]}"
        state[f"{key}.weight"] = torch.from_numpy(np.ascontiguousarray(values))
    ones = {k: torch.ones_like(v) for k, v in model.state_dict().items() if "norm" in k}
    model.load_state_dict({**ones, **state})
    with torch.no_grad():
        logits = model(torch.tensor([PROMPT])).logits[0, -1]
        greedy = model.generate(torch.tensor([PROMPT]), max_new_tokens=8, do_sample=False, eos_token_id=None)
    result = {"tensors": tensors, "prompt": PROMPT, "logits": [round(float(x), 6) for x in logits],
              "greedy": greedy[0, len(PROMPT):].tolist()}
    path = out / "gguf_blocks.json"
    path.write_text(json.dumps(result, indent=1) + "\n")
    print(path, "std of logits", float(logits.std()), "greedy", result["greedy"])


main()
