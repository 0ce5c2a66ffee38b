#!/usr/bin/env python3
"""Writes tests/fixtures/embedding*: results of sentence-transformers and transformers for texts, in float32.

usage: embedding_routes.py OUT_DIR SMOLLM2_FOLDER MINILM_FOLDER

embedding.json has texts, vectors and scores; minilm.bin has the vectors of all-MiniLM-L6-v2 (float32, little endian) by
sentence-transformers. The folders next to it are small random models with their own tokenizers: a cross-encoder with
WordPiece, one with Unigram, and a Llama classifier.
"""
import copy
import json
import pathlib
import sys

import torch
from sentence_transformers import SentenceTransformer
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import (
    AutoTokenizer,
    BertConfig,
    BertForSequenceClassification,
    LlamaConfig,
    LlamaForSequenceClassification,
    LlamaModel,
    PreTrainedTokenizerFast,
    XLMRobertaConfig,
    XLMRobertaForSequenceClassification,
)

torch.manual_seed(5)
torch.set_grad_enabled(False)

SUBJECTS = ["The river", "A small dog", "Our teacher", "Nobody", "The old clock", "My neighbour's cat", "Every winter", "This machine", "Der Zug", "La lune"]
ENDS = ["runs past the mill.", "sleeps under the table!", "was late again, wasn't it?", "costs 3,499.50 euros — more than last year", "knows 漢字, emoji 🙂 and naïve façades."]
SENTENCES = [f"{s} {e}" for s in SUBJECTS for e in ENDS]
QUERY = "what is panda?"
DOCUMENTS = ["hi", "The giant panda is a bear species endemic to China.", "Rivers run to the sea. " * 4, "panda panda"]


def train(model, trainer, normalizer, pre_tokenizer, decoder, template, path, specials):
    tokenizer = Tokenizer(model)
    tokenizer.normalizer, tokenizer.pre_tokenizer, tokenizer.decoder = normalizer, pre_tokenizer, decoder
    tokenizer.train_from_iterator(SENTENCES + DOCUMENTS + [QUERY], trainer)
    single, pair = template
    ids = [(token, tokenizer.token_to_id(token)) for token in specials if token in single + pair]
    tokenizer.post_processor = processors.TemplateProcessing(single=single, pair=pair, special_tokens=ids)
    return tokenizer


def save(model, tokenizer, folder, special_tokens):
    copy.deepcopy(model).half().save_pretrained(folder)
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, **special_tokens)
    fast.save_pretrained(folder)
    (folder / "generation_config.json").unlink(missing_ok=True)
    path = folder / "config.json"
    config = json.loads(path.read_text())
    config["dtype"] = "float32"
    path.write_text(json.dumps(config, indent=1) + "\n")
    return fast


def randomise(model):
    for key, value in model.named_parameters():
        if "norm" in key.lower() and key.endswith("weight"):
            value.uniform_(0.5, 1.5)
        else:
            value.normal_(0, 0.25)
        value.copy_(value.half().float())
    return model.eval()


def rounded(tensor):
    return [float(f"{x:.7g}") for x in tensor.flatten().tolist()]


def pair_scores(model, tokenizer):
    scores = []
    for document in DOCUMENTS:
        encoding = tokenizer.backend_tokenizer.encode(QUERY, document)
        inputs = {"input_ids": torch.tensor([encoding.ids]), "token_type_ids": torch.tensor([encoding.type_ids])}
        scores.append({"score": rounded(model(**inputs).logits)[0], "tokens": len(encoding.ids)})
    return scores


