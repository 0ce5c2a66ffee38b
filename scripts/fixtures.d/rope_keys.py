#!/usr/bin/env python3
"""Writes runtime/checkpoint/tests/fixtures/rope_keys.json: how transformers and the reference read a configuration's
rope keys in all their spellings, and the context length that the reference derives.

usage: rope_keys.py OUT_DIR REFERENCE

REFERENCE is the folder of the unpacked sglang 0.5.23 package. Every case has the configuration, the keys that override it (as
`--json-model-override-args` does in the reference), transformers' `rope_parameters` and the context length.
"""
import ast
import json
import pathlib
import sys
import tempfile

from transformers import AutoConfig

BASE = {
    "vocab_size": 10, "hidden_size": 64, "intermediate_size": 8, "num_hidden_layers": 2, "num_attention_heads": 4,
    "head_dim": 16, "max_position_embeddings": 1024, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0,
}
CLASSES = {
    "llama": "LlamaForCausalLM", "mixtral": "MixtralForCausalLM", "phi3": "Phi3ForCausalLM",
    "gemma3_text": "Gemma3ForCausalLM", "olmo3": "Olmo3ForCausalLM", "gpt_oss": "GptOssForCausalLM",
    "qwen3": "Qwen3ForCausalLM",
}
YARN = {"rope_type": "yarn", "factor": 4.0}
PLAIN = {"rope_type": "default", "rope_theta": 50000.0}
LINEAR = {"rope_type": "linear", "factor": 2.0}
LAYERS = {"layer_types": ["sliding_attention", "full_attention"]}
NESTED = {
    "full_attention": {"rope_type": "default", "rope_theta": 5000.0},
    "sliding_attention": {"rope_type": "linear", "factor": 3.0, "rope_theta": 600.0},
}
LONG = {"short_factor": [1.0] * 8, "long_factor": [2.0] * 8}

BETWEEN = {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0}
TRAINED = "original_max_position_embeddings"

