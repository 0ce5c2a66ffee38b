//! How a GGUF vocabulary splits text into words before merging, by the name in `tokenizer.ggml.pre`.
//!
//! Names and default flags are llama.cpp's (`src/llama-vocab.cpp`); the patterns are those of the models' own
//! `tokenizer.json` files.

/// One step of splitting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// Each digit separately.
    EachDigit,
    /// Each match of the pattern is a separate word.
    Pattern(&'static str),
    /// GPT-2's own pattern.
    Gpt2,
}

/// How a vocabulary writes its tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Writing {
    /// Bytes in GPT-2's alphabet.
    Bytes,
    /// Literal characters, `▁` for a space, and tokens such as `<0x0A>` for the bytes of characters without a token.
    Marked,
    /// Literal characters.
    Plain,
}

/// A way of splitting.
#[derive(Debug)]
pub(super) struct Splitting {
    pub(super) names: &'static [&'static str],
    pub(super) steps: &'static [Step],
    pub(super) writing: Writing,
    /// A word that is itself a token is used as a whole, even if merges would not produce it.
    pub(super) ignore_merges: bool,
    /// The default for files that do not say whether to add the beginning-of-sequence token.
    pub(super) adds_bos: bool,
}

/// The most common case: bytes, and merges are followed.
const USUAL: Splitting =
    Splitting { names: &[], steps: &[], writing: Writing::Bytes, ignore_merges: false, adds_bos: false };

const LLAMA3: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const QWEN2: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const QWEN35: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const GPT4O: &str = r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const TEKKEN: &str = r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const DEEPSEEK3: &str = r##"[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"##;
pub(super) const GPT2: &str = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+";
const JAIS2: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s{512}(?!\S)|\s{256}(?!\S)|\s{128}(?!\S)|\s{64}(?!\S)|\s{32}(?!\S)|\s{16}(?!\S)|\s{8}(?!\S)|\s{4}(?!\S)|\s{1,2}(?!\S)|\s{1}";
const MINICPM5: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}+| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const SPARK: &str = r##"[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+|[\r\n]|\s+(?!\S)|\s+"##;
const YOUTU_SCRIPTS: &str = "[가-힣ㄱ-ㆎ]+|[！…“”‘’—：；，、-〿︰-﹏]+|[ㄅ-ㄯ]+|[一-龥぀-ゟ゠-ヿ]+";
const YOUTU: &str = r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const DEEPSEEK_LETTERS: &str = "\\s?[A-Za-zµÀ-ÖØ-öø-ƺƼ-ƿǄ-ʓʕ-ʯͰ-ͳͶͷͻ-ͽͿΆΈ-ΊΌΎ-ΡΣ-ϵϷ-ҁҊ-ԯԱ-ՖႠ-ჅᎠ-Ᏽᏸ-ᏽᲐ-ᲺᲽ-Ჿᴀ-ᴫᵫ-ᵷᵹ-ᶚḀ-ἕἘ-Ἕἠ-ὅὈ-Ὅὐ-ὗὙὛὝὟ-ώᾀ-ᾴᾶ-ᾼιῂ-ῄῆ-ῌῐ-ΐῖ-Ίῠ-Ῥῲ-ῴῶ-ῼℂℇℊ-ℓℕℙ-ℝℤΩℨK-ℭℯ-ℴℹℼ-ℿⅅ-ⅉⅎↃↄⰀ-ⱻⱾ-ⳤⳫ-ⳮⳲⳳꙀ-ꙭꚀ-ꚛꜢ-ꝯꝱ-ꞇꞋ-ꞎꭰ-ꮿﬀ-ﬆﬓ-ﬗＡ-Ｚａ-ｚ𐐀-𐑏𐒰-𐓓𐓘-𐓻𐲀-𐲲𐳀-𐳲𑢠-𑣟𞤀-𞥃]+";
const DEEPSEEK_SIGNS: &str = "\\s?[!-/:-~！-／：-～‘-‟　-。]+";
const DEEPSEEK_ASIAN: &str = "[一-龥ࠀ-一가-퟿]+";
const AFMOE_ASIAN: &str = "[一-鿿㐀-䶿豈-﫿぀-ゟ゠-ヿ･-ﾟ⼀-⿟เ-๿຀-໿ក-៿က-႟ꩠ-ꩿꧠ-꧿가-힯ᄀ-ᇿ]+";
const BLOOM: &str = r" ?[^(\s|.,!?…。，、।۔،)]+";
const FALCON_SIGNS: &str = r"[\p{P}\$\+<=>\^~\|`]+";
const DEFAULT_SIGNS: &str = r"[\p{P}\$\+<=>\^~\|]+";
const THREE_DIGITS: &str = "[0-9][0-9][0-9]";
/// Positions in a number that a whole number of three-digit groups follows.
const GROUPS_OF_THREE: &str = r"(?=(\d{3})+(?!\d))";
const GROUPS_OF_THREE_NUMBERS: &str = r"(?=(\p{N}{3})+(?!\p{N}))";
const TINY_AYA_DIGITS: &str = r"\d{1,3}(?=(?:\d{3})*\b)";
const BAILING: &str = r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+";
const SEED_CODER: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1}| ?[^\s\p{L}\p{N}\r\n]+|\s*[\r\n]+|\s+(?!\S)|\s+";
const UFAKZEKA: &str = r"[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const EXAONE_MOE: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?(?:\p{L}\p{M}*(?: \p{L}\p{M}*)*)+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]?|\s*[\r\n]|\s+(?!\S)|\s+";
const KIMI_K2: &str = r"\p{Han}+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]*[\p{Ll}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]+[\p{Ll}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
/// Lines, and the line ends between them.
const LINES: &str = r"[^\n]+|[\n]+";

