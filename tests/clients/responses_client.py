"""Tests the Responses API of a server with --enable-response-store and a tool parser with OpenAI's client:
python responses_client.py BASE_URL. Prints `ok` at the end."""

import asyncio
import json
import sys
import time

import openai
import pydantic

base_url = sys.argv[1] + "/v1"
client = openai.OpenAI(base_url=base_url, api_key="none", max_retries=0, timeout=300)
model = client.models.list().data[0].id
question = "What is the capital of France?"
ask = {"model": model, "input": question, "temperature": 0, "max_output_tokens": 34}

response = client.responses.create(**ask)
assert response.status == "completed" and response.object == "response", response
assert "Paris" in response.output_text, response
usage = response.usage
assert usage.total_tokens == usage.input_tokens + usage.output_tokens and usage.output_tokens <= 32
chat = client.chat.completions.create(
    model=model, messages=[{"role": "user", "content": question}], temperature=0, max_tokens=32
)
assert chat.choices[0].message.content == response.output_text
assert chat.usage.prompt_tokens == usage.input_tokens

events = list(client.responses.create(**ask, stream=True))
assert [e.sequence_number for e in events] == list(range(len(events)))
assert [e.type for e in events[:3]] == ["response.created", "response.in_progress", "response.output_item.added"]
assert events[-1].type == "response.completed" and events[-1].response.output_text == response.output_text
deltas = [e.delta for e in events if e.type == "response.output_text.delta"]
assert "".join(deltas) == response.output_text and len(deltas) > 2, deltas
with client.responses.stream(**ask) as stream:
    for _ in stream:
        pass
    assert stream.get_final_response().output_text == response.output_text

items = [
    {"type": "message", "role": "developer", "content": "Answer briefly."},
    {"role": "user", "content": [{"type": "input_text", "text": question}]},
]
same = client.responses.create(**{**ask, "input": items}, instructions="You know geography.")
assert same.status in ("completed", "incomplete") and same.output_text and same.instructions == "You know geography."
assert same.usage.input_tokens > usage.input_tokens

short = client.responses.create(**{**ask, "max_output_tokens": 4})
assert short.status == "incomplete" and short.incomplete_details.reason == "max_output_tokens"

kept = client.responses.retrieve(response.id)
assert kept.output_text == response.output_text and kept.usage.output_tokens == usage.output_tokens
follow = client.responses.create(**{**ask, "input": "And of Italy?"}, previous_response_id=response.id)
assert follow.previous_response_id == response.id and follow.usage.input_tokens > usage.input_tokens + usage.output_tokens
loose = client.responses.create(**ask, store=False)
for missing, error_type in ((loose.id, openai.NotFoundError), ("resp_none", openai.NotFoundError), ("abc", openai.BadRequestError)):
    try:
        client.responses.retrieve(missing)
    except error_type as error:
        assert error.param == "response_id", error
    else:
        raise AssertionError(f"{missing} was found")

queued = client.responses.create(**ask, background=True)
assert queued.status == "queued" and not queued.output
deadline = time.monotonic() + 120
while (now := client.responses.retrieve(queued.id)).status in ("queued", "in_progress"):
    assert time.monotonic() < deadline, now
    time.sleep(0.05)
assert now.status == "completed" and now.output_text == response.output_text
long = {**ask, "input": "Tell a very long story.", "max_output_tokens": 4000}
running = client.responses.create(**long, background=True)
assert client.responses.cancel(running.id).status == "cancelled"
assert client.responses.retrieve(running.id).status == "cancelled"
assert client.responses.cancel(response.id).status == "completed"


class Capital(pydantic.BaseModel):
    """The expected result of the parse helper."""

    city: str = pydantic.Field(max_length=20)
    large: bool


parsed = client.responses.parse(**{**ask, "max_output_tokens": 120}, text_format=Capital)
assert isinstance(parsed.output_parsed, Capital), parsed

tool = {
    "type": "function",
    "name": "get_weather",
    "description": "The weather of a city",
    "strict": True,
    "parameters": {
        "type": "object",
        "properties": {"city": {"type": "string", "enum": ["Paris", "Rome"]}},
        "required": ["city"],
        "additionalProperties": False,
    },
}
for choice in ("required", {"type": "function", "name": "get_weather"}):
    forced = {**ask, "max_output_tokens": 100, "tools": [tool], "tool_choice": choice, "parallel_tool_calls": False}
    called = client.responses.create(**forced)
    (call,) = [item for item in called.output if item.type == "function_call"]
    assert call.name == "get_weather" and json.loads(call.arguments)["city"] in ("Paris", "Rome"), called
    assert called.status == "completed" and call.status == "completed", called
    events = list(client.responses.create(**forced, stream=True))
    done = [e for e in events if e.type == "response.function_call_arguments.done"]
    deltas = "".join(e.delta for e in events if e.type == "response.function_call_arguments.delta")
    assert [e.arguments for e in done] == [call.arguments] == [deltas], events
result = {"type": "function_call_output", "call_id": call.call_id, "output": "Sunny."}
answer = client.responses.create(**{**ask, "input": [result]}, previous_response_id=called.id)
assert answer.output_text and answer.usage.input_tokens > called.usage.input_tokens

# As in chats, every name selects the model if there are no adapters.
named = client.responses.create(**{**ask, "model": "default"})
assert named.model == "default" and named.output_text == response.output_text, named

for bad, field in (({"temperature": -1}, "temperature"), ({"tool_choice": "required"}, "tool")):
    try:
        client.responses.create(**{**ask, **bad})
    except openai.APIStatusError as error:
        assert error.status_code in (400, 404) and field in str(error), error
    else:
        raise AssertionError(f"{bad} was accepted")


async def many():
    """Four responses at once are the one that comes alone."""
    async with openai.AsyncOpenAI(base_url=base_url, api_key="none", max_retries=0) as c:
        return {r.output_text for r in await asyncio.gather(*(c.responses.create(**ask) for _ in range(4)))}


assert asyncio.run(many()) == {response.output_text}
print("ok")