# Name, model type, keys of the file, keys that override them.
CASES = [
    ("nothing", "llama", {}, None),
    ("a scaling beside plain parameters", "llama", {"rope_parameters": PLAIN, "rope_scaling": YARN}, None),
    ("a scaling, parameters and a base", "llama",
     {"rope_parameters": PLAIN, "rope_scaling": YARN, "rope_theta": 777.0}, None),
    ("a scaling with a base", "llama", {"rope_parameters": PLAIN, "rope_scaling": {**YARN, "rope_theta": 9.0}}, None),
    ("the family's own base", "mixtral", {"rope_parameters": PLAIN, "rope_scaling": YARN}, None),
    ("a plain scaling beside stretched parameters", "llama",
     {"rope_parameters": {**YARN, "rope_theta": 5.0}, "rope_scaling": {"rope_type": "default"}}, None),
    ("an empty scaling", "llama", {"rope_parameters": PLAIN, "rope_scaling": {}}, None),
    ("a scaling that is null", "llama", {"rope_parameters": PLAIN, "rope_scaling": None}, None),
    ("parameters that are null", "llama",
     {"rope_parameters": None, "rope_scaling": YARN, "rope_theta": 777.0}, None),
    ("a base beside parameters", "llama", {"rope_parameters": PLAIN, "rope_theta": 777.0}, None),
    ("a base that parameters leave out", "llama",
     {"rope_parameters": {"rope_type": "default"}, "rope_theta": 777.0}, None),
    ("the older spelling", "llama", {"rope_scaling": {"type": "linear", "factor": 2.0}, "rope_theta": 777.0}, None),
    ("both spellings of the kind", "llama",
     {"rope_scaling": {"type": "linear", "rope_type": "dynamic", "factor": 2.0}}, None),
    ("linear", "llama", {"rope_scaling": LINEAR}, None),
    ("linear in parameters", "llama", {"rope_parameters": {**LINEAR, "rope_theta": 50000.0}}, None),
    ("linear by a broken number", "llama",
     {"rope_scaling": {"rope_type": "linear", "factor": 2.5}, "max_position_embeddings": 1023}, None),
    ("dynamic", "llama", {"rope_scaling": {"rope_type": "dynamic", "factor": 4.0}}, None),
    ("yarn", "llama", {"rope_scaling": YARN}, None),
    ("yarn from a trained length", "llama", {"rope_scaling": {**YARN, TRAINED: 256}}, None),
    ("a trained length beside", "llama", {"rope_scaling": YARN, TRAINED: 256}, None),
    ("llama3", "llama", {"rope_scaling": {**BETWEEN, TRAINED: 128}}, None),
    ("llama3 without a trained length", "llama", {"rope_scaling": BETWEEN}, None),
    ("longrope", "llama", {"rope_scaling": {"rope_type": "longrope", TRAINED: 512, **LONG}}, None),
    ("a part that is rotated, in both", "llama",
     {"partial_rotary_factor": 0.5, "rope_parameters": {**PLAIN, "partial_rotary_factor": 0.25}}, None),
    ("a part that is rotated, beside a scaling", "llama",
     {"partial_rotary_factor": 0.5, "rope_scaling": YARN, "rope_parameters": {**PLAIN, "partial_rotary_factor": 0.25}},
     None),
    ("phi3's own trained length", "phi3", {"rope_scaling": {"type": "longrope", **LONG}, TRAINED: 256}, None),
    ("phi3's default trained length", "phi3", {"rope_scaling": {"type": "longrope", **LONG}}, None),
    ("phi3's own trained length wins", "phi3", {"rope_scaling": {"type": "yarn", TRAINED: 512, **LONG}, TRAINED: 256}, None),
    ("gemma3", "gemma3_text", {**LAYERS}, None),
    ("gemma3 with a scaling", "gemma3_text",
     {**LAYERS, "rope_scaling": {"rope_type": "linear", "factor": 8.0}, "rope_theta": 77.0, "rope_local_base_freq": 123.0},
     None),
    ("gemma3 by kind of layer", "gemma3_text", {**LAYERS, "rope_parameters": NESTED}, None),
    ("gemma3 by kind of layer, and a scaling", "gemma3_text",
     {**LAYERS, "rope_parameters": NESTED, "rope_scaling": {"rope_type": "linear", "factor": 8.0}}, None),
    ("olmo3 with a scaling", "olmo3", {**LAYERS, "rope_scaling": YARN}, None),
    ("olmo3 by kind of layer", "olmo3", {**LAYERS, "rope_parameters": NESTED}, None),
    ("gpt-oss", "gpt_oss", {}, None),
    ("gpt-oss with a base", "gpt_oss", {"rope_theta": 777.0}, None),
    ("a longer sequence", "llama", {"max_sequence_length": 512, "rope_scaling": LINEAR}, None),
    ("the first of several lengths", "llama", {"model_max_length": 300, "max_seq_len": 200, "seq_length": 100}, None),
    ("overridden: yarn", "qwen3", {"rope_theta": 50000.0}, {"rope_scaling": YARN}),
    ("overridden: yarn over parameters", "qwen3", {"rope_parameters": PLAIN}, {"rope_scaling": YARN}),
    ("overridden: parameters over parameters", "qwen3", {"rope_parameters": PLAIN}, {"rope_parameters": YARN}),
    ("overridden: yarn from a trained length", "qwen3",
     {"rope_theta": 50000.0}, {"rope_scaling": {**YARN, TRAINED: 512}}),
    ("overridden: linear", "llama", {}, {"rope_scaling": LINEAR}),
    ("overridden: a factor", "llama", {"rope_scaling": {**YARN, "beta_fast": 16.0}}, {"rope_scaling": {"factor": 8.0}}),
    ("overridden: length and factor", "llama",
     {"rope_scaling": LINEAR}, {"max_position_embeddings": 100, "rope_scaling": {"factor": 3.0}}),
]


def function(reference, *names):
    """Functions and constants from a module that cannot be imported without a GPU's libraries."""
    path = reference / "sglang/srt/utils/hf_transformers/common.py"
    tree = ast.parse(path.read_text())
    wanted = [n for n in tree.body if getattr(n, "name", None) in names or (isinstance(n, ast.Assign) and n.targets[0].id in names)]
    assert len(wanted) == len(names), names
    space = {}
    exec(compile(ast.Module(wanted, []), str(path), "exec"), space)
    return space[names[0]]


def main():
    out, reference = map(pathlib.Path, sys.argv[1:3])
    get_context_length = function(reference, "get_context_length", "CONTEXT_LENGTH_KEYS")
    result = []
    for name, model_type, keys, overrides in CASES:
        own = {"architectures": [CLASSES[model_type]], "model_type": model_type, **keys}
        with tempfile.TemporaryDirectory() as folder:
            (pathlib.Path(folder) / "config.json").write_text(json.dumps({**BASE, **own}))
            loaded = AutoConfig.from_pretrained(folder)
        for key, value in (overrides or {}).items():
            # As in the reference's `get_config`.
            current = getattr(loaded, key, None)
            setattr(loaded, key, {**current, **value} if isinstance(value, dict) else value)
        case = {"name": name, "config": own, "overrides": overrides, "rope_parameters": loaded.rope_parameters}
        result.append({**case, "context_length": get_context_length(loaded)})
    path = out / "rope_keys.json"
    cases = ",\n".join(json.dumps(case) for case in result)
    path.write_text(f'{{"base": {json.dumps(BASE)},\n"cases": [\n{cases}\n]}}\n')
    print(f"{path}: {len(result)} cases")


main()
