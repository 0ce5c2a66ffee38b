#!/usr/bin/env python3
"""Writes runtime/tokenizer/tests/fixtures/pre_tokenizers.json: how each pre-tokenizer of GGUF files splits texts in many scripts.

usage: pre_tokenizers.py OUT_DIR

Every rule is implemented here a second time, independently of the program: with components of Hugging Face's tokenizers if
the model's tokenizer.json has them, with transformers' pattern if it has one, else with the Python package `regex`. The
results are the lengths of the words in characters.
"""
import json
import pathlib
import random
import sys

import regex
from tokenizers import Regex, pre_tokenizers
from transformers.models.qwen2.tokenization_qwen2 import PRETOKENIZE_REGEX as QWEN2
from transformers.models.qwen3_5.tokenization_qwen3_5 import PRETOKENIZE_REGEX as QWEN35

PIECES = [
    " ", "  ", "   ", "    ", "\n", "\n\n", "\t", "\r\n", "\r", " \n ", "\u00a0", "\u3000", "\u2028", "\u200b", "a", "B", "the", " The",
    "don't", "I'LL", "we'Ve", "'s", "'S", "''", "\"", "...", "…", "1", "23", "456", "7890", "12345", "1234567", " 89", "3.14", "1,000", "½", "²", "٣",
    "٤٥٦٧", "Ⅷ", "１２３４", "é", "e\u0301", "ß", "İ", "ﬁ", "日本", "語です", "カタカナ", "ｶﾅ", "한국어", "ㄱㄴ", "ㄅㄆ", "中文，。！", "русский", "Ελληνικά",
    "العربية", "،", "עברית", "ไทย", "हिन्दी", "தமிழ்", "বাংলা", "ქართული", "Հայերեն", "አማርኛ", "ខ្មែរ", "မြန်မာ", "😀", "👨‍👩‍👧", "🇨🇭", "def f(x):",
    "    return x", "{}", "[]", "();", "//", "/*", "->", "::", "!=", "<=>", "&&", "$5", "a+b", "~`^|", "\\n", "_", "__init__", "camelCase", "HTTPServer",
    "https://example.org/?q=1&r=2#x", "-", "--", "—", "“q”", "IMGIMGABZ", "<sentinel:12>", "𝔘𝔫𝔦", "ǅ", "z\u0337", "(x)", "#tag", "@me",
]
WHOLE = ["", " ", "Hello, world", "In 1969, 2 men walked; 600 000 000 watched.", "x  42 café 😀!", "a\nb\n\nc\n", "tab\tx\r\n", "\n" * 5, " " * 17 + "x", "1" * 10]
CONTRACTIONS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
WORD = r"[^\r\n\p{L}\p{N}]?\p{L}+"
SIGNS = r" ?[^\s\p{L}\p{N}]+[\r\n]*"
SPACES = r"\s+(?!\S)|\s+"
LINE_ENDS = r"\s*[\r\n]+"


def alternatives(*parts):
    return "|".join(parts)


def cased(han=False, contractions=True, digits=r"\p{N}{1,3}", slash="/"):
    """GPT-4o's rule: words that begin with capitals, then small letters."""
    but = r"--\p{Han}" if han else ""
    upper = rf"[[\p{{Lu}}\p{{Lt}}\p{{Lm}}\p{{Lo}}\p{{M}}]{but}]"
    lower = rf"[[\p{{Ll}}\p{{Lm}}\p{{Lo}}\p{{M}}]{but}]"
    end = CONTRACTIONS + "?" if contractions else ""
    lead = r"[^\r\n\p{L}\p{N}]?"
    return alternatives(
        *([r"\p{Han}+"] if han else []), lead + upper + "*" + lower + "+" + end, lead + upper + "+" + lower + "*" + end,
        digits, rf" ?[^\s\p{{L}}\p{{N}}]+[\r\n{slash}]*", LINE_ENDS, SPACES,
    )


