#!/usr/bin/env python3
"""Writes runtime/model/tests/fixtures/embedding: small random models that embed, score or classify, and what Hugging
Face transformers computes with them in float32.

usage: embedding.py OUT_DIR      (OUT_DIR: runtime/model/tests/fixtures)

Weights are rounded to float16 and stored so, which halves the files; the arithmetic is float32. expected.json has each
model's prompts with their vectors or scores. Pooling follows sentence-transformers.
"""
import copy
import json
import pathlib
import sys

import torch
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    BertModel,
    LlamaConfig,
    LlamaForSequenceClassification,
    LlamaModel,
    MistralConfig,
    MistralModel,
    Qwen2Config,
    Qwen2ForSequenceClassification,
    Qwen2Model,
    Qwen3Config,
    Qwen3ForSequenceClassification,
    Qwen3Model,
    XLMRobertaConfig,
    XLMRobertaForSequenceClassification,
    XLMRobertaModel,
)

torch.manual_seed(31)
torch.set_grad_enabled(False)
PROMPTS = [torch.randint(4, 120, (n,), generator=torch.Generator().manual_seed(n)).tolist() for n in (1, 7, 19, 40)]


def randomise(model):
    for key, value in model.named_parameters():
        if "norm" in key.lower() and key.endswith("weight"):
            value.uniform_(0.5, 1.5)
        elif key.endswith("bias"):
            value.normal_(0, 0.3)
        else:
            value.normal_(0, 0.25)
        value.copy_(value.half().float())
    return model.eval()


def save(out, name, model, architecture=None, extra=None):
    """A folder in Hugging Face's layout."""
    folder = out / name
    # A copy, because rounding the weights also rounds the rotary frequencies.
    copy.deepcopy(model).half().save_pretrained(folder)
    (folder / "generation_config.json").unlink(missing_ok=True)
    path = folder / "config.json"
    config = json.loads(path.read_text())
    config["architectures"] = [architecture or type(model).__name__]
    config["dtype"] = "float32"
    path.write_text(json.dumps(config, indent=1) + "\n")
    for file, content in (extra or {}).items():
        (folder / file).parent.mkdir(exist_ok=True)
        (folder / file).write_text(json.dumps(content) + "\n")


def modules(pooling, normalize):
    """The files that configure pooling."""
    steps = ["Transformer", "Pooling"] + ["Normalize"] * normalize
    paths = {"Transformer": "", "Pooling": "1_Pooling", "Normalize": "2_Normalize"}
    listed = [{"idx": i, "name": str(i), "path": paths[s], "type": f"sentence_transformers.models.{s}"} for i, s in enumerate(steps)]
    modes = {"mean": "pooling_mode_mean_tokens", "cls": "pooling_mode_cls_token", "last": "pooling_mode_lasttoken"}
    return {"modules.json": listed, "1_Pooling/config.json": {key: mode == pooling for mode, key in modes.items()}}


def pooled(hidden, pooling, normalize):
    row = {"mean": hidden.mean(0), "cls": hidden[0], "last": hidden[-1]}[pooling]
    return torch.nn.functional.normalize(row, dim=-1) if normalize else row


def embeds(model, pooling, normalize):
    return lambda **inputs: pooled(model(**inputs).last_hidden_state[0], pooling, normalize)


def classifies(model):
    return lambda **inputs: model(**inputs).logits[0]


def decoder_shape(**more):
    return dict(vocab_size=120, hidden_size=48, intermediate_size=76, num_hidden_layers=2, num_attention_heads=6,
                num_key_value_heads=2, max_position_embeddings=128, **more)


def encoder_shape(**more):
    return dict(vocab_size=120, hidden_size=60, intermediate_size=90, num_hidden_layers=2, num_attention_heads=5, **more)


def reward(body_class, config):
    """The two layers that Qwen's reward models have instead of an output matrix."""
    body = body_class(config)
    model = torch.nn.Module()
    model.model = body
    model.score = torch.nn.Sequential(
        torch.nn.Linear(config.hidden_size, config.hidden_size), torch.nn.ReLU(), torch.nn.Linear(config.hidden_size, 1)
    )
    return model


