#!/usr/bin/env python3
"""Writes logprobs.json: log-probabilities that Hugging Face transformers computes in float32, for tests/fixtures.

usage: logprobs.py OUT_DIR SMOLLM2_FOLDER      (SMOLLM2_FOLDER: the dequantised SmolLM2-135M-Instruct, float32)

Every case has a prompt, the greedy continuation under the case's parameters, and per position the log-probability of
the token, the best five ids with theirs, and those of the ids in "asked". Temperature and penalties act on outputs only.
"""
import json
import pathlib
import sys

import torch
from transformers import AutoTokenizer, LlamaForCausalLM

torch.set_grad_enabled(False)
ASKED = [0, 198, 504, 7042, 49151]
TOP = 5
STEPS = 12

PROMPTS = [
    "The capital of France is",
    "def fibonacci(n):\n    ",
    "Naïve café 😀: 1, 2, 3, 4, 5,",
    "Rivers begin as thin threads of water high in the hills. Rain and melting snow gather in hollows, the hollows "
    "overflow, and streams run together until they are wide enough to carry boats. On the way they",
]
PARAMETERS = [
    {},
    {"temperature": 0.7},
    {"frequency_penalty": 1.5, "presence_penalty": 0.5},
    {"repetition_penalty": 1.6},
    {"logit_bias": {"198": 6.0, "30": -4.0}},
]


def describe(row, token):
    best = row.topk(TOP)
    return {
        "token": float(row[token]),
        "top": [[float(v), int(i)] for v, i in zip(best.values, best.indices)],
        "asked": [float(row[i]) for i in ASKED],
    }


def penalised(logits, out, parameters):
    """Sums and divisions in the reference's order: additive penalties, repetition, bias, temperature."""
    row = logits.clone()
    for token in set(out):
        row[token] -= parameters.get("frequency_penalty", 0.0) * out.count(token) + parameters.get("presence_penalty", 0.0)
        factor = parameters.get("repetition_penalty", 1.0)
        row[token] = row[token] / factor if row[token] > 0 else row[token] * factor
    for token, bias in parameters.get("logit_bias", {}).items():
        row[int(token)] += bias
    return row / parameters.get("temperature", 1.0)


def case(model, ids, parameters):
    result = model(torch.tensor([ids]), use_cache=True)
    rows = result.logits[0].float().log_softmax(-1)
    inputs = [describe(rows[i], ids[i + 1]) for i in range(len(ids) - 1)]
    past, logits, out, outputs = result.past_key_values, result.logits[0, -1].float(), [], []
    gap = float("inf")
    for _ in range(STEPS):
        row = penalised(logits, out, parameters).log_softmax(-1)
        best = row.topk(2)
        gap = min(gap, float(best.values[0] - best.values[1]))
        outputs.append(describe(row, int(best.indices[0])))
        out.append(int(best.indices[0]))
        result = model(torch.tensor([[out[-1]]]), past_key_values=past, use_cache=True)
        past, logits = result.past_key_values, result.logits[0, -1].float()
    print(f"{len(ids)} tokens, {parameters}: smallest gap {gap:.4f}")
    return {"input_ids": ids, "parameters": parameters, "output_ids": out, "input": inputs, "output": outputs}


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    out = pathlib.Path(sys.argv[1])
    tokenizer = AutoTokenizer.from_pretrained(sys.argv[2])
    model = LlamaForCausalLM.from_pretrained(sys.argv[2], dtype=torch.float32).eval()
    cases = []
    for index, prompt in enumerate(PROMPTS):
        ids = tokenizer(prompt, add_special_tokens=False)["input_ids"]
        for parameters in PARAMETERS if index < 2 else PARAMETERS[:1]:
            cases.append(case(model, ids, parameters))
    text = json.dumps({"asked": ASKED, "top": TOP, "cases": cases}, separators=(",", ":"))
    (out / "logprobs.json").write_text(text + "\n")


if __name__ == "__main__":
    main()