LLAMA3 = alternatives(CONTRACTIONS, WORD, r"\p{N}{1,3}", SIGNS, LINE_ENDS, SPACES)
DEEPSEEK3 = alternatives(
    r"[!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+", r"[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+", r" ?[\p{P}\p{S}]+[\r\n]*", LINE_ENDS, SPACES
)
SPARK = DEEPSEEK3.replace(r"[\p{P}\p{S}]+[\r\n]*", r"[\p{P}\p{S}]+").replace(LINE_ENDS, r"[\r\n]")
LETTERS = "[A-Za-zµÀ-ÖØ-öø-ƺƼ-ƿǄ-ʓʕ-ʯͰ-ͳͶͷͻ-ͽͿΆΈ-ΊΌΎ-ΡΣ-ϵϷ-ҁҊ-ԯԱ-ՖႠ-ჅᎠ-Ᏽᏸ-ᏽᲐ-ᲺᲽ-Ჿᴀ-ᴫᵫ-ᵷᵹ-ᶚḀ-ἕἘ-Ἕἠ-ὅὈ-Ὅὐ-ὗὙὛὝὟ-ώᾀ-ᾴᾶ-ᾼιῂ-ῄῆ-ῌῐ-ΐῖ-Ίῠ-Ῥῲ-ῴῶ-ῼℂℇℊ-ℓℕℙ-ℝℤΩℨK-ℭℯ-ℴℹℼ-ℿⅅ-ⅉⅎↃↄⰀ-ⱻⱾ-ⳤⳫ-ⳮⳲⳳꙀ-ꙭꚀ-ꚛꜢ-ꝯꝱ-ꞇꞋ-ꞎꭰ-ꮿﬀ-ﬆﬓ-ﬗＡ-Ｚａ-ｚ𐐀-𐑏𐒰-𐓓𐓘-𐓻𐲀-𐲲𐳀-𐳲𑢠-𑣟𞤀-𞥃]"
HAN = "[一-龥ࠀ-一가-퟿]+"
KANA = "[一-龥぀-ゟ゠-ヿ]+"
BLOOM = r" ?[^(\s|.,!?…。，、।۔،)]+"
GPT2 = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
DIGITS = pre_tokenizers.Digits(individual_digits=True)


def parts_by_library(text, step):
    """Lengths of the parts; byte-level steps also count characters of the text."""
    return [text[start:end] for _, (start, end) in step.pre_tokenize_str(text)]


def parts_by_pattern(text, pattern):
    out, last = [], 0
    for match in regex.finditer(pattern, text, regex.V1):
        out += [text[last : match.start()], match.group()]
        last = match.end()
    return [part for part in out + [text[last:]] if part]


def grouped(text):
    """Runs of digits split into groups of three from their end."""
    out = []
    for part in parts_by_pattern(text, r"\p{N}+"):
        if regex.fullmatch(r"\p{N}+", part):
            first = len(part) % 3
            out += [part[:first]] if first else []
            out += [part[i : i + 3] for i in range(first, len(part), 3)]
        else:
            out.append(part)
    return out


def cut(text, steps):
    words = [text] if text else []
    for step in steps:
        by = step if callable(step) else (lambda word, step=step: (parts_by_pattern if isinstance(step, str) else parts_by_library)(word, step))
        words = [part for word in words for part in by(word)]
    return words


def ascii_grouped(text):
    """As grouped, for all decimal digits; numbers of other kinds stay whole."""
    out = []
    for part in parts_by_pattern(text, r"\p{N}+"):
        if not regex.fullmatch(r"\p{N}+", part):
            out.append(part)
            continue
        begin = 0
        for i in range(1, len(part)):
            rest = regex.match(r"\d+", part[i:])
            count = len(rest.group()) if rest else 0
            if count and count % 3 == 0:
                out.append(part[begin:i])
                begin = i
        out.append(part[begin:])
    return out


