#!/usr/bin/env python3
"""Writes runtime/model/tests/fixtures: results of Hugging Face transformers in float32 for Llama models.

usage: llama.py OUT_DIR SMOLLM2_FOLDER      (SMOLLM2_FOLDER: the dequantised SmolLM2-135M-Instruct, float32)

Each case is NAME.json (prompts, greedy continuations, per-position argmax and log-sum-exp, offsets) and NAME.bin
(float32, little endian: the logits at the columns 0, stride, 2*stride, ... of every position, then the full last row).
"""
import json
import pathlib
import sys

import torch
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS
from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding
from transformers.models.qwen2_vl.configuration_qwen2_vl import Qwen2VLTextConfig
from transformers.models.qwen2_vl.modeling_qwen2_vl import Qwen2VLRotaryEmbedding

torch.manual_seed(20)
torch.set_grad_enabled(False)

LONG = (
    "Rivers begin as thin threads of water high in the hills. Rain and melting snow gather in hollows, the hollows "
    "overflow, and streams run together until they are wide enough to carry boats. On the way they cut valleys, move "
    "stones, and lay down the soil on which most of the world's farms stand. A river is therefore older than the "
    "towns beside it and, in a sense, their founder. Write one more paragraph about the sea that waits at the end of it."
)


def greedy(model, ids, count):
    out, past = [], None
    step = torch.tensor([ids])
    gap = float("inf")
    for _ in range(count):
        result = model(step, past_key_values=past, use_cache=True)
        past, row = result.past_key_values, result.logits[0, -1]
        best = row.topk(2)
        gap = min(gap, float(best.values[0] - best.values[1]))
        out.append(int(best.indices[0]))
        step = torch.tensor([[out[-1]]])
    return out, gap


def write_case(out, name, model, prompts, stride, count):
    blob, cases = bytearray(), []
    for ids in prompts:
        logits = model(torch.tensor([ids])).logits[0].float()
        tokens, gap = greedy(model, ids, count)
        case = {
            "input_ids": ids,
            "greedy": tokens,
            "smallest_gap": gap,
            "argmax": logits.argmax(-1).tolist(),
            "logsumexp": logits.logsumexp(-1).tolist(),
            "strided_at": len(blob) // 4,
        }
        blob += logits[:, ::stride].contiguous().numpy().tobytes()
        case["last_at"] = len(blob) // 4
        blob += logits[-1].contiguous().numpy().tobytes()
        cases.append(case)
        print(f"{name}: {len(ids)} tokens, smallest greedy gap {gap:.4f}")
    (out / f"{name}.bin").write_bytes(blob)
    info = {"vocab_size": model.config.vocab_size, "stride": stride, "cases": cases}
    (out / f"{name}.json").write_text(json.dumps(info) + "\n")


def smollm2(out, folder):
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = LlamaForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()

    def chat(text):
        text = tokenizer.apply_chat_template([{"role": "user", "content": text}], tokenize=False, add_generation_prompt=True)
        return tokenizer(text, add_special_tokens=False)["input_ids"]

    def plain(text):
        return tokenizer(text, add_special_tokens=False)["input_ids"]

    prompts = [
        plain("The"),
        plain("The capital of France is"),
        plain("def fibonacci(n):\n    "),
        chat("What is the capital of France?"),
        chat("Name three uses of 热水 (hot water), briefly."),
        chat(LONG),
    ]
    write_case(out, "smollm2", model, prompts, 97, 64)


def tiny(out, name, config, shard):
    model = LlamaForCausalLM(config).eval()
    for key, value in model.named_parameters():
        if "norm" in key:
            value.uniform_(0.5, 1.5)
        elif key.endswith("bias"):
            value.normal_(0, 0.3)
        else:
            value.normal_(0, 0.15)
    model.tie_weights()
    folder = out / name
    model.save_pretrained(folder, max_shard_size=shard)
    (folder / "generation_config.json").unlink(missing_ok=True)
    generator = torch.Generator().manual_seed(7)
    prompts = [torch.randint(0, config.vocab_size, (n,), generator=generator).tolist() for n in (1, 5, 17, 40, 97)]
    write_case(out, name, model, prompts, 1, 64)


