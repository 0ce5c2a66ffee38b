#!/usr/bin/env python3
"""Writes runtime/model/tests/fixtures/decoders: results of transformers in float32 for a small model per architecture.

usage: decoders.py OUT_DIR [NAME...]

NAME/ is a checkpoint with random weights in bfloat16, NAME.gguf is the same model as llama.cpp's converter would write it
(names and keys are those of the gguf package), and NAME.json and NAME.bin are as llama.py describes them. Sizes are odd
on purpose: seven query heads to a key head, heads that are not hidden / heads wide, a vocabulary that is no multiple of
anything, windows shorter than most prompts, and layers of both kinds.
"""
import json
import math
import pathlib
import shutil
import sys

import gguf
import torch
import transformers

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from llama import greedy, write_case

torch.set_grad_enabled(False)

WINDOW = 16
SHAPE = dict(
    vocab_size=203, hidden_size=42, intermediate_size=56, num_hidden_layers=3, num_attention_heads=7,
    num_key_value_heads=1, head_dim=12, max_position_embeddings=256, pad_token_id=None, bos_token_id=1, eos_token_id=2,
)
GEMMA = SHAPE | dict(hidden_size=44, num_attention_heads=4, num_key_value_heads=2, head_dim=22, sliding_window=WINDOW)
LLAMA3 = dict(rope_type="llama3", rope_theta=500.0, factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=64)
LONGROPE = dict(
    rope_type="longrope", rope_theta=10000.0, partial_rotary_factor=0.75, short_factor=[1.0 + 0.1 * i for i in range(6)],
    long_factor=[1.5 + 0.9 * i for i in range(6)],
)
YARN = dict(rope_type="yarn", rope_theta=10000.0, factor=4.0, original_max_position_embeddings=64)
SLIDING, FULL = "sliding_attention", "full_attention"

# Name, class, configuration, keys left out of config.json because they are the family's defaults, keys that GGUF files
# cannot express.
MODELS = [
    ("llama", "Llama", SHAPE | dict(attention_bias=True, mlp_bias=True, rope_parameters=LLAMA3), [], []),
    ("mistral", "Mistral", SHAPE | dict(sliding_window=WINDOW), [], None),
    ("qwen2", "Qwen2", SHAPE | dict(hidden_size=56, head_dim=8, use_sliding_window=True, sliding_window=WINDOW, max_window_layers=1),
        ["layer_types", "head_dim"], ["use_sliding_window", "sliding_window", "max_window_layers"]),
    ("qwen3", "Qwen3", SHAPE | dict(tie_word_embeddings=True, use_sliding_window=True, sliding_window=WINDOW, layer_types=[FULL, SLIDING, FULL], rope_parameters=YARN),
        [], ["use_sliding_window", "sliding_window", "layer_types"]),
    ("gemma2", "Gemma2", GEMMA | dict(query_pre_attn_scalar=17, attn_logit_softcapping=3.0, final_logit_softcapping=1.5), ["layer_types"], ["query_pre_attn_scalar"]),
    ("gemma3", "Gemma3", GEMMA | dict(query_pre_attn_scalar=22, layer_types=[SLIDING, FULL, SLIDING], rope_parameters={
        FULL: dict(rope_type="linear", factor=8.0, rope_theta=1e6), SLIDING: dict(rope_type="default", rope_theta=1e4)}), [], ["layer_types"]),
    ("phi3", "Phi3", SHAPE | dict(hidden_size=64, num_attention_heads=4, num_key_value_heads=2, head_dim=16, sliding_window=40,
        original_max_position_embeddings=64, rope_parameters=LONGROPE), [], []),
    ("granite", "Granite", SHAPE | dict(hidden_size=56, head_dim=8, embedding_multiplier=1.7, attention_multiplier=0.21, residual_multiplier=0.6, logits_scaling=3.0),
        ["head_dim"], []),
    ("olmo2", "Olmo2", SHAPE | dict(num_attention_heads=6, num_key_value_heads=3), [], []),
    ("olmo3", "Olmo3", SHAPE | dict(num_attention_heads=3, head_dim=14, num_hidden_layers=4, sliding_window=WINDOW, rope_parameters={
        FULL: YARN, SLIDING: dict(rope_type="default", rope_theta=10000.0)}), ["layer_types"], []),
]
# Lengths of the prompts, and the context length of the served model if one rope variant must apply to all of them.
CASES = {"phi3": [("phi3", (1, 5, 17, 39), 64), ("phi3-long", (65, 97), 256)]}