def bert(out):
    specials = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
    tokenizer = train(
        models.WordPiece(unk_token="[UNK]"), trainers.WordPieceTrainer(vocab_size=260, special_tokens=specials),
        normalizers.BertNormalizer(lowercase=True), pre_tokenizers.BertPreTokenizer(), decoders.WordPiece(),
        ("[CLS] $A [SEP]", "[CLS] $A [SEP] $B:1 [SEP]:1"), out, specials)
    config = BertConfig(vocab_size=tokenizer.get_vocab_size(), hidden_size=36, intermediate_size=50, num_hidden_layers=2,
                        num_attention_heads=3, max_position_embeddings=128, type_vocab_size=2, num_labels=1, pad_token_id=0)
    model = randomise(BertForSequenceClassification(config))
    fast = save(model, tokenizer, out / "embedding-bert", dict(pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]"))
    return pair_scores(model, fast)


def roberta(out):
    specials = ["<s>", "<pad>", "</s>", "<unk>"]
    tokenizer = train(
        models.Unigram(), trainers.UnigramTrainer(vocab_size=260, special_tokens=specials, unk_token="<unk>"),
        normalizers.NFKC(), pre_tokenizers.Metaspace(), decoders.Metaspace(),
        ("<s> $A </s>", "<s> $A </s> </s> $B </s>"), out, specials)
    config = XLMRobertaConfig(vocab_size=tokenizer.get_vocab_size(), hidden_size=36, intermediate_size=50, num_hidden_layers=2,
                              num_attention_heads=3, max_position_embeddings=130, type_vocab_size=1, num_labels=1,
                              pad_token_id=1, bos_token_id=0, eos_token_id=2)
    model = randomise(XLMRobertaForSequenceClassification(config))
    fast = save(model, tokenizer, out / "embedding-roberta", dict(bos_token="<s>", eos_token="</s>", pad_token="<pad>", unk_token="<unk>"))
    return pair_scores(model, fast)


def llama(out):
    specials = ["<pad>", "<unk>", "<s>"]
    tokenizer = train(
        models.WordPiece(unk_token="<unk>"), trainers.WordPieceTrainer(vocab_size=260, special_tokens=specials),
        normalizers.NFC(), pre_tokenizers.BertPreTokenizer(), decoders.WordPiece(), ("<s> $A", "<s> $A $B"), out, specials)
    config = LlamaConfig(vocab_size=tokenizer.get_vocab_size(), hidden_size=36, intermediate_size=50, num_hidden_layers=2,
                         num_attention_heads=6, num_key_value_heads=2, max_position_embeddings=256, bos_token_id=2, eos_token_id=0,
                         id2label={0: "calm", 1: "glad", 2: "cross"})
    model = randomise(LlamaForSequenceClassification(config))
    fast = save(model, tokenizer, out / "embedding-llama", dict(bos_token="<s>", pad_token="<pad>", unk_token="<unk>"))
    answers = []
    for text in SENTENCES[:8]:
        ids = fast.backend_tokenizer.encode(text).ids
        answers.append({"text": text, "input_ids": ids, "scores": rounded(model(torch.tensor([ids])).logits)})
    return answers


def smollm2(folder):
    tokenizer, model = AutoTokenizer.from_pretrained(folder), LlamaModel.from_pretrained(folder, dtype=torch.float32).eval()
    answers = []
    for text in ["The quick brown fox", "Une phrase en français.", " ".join(SENTENCES[:12])]:
        ids = tokenizer(text)["input_ids"]
        last = model(torch.tensor([ids])).last_hidden_state[0, -1]
        answers.append({"text": text, "tokens": len(ids), "vector": rounded(torch.nn.functional.normalize(last, dim=-1))})
    return answers


def main():
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    out, smollm2_folder, minilm_folder = (pathlib.Path(argument) for argument in sys.argv[1:])
    minilm = SentenceTransformer(str(minilm_folder), device="cpu")
    vectors = minilm.encode(SENTENCES, convert_to_numpy=True).astype("<f4")
    (out / "minilm.bin").write_bytes(vectors.tobytes())
    data = {
        "sentences": SENTENCES,
        "query": QUERY,
        "documents": DOCUMENTS,
        "bert": bert(out),
        "roberta": roberta(out),
        "llama": llama(out),
        "smollm2": smollm2(smollm2_folder),
    }
    (out / "embedding.json").write_text(json.dumps(data, ensure_ascii=False) + "\n")
    print(f"{out}: {len(SENTENCES)} sentences, vectors of {vectors.shape[1]} columns")


if __name__ == "__main__":
    main()
