#!/usr/bin/env python3
"""Writes runtime/tokenizer/tests/fixtures/chat_templates.json: how transformers renders chat templates.

usage: chat_templates.py OUT_DIR SMOLLM2_FOLDER

The templates are in OUT_DIR/templates; each uses the features of one model family's templates. python_values.jinja has
one template per line. SmolLM2's own template is read from SMOLLM2_FOLDER.
"""
import datetime
import json
import pathlib
import sys

from transformers.utils import chat_template_utils

SPECIAL = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
NOW = datetime.datetime(2026, 3, 5, 4, 7, 9)


class FixedClock(datetime.datetime):
    """The fixed time for strftime_now."""

    @classmethod
    def now(cls, tz=None):
        return NOW


NASTY = "<b>&amp; 'single' \"double\" \\ back\ttab\nline é 漢字 😀 \u00a0{{ x }} {% y %}"
WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Says what the weather is like.\nIn one place.",
        "parameters": {
            "type": "object",
            "properties": {
                "place": {"type": "string", "description": "town <or> \"village\" & more: Zürich"},
                "unit": {"type": "string", "enum": ["celsius", "fahrenheit"]},
                "days": {"type": "integer", "minimum": 1, "maximum": 14.5, "default": None},
                "detail": {"type": ["number", "boolean"], "description": "how much"},
                "stations": {"type": "array", "items": {"type": "object", "additionalProperties": {"type": "number"}}},
                "nothing": {"type": "object", "properties": {}, "required": []},
            },
            "required": ["place", "unit"],
            "additionalProperties": False,
        },
        "strict": True,
    },
}
CLOCK = {
    "type": "function",
    "function": {
        "name": "clock",
        "description": "",
        "parameters": {"type": "object", "properties": {"zone": {"type": "string"}}},
        "return": {"type": "string"},
    },
}


def user(text):
    return {"role": "user", "content": text}


def assistant(text, **more):
    return {"role": "assistant", "content": text, **more}


def system(text):
    return {"role": "system", "content": text}


def call(name, arguments, id="abcdef123"):
    return {"id": id, "type": "function", "function": {"name": name, "arguments": arguments}}


CALL = assistant(None, tool_calls=[call("get_weather", {"place": "Zürich", "unit": "celsius", "days": 2, "ok": True})])
RESULT = {"role": "tool", "content": '{"sky": "clear", "degrees": 21.5}', "tool_call_id": "abcdef123", "name": "get_weather"}
CASES = {
    "one_turn": dict(messages=[user("Hi there")]),
    "no_generation_prompt": dict(messages=[user("Hi"), assistant("Hello!")], add_generation_prompt=False),
    "many_turns": dict(messages=[user(" What? "), assistant("\nThis.\n"), user("Why?")]),
    "system": dict(messages=[system("Be terse. "), user("Hi"), assistant("Yes?"), user("2+2")]),
    "nasty": dict(messages=[system(NASTY), user(NASTY), assistant(NASTY), user(NASTY)]),
    "empty_texts": dict(messages=[system(""), user(""), assistant(""), user("")]),
    "tools": dict(messages=[user("Weather?")], tools=[WEATHER, CLOCK]),
    "tools_and_system": dict(messages=[system("Use tools."), user("Weather?")], tools=[WEATHER]),
    "tool_call": dict(messages=[user("Weather?"), CALL, RESULT, user("Thanks")], tools=[WEATHER]),
    "tool_call_last": dict(messages=[user("Weather?"), CALL, RESULT], tools=[WEATHER, CLOCK]),
    "two_calls": dict(
        messages=[
            user("Both"),
            assistant(None, tool_calls=[call("clock", {}, "aaaaaaaaa"), call("clock", {"zone": "UTC+1 <é>"}, "bbbbbbbbb")]),
            {**RESULT, "tool_call_id": "aaaaaaaaa"},
            {**RESULT, "tool_call_id": "bbbbbbbbb", "content": "noon"},
            assistant("It is noon."),
            user("Fine"),
        ],
        tools=[CLOCK],
    ),
    "tool_object_result": dict(messages=[user("x"), CALL, {**RESULT, "content": {"content": [1, 2.0, None, "é"], "z": {}}}]),
    "thinking": dict(messages=[user("1"), assistant("<think>\nhm, é\n</think>\n\nOne."), user("2"), assistant("<think>so</think>Two.")], add_generation_prompt=False),
    "reasoning_content": dict(messages=[user("1"), assistant("One.", reasoning_content="\nhm\n")], add_generation_prompt=False),
    "thinking_off": dict(messages=[user("1")], enable_thinking=False),
    "thinking_on": dict(messages=[user("1")], enable_thinking=True),
    "date_given": dict(messages=[user("1")], date_string="01 Jan 2030", tools_in_user_message=False, tools=[CLOCK]),
    "parts": dict(messages=[user([{"type": "text", "text": " look "}, {"type": "image"}, {"type": "text", "text": "here"}])]),
    "roles_out_of_order": dict(messages=[user("a"), user("b")]),
    "unknown_role": dict(messages=[user("a"), {"role": "critic", "content": "b"}]),
    "stop_inside": dict(messages=[user("a"), assistant(None), assistant("b"), user("STOP"), user("c")]),
    "values": dict(messages=[user("Hello, Wörld")], values={"z": [1, 1.5, True, None, "é<"], "a": {"k": "v'"}, "e": [], "o": {}, "n": -1e-7, "big": 12345678901234567890}),
}


def render(template, case):
    arguments = {**SPECIAL, "add_generation_prompt": True, "tools": None, **case}
    messages = arguments.pop("messages")
    tools = arguments.pop("tools")
    generation = arguments.pop("add_generation_prompt")
    try:
        rendered, _ = chat_template_utils.render_jinja_template(
            conversations=[messages], tools=tools, chat_template=template, add_generation_prompt=generation, **arguments
        )
        return {"text": rendered[0]}
    except Exception as error:  # any exception of the template is the expected result
        return {"error": str(error), "raised": type(error).__name__ == "TemplateError"}


def main():
    out, smollm2 = (pathlib.Path(argument) for argument in sys.argv[1:3])
    chat_template_utils.datetime = FixedClock
    sources = {"smollm2": (smollm2 / "chat_template.jinja").read_text()}
    for path in sorted((out / "templates").glob("*.jinja")):
        if path.stem == "python_values":
            for i, line in enumerate(path.read_text().splitlines()):
                sources[f"python_values:{i}"] = line
        else:
            sources[path.stem] = path.read_text()
    expected = []
    for name, source in sources.items():
        for case, arguments in CASES.items():
            if name.startswith("python_values") != (case == "values"):
                continue
            expected.append({"template": name, "case": case, **render(source, arguments)})
    data = {"special": SPECIAL, "cases": CASES, "expected": expected}
    path = out / "chat_templates.json"
    path.write_text(json.dumps(data, indent=1, ensure_ascii=False) + "\n")
    failed = sum("error" in e for e in expected)
    print(f"{path}: {len(expected)} renderings of {len(sources)} templates, {failed} of them errors")


main()
