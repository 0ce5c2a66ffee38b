"""Tests forced tool calls with the clients of OpenAI and Anthropic: python tools_client.py BASE_URL. Prints `ok` at the end.

The model is far too small to call tools by itself. The tests check that the grammar makes it write valid calls, that
streams carry prefixes of valid JSON, and that every choice has the right finish reason.
"""

import enum
import json
import sys

import anthropic
import jiter
import openai
import pydantic

client = openai.OpenAI(base_url=sys.argv[1] + "/v1", api_key="none", max_retries=0, timeout=300)
question = [{"role": "user", "content": "What is the weather in Paris?"}]


class City(enum.Enum):
    """Where."""

    PARIS = "Paris"
    ROME = "Rome"


class GetWeather(pydantic.BaseModel):
    """The weather of a city."""

    city: City
    days: int = pydantic.Field(ge=1, le=9)


class GetTime(pydantic.BaseModel):
    """The time in a city."""

    city: City


weather, time = openai.pydantic_function_tool(GetWeather), openai.pydantic_function_tool(GetTime)
models = {"GetWeather": GetWeather, "GetTime": GetTime}
ask = {"model": "m", "messages": question, "tools": [weather, time], "temperature": 0, "max_tokens": 200}


def checked(choice, single):
    """The calls of a choice; asserts that each is valid."""
    calls = choice.message.tool_calls
    assert calls and (len(calls) == 1 or not single), choice
    for call in calls:
        models[call.function.name].model_validate_json(call.function.arguments)
        assert call.type == "function" and call.id
    assert choice.finish_reason == "tool_calls" or (choice.finish_reason == "length" and not single), choice
    return [(call.function.name, json.loads(call.function.arguments)) for call in calls]


def streamed(**more):
    """The reassembled calls of a stream; after every piece they must be a prefix of valid JSON."""
    names, arguments, finishes = [], [], []
    for chunk in client.chat.completions.create(**{**ask, **more}, stream=True):
        for choice in chunk.choices:
            finishes += [choice.finish_reason] if choice.finish_reason else []
            for call in choice.delta.tool_calls or []:
                if call.index == len(names):
                    assert call.id and call.function.name and call.function.arguments == "", call
                    names.append(call.function.name)
                    arguments.append("")
                    continue
                assert call.index == len(names) - 1 and call.id is None and call.function.name is None, call
                arguments[-1] += call.function.arguments
                jiter.from_json(arguments[-1].encode(), partial_mode="trailing-strings")
    assert len(finishes) == 1, finishes
    return list(zip(names, map(json.loads, arguments), strict=True)), finishes[0]


for parallel in (True, False):
    more = {"tool_choice": "required", "parallel_tool_calls": parallel}
    choice = client.chat.completions.create(**ask, **more).choices[0]
    calls = checked(choice, single=not parallel)
    assert streamed(**more) == (calls, choice.finish_reason), (calls, streamed(**more))

for tool in (weather, time):
    name = tool["function"]["name"]
    more = {"tool_choice": {"type": "function", "function": {"name": name}}}
    choice = client.chat.completions.create(**ask, **more).choices[0]
    calls = checked(choice, single=True)
    assert [called for called, _ in calls] == [name], calls
    assert streamed(**more) == (calls, "tool_calls")

warm = client.chat.completions.create(**{**ask, "temperature": 1.0, "n": 3, "seed": 7}, tool_choice="required", parallel_tool_calls=False)
assert [c.index for c in warm.choices] == [0, 1, 2]
for choice in warm.choices:
    checked(choice, single=True)

parsed = client.chat.completions.parse(**ask, tool_choice="required", parallel_tool_calls=False)
(call,) = parsed.choices[0].message.tool_calls
assert isinstance(call.function.parsed_arguments, tuple(models.values())), call
with client.chat.completions.stream(**ask, tool_choice="required", parallel_tool_calls=False) as stream:
    kinds = [event.type for event in stream]
    (final,) = stream.get_final_completion().choices[0].message.tool_calls
assert final.function.parsed_arguments == call.function.parsed_arguments
assert "tool_calls.function.arguments.delta" in kinds and kinds.count("tool_calls.function.arguments.done") == 1, kinds

answered = question + [
    parsed.choices[0].message.model_dump(exclude_none=True, include={"role", "tool_calls"}),
    {"role": "tool", "tool_call_id": call.id, "content": "Sunny, 21 degrees."},
]
for message in answered[1]["tool_calls"]:
    message["function"].pop("parsed_arguments", None)
after = client.chat.completions.create(**{**ask, "messages": answered, "max_tokens": 24}, tool_choice="none")
assert after.choices[0].message.content and not after.choices[0].message.tool_calls

cut = client.chat.completions.create(**{**ask, "max_tokens": 3}, tool_choice="required").choices[0]
assert cut.finish_reason == "length" and not cut.message.tool_calls, cut

bad_schema = {"type": "function", "function": {"name": "f", "parameters": {"properties": {"a": {"type": "strin"}}}}}
for more, part in (
    ({"tool_choice": {"type": "function", "function": {"name": "GetNews"}}}, "GetNews"),
    ({"tools": [bad_schema]}, "/properties/a/type"),
    ({"tool_choice": "required", "response_format": {"type": "json_object"}}, "response_format"),
):
    try:
        client.chat.completions.create(**{**ask, **more})
    except openai.BadRequestError as error:
        assert part in str(error), error
    else:
        raise AssertionError(f"{more} was accepted")

claude = anthropic.Anthropic(base_url=sys.argv[1], auth_token="none", max_retries=0, timeout=300)
tools = [
    {"name": name, "description": name, "input_schema": model.model_json_schema(), "strict": True}
    for name, model in models.items()
]
request = {
    "model": "m",
    "max_tokens": 200,
    "messages": question,
    "tools": tools,
    "extra_body": {"temperature": 0},
}
for choice in (
    {"type": "any", "disable_parallel_tool_use": True},
    {"type": "tool", "name": "GetTime"},
):
    message = claude.messages.create(**request, tool_choice=choice)
    (block,) = message.content
    assert block.type == "tool_use" and message.stop_reason == "tool_use", message
    models[block.name].model_validate(block.input)
    assert block.name == choice.get("name", block.name)
    with claude.messages.stream(**request, tool_choice=choice) as stream:
        (again,) = stream.get_final_message().content
    assert (again.name, again.input) == (block.name, block.input), (again, block)
free = claude.messages.create(**{**request, "max_tokens": 16}, tool_choice={"type": "none"})
assert all(block.type == "text" for block in free.content)
print("ok")
