#!/usr/bin/env python3
"""Writes runtime/tokenizer/tests/fixtures/added_tokens.json: ids and texts by transformers' AutoTokenizer for folders whose
companion files name tokens that tokenizer.json lacks or has with other flags.

usage: added_tokens.py OUT_DIR

The script makes a small vocabulary: the 256 byte characters, a few merges and one word `<pad>`.
"""
import copy
import json
import pathlib
import sys
import tempfile

from tokenizers.pre_tokenizers import ByteLevel
from transformers import AutoTokenizer

TEXTS = [
    "a<|new|>b", "a <|new|> b", "x<eos>y", " <eos> ", "<bos>hi<tool>there<tool>", "<pad>a<pad>", "a<|one|><|two|>b<|three|>",
    "a<IMG>b <img> c", "<|image|>a<|audio|>", "new<|new|>ish<|new|>", "plain text", "<sep><mask><cls>", "<unk>?", "a  <two words>  b", "",
]
ROLES = ["bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"]
NEW = {"content": "<|new|>", "lstrip": False, "normalized": False, "rstrip": False, "single_word": False, "special": True}


def added(content, special, **flags):
    return {"content": content, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": special, **flags}


def base():
    words = sorted(ByteLevel.alphabet())
    merges = [["a", "b"], ["Ġ", "a"], ["e", "o"], ["n", "e"], ["ne", "w"]]
    words += ["".join(pair) for pair in merges] + ["<pad>", "<unk>"]
    vocab = {word: i for i, word in enumerate(words)}
    own = [added("<bos>", True), added("<eos>", False), added("<tool>", False, normalized=True)]
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [{"id": len(vocab) + i, **token} for i, token in enumerate(own)],
        "normalizer": None,
        "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True},
        "post_processor": None,
        "decoder": {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True},
        "model": {
            "type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None, "end_of_word_suffix": None,
            "fuse_unk": False, "byte_fallback": False, "ignore_merges": False, "vocab": vocab, "merges": merges,
        },
    }


