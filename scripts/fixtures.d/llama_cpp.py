#!/usr/bin/env python3
"""Writes runtime/model/tests/fixtures/llama_cpp: what llama.cpp continues 20 prompts with, greedily, on GGUF files.

usage: llama_cpp.py OUT_DIR GGUF...      (OUT_DIR: runtime/model/tests/fixtures)

It takes a Python with llama.cpp's bindings, which need no compiler: `pip install cyllama==0.7.0` (Python 3.12 or newer).
Keys and values are kept in float32. For each prompt the fixture has the ids of the prompt, the greedy ids, the runner-up at
each step and the distance of the two logits.
"""
import json
import pathlib
import sys

import cyllama.llama.llama_cpp as llama

TOKENS = 48
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


def run(path):
    llama.llama_backend_init()
    params = llama.LlamaModelParams()
    params.n_gpu_layers = 0
    model = llama.LlamaModel(str(path), params)
    vocab = model.get_vocab()
    params = llama.LlamaContextParams()
    params.n_ctx = 512
    params.n_batch = params.n_ubatch = 512
    params.n_threads = params.n_threads_batch = 1  # several would spin against each other on a busy machine
    params.type_k = params.type_v = 0  # GGML_TYPE_F32
    params.flash_attn_type = 0
    context = llama.LlamaContext(model, params)
    cases = []
    for prompt in PROMPTS:
        ids = list(vocab.tokenize(prompt, True, True))
        context.kv_cache_clear()
        batch, position, case = ids, 0, {"prompt": prompt, "input_ids": ids, "greedy": [], "second": [], "gap": []}
        for _ in range(TOKENS):
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
    return {"model": path.name, "llama_cpp": llama.ggml_commit(), "cases": cases}


def main():
    out = pathlib.Path(sys.argv[1]) / "llama_cpp"
    out.mkdir(exist_ok=True)
    for path in map(pathlib.Path, sys.argv[2:]):
        fixture = out / f"{path.stem}.json"
        lines = json.dumps(run(path), ensure_ascii=False).replace('{"prompt"', '\n{"prompt"')
        fixture.write_text(lines + "\n")


if __name__ == "__main__":
    main()
