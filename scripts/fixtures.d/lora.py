#!/usr/bin/env python3
"""Writes runtime/model/tests/fixtures/lora: results of transformers with PEFT in float32 for models with LoRA adapters.

usage: lora.py OUT_DIR [MODEL_OR_ADAPTER...]

The models are the checkpoints of decoders.py, which must exist. Each has one adapter for every linear layer of its
decoder, with an odd rank. The first model has more adapters, with other ranks and modules, so that batches can mix them;
some change embedding and output matrix. NAME/ is an adapter as PEFT saves it, NAME.json and NAME.bin are as described in
llama.py; `model` in NAME.json is the checkpoint.
"""
import json
import pathlib
import shutil
import sys

import peft
import torch
import transformers
from safetensors.torch import load_file, save_file

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from llama import greedy, write_case

torch.set_grad_enabled(False)

MODELS = ["llama", "mistral", "qwen2", "qwen3", "gemma2", "gemma3", "phi3", "granite", "olmo2", "olmo3"]
ATTENTION = ["q_proj", "k_proj", "v_proj", "o_proj"]
MERGED = {"phi3": ["qkv_proj", "o_proj", "gate_up_proj", "down_proj"]}
# Name, model, rank, alpha, modules, whether the scaling is by the root of the rank, number format of the file.
MORE = [
    ("llama-attention", "llama", 4, 6, ["q_proj", "v_proj"], False, torch.bfloat16),
    ("llama-rslora", "llama", 8, 3, ["o_proj", "up_proj", "down_proj"], True, torch.float16),
    # Embedding and output matrix: separate or tied (Gemma), with scaled embeddings and logits (Gemma, Granite).
    ("llama-vocabulary", "llama", 4, 6, ["embed_tokens", "v_proj", "lm_head"], False, torch.float32),
    ("gemma3-vocabulary", "gemma3", 3, 5, ["embed_tokens", "down_proj", "lm_head"], False, torch.bfloat16),
    ("granite-vocabulary", "granite", 5, 4, ["embed_tokens", "lm_head"], True, torch.float32),
]
# Saved together with the base model's matrices, as PEFT does if the vocabulary is among the targets.
WITH_BASE = ["llama-vocabulary"]


def adapters():
    for name in MODELS:
        modules = MERGED.get(name, ATTENTION + ["gate_proj", "up_proj", "down_proj"])
        yield (f"{name}-all", name, 3, 5, modules, False, torch.float32)
    yield from MORE


def build(out, name, base, rank, alpha, modules, rslora, dtype):
    source = out.parent / "decoders" / base
    architecture = json.loads((source / "config.json").read_text())["architectures"][0]
    model = getattr(transformers, architecture).from_pretrained(source, dtype=torch.float32, attn_implementation="eager").eval()
    config = peft.LoraConfig(r=rank, lora_alpha=alpha, target_modules=modules, use_rslora=rslora, lora_dropout=0.0, bias="none", task_type="CAUSAL_LM")
    model = peft.get_peft_model(model, config).eval()
    lengths = (1, 5, 17, 39) if base == "phi3" else (1, 5, 17, 40)
    generator = torch.Generator().manual_seed(len(name))
    prompts = [torch.randint(0, model.config.vocab_size, (n,), generator=generator).tolist() for n in lengths]
    # Greedy tokens are compared exactly, so the two best logits must not be close.
    for seed in range(1000):
        generator = torch.Generator().manual_seed(seed)
        for key, value in model.named_parameters():
            if ".lora_" in key:
                value.normal_(0, 0.25, generator=generator)
                value.copy_(value.to(dtype).float())
        if min(greedy(model, prompt, 24)[1] for prompt in prompts) > 5e-4:
            break
    write_case(out, name, model, prompts, 5, 24)
    file = out / f"{name}.json"
    more = {"model": f"decoders/{base}", "context_length": 64 if base == "phi3" else None}
    file.write_text(json.dumps(json.loads(file.read_text()) | more) + "\n")
    folder = out / name
    shutil.rmtree(folder, ignore_errors=True)
    model.save_pretrained(folder, save_embedding_layers=name in WITH_BASE)
    (folder / "README.md").unlink(missing_ok=True)
    tensors = {key: value.to(dtype).contiguous() for key, value in load_file(folder / "adapter_model.safetensors").items()}
    save_file(tensors, folder / "adapter_model.safetensors", metadata={"format": "pt"})
    (folder / "adapter_model.safetensors").chmod(0o644)
    saved = json.loads((folder / "adapter_config.json").read_text())
    saved["base_model_name_or_path"] = base
    saved["target_modules"] = sorted(saved["target_modules"])
    (folder / "adapter_config.json").write_text(json.dumps(saved, indent=2) + "\n")


def main():
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    out = pathlib.Path(sys.argv[1]) / "lora"
    out.mkdir(parents=True, exist_ok=True)
    for adapter in adapters():
        if not sys.argv[2:] or {adapter[0], adapter[1]} & set(sys.argv[2:]):
            build(out, *adapter)


if __name__ == "__main__":
    main()
