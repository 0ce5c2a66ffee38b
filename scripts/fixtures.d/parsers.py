#!/usr/bin/env python3
"""Writes runtime/parsers/tests/fixtures/{tools,reasoning}.json: how the reference's own parsers read whole texts.

usage: parsers.py OUT_DIR REFERENCE      (REFERENCE: the folder of the unpacked sglang 0.5.23 package)

Needs partial_json_parser, orjson, pydantic, msgspec and regex. The rest of the server is not imported: the script replaces modules
of the reference that the parsers only mention by empty ones.
"""
import importlib.abc
import importlib.machinery
import json
import logging
import pathlib
import sys
import types

out, reference = pathlib.Path(sys.argv[1]), sys.argv[2]
logging.disable(logging.CRITICAL)


class Any(type):
    def __getattr__(cls, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return Anything


class Anything(metaclass=Any):
    """Replaces every class that is imported but never used."""

    def __init__(self, *args, **kwargs):
        self.__dict__.update(kwargs)

    def __class_getitem__(cls, _):
        return cls

    @classmethod
    def get(cls):
        return False


class Empty(types.ModuleType):
    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return Anything


class Stubs(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    REAL = ("sglang.srt.function_call", "sglang.srt.parser")

    def find_spec(self, name, path=None, target=None):
        top = name.split(".")[0]
        if top in ("transformers", "xgrammar", "torch", "jinja2", "openai"):
            return importlib.machinery.ModuleSpec(name, self, is_package=True)
        if top == "sglang" and not name.startswith(self.REAL):
            return importlib.machinery.ModuleSpec(name, self, is_package=True)
        return None

    def create_module(self, spec):
        module = Empty(spec.name)
        module.__path__ = [str(pathlib.Path(reference, *spec.name.split(".")))]
        return module

    def exec_module(self, module):
        pass


sys.meta_path.insert(0, Stubs())
sys.path.insert(0, reference)


class NameSpace(types.SimpleNamespace):
    pass


def tool(name, properties):
    function = NameSpace(name=name, parameters={"type": "object", "properties": properties}, strict=None)
    return NameSpace(type="function", function=function)


TOOLS = [
    tool(
        "get_weather",
        {
            "city": {"type": "string"},
            "days": {"type": "integer"},
            "ratio": {"type": "number"},
            "metric": {"type": "boolean"},
            "where": {"type": "object"},
            "tags": {"type": "array", "items": {"type": "string"}},
        },
    ),
    tool("search", {"query": {"type": "string"}, "limit": {"anyOf": [{"type": "integer"}, {"type": "null"}]}}),
]

W = '{"name":"get_weather","arguments":{"city":"Paris","days":3}}'
S = '{"name": "search", "arguments": {"query": "caf\\u00e9 \\"x\\"\\n\\ud83d\\ude00", "limit": null}}'
N = '{"name": "nope", "arguments": {"a": 1}}'
P = '{"name": "search", "parameters": {"query": "<b>[1, {2}]</b>"}}'
ODD = '{"name":"get_weather","arguments":{"ratio":1.50,"days":-0,"where":{"a":[1,2,{"b":[]}],"c":{}},"x":1E5,"y":1e-7,"tags":[]}}'
PLAIN = ["Hello, world.", "  two\n\nlines  ", "1 < 2 and [x] {y} <z>", ""]


def tagged(o, c):
    yield from (f"{o}{x}{c}" for x in (W, S, P, ODD, N))
    yield f"I will look.\n{o}{W}{c}\n{o}{S}{c}"
    yield f"Let me see {o}{N}{c}\n{o}{P}{c}\n"
    yield f"{o}{S}{c} trailing words"
    yield f"{o}[{W},{P}]{c}"
    yield f'{o}{{"name":"search"}}{c}'
    yield f'{o}{{"name":"search","arguments":"text"}}{c}'
    yield f"text only <tool"


B, E = "<｜tool▁calls▁begin｜>", "<｜tool▁calls▁end｜>"
b, sep, e = "<｜tool▁call▁begin｜>", "<｜tool▁sep｜>", "<｜tool▁call▁end｜>"
ARGS = ['{"city":"Paris","days":3}', '{"query": "a\\tb \\u00e9", "limit": [1, 2.50]}', "{}", '{\n  "query": "x"\n}']


def deepseek(call):
    for args in ARGS:
        yield f"{B}{call('search', args)}{E}"
    yield f"Looking.\n\n{B}{call('get_weather', ARGS[0])}\n{call('search', ARGS[1])}{E}"
    yield f"{B}{call('nope', '{}')}{call('search', ARGS[3])}{E}<｜end▁of▁sentence｜>"


def v3(name, args):
    return f"{b}function{sep}{name}\n```json\n{args}\n```{e}"


def v31(name, args):
    return f"{b}{name}{sep}{args}{e}"


def xml(name, **args):
    body = "".join(f"<parameter={k}>\n{v}\n</parameter>\n" for k, v in args.items())
    return f"<tool_call>\n<function={name}>\n{body}</function>\n</tool_call>"


def glm(name, nl="\n", **args):
    body = "".join(f"<arg_key>{k}</arg_key>{nl}<arg_value>{v}</arg_value>{nl}" for k, v in args.items())
    return f"<tool_call>{name}{nl}{body}</tool_call>"


def kimi(*calls):
    body = "".join(
        f"<|tool_call_begin|>{i}<|tool_call_argument_begin|>{a}<|tool_call_end|>" for i, a in calls
    )
    return f"<|tool_calls_section_begin|>{body}<|tool_calls_section_end|>"


def regions(region, end, call, name_end, call_end, key, value, value_end, around=("", "")):
    """Formats with calls in attributes or tags: writes calls, and the texts to try with every such format."""

    def one(name, **args):
        body = "".join(f"{key}{k}{value}{v}{value_end}\n" for k, v in args.items())
        return f"{around[0]}{call}{name}{name_end}\n{body}{call_end}{around[1]}"

    def section(*calls):
        return region + "\n" + "\n".join(calls) + "\n" + end

    return [
        section(one("get_weather", **VALUES)),
        section(one("search", query="a < b & c")),
        section(one("search", query="x"), one("get_weather", days="4", ratio="1.50")),
        "Let me look." + section(one("search", query="caf\u00e9 \U0001f600", limit="5")),
        section(one("nope", a="1"), one("search", query="y")),
        section(one("get_weather", where="{'a': True}", days="three")),
        section(one("get_weather", metric="no", tags="[1,")),
        section(one("search", other="[1, 2]", limit="null")),
    ]


def pairs(call, end, nl="", gap=None):
    def one(name, **args):
        body = "".join(f"<arg_key>{k}</arg_key>{nl if gap is None else gap}<arg_value>{v}</arg_value>{nl}" for k, v in args.items())
        return f"{call}{name}{nl}{body}{end}"

    return [
        one("get_weather", **VALUES),
        one("search"),
        one("search", query="a < b & c"),
        "Let me look." + one("search", query="x") + one("get_weather", days="4", ratio="1.50"),
        one("nope", a="1") + one("search", query="y"),
        one("get_weather", where='{"a": [1]}', days="3"),
        one("search", other="plain text", limit="5"),
    ]


def dsml(region, invoke="invoke", parameter="parameter", mark="DSML"):
    def one(name, *args):
        body = "".join(
            f'<｜{mark}｜{parameter} name="{k}" string="{s}">{v}</｜{mark}｜{parameter}>\n' for k, s, v in args
        )
        return f'<｜{mark}｜{invoke} name="{name}">\n{body}</｜{mark}｜{invoke}>'

    def section(*calls):
        return f"<｜{mark}｜{region}>\n" + "\n".join(calls) + f"\n</｜{mark}｜{region}>"

    city, days = ("city", "true", "Paris"), ("days", "false", "3")
    texts = [
        section(one("get_weather", city, days)),
        section(one("search", ("query", "true", 'a < b "c"')), one("get_weather", ("where", "false", '{"a":[1,2]}'))),
        "Looking.\n\n" + section(one("search", ("query", "true", "5"), ("limit", "false", "null"))),
        section(one("nope", city), one("search", ("query", "true", "x"))),
        section(one("get_weather", ("days", "false", "three"))),
        section(one("search")),
    ]
    if mark == "DSML":
        texts.append(section(f'<｜{mark}｜{invoke} name="search">\n{{"query": "x", "limit": 1}}\n</｜{mark}｜{invoke}>'))
        texts.append(one("search", ("query", "true", "bare")))
        texts.append(section(f'<｜{mark}｜{invoke} name="search"/>'))
    return texts


VALUES = dict(city="Paris\n  multi line", days="3", ratio="2.0", metric="true", where='{"a":[1, "b"]}', tags="['x', 'y']")

START = "<|start|>assistant<|channel|>commentary to=functions."
CASES = {
    "qwen25": PLAIN + list(tagged("<tool_call>\n", "\n</tool_call>")) + [f"<tool_call>\nbad json\n</tool_call>\n<tool_call>\n{W}\n</tool_call>"],
    "hermes": PLAIN + list(tagged("<tool_call>", "</tool_call>")) + [f"<tool_call>{W}"],
    "llama3": [p for p in PLAIN if p]
    + [f"<|python_tag|>{x}" for x in (W, S, P, ODD, N)]
    + [W, P, f"{W};{P}", f"<|python_tag|>{W};{S}", f"Calling <|python_tag|>{P}", "<|python_tag|>import os",
       "<|python_tag|>{'name': 'search', 'parameters': {'query': \"it's\", 'limit': None}}"],
    "mistral": PLAIN
    + [f"[TOOL_CALLS] [{x}]" for x in (W, S, P, ODD, N, f"{W}, {S}", f"{N},{P}")]
    + [f"Sure thing. [TOOL_CALLS] [{W}]", f"Sure.\n[TOOL_CALLS] [{W}] and more ", f"[TOOL_CALLS] [{P}]"]
    + ['[TOOL_CALLS]search[ARGS]{"query":"x"}', 'Ok [TOOL_CALLS]search[ARGS]{"query": "[ARGS]"} tail',
       '[TOOL_CALLS]search[ARGS]{"query":"x"}[TOOL_CALLS]get_weather[ARGS]{}', '[TOOL_CALLSsearch[ARGS{"query":"x"}'],
    "pythonic": PLAIN
    + ["[search(query='x')]", 'Sure! [get_weather(city="Paris", days=3), search(query="a, b) [c]")] done ',
       "[get_weather(where={'a': [1, 2.5, None, True]}, tags=['x'])]", "[nope(a=1), search(query='x')]", "[search()]",
       "<|python_start|>[search(query='caf\\u00e9')]<|python_end|>", "see [1] and [link](x)"],
    "deepseekv3": PLAIN + list(deepseek(v3)),
    "deepseekv31": PLAIN + list(deepseek(v31)),
    "qwen3_coder": PLAIN
    + [xml("get_weather", **VALUES), xml("search", query="<b>1 < 2</b>\n", limit="null"), xml("search"), xml("nope", a="1"),
       "Let me look. \n" + xml("search", query="x") + "\n" + xml("get_weather", days="x", metric="no"),
       "<tool_call>\n<function=search>\n<parameter=query>\na<parameter=limit>\n5\n</function>\n</tool_call>",
       "<tool_call><function=search><parameter=other>1</parameter></tool_call>"],
    "glm45": PLAIN
    + [glm("get_weather", **VALUES), glm("get_weather", nl="\\n", city="Paris", days="3"), glm("search"), glm("nope", a="1"),
       "Let me look.\n" + glm("search", query="a b", limit="5") + "\n" + glm("get_weather", ratio="1.50", where="{'a': True}"),
       glm("search", query="{\"a\":1}"), glm("search", other="[1,2]", more="plain text"), glm("search", query="\"quoted\"")],
    "kimi_k2": PLAIN
    + [kimi(("functions.search:0", '{"query":"x"}')), kimi(("functions.get_weather:3", ' {"city": "P"} '), ("search:4", '{"query": "{}"}')),
       "Text before " + kimi(("functions.search:0", "{}")) + " after", kimi(("0", '{"city": "P", "days": 1}')), kimi(("7", '{"query": "P"}')),
       kimi(("functions.my.tool-x:0", "{}")), kimi(("bad id", "{}"), ("functions.search:1", '{"query":"y"}'))],
    "gpt-oss": ["Hello, world."]
    + [f'{START}search <|constrain|>json<|message|>{{"query":"x"}}<|call|>',
       f'<|channel|>analysis<|message|>hm<|end|>{START}get_weather<|constrain|>json<|message|>{{"city":"P","days":1.0}}<|call|>',
       f'<|channel|>commentary<|message|>I will look.<|end|>{START}search <|constrain|>json<|message|>{{}}<|call|>commentary{START}get_weather <|constrain|>json<|message|>{{"days":1}}<|call|>',
       f"{START}nope <|constrain|>json<|message|>{{}}<|call|>"],
}

O, C = "<|action_start|> <|plugin|>\n", "<|action_end|>"
CASES |= {
    "interns1": PLAIN + [f"{O}{x}{C}" for x in (W, S, P, ODD, N)] + [f"Sure. {O}{W}{C}{O}{P}{C}"],
    "cohere_command4": PLAIN + [
        f'{before}<|START_ACTION|>[\n    {{"tool_call_id": "0", "tool_name": "search", "parameters": {{"query": "x"}}}}{more}\n]<|END_ACTION|>'
        for before in ("", "I will look. ")
        for more in ("", ',\n    {"tool_call_id": "1", "tool_name": "get_weather", "parameters": {"days":1.50}}',
                     ', {"tool_call_id": "1", "tool_name": "nope", "parameters": {}}')],
    "trinity": PLAIN + [f"<tool_call>\n{W}\n</tool_call>", f"<think>hm <tool_call>\n{W}\n</tool_call></think>", f"<think>so</think> Yes.\n<tool_call>\n{P}\n</tool_call>"],
    "gigachat3": PLAIN + [
        f"{before}{opening}{call}{end}" for before in ("", "Words.<|message_sep|>\n\n")
        for opening in ("<|function_call|>",) for call in (W, S, ODD) for end in ("", "</s>")],
    "lfm2": PLAIN + [
        '<|tool_call_start|>[search(query="x")]<|tool_call_end|>',
        "Sure. <|tool_call_start|>[get_weather(city='Paris', days=3), search(query='a, b')]<|tool_call_end|>",
        f"<|tool_call_start|>[{W}]<|tool_call_end|>", f"<|tool_call_start|>[{W},{P}]<|tool_call_end|> done",
        "<|tool_call_start|>[nope(a=1), search(query='y')]<|tool_call_end|>",
        "<|tool_call_start|>[get_weather(where={'a': [1, None]}, metric=True)]<|tool_call_end|>"],
    "minimax-m2": PLAIN + regions("<minimax:tool_call>", "</minimax:tool_call>", '<invoke name="', '">', "</invoke>", '<parameter name="', '">', "</parameter>"),
    "dots": PLAIN + regions("<dots_function_call>", "</dots_function_call>", '<invoke name="', '">', "</invoke>", '<parameter name="', '">', "</parameter>")
    + [f"<dots_function_call>\n{W}\n</dots_function_call>"],
    "step3": PLAIN + regions("<｜tool_calls_begin｜>", "<｜tool_calls_end｜>", '<steptml:invoke name="', '">', "</steptml:invoke>", '<steptml:parameter name="', '">',
                             "</steptml:parameter>", ("<｜tool_call_begin｜>function<｜tool_sep｜>", "<｜tool_call_end｜>")),
    "mimo": PLAIN + [
        "<tool_call>\n<function=search>\n<parameter=query>a &lt; b &amp; c</parameter>\n</function>\n</tool_call>",
        "Let me look.\n<tool_call>\n<function=get_weather>\n" + "".join(f"<parameter={k}>{v}</parameter>\n" for k, v in VALUES.items()) + "</function>\n</tool_call>",
        "<tool_call>\n<function=search>\n</function>\n</tool_call>\n<tool_call>\n<function=get_weather>\n<parameter=days>x</parameter>\n</function>\n</tool_call>"],
    "deepseekv32": PLAIN + dsml("function_calls"), "deepseekv4": PLAIN + dsml("tool_calls"),
    "deepseekv41": PLAIN + dsml(" calls", " invoke", " parameter"), "gigachat35": PLAIN[:1] + dsml("tool_calls", mark="GCML"),
    "hunyuan": PLAIN + [
        f"{before}<tool_calls>\n" + "\n".join(calls) + "\n</tool_calls>" for before in ("", "Let me look.\n")
        for calls in (
            ["<tool_call>get_weather<tool_sep>\n" + "".join(f"<arg_key>{k}</arg_key>\n<arg_value>{v}</arg_value>\n" for k, v in VALUES.items()) + "</tool_call>"],
            ["<tool_call>search<tool_sep>\n</tool_call>", "<tool_call>search<tool_sep><arg_key>limit</arg_key><arg_value>5</arg_value></tool_call>"],
            ["<tool_call>nope<tool_sep></tool_call>", "<tool_call>search<arg_key>query</arg_key><arg_value>5</arg_value></tool_call>"])],
    "glm47": PLAIN + pairs("<tool_call>", "</tool_call>"), "ling3": PLAIN + pairs("<tool_call>", "</tool_call>", "\n"),
    "spark25": PLAIN + pairs("<tool_call>", "</tool_call>", "\n", ""), "poolside_v1": PLAIN + pairs("<tool_call>", "</tool_call>", "\n"),
    "iquest_q1": PLAIN + pairs("<iquest_tool_call>", "</iquest_tool_call>"),
    "minicpm5": PLAIN[:1] + [
        '<function name="search"><param name="query">a b</param><param name="limit">5</param></function>',
        '<function name="get_weather"><param name="city"><![CDATA[a < b\nc]]></param></function>',
        'Look.<function name="get_weather"><param name="where">{"a": 1}</param><param name="tags">[\'x\']</param></function>',
        '<function name="search"></function>'],
}

# This project reads these differently from the reference; tests/goldens.rs gives the reasons.
DIFFERENT = {
    "qwen25": [f"<tool_call>\n{W}", f"  padded <tool_call>\n{W}\n</tool_call>"],
    "hermes": [f"<tool_call>{W}</tool_call><tool_call>bad</tool_call>"],
    "llama3": ['{"answer": 42}', f"<|python_tag|>{W}Thanks"],
    "mistral": [f"[TOOL_CALLS] [{W}, bad]"],
    "pythonic": ["[get_weather(days=-1)]", "[search()] and [search()]"],
    "deepseekv3": [f"{B}{v3('search', '{}')}{v3('search', 'bad')}{E}"],
    "qwen3_coder": ["<tool_call>\n<function=search>\n<parameter=query>\ncut o"],
    "glm45": [glm("search", query="true"), "<tool_call>search</tool_call>"],
    "kimi_k2": [kimi(("functions.search:0", "{bad}"))],
    "gpt-oss": ['<|channel|>commentary to=functions.search <|constrain|>json<|message|>{"query":"x"}<|call|>'],
}

REASONING = {
    "tags": [
        "plain", "", "<think>a</think>b", "<think>\na\n</think>\n\nb", "a</think>b", "<think>never closed",
        "<think><think>twice</think>b", "<think>a</think>b<think>c</think>d", "a</think>b</think>c", "<think></think>b",
        "<think>a<tool_call>\n{}\n</tool_call>", "<think>mentions <tool_call> here</think>b", "<think>a</thi", "<thi",
    ],
    "own": {
        "hunyuan": ["<think>a<tool_calls><tool_call>", "<think>a<tool_call>b"],
        "granite_thinking_parser": ["<think>\na\n</think>\n\nb\n", "<think></think>\nb"],
        "deepseek-r1": ["<think>a<tool_call>b"],
    },
    "kimi_k2": ["plain", "<think>a</think>b", "<think>a<|tool_calls_section_begin|>b", "<think>a<tool_call>b"],
    "mistral": ["plain", "[THINK]a[/THINK]b", "[THINK]a", "[THINK]a[/THI"],
    "kimi": ["plain", "◁think▷a◁/think▷b", "◁think▷a", "a◁/think▷b"],
    "gpt-oss": [
        "<|channel|>analysis<|message|>hm<|end|><|start|>assistant<|channel|>final<|message|>Hi<|return|>",
        "<|channel|>analysis<|message|>a<|end|><|start|>assistant<|channel|>analysis<|message|>b<|end|><|start|>assistant<|channel|>final<|message|>Hi there",
        "<|channel|>analysis<|message|>cut off",
        "<|channel|>final<|message|>Only this",
        f"<|channel|>analysis<|message|>hm<|end|>{START}f <|constrain|>json<|message|>{{}}<|call|>",
        "<|channel|>commentary<|message|>Preamble<|end|><|start|>assistant<|channel|>final<|message|>End<|return|>",
        "analysis I think. assistantfinal The answer",
        "assistantfinal  The answer ",
    ],
}

from sglang.srt.function_call.deepseekv3_detector import DeepSeekV3Detector
from sglang.srt.function_call.deepseekv31_detector import DeepSeekV31Detector
from sglang.srt.function_call.glm4_moe_detector import Glm4MoeDetector
from sglang.srt.function_call.gpt_oss_detector import GptOssDetector
from sglang.srt.function_call.hermes_detector import HermesDetector
from sglang.srt.function_call.kimik2_detector import KimiK2Detector
from sglang.srt.function_call.llama32_detector import Llama32Detector
from sglang.srt.function_call.mistral_detector import MistralDetector
from sglang.srt.function_call.pythonic_detector import PythonicDetector
from sglang.srt.function_call.qwen3_coder_detector import Qwen3CoderDetector
from sglang.srt.function_call.qwen25_detector import Qwen25Detector
from sglang.srt.parser import reasoning_parser

import importlib


def more(module, name):
    return getattr(importlib.import_module(f"sglang.srt.function_call.{module}"), name)


DETECTORS = {
    "interns1": more("internlm_detector", "InternlmDetector"), "cohere_command4": more("cohere_command4_detector", "CohereCommand4Detector"),
    "trinity": more("trinity_detector", "TrinityDetector"), "gigachat3": more("gigachat3_detector", "GigaChat3Detector"),
    "lfm2": more("lfm2_detector", "Lfm2Detector"), "minimax-m2": more("minimax_m2", "MinimaxM2Detector"), "dots": more("dots_detector", "DotsToolDetector"),
    "step3": more("step3_detector", "Step3Detector"), "mimo": more("mimo_detector", "MiMoDetector"), "deepseekv32": more("deepseekv32_detector", "DeepSeekV32Detector"),
    "deepseekv4": more("deepseekv4_detector", "DeepSeekV4Detector"), "deepseekv41": more("deepseekv41_detector", "DeepSeekV41Detector"),
    "gigachat35": more("gigachat35_detector", "GigaChat35Detector"), "hunyuan": more("hunyuan_detector", "HunyuanDetector"),
    "glm47": more("glm47_moe_detector", "Glm47MoeDetector"), "ling3": more("ling3_detector", "Ling3Detector"), "spark25": more("spark25_detector", "Spark25Detector"),
    "poolside_v1": more("poolside_v1_detector", "PoolsideV1Detector"), "iquest_q1": more("iquest_q1_detector", "IQuestQ1Detector"),
    "minicpm5": more("minicpm5_detector", "MiniCPM5Detector"),
    "qwen25": Qwen25Detector, "hermes": HermesDetector, "llama3": Llama32Detector, "mistral": MistralDetector,
    "pythonic": PythonicDetector, "deepseekv3": DeepSeekV3Detector, "deepseekv31": DeepSeekV31Detector,
    "qwen3_coder": Qwen3CoderDetector, "glm45": Glm4MoeDetector, "kimi_k2": KimiK2Detector, "gpt-oss": GptOssDetector,
}

tools = []
for name, texts in CASES.items():
    for text in texts + DIFFERENT.get(name, []):
        detector = DETECTORS[name]()
        found = detector.has_tool_call(text)
        result = detector.detect_and_parse(text, TOOLS)
        # As in FunctionCallParser.parse_non_stream: without a call the text stays unchanged.
        normal = result.normal_text if result.calls or found else text
        calls = [{"tool_index": c.tool_index, "name": c.name, "parameters": c.parameters} for c in result.calls]
        tools.append({"parser": name, "text": text, "normal_text": normal, "calls": calls})

reasoning = []
PARSERS = {name: "tags" for name in (
    "deepseek-r1", "deepseek-v3", "deepseek-v4", "deepseek-v41", "dots", "qwen3", "qwen3-thinking", "glm45", "gigachat35",
    "granite_thinking_parser", "hunyuan", "interns1", "iquest_q1", "mimo", "minimax", "minimax-append-think", "nanbeige",
    "nemotron_3", "poolside_v1", "step3", "step3p5")} | {name: name for name in ("gpt-oss", "kimi", "kimi_k2", "mistral")}
for name, kind in PARSERS.items():
    texts = REASONING[kind] + (REASONING["own"].get(name, []))
    for force in (None, True) if name not in ("gpt-oss", "minimax-append-think") else (None,):
        for text in texts:
            parsed = reasoning_parser.ReasoningParser(name, force_reasoning=force).parse_non_stream(text)
            reasoning.append({"parser": name, "force_reasoning": force, "text": text, "reasoning": parsed[0], "normal": parsed[1]})

out.mkdir(parents=True, exist_ok=True)
request = [
    {"type": "function", "function": {"name": t.function.name, "parameters": t.function.parameters}} for t in TOOLS
]
for name, data in (("tools", {"tools": request, "cases": tools}), ("reasoning", {"cases": reasoning})):
    (out / f"{name}.json").write_text(json.dumps(data, ensure_ascii=False, indent=1) + "\n")
    print(name, len(data["cases"]))