def cases():
    end = len(base()["model"]["vocab"]) + 3
    decoder = {str(end): NEW}
    own = {str(t["id"]): {k: v for k, v in t.items() if k != "id"} for t in base()["added_tokens"]}
    several = {str(end): added("<|one|>", True), str(end + 1): added("<|two|>", False), str(end + 2): added("<|three|>", True, lstrip=True, rstrip=True)}
    typed = {"__type": "AddedToken", **NEW}
    config = "tokenizer_config.json"
    yield "no companions", {}
    yield "decoder: a token that is missing", {config: {"added_tokens_decoder": decoder}}
    yield "decoder: all tokens", {config: {"added_tokens_decoder": {**own, **decoder}}}
    yield "decoder: several, out of order", {config: {"added_tokens_decoder": dict(reversed(several.items()))}}
    yield "decoder: an id with a gap before it", {config: {"added_tokens_decoder": {str(end + 40): NEW}}}
    yield "decoder: eos is special there alone", {config: {"added_tokens_decoder": {str(end - 2): added("<eos>", True)}, "eos_token": "<eos>"}}
    yield "decoder: eos is special in neither, but has the role", {config: {"added_tokens_decoder": own, "eos_token": "<eos>"}}
    yield "decoder: bos is no longer special", {config: {"added_tokens_decoder": {str(end - 3): added("<bos>", False)}}}
    yield "decoder: not special but with a role", {config: {"added_tokens_decoder": {str(end): added("<|new|>", False)}, "eos_token": "<|new|>"}}
    yield "decoder: flags differ", {config: {"added_tokens_decoder": {str(end - 1): added("<tool>", True, lstrip=True, rstrip=True)}}}
    yield "decoder: single words", {config: {"added_tokens_decoder": {str(end): added("<|new|>", True, single_word=True)}}}
    yield "decoder: a token of the vocabulary", {config: {"added_tokens_decoder": {"261": added("<pad>", True)}}}
    yield "decoder wins over special_tokens_map", {
        config: {"added_tokens_decoder": decoder, "eos_token": "<|new|>"},
        "special_tokens_map.json": {"eos_token": "<eos>", "additional_special_tokens": ["<|one|>"]},
        "added_tokens.json": {"<|two|>": end + 1},
    }
    yield "roles alone", {config: {"bos_token": "<bos>", "eos_token": "<eos>", "pad_token": "<pad>"}}
    yield "roles that are not in the vocabulary", {config: {"pad_token": "<|new|>", "sep_token": "<sep>", "mask_token": "<mask>", "cls_token": "<cls>"}}
    yield "a role as an object", {config: {"eos_token": typed, "pad_token": {**typed, "content": "<pad>", "special": False, "normalized": True}}}
    yield "the unknown token", {config: {"unk_token": "<unk>"}}
    yield "a role of the model's own", {config: {"image_token": "<|image|>", "audio_token": {**typed, "content": "<|audio|>"}, "boi": "<IMG>"}}
    yield "roles of tokens that are not special", {config: {"pad_token": "<tool>", "image_token": "<eos>"}}
    yield "a role of the model's own that is not special", {config: {"image_token": "<tool>"}}
    yield "a role as an object with other flags", {config: {"pad_token": {"__type": "AddedToken", **added("<tool>", False, lstrip=True, rstrip=True)}}}
    yield "extra_special_tokens: a list", {config: {"extra_special_tokens": ["<|one|>", "<|two|>", "<tool>", "<two words>"]}}
    yield "extra_special_tokens: roles", {config: {"extra_special_tokens": {"image_token": "<|image|>", "new": "<|new|>"}}}
    yield "extra_special_tokens: objects", {config: {"extra_special_tokens": [typed, {**typed, "content": "<|one|>", "special": False}]}}
    yield "additional_special_tokens", {config: {"additional_special_tokens": ["<|one|>", "<|new|>", "<eos>"]}}
    yield "additional beside extra", {config: {"additional_special_tokens": ["<|one|>"], "extra_special_tokens": ["<|two|>"]}}
    yield "additional beside an empty extra", {config: {"additional_special_tokens": ["<|one|>"], "extra_special_tokens": []}}
    yield "additional beside a decoder", {config: {"additional_special_tokens": ["<|new|>", "<|one|>"], "added_tokens_decoder": decoder}}
    yield "special_tokens_map: roles", {config: {"eos_token": "<bos>"}, "special_tokens_map.json": {"eos_token": "<eos>", "pad_token": {"content": "<pad>"}}}
    yield "special_tokens_map: new tokens", {"special_tokens_map.json": {"eos_token": {**NEW, "special": False}, "image_token": "<|image|>"}}
    yield "special_tokens_map: additional", {config: {}, "special_tokens_map.json": {"additional_special_tokens": ["<|one|>", "<|three|>"]}}
    yield "special_tokens_map: extra beside the configuration's", {
        config: {"extra_special_tokens": ["<|two|>"]}, "special_tokens_map.json": {"extra_special_tokens": ["<|one|>", "<|two|>"]},
    }
    yield "special_tokens_map: extra roles", {"special_tokens_map.json": {"extra_special_tokens": {"image_token": "<|image|>"}}}
    yield "added_tokens.json", {"added_tokens.json": {"<|two|>": end + 1, "<|one|>": end}}
    yield "added_tokens.json: special by role", {
        config: {"eos_token": "<|one|>", "extra_special_tokens": ["<|two|>"]}, "added_tokens.json": {"<|one|>": end, "<|two|>": end + 1, "<|new|>": end + 2},
    }
    yield "added_tokens.json: ids that tokenizer.json has", {"added_tokens.json": {"<|one|>": end - 1, "<|new|>": end}}
    yield "split_special_tokens", {config: {"split_special_tokens": True, "added_tokens_decoder": decoder, "eos_token": "<eos>"}}


def main():
    out = pathlib.Path(sys.argv[1])
    rows = []
    for name, files in cases():
        with tempfile.TemporaryDirectory() as folder:
            folder = pathlib.Path(folder)
            for file, content in {"tokenizer.json": base(), **files}.items():
                content = copy.deepcopy(content)
                if file == "tokenizer_config.json":
                    content["tokenizer_class"] = "PreTrainedTokenizerFast"
                (folder / file).write_text(json.dumps(content))
            if "tokenizer_config.json" not in files:
                (folder / "tokenizer_config.json").write_text('{"tokenizer_class": "PreTrainedTokenizerFast"}')
            tokenizer = AutoTokenizer.from_pretrained(folder)
            encoded = [tokenizer.encode(text, add_special_tokens=False) for text in TEXTS]
            rows.append(
                {
                    "case": name,
                    "files": files,
                    "size": len(tokenizer),
                    "roles": tokenizer.special_tokens_map,
                    "ids": encoded,
                    "decoded": [tokenizer.decode(ids, skip_special_tokens=False) for ids in encoded],
                    "skipped": [tokenizer.decode(ids, skip_special_tokens=True) for ids in encoded],
                }
            )
    path = out / "added_tokens.json"
    path.write_text(json.dumps({"tokenizer": base(), "texts": TEXTS, "rows": rows}, separators=(",", ":")) + "\n")
    print(f"{path}: {len(rows)} folders, {len(TEXTS)} texts")


main()