THREE = "[0-9]{3}"
RULES = {
    ("default",): [r"[\p{P}$+<=>^~|]+", GPT2, r"\p{N}+", THREE],
    ("falcon",): [r"[\p{P}$+<=>^~|`]+", GPT2, THREE],
    ("gpt-2", "phi-2", "olmo", "mpt", "jais", "trillion", "granite-docling", "exaone4", "gigachat", "a.x-4.0", "mellum", "modern-bert",
     "roberta-bpe", "jina-v1-en", "jina-v2-code", "jina-v2-es", "jina-v2-de", "jina-es", "jina-de"): [GPT2],
    ("smollm", "starcoder", "refact", "command-r", "codeshell", "exaone", "minerva-7b", "mellum2"): [DIGITS, GPT2],
    ("llama-bpe", "llama3", "llama-v3", "falcon3", "falcon-h1", "pixtral", "midm-2.0", "lfm2", "jina-v5-nano", "dbrx", "smaug-bpe", "chatglm-bpe",
     "glm4", "glm5"): [LLAMA3],
    ("jais-2",): [alternatives(CONTRACTIONS, WORD, r"\p{N}{1,3}", SIGNS, LINE_ENDS, *(rf"\s{{{n}}}(?!\S)" for n in (512, 256, 128, 64, 32, 16, 8, 4)), r"\s{1,2}(?!\S)", r"\s")],
    ("minicpm5",): [r"\p{N}{1,3}", alternatives(CONTRACTIONS, WORD, r"\p{N}+", SIGNS, LINE_ENDS, SPACES)],
    ("qwen2", "deepseek-r1-qwen", "stablelm2", "hunyuan", "megrez", "kormo", "f2llmv2", "grok-2", "solar-open"): [pre_tokenizers.Split(Regex(QWEN2), "isolated")],
    ("qwen35",): [pre_tokenizers.Split(Regex(QWEN35), "isolated")],
    ("ufakzeka",): [alternatives(WORD, r"\p{N}", SIGNS, LINE_ENDS, SPACES)],
    ("seed-coder",): [alternatives(CONTRACTIONS, WORD, r"\p{N}", r" ?[^\s\p{L}\p{N}]+", LINE_ENDS, SPACES)],
    ("laguna",): [r"\n+", QWEN2],
    ("bailingmoe", "bailingmoe2", "llada-moe"): [alternatives(r"'(?i:[sdmt]|ll|ve|re)", r"[^\r\n\p{L}\p{N}]?+\p{L}+", r"\p{N}", r" ?[^\s\p{L}\p{N}]++[\r\n]*", r"\s*[\r\n]", SPACES)],
    ("exaone-moe",): [alternatives(CONTRACTIONS, r"[^\r\n\p{L}\p{N}]?(?:\p{L}\p{M}*(?: \p{L}\p{M}*)*)+", r"\p{N}", r" ?[^\s\p{L}\p{N}]+[\r\n/]?", r"\s*[\r\n]", SPACES)],
    ("tekken",): [cased(contractions=False, digits=r"\p{N}")],
    ("gpt-4o", "llama4", "kanana2", "talkie", "minimax-m2", "granite-embed-multi-97m"): [cased()],
    ("tiny_aya", "cohere2moe"): [pre_tokenizers.Split(Regex(r"\d{1,3}(?=(?:\d{3})*\b)"), "isolated"), cased()],
    ("kimi-k2",): [cased(han=True, slash="")],
    ("youtu",): ["[가-힣ㄱ-ㆎ]+|[！…“”‘’—：；，、-〿︰-﹏]+|[ㄅ-ㄯ]+|[一-龥぀-ゟ゠-ヿ]+", cased(digits=r"\p{N}")],
    ("deepseek-llm",): [r"[\r\n]", r"\s?" + LETTERS + "+", r"\s?[!-/:-~！-／：-～‘-‟　-。]+", r"\s+$", HAN, r"\p{N}+"],
    ("deepseek-coder",): [r"[\r\n]", r"\s?\p{L}+", r"\s?\p{P}+", HAN, DIGITS],
    ("deepseek-v3", "hunyuan-dense", "joyai-llm", "hy_v4"): [r"\p{N}{1,3}", KANA, DEEPSEEK3],
    ("spark2_5",): [r"\p{N}{1,3}", KANA, SPARK, DIGITS],
    ("afmoe",): [grouped, "[一-鿿㐀-䶿豈-﫿぀-ゟ゠-ヿ･-ﾟ⼀-⿟เ-๿຀-໿ក-៿က-႟ꩠ-ꩿꧠ-꧿가-힯ᄀ-ᇿ]+", DEEPSEEK3],
    ("superbpe",): [ascii_grouped],
    ("bloom", "gpt3-finnish", "poro-chat"): [BLOOM],
    ("viking",): [BLOOM, DIGITS],
    ("chameleon",): ["<sentinel:[0-9]+>", "IMGIMG[A-I]{1,4}Z", r"[\t\n]|    |  ", DIGITS, pre_tokenizers.Punctuation("isolated"), GPT2],
    ("gemma4", "granite-embed-multi-311m", "sarvam-moe"): [r"\n+"],
    ("whitespace",): [r"\S+"],
}


def main():
    rng = random.Random(11)
    texts = WHOLE + PIECES
    texts += ["".join(rng.choice(PIECES) + rng.choice(["", " ", ""]) for _ in range(rng.randint(3, 12))) for _ in range(90)]
    rules = {}
    for names, steps in RULES.items():
        lengths = [[len(word) for word in cut(text, steps)] for text in texts]
        for text, row in zip(texts, lengths):
            assert sum(row) == len(text), (names, text, row)
        rules.update((name, lengths) for name in names)
    path = pathlib.Path(sys.argv[1]) / "pre_tokenizers.json"
    same = {}
    for name, rows in rules.items():
        same.setdefault(json.dumps(rows, separators=(",", ":")), []).append(name)
    data = {"texts": texts, "rules": [{"names": names, "lengths": json.loads(rows)} for rows, names in same.items()]}
    path.write_text(json.dumps(data, separators=(",", ":")) + "\n")
    print(f"{path}: {len(rules)} names, {len(same)} rules, {len(texts)} texts")


main()