const SPLITTINGS: &[Splitting] = &[
    Splitting {
        names: &["default"],
        steps: &[
            Step::Pattern(DEFAULT_SIGNS),
            Step::Gpt2,
            Step::Pattern(r"\p{N}+"),
            Step::Pattern(THREE_DIGITS),
        ],
        ..USUAL
    },
    Splitting {
        names: &[
            "gpt-2",
            "phi-2",
            "olmo",
            "mpt",
            "jais",
            "trillion",
            "granite-docling",
            "exaone4",
            "gigachat",
            "a.x-4.0",
            "mellum",
            "modern-bert",
            "roberta-bpe",
            "jina-v1-en",
            "jina-v2-code",
            "jina-v2-es",
            "jina-v2-de",
            "jina-es",
            "jina-de",
        ],
        steps: &[Step::Gpt2],
        ..USUAL
    },
    Splitting {
        names: &[
            "smollm",
            "starcoder",
            "refact",
            "command-r",
            "codeshell",
            "exaone",
            "minerva-7b",
            "mellum2",
        ],
        steps: &[Step::EachDigit, Step::Gpt2],
        ..USUAL
    },
    Splitting {
        names: &[
            "llama-bpe",
            "llama3",
            "llama-v3",
            "falcon3",
            "falcon-h1",
            "pixtral",
            "midm-2.0",
            "lfm2",
            "jina-v5-nano",
        ],
        steps: &[Step::Pattern(LLAMA3)],
        ignore_merges: true,
        adds_bos: true,
        ..USUAL
    },
    Splitting { names: &["dbrx", "smaug-bpe", "chatglm-bpe"], steps: &[Step::Pattern(LLAMA3)], ..USUAL },
    Splitting { names: &["glm4", "glm5"], steps: &[Step::Pattern(LLAMA3)], ignore_merges: true, ..USUAL },
    Splitting { names: &["jais-2"], steps: &[Step::Pattern(JAIS2)], ..USUAL },
    Splitting {
        names: &["minicpm5"],
        steps: &[Step::Pattern(r"\p{N}{1,3}"), Step::Pattern(MINICPM5)],
        ignore_merges: true,
        ..USUAL
    },
    Splitting {
        names: &[
            "qwen2",
            "deepseek-r1-qwen",
            "stablelm2",
            "hunyuan",
            "megrez",
            "kormo",
            "f2llmv2",
            "grok-2",
            "solar-open",
        ],
        steps: &[Step::Pattern(QWEN2)],
        ..USUAL
    },
    Splitting { names: &["qwen35"], steps: &[Step::Pattern(QWEN35)], ..USUAL },
    Splitting { names: &["ufakzeka"], steps: &[Step::Pattern(UFAKZEKA)], ..USUAL },
    Splitting { names: &["seed-coder"], steps: &[Step::Pattern(SEED_CODER)], ..USUAL },
    Splitting { names: &["laguna"], steps: &[Step::Pattern(LINES), Step::Pattern(QWEN2)], ..USUAL },
    Splitting {
        names: &["bailingmoe", "bailingmoe2", "llada-moe"],
        steps: &[Step::Pattern(BAILING)],
        ..USUAL
    },
    Splitting { names: &["exaone-moe"], steps: &[Step::Pattern(EXAONE_MOE)], ..USUAL },
    Splitting {
        names: &["tekken"],
        steps: &[Step::Pattern(TEKKEN)],
        ignore_merges: true,
        adds_bos: true,
        ..USUAL
    },
    Splitting {
        names: &["gpt-4o", "llama4", "kanana2", "talkie", "minimax-m2"],
        steps: &[Step::Pattern(GPT4O)],
        ..USUAL
    },
    Splitting {
        names: &["granite-embed-multi-97m"],
        steps: &[Step::Pattern(GPT4O)],
        ignore_merges: true,
        ..USUAL
    },
    Splitting {
        names: &["tiny_aya", "cohere2moe"],
        steps: &[Step::Pattern(TINY_AYA_DIGITS), Step::Pattern(GPT4O)],
        ..USUAL
    },
    Splitting { names: &["kimi-k2"], steps: &[Step::Pattern(KIMI_K2)], ..USUAL },
    Splitting {
        names: &["youtu"],
        steps: &[Step::Pattern(YOUTU_SCRIPTS), Step::Pattern(YOUTU)],
        ignore_merges: true,
        ..USUAL
    },
    Splitting {
        names: &["deepseek-llm"],
        steps: &[
            Step::Pattern(r"[\r\n]"),
            Step::Pattern(DEEPSEEK_LETTERS),
            Step::Pattern(DEEPSEEK_SIGNS),
            Step::Pattern(r"\s+$"),
            Step::Pattern(DEEPSEEK_ASIAN),
            Step::Pattern(r"\p{N}+"),
        ],
        ..USUAL
    },
    Splitting {
        names: &["deepseek-coder"],
        steps: &[
            Step::Pattern(r"[\r\n]"),
            Step::Pattern(r"\s?\p{L}+"),
            Step::Pattern(r"\s?\p{P}+"),
            Step::Pattern(DEEPSEEK_ASIAN),
            Step::EachDigit,
        ],
        ..USUAL
    },
    Splitting {
        names: &["deepseek-v3", "hunyuan-dense", "joyai-llm", "hy_v4"],
        steps: &[Step::Pattern(r"\p{N}{1,3}"), Step::Pattern("[一-龥぀-ゟ゠-ヿ]+"), Step::Pattern(DEEPSEEK3)],
        ..USUAL
    },
    Splitting {
        names: &["spark2_5"],
        steps: &[
            Step::Pattern(r"\p{N}{1,3}"),
            Step::Pattern("[一-龥぀-ゟ゠-ヿ]+"),
            Step::Pattern(SPARK),
            Step::EachDigit,
        ],
        ..USUAL
    },
    Splitting {
        names: &["afmoe"],
        steps: &[
            Step::Pattern(r"\p{N}+"),
            Step::Pattern(GROUPS_OF_THREE_NUMBERS),
            Step::Pattern(AFMOE_ASIAN),
            Step::Pattern(DEEPSEEK3),
        ],
        ..USUAL
    },
    Splitting {
        names: &["superbpe"],
        steps: &[Step::Pattern(r"\p{N}+"), Step::Pattern(GROUPS_OF_THREE)],
        ..USUAL
    },
    Splitting {
        names: &["falcon"],
        steps: &[Step::Pattern(FALCON_SIGNS), Step::Gpt2, Step::Pattern(THREE_DIGITS)],
        ..USUAL
    },
    Splitting { names: &["bloom", "gpt3-finnish", "poro-chat"], steps: &[Step::Pattern(BLOOM)], ..USUAL },
    Splitting { names: &["viking"], steps: &[Step::Pattern(BLOOM), Step::EachDigit], ..USUAL },
    Splitting {
        names: &["chameleon"],
        steps: &[
            Step::Pattern("<sentinel:[0-9]+>"),
            Step::Pattern("(IMGIMG)((A|B|C|D|E|F|G|H|I){1,4})Z"),
            Step::Pattern(r"([\t\n]|    |  )"),
            Step::EachDigit,
            Step::Pattern(r"[\p{P}!-/:-@\[-`{-~]"),
            Step::Gpt2,
        ],
        adds_bos: true,
        ..USUAL
    },
    Splitting {
        names: &["gemma4", "granite-embed-multi-311m"],
        steps: &[Step::Pattern(LINES)],
        writing: Writing::Marked,
        adds_bos: true,
        ..USUAL
    },
    Splitting { names: &["sarvam-moe"], steps: &[Step::Pattern(LINES)], writing: Writing::Marked, ..USUAL },
    Splitting { names: &["whitespace"], steps: &[Step::Pattern(r"\S+")], writing: Writing::Plain, ..USUAL },
];

/// The way of splitting with this name.
pub(super) fn for_name(name: &str) -> Option<&'static Splitting> {
    SPLITTINGS.iter().find(|s| s.names.contains(&name))
}

/// All names, for error messages.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    SPLITTINGS.iter().flat_map(|s| s.names.iter().copied())
}

/// Whether a file with this pre-tokenizer adds the beginning-of-sequence token unless it says otherwise.
pub(super) fn adds_bos(name: &str) -> bool {
    for_name(name).is_some_and(|s| s.adds_bos)
}

/// Whether the beginning-of-sequence token is added even if the file says no, as in llama.cpp.
pub(super) fn needs_bos(name: &str) -> bool {
    for_name(name).is_some_and(|s| s.adds_bos && s.writing == Writing::Marked)
}
