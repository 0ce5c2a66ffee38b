#!/usr/bin/env python3
"""Writes runtime/model/tests/fixtures/llama_cpp: llama.cpp's greedy continuations of 20 prompts from GGUF files.

usage: llama_cpp.py OUT_DIR GGUF...      (OUT_DIR: runtime/model/tests/fixtures)

It needs a Python with llama.cpp's bindings, which need no compiler: `pip install cyllama==0.7.0` (Python 3.12 or newer).
Keys and values are kept in float32. For each prompt the fixture has the ids of the prompt, the greedy ids, the runner-up at
each step and the distance of the two logits: under "cases" of the file itself, whose products llama.cpp computes with
activations rounded to 8 bits, and under "float32" of a copy in which the same weights are float32 numbers.
"""
import json
import pathlib
import sys
import tempfile

import cyllama.llama.llama_cpp as llama

TOKENS = 48
FLOAT32_TOKENS = 16  # each step reads all weights, as float32 numbers
PROMPTS = [
    "The capital of France is",
    "Water boils at a temperature of",
    "Once upon a time, in a small village by the sea,",
    "def fibonacci(n):\n    ",
    "The three primary colours are",
    "To make a good cup of tea, first",
    "Photosynthesis is the process by which",
    "In 1969, humans first",
    "Q: What is 17 + 25?\nA:",
    "Dear Sir or Madam,\n\nI am writing to",
    "The quick brown fox",
    "La capitale de l'Italie est",
    "Ein Apfel am Tag",
    "SELECT name, age FROM",
    "My favourite season is autumn because",
    "{\"name\": \"Alice\", \"age\":",
    "The difference between weather and climate is that",
    "1, 1, 2, 3, 5, 8,",
    "According to the theory of relativity,",
    "She opened the old wooden door and saw",
]


def run(path, tokens):
    llama.llama_backend_init()
    params = llama.LlamaModelParams()
    params.n_gpu_layers = 0
    model = llama.LlamaModel(str(path), params)
    vocab = model.get_vocab()
    params = llama.LlamaContextParams()
    params.n_ctx = 512
    params.n_batch = params.n_ubatch = 512
    params.n_threads = params.n_threads_batch = 1  # several threads would spin on a busy machine
    params.type_k = params.type_v = 0  # GGML_TYPE_F32
    params.flash_attn_type = 0
    context = llama.LlamaContext(model, params)
    cases = []
    for prompt in PROMPTS:
        ids = list(vocab.tokenize(prompt, True, True))
        context.kv_cache_clear()
        batch, position, case = ids, 0, {"prompt": prompt, "input_ids": ids, "greedy": [], "second": [], "gap": []}
        for _ in range(tokens):
            context.decode(llama.llama_batch_get_one(batch, position))
            position += len(batch)
            logits = context.get_logits_ith(-1)
            first = max(range(len(logits)), key=logits.__getitem__)
            second = max((i for i in range(len(logits)) if i != first), key=logits.__getitem__)
            case["greedy"].append(first)
            case["second"].append(second)
            case["gap"].append(round(logits[first] - logits[second], 4))
            batch = [first]
        case["text"] = vocab.detokenize(case["greedy"])
        cases.append(case)
        print(f"{prompt!r} -> {case['text'][:60]!r}", file=sys.stderr)
    return cases


def in_float32(path, folder):
    """A copy of the file with its weights as float32 numbers."""
    params = llama.LlamaModelQuantizeParams()
    params.allow_requantize = True
    params.ftype = 0  # LLAMA_FTYPE_ALL_F32
    copy = pathlib.Path(folder) / path.name
    llama.model_quantize(str(path), str(copy), params)
    return copy


def main():
    out = pathlib.Path(sys.argv[1]) / "llama_cpp"
    out.mkdir(exist_ok=True)
    for path in map(pathlib.Path, sys.argv[2:]):
        with tempfile.TemporaryDirectory() as folder:
            fixture = {"model": path.name, "cases": run(path, TOKENS)}
            fixture["float32"] = run(in_float32(path, folder), FLOAT32_TOKENS)
        lines = json.dumps(fixture, ensure_ascii=False).replace('{"prompt"', '\n{"prompt"')
        (out / f"{path.stem}.json").write_text(lines + "\n")


if __name__ == "__main__":
    main()
