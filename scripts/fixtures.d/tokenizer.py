#!/usr/bin/env python3
"""Writes runtime/tokenizer/tests/fixtures/smollm2_tokens.json: the ids of awkward texts in Hugging Face's tokenizers.

usage: tokenizer.py OUT_DIR SMOLLM2_FOLDER

SMOLLM2_FOLDER contains the tokenizer that transformers makes from SmolLM2's GGUF file. That conversion forgets that the
model splits numbers into digits (`tokenizer.ggml.pre` = smollm), as the model's published tokenizer.json does, so each text
has two lists: `ids` with the published pre-tokenizer and `converted` with the converted one.
"""
import json
import pathlib
import random
import sys

from tokenizers import Tokenizer, pre_tokenizers

PIECES = [
    " ", "  ", "   ", "\n", "\n\n", "\t", "\r\n", " \n ", "\u00a0", "\u3000", "\u200b", "\u2028", "a", "B", "the", " The",
    "don't", "I'LL", "'s", "'S", "''", '"', "...", "…", "1", "23", "4567", " 89", "3.14", "1,000,000", "½", "²", "٣", "Ⅷ", "１２",
    "é", "e\u0301", "ß", "İ", "ﬁ", "日本", "語", "한국어", "русский", "العربية", "עברית", "ไทย", "हिन्दी", "😀", "👨‍👩‍👧", "🇨🇭", "👍🏽",
    "<|im_start|>", "<|im_end|>", "<|endoftext|>", "<|im_", "end|>", "<repo_name>", "< repo_name >", "<file_sep>",
    "def f(x):", "    return x", "{}", "[]", "();", "//", "/*", "*/", "->", "::", "!=", "<=", "&&", "\\n", "\\", "_", "__init__",
    "camelCase", "snake_case", "HTTPServer", "https://example.org/?q=1&r=2#x", "me@example.org", "-", "--", "—", "\u0000", "\u0007",
    "\ufeff", "\ufffd", "\U0001f9d1", "\U00020000", "𝔘𝔫𝔦", "ǅ", "ﷺ", "z̷̢", "\u202e", "\ue000",
]
WHOLE = [
    "",
    " ",
    "Hello, world",
    "  12  ",
    "x  42 café 😀<|im_end|>",
    "In 1969, 2 men walked; 600 000 000 watched.",
    "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n",
    "<|im_start|><|im_start|>",
    " <|im_end|> ",
    "a" * 300,
    "1" * 40,
    " " * 40 + "x",
    "\n" * 20,
    "é" * 50,
    "😀" * 20,
    "The quick brown fox jumps over the lazy dog. " * 4,
    "for i in range(10):\n    print(f\"{i:>3}\")\n",
    "𝟘𝟙𝟚 and 12³ or 5½ kg",
    "tab\tseparated\tvalues\r\n1\t2\t3\r\n",
    "Zażółć gęślą jaźń — ÄÖÜ äöü ß",
]


def main():
    out, smollm2 = (pathlib.Path(argument) for argument in sys.argv[1:3])
    converted = Tokenizer.from_file(str(smollm2 / "tokenizer.json"))
    published = Tokenizer.from_file(str(smollm2 / "tokenizer.json"))
    published.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    rng = random.Random(7)
    texts = WHOLE + PIECES
    while len(texts) < 240:
        texts.append("".join(rng.choice(PIECES) + rng.choice(["", " ", ""]) for _ in range(rng.randint(2, 9))))
    rows = []
    for text in texts:
        ids = published.encode(text, add_special_tokens=False).ids
        rows.append(
            {
                "text": text,
                "ids": ids,
                "converted": converted.encode(text, add_special_tokens=False).ids,
                "decoded": published.decode(ids, skip_special_tokens=False),
                "without_special": published.decode(ids, skip_special_tokens=True),
            }
        )
    soup = []
    for _ in range(60):
        ids = [rng.randrange(published.get_vocab_size()) for _ in range(rng.randint(1, 24))]
        soup.append({"ids": ids, "decoded": published.decode(ids, skip_special_tokens=True)})
    path = out / "smollm2_tokens.json"
    path.write_text(json.dumps({"texts": rows, "random_ids": soup}, ensure_ascii=True, separators=(",", ":")) + "\n")
    print(f"{path}: {len(rows)} texts, {sum(r['ids'] != r['converted'] for r in rows)} of them cut otherwise by the conversion")


main()
