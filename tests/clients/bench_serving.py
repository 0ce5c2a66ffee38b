"""Runs the reference's own benchmark, `sglang.bench_serving`, against a running server: python bench_serving.py BASE_URL [MODE].
MODE is `generate` (default) or `embedding`. Prints `ok` at the end.

It imports transformers, torch and image data sets only for features that are not measured here; they are replaced by empty
modules. Its tokenizer is the server's own, through /tokenize and /detokenize.
"""

import importlib.util
import json
import sys
import tempfile
import types
import warnings
from unittest import mock

import requests

base_url = sys.argv[1]
mode = sys.argv[2] if len(sys.argv) > 2 else "generate"


class Tokenizer:
    """The tokenizer methods that the benchmark uses, answered by the server."""

    init_kwargs = {"chat_template": ""}
    vocab_size = 400

    @classmethod
    def from_pretrained(cls, *_args, **_kwargs):
        """The same for every name."""
        return cls()

    def encode(self, text, add_special_tokens=True):
        """Ids of a text."""
        body = {"prompt": text, "add_special_tokens": add_special_tokens}
        return requests.post(base_url + "/tokenize", json=body, timeout=60).json()["tokens"]

    def decode(self, ids, **_kwargs):
        """Text of ids."""
        return requests.post(base_url + "/detokenize", json={"tokens": ids}, timeout=60).json()["text"]

    def num_special_tokens_to_add(self):
        """Number of special tokens in an empty text."""
        return len(self.encode(""))

    def get_vocab(self):
        """Some of its tokens."""
        return {str(i): i for i in range(1000, 1400)}


def stand_in(name, **contents):
    """Replaces a module that is not installed by an empty one."""
    module = types.ModuleType(name)
    module.__getattr__ = lambda _: mock.MagicMock()
    vars(module).update(contents)
    sys.modules[name] = module


# Importing the package imports torch, so its parts are imported below an empty package of the same name.
package = types.ModuleType("sglang")
package.__path__ = list(importlib.util.find_spec("sglang").submodule_search_locations)
sys.modules["sglang"] = package
stand_in("transformers", AutoTokenizer=Tokenizer, PreTrainedTokenizerBase=Tokenizer)
stand_in("PIL")
stand_in("datasets")
stand_in("torch")
stand_in("sglang.srt.disaggregation.utils", FAKE_BOOTSTRAP_HOST="2.2.2.2")
stand_in("sglang.srt.utils.network", resolve_base_url=lambda url, host, port: url, resolve_host_port=lambda url, host, port: url)
warnings.simplefilter("ignore")

from sglang import bench_serving  # noqa: E402
from sglang.benchmark import serving  # noqa: E402

assert bench_serving.cli_main is serving.cli_main
PROMPTS, INPUT, OUTPUT = 4, 12, 8


def run(backend, *flags):
    """The results of one run, in which every request must have been answered."""
    with tempfile.NamedTemporaryFile(suffix=".jsonl") as out:
        command = ["bench_serving", "--backend", backend, "--base-url", base_url, "--dataset-name", "random-ids"]
        command += ["--num-prompts", str(PROMPTS), "--random-input-len", str(INPUT), "--random-output-len", str(OUTPUT)]
        command += ["--random-range-ratio", "1", "--output-file", out.name, "--output-details", "--disable-tqdm", "--tokenizer", "server"]
        with mock.patch.object(sys, "argv", command + list(flags)):
            serving.cli_main()
        result = json.loads(out.read().splitlines()[-1])
    assert result["completed"] == PROMPTS and not any(result["errors"]), (backend, flags, result["errors"])
    assert result["server_info"]["version"] and result["server_info"]["max_total_num_tokens"] > 0
    return result


if mode == "embedding":
    for backend in ("sglang-embedding", "vllm-embedding"):
        assert run(backend)["total_input_tokens"] == PROMPTS * INPUT
    print("ok")
    sys.exit()

for backend in ("sglang", "sglang-native", "sglang-oai", "sglang-oai-chat", "vllm", "vllm-chat", "lmdeploy", "lmdeploy-chat"):
    for flags in ((), ("--disable-stream",)):
        result = run(backend, *flags)
        assert result["output_lens"] == [OUTPUT] * PROMPTS, (backend, flags, result["output_lens"])
        assert all(result["generated_texts"]), (backend, flags, result["generated_texts"])
        if not flags:
            # One inter-token latency for each token except the first; a slow reader gets several tokens at once.
            assert all(t > 0 for t in result["ttfts"]) and max(map(len, result["itls"])) <= OUTPUT, (backend, result)

# With the OpenAI backends the module's own cache report asks for usage, and then fails on the chunk that has it and no choice.
cached = run("sglang", "--cache-report", "--flush-cache", "--warmup-requests", "2", "--request-rate", "50")
assert cached["cache_report"]["total_prompt_tokens"] >= PROMPTS * INPUT // 2, cached["cache_report"]
run("sglang", "--return-logprob", "--top-logprobs-num", "2", "--logprob-start-len", "0", "--token-ids-logprob", "5")
run("sglang", "--tokenize-prompt", "--max-concurrency", "2", "--seed", "7")
run("sglang-oai", "--extra-request-body", '{"top_k": 4}', "--goodput", "ttft:100000")
profiled = run("sglang", "--profile", "--profile-num-steps", "2", "--profile-output-dir", tempfile.mkdtemp())
assert profiled["completed"] == PROMPTS
print("ok")