def save_reward(out, name, model, architecture):
    from safetensors.torch import save_file

    folder = out / name
    folder.mkdir(exist_ok=True)
    save_file({k: v.half().contiguous() for k, v in model.state_dict().items()}, folder / "model.safetensors", {"format": "pt"})
    config = model.model.config.to_dict() | {"architectures": [architecture], "dtype": "float32"}
    (folder / "config.json").write_text(json.dumps(config, indent=1, default=str) + "\n")


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    out = pathlib.Path(sys.argv[1]) / "embedding"
    out.mkdir(parents=True, exist_ok=True)
    expected = {}

    def note(name, compute, token_types=False):
        cases = []
        for ids in PROMPTS:
            inputs = {"input_ids": torch.tensor([ids])}
            case = {"input_ids": ids}
            if token_types:
                case["token_type_ids"] = [int(i > len(ids) // 3) for i in range(len(ids))]
                inputs["token_type_ids"] = torch.tensor([case["token_type_ids"]])
            case["values"] = [float(f"{x:.7g}") for x in compute(**inputs).tolist()]
            cases.append(case)
        expected[name] = cases

    for name, config_class, body_class, pooling, normalize, files, architecture in [
        ("llama-last", LlamaConfig, LlamaModel, "last", True, None, None),
        ("llama-mean", LlamaConfig, LlamaModel, "mean", True, modules("mean", True), None),
        ("qwen2-last", Qwen2Config, Qwen2Model, "last", True, modules("last", True), None),
        ("qwen3-cls", Qwen3Config, Qwen3Model, "cls", False, modules("cls", False), None),
        ("mistral-last", MistralConfig, MistralModel, "last", True, None, None),
    ]:
        more = {"head_dim": 12} if config_class is Qwen3Config else {}
        more |= {"sliding_window": 8} if config_class is MistralConfig else {}
        model = randomise(body_class(config_class(**decoder_shape(**more))))
        save(out, name, model, architecture, files)
        note(name, embeds(model, pooling, normalize))

    for name, config_class, model_class in [
        ("llama-classes", LlamaConfig, LlamaForSequenceClassification),
        ("qwen2-classes", Qwen2Config, Qwen2ForSequenceClassification),
        ("qwen3-classes", Qwen3Config, Qwen3ForSequenceClassification),
    ]:
        more = {"head_dim": 12} if config_class is Qwen3Config else {}
        model = randomise(model_class(config_class(**decoder_shape(num_labels=3, **more))))
        save(out, name, model)
        note(name, classifies(model))

    for name, config_class, body_class, architecture in [
        ("qwen2-reward", Qwen2Config, Qwen2Model, "Qwen2ForRewardModel"),
        ("qwen3-reward", Qwen3Config, Qwen3Model, "Qwen3ForRewardModel"),
    ]:
        more = {"head_dim": 12} if config_class is Qwen3Config else {}
        model = randomise(reward(body_class, config_class(**decoder_shape(**more))))
        save_reward(out, name, model, architecture)
        note(name, lambda input_ids, m=model: m.score(m.model(input_ids=input_ids).last_hidden_state[0, -1]))

    bert = dict(max_position_embeddings=64, type_vocab_size=2)
    model = randomise(BertModel(BertConfig(**encoder_shape(**bert)), add_pooling_layer=False))
    save(out, "bert-mean", model, extra=modules("mean", True))
    note("bert-mean", embeds(model, "mean", True), token_types=True)
    model = randomise(BertModel(BertConfig(hidden_act="gelu_new", **encoder_shape(**bert)), add_pooling_layer=False))
    save(out, "bert-cls", model)
    note("bert-cls", embeds(model, "cls", True))
    config = BertConfig(num_labels=1, **encoder_shape(**bert))
    model = randomise(BertForSequenceClassification(config))
    config.sbert_ce_default_activation_function = "torch.nn.modules.activation.Sigmoid"
    save(out, "bert-pairs", model)
    note("bert-pairs", lambda **inputs: torch.sigmoid(classifies(model)(**inputs)), token_types=True)

    # Padding tokens inside a prompt have no position.
    PROMPTS.append([5, 1, 9, 1, 1, 30, 2])
    roberta = dict(max_position_embeddings=50, type_vocab_size=1, pad_token_id=1)
    model = randomise(XLMRobertaModel(XLMRobertaConfig(**encoder_shape(**roberta)), add_pooling_layer=False))
    save(out, "roberta-cls", model)
    note("roberta-cls", lambda input_ids: embeds(model, "cls", True)(input_ids=input_ids, attention_mask=torch.ones_like(input_ids)))
    model2 = randomise(XLMRobertaForSequenceClassification(XLMRobertaConfig(num_labels=2, **encoder_shape(**roberta))))
    save(out, "roberta-pairs", model2)
    note("roberta-pairs", lambda input_ids: classifies(model2)(input_ids=input_ids, attention_mask=torch.ones_like(input_ids)))

    (out / "expected.json").write_text(json.dumps(expected) + "\n")
    print(f"{out}: {len(expected)} models, {sum(f.stat().st_size for f in out.rglob('*') if f.is_file()) / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