def mrope():
    """Qwen2-VL's rotation in three sections: text has the same position in all three, which equals plain rotation."""
    scaling = {"type": "mrope", "mrope_section": [2, 5, 5]}
    config = Qwen2VLTextConfig(hidden_size=144, num_attention_heads=6, max_position_embeddings=256, rope_theta=10000.0, rope_scaling=dict(scaling))
    rotary, plain = Qwen2VLRotaryEmbedding(config), LlamaRotaryEmbedding(config)
    positions = torch.arange(256)[None]
    sections = rotary(torch.zeros(1), positions.expand(3, 1, -1))
    assert all(torch.equal(a, b) for a, b in zip(sections, plain(torch.zeros(1), positions)))
    return {"scaling": scaling | {"rope_theta": 10000.0}, "inv_freq": rotary.inv_freq.tolist(), "attention_factor": rotary.attention_scaling}


def rope(out):
    """Inverse frequencies and attention factors of every rope type, as transformers initialises them."""
    yarn = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 64}
    short, long = [1.0 + 0.05 * i for i in range(12)], [2.0 + 0.7 * i for i in range(12)]
    variants = {
        "default": {"rope_type": "default"},
        "linear": {"rope_type": "linear", "factor": 2.5},
        "dynamic": {"rope_type": "dynamic", "factor": 3.0},
        "llama3": {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 64},
        "yarn": yarn,
        "yarn_mscale": yarn | {"mscale": 0.8, "mscale_all_dim": 0.5, "beta_fast": 16.0, "beta_slow": 2.0},
        "yarn_mscale_one": yarn | {"mscale": 0.707},
        "yarn_untruncated": yarn | {"truncate": False},
        "yarn_attention_factor": yarn | {"attention_factor": 0.9},
        "longrope_short": {"rope_type": "longrope", "short_factor": short, "long_factor": long, "original_max_position_embeddings": 256},
        "longrope_long": {"rope_type": "longrope", "short_factor": short, "long_factor": long, "original_max_position_embeddings": 64},
    }
    table = {}
    for name, scaling in variants.items():
        parameters = dict(scaling, rope_theta=10000.0)
        config = LlamaConfig(hidden_size=144, num_attention_heads=6, head_dim=24, max_position_embeddings=256, rope_parameters=parameters)
        if name == "default":
            rotary = LlamaRotaryEmbedding(config)
            inv_freq, factor = rotary.inv_freq, rotary.attention_scaling
        else:
            inv_freq, factor = ROPE_INIT_FUNCTIONS[scaling["rope_type"]](config, "cpu", seq_len=256)
        table[name] = {"scaling": parameters, "inv_freq": inv_freq.tolist(), "attention_factor": factor}
    config = LlamaConfig(hidden_size=144, num_attention_heads=6, head_dim=24, max_position_embeddings=256)
    inv_freq, factor = ROPE_INIT_FUNCTIONS["dynamic"](
        LlamaConfig(hidden_size=144, num_attention_heads=6, head_dim=24, max_position_embeddings=256, rope_parameters=dict(variants["dynamic"], rope_theta=10000.0)),
        "cpu", seq_len=400)
    table["dynamic_400"] = {"scaling": dict(variants["dynamic"], rope_theta=10000.0), "inv_freq": inv_freq.tolist(), "attention_factor": factor}
    table["mrope"] = mrope()
    (out / "rope.json").write_text(json.dumps(table) + "\n")


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    out = pathlib.Path(sys.argv[1])
    out.mkdir(parents=True, exist_ok=True)
    shape = dict(vocab_size=300, hidden_size=144, intermediate_size=200, num_hidden_layers=2, num_attention_heads=6, head_dim=24, max_position_embeddings=256)
    rope(out)
    tiny(out, "tiny-tied-llama3", LlamaConfig(**shape, num_key_value_heads=2, tie_word_embeddings=True, attention_bias=True,
        rope_parameters=dict(rope_type="llama3", rope_theta=10000.0, factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=64)), "5GB")
    tiny(out, "tiny-untied-yarn", LlamaConfig(**shape, num_key_value_heads=3, tie_word_embeddings=False,
        rope_parameters=dict(rope_type="yarn", rope_theta=10000.0, factor=4.0, original_max_position_embeddings=64)), "400KB")
    smollm2(out, sys.argv[2])


if __name__ == "__main__":
    main()