def randomize(model, seed):
    generator = torch.Generator().manual_seed(seed)
    for name, value in model.named_parameters():
        if "norm" in name:
            # Gemma stores norm weights minus one.
            middle = 0.0 if "gemma" in model.config.model_type else 1.0
            value.uniform_(middle - 0.5, middle + 0.5, generator=generator)
        elif "embed" in name and "gemma" in model.config.model_type:
            # Gemma scales its embeddings and also uses them as output matrix: larger ones would only repeat the input.
            value.normal_(0, 0.1, generator=generator)
        else:
            value.normal_(0, 0.3, generator=generator)
        value.copy_(value.bfloat16().float())
    model.tie_weights()


def smallest_gap(model, prompts, count):
    return min(greedy(model, prompt, count)[1] for prompt in prompts)


def write_gguf(file, config, tensors):
    """The model as llama.cpp's converter (convert_hf_to_gguf.py) writes it, without a tokenizer."""
    arch, layers = config.model_type.removesuffix("_text"), config.num_hidden_layers
    arch = {"olmo3": "olmo2"}.get(arch, arch)
    names = gguf.get_tensor_name_map(getattr(gguf.MODEL_ARCH, arch.upper()), layers)
    writer = gguf.GGUFWriter(file, arch)
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_BF16)
    writer.add_block_count(layers)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    head_dim = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    writer.add_key_length(head_dim)
    writer.add_value_length(head_dim)
    rope = config.rope_parameters.get(FULL, config.rope_parameters)
    writer.add_rope_dimension_count(int(head_dim * rope.get("partial_rotary_factor", 1.0)))
    writer.add_rope_freq_base(rope["rope_theta"])
    f32 = {}
    match rope["rope_type"]:
        case "linear":
            writer.add_rope_scaling_type(gguf.RopeScalingType.LINEAR)
            writer.add_rope_scaling_factor(rope["factor"])
        case "yarn":
            writer.add_rope_scaling_type(gguf.RopeScalingType.YARN)
            writer.add_rope_scaling_factor(rope["factor"])
            writer.add_rope_scaling_orig_ctx_len(rope["original_max_position_embeddings"])
        case "llama3":
            f32["rope_freqs.weight"] = torch.tensor(llama3_divisors(head_dim, rope))
        case "longrope":
            original = config.original_max_position_embeddings
            scale = config.max_position_embeddings / original
            writer.add_rope_scaling_orig_ctx_len(original)
            writer.add_rope_scaling_attn_factors(math.sqrt(1 + math.log(scale) / math.log(original)))
            f32["rope_factors_long.weight"] = torch.tensor(rope["long_factor"])
            f32["rope_factors_short.weight"] = torch.tensor(rope["short_factor"])
    if arch in ("gemma2", "gemma3", "phi3"):
        writer.add_sliding_window(config.sliding_window)
    if config.model_type == "olmo3":
        writer.add_sliding_window(config.sliding_window)
        writer.add_sliding_window_pattern([kind == SLIDING for kind in config.layer_types])
    if arch == "gemma2":
        writer.add_attn_logit_softcapping(config.attn_logit_softcapping)
        writer.add_final_logit_softcapping(config.final_logit_softcapping)
    if arch == "granite":
        writer.add_attention_scale(config.attention_multiplier)
        writer.add_embedding_scale(config.embedding_multiplier)
        writer.add_residual_scale(config.residual_multiplier)
        writer.add_logit_scale(config.logits_scaling)
    for name, tensor in tensors.items():
        module, suffix = name.rsplit(".", 1)
        if name == "lm_head.weight" and config.tie_word_embeddings:
            continue
        if "gemma" in arch and name.endswith("norm.weight"):
            tensor = tensor + 1
        if arch in ("llama", "granite") and (".q_proj." in name or ".k_proj." in name):
            # From the split-half to the interleaved order of a head.
            heads = tensor.shape[0] // head_dim
            tensor = tensor.reshape(heads, 2, head_dim // 2, -1).transpose(1, 2).reshape(tensor.shape)
        f32[f"{names.get_name(module)}.{suffix}"] = tensor
    for name, tensor in f32.items():
        kind = gguf.GGMLQuantizationType.BF16 if tensor.dim() > 1 else gguf.GGMLQuantizationType.F32
        data = tensor.float().contiguous().numpy()
        writer.add_tensor(name, gguf.quants.quantize(data, kind), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def llama3_divisors(head_dim, rope):
    original = rope["original_max_position_embeddings"]
    low, high = original / rope["low_freq_factor"], original / rope["high_freq_factor"]
    divisors = []
    for i in range(0, head_dim, 2):
        wavelength = 2 * math.pi * rope["rope_theta"] ** (i / head_dim)
        smooth = (original / wavelength - rope["low_freq_factor"]) / (rope["high_freq_factor"] - rope["low_freq_factor"])
        middle = 1 / ((1 - smooth) / rope["factor"] + smooth)
        divisors.append(1.0 if wavelength < high else rope["factor"] if wavelength > low else middle)
    return divisors


def build(out, name, kind, arguments, left_out, not_in_gguf):
    config_class = getattr(transformers, f"{kind}TextConfig" if kind == "Gemma3" else f"{kind}Config")
    config = config_class(**arguments, attn_implementation="eager")
    model = getattr(transformers, f"{kind}ForCausalLM")(config).eval()
    assert model.config._attn_implementation == "eager"
    cases = CASES.get(name, [(name, (1, 5, 17, 40, 97), None)])
    generator = torch.Generator().manual_seed(len(name))
    prompts = [[torch.randint(0, config.vocab_size, (n,), generator=generator).tolist() for n in case[1]] for case in cases]
    # Greedy tokens are compared exactly, so the two best logits must not be close.
    for seed in range(1000):
        randomize(model, seed)
        if min(smallest_gap(model, p, 24) for p in prompts) > 5e-4:
            break
    for (case, _, context), case_prompts in zip(cases, prompts):
        write_case(out, case, model, case_prompts, 5, 24)
        file = out / f"{case}.json"
        more = {"model": name, "context_length": context}
        if not_in_gguf is not None:
            more["gguf_overrides"] = {key: getattr(config, key) for key in not_in_gguf}
        file.write_text(json.dumps(json.loads(file.read_text()) | more) + "\n")
    folder = out / name
    shutil.rmtree(folder, ignore_errors=True)
    tensors = model.state_dict()
    if not_in_gguf is not None:  # llama.cpp has no architecture of its own for Mistral
        write_gguf(out / f"{name}.gguf", config, tensors)
    model.bfloat16().save_pretrained(folder)
    (folder / "model.safetensors").chmod(0o644)
    (folder / "generation_config.json").unlink(missing_ok=True)
    file = folder / "config.json"
    saved = json.loads(file.read_text())
    for key in left_out:
        saved.pop(key, None)
    file.write_text(json.dumps(saved, indent=2) + "\n")


def main():
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    out = pathlib.Path(sys.argv[1]) / "decoders"
    out.mkdir(parents=True, exist_ok=True)
    names = sys.argv[2:]
    for model in MODELS:
        if not names or model[0] in names:
            build(out, *model)


if __name__ == "__main__":
    main()
