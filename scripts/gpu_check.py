"""Makes a random Llama, computes greedy tokens with plain torch and compares them with those of the given program.

usage: gpu_check.py PROGRAM [DEVICE]      (DEVICE: cuda, or cpu to try the check itself)
"""
import json
import pathlib
import struct
import subprocess
import sys
import tempfile

import torch

CONFIG = dict(
    architectures=["LlamaForCausalLM"], model_type="llama", hidden_act="silu", torch_dtype="float32", vocab_size=1000,
    hidden_size=512, intermediate_size=1376, num_hidden_layers=6, num_attention_heads=8, num_key_value_heads=2,
    head_dim=64, rms_norm_eps=1e-5, rope_theta=10000.0, max_position_embeddings=2048, tie_word_embeddings=False,
    bos_token_id=1, eos_token_id=2, attention_bias=False, mlp_bias=False,
)
PROMPT = [(i * 37 + 11) % 1000 for i in range(50)]
TOKENS = 48


def make_weights():
    torch.manual_seed(3)
    c, w = CONFIG, {}
    hidden, inner, kv = c["hidden_size"], c["intermediate_size"], c["num_key_value_heads"] * c["head_dim"]
    shapes = {"model.embed_tokens": (c["vocab_size"], hidden), "lm_head": (c["vocab_size"], hidden), "model.norm": (hidden,)}
    for i in range(c["num_hidden_layers"]):
        p = f"model.layers.{i}."
        shapes |= {p + "self_attn.q_proj": (hidden, hidden), p + "self_attn.k_proj": (kv, hidden), p + "self_attn.v_proj": (kv, hidden),
                   p + "self_attn.o_proj": (hidden, hidden), p + "mlp.gate_proj": (inner, hidden), p + "mlp.up_proj": (inner, hidden),
                   p + "mlp.down_proj": (hidden, inner), p + "input_layernorm": (hidden,), p + "post_attention_layernorm": (hidden,)}
    for name, shape in shapes.items():
        w[name + ".weight"] = torch.rand(shape) + 0.5 if len(shape) == 1 else torch.randn(shape) * 0.08
    return w


def save(folder, weights):
    (folder / "config.json").write_text(json.dumps(CONFIG))
    header, at = {}, 0
    for name, t in weights.items():
        header[name] = {"dtype": "F32", "shape": list(t.shape), "data_offsets": [at, at + t.numel() * 4]}
        at += t.numel() * 4
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(folder / "model.safetensors", "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text)
        for t in weights.values():
            f.write(t.contiguous().numpy().tobytes())


def logits(w, ids):
    c, d, n = CONFIG, CONFIG["head_dim"], len(ids)
    norm = lambda x, name: torch.nn.functional.rms_norm(x, x.shape[-1:], w[name + ".weight"], c["rms_norm_eps"])
    x = w["model.embed_tokens.weight"][ids]
    freq = 1.0 / c["rope_theta"] ** (torch.arange(0, d, 2, device=x.device).float() / d)
    angle = torch.arange(n, device=x.device).float()[:, None] * freq
    cos, sin = angle.cos().repeat(1, 2), angle.sin().repeat(1, 2)
    turn = lambda t: t * cos + torch.cat((-t[..., d // 2:], t[..., :d // 2]), -1) * sin
    heads = lambda t: t.view(n, -1, d).transpose(0, 1)
    for i in range(c["num_hidden_layers"]):
        p = f"model.layers.{i}."
        proj = lambda t, name: t @ w[p + name + ".weight"].T
        h = norm(x, p + "input_layernorm")
        q, k, v = (heads(proj(h, f"self_attn.{s}_proj")) for s in "qkv")
        groups = c["num_attention_heads"] // c["num_key_value_heads"]
        k, v = turn(k).repeat_interleave(groups, 0), v.repeat_interleave(groups, 0)
        a = torch.nn.functional.scaled_dot_product_attention(turn(q), k, v, is_causal=True)
        x = x + proj(a.transpose(0, 1).reshape(n, -1), "self_attn.o_proj")
        h = norm(x, p + "post_attention_layernorm")
        x = x + proj(torch.nn.functional.silu(proj(h, "mlp.gate_proj")) * proj(h, "mlp.up_proj"), "mlp.down_proj")
    return norm(x[-1:], "model.norm") @ w["lm_head.weight"].T


@torch.no_grad()
def greedy(w):
    ids = list(PROMPT)
    for _ in range(TOKENS):
        ids.append(int(logits(w, ids)[0].argmax()))
    return ids[len(PROMPT):]


def program(path, folder, *flags):
    command = [path, str(folder), "--ids", ",".join(map(str, PROMPT)), *flags]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"gpu-check: {' '.join(command[:2])} failed:\n{done.stderr}")
    return [int(t) for t in done.stdout.split(",")], done.stderr.strip().splitlines()[-1]


def main():
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    device = sys.argv[2] if len(sys.argv) == 3 else "cuda"
    torch.backends.cuda.matmul.allow_tf32 = False
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        weights = make_weights()
        save(folder, weights)
        expected = greedy({k: v.to(device) for k, v in weights.items()})
        found, _ = program(sys.argv[1], folder, "--device", device, "--dtype", "float32", "--backend", "torch", "--tokens", str(TOKENS))
        same = next((i for i, (a, b) in enumerate(zip(found, expected)) if a != b), TOKENS)
        # libtorch's 16-bit products on a CPU need instructions that virtual machines may announce but lack.
        fast = "bfloat16" if device == "cuda" else "float32"
        _, speed = program(sys.argv[1], folder, "--device", device, "--dtype", fast, "--backend", "torch", "--tokens", "256")
    where = torch.cuda.get_device_name() if device == "cuda" else "CPU"
    print(f"{where}: {same} of {TOKENS} greedy tokens agree with Python torch {torch.__version__}; {fast}, one request: {speed}")
    sys.exit(same != TOKENS)


if __name__ == "__main__":
    main()
