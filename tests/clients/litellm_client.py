"""Tests a running server with LiteLLM's OpenAI provider: python litellm_client.py BASE_URL [EMBEDDING_URL]. Prints `ok` at
the end. The server has a tool parser."""

import asyncio
import json
import os
import sys

# Do not download the price list of other providers' models.
os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"
import litellm  # noqa: E402
import pydantic  # noqa: E402

litellm.telemetry = False
litellm.drop_params = False
there = {"api_base": sys.argv[1] + "/v1", "api_key": "none", "num_retries": 0, "timeout": 120}
question = [{"role": "user", "content": "What is the capital of France?"}]
ask = {"model": "openai/default", "messages": question, "temperature": 0, "max_tokens": 32, **there}

whole = litellm.completion(**ask)
text = whole.choices[0].message.content
assert "Paris" in text and whole.choices[0].finish_reason == "stop", whole
assert whole.usage.total_tokens == whole.usage.prompt_tokens + whole.usage.completion_tokens

chunks = list(litellm.completion(**ask, stream=True, stream_options={"include_usage": True}))
assert "".join(c.choices[0].delta.content or "" for c in chunks if c.choices) == text, chunks
assert [c.choices[0].finish_reason for c in chunks if c.choices and c.choices[0].finish_reason] == ["stop"], chunks
rebuilt = litellm.stream_chunk_builder(chunks, messages=question)
assert rebuilt.choices[0].message.content == text
assert rebuilt.usage.completion_tokens == whole.usage.completion_tokens, (rebuilt.usage, whole.usage)

several = litellm.completion(**{**ask, "n": 2, "temperature": 0.9, "seed": 3, "max_tokens": 8})
assert [c.index for c in several.choices] == [0, 1]
scored = litellm.completion(**{**ask, "max_tokens": 3}, logprobs=True, top_logprobs=2)
assert len(scored.choices[0].logprobs.content) == 3, scored
stopped = litellm.completion(**ask, stop=["Paris"])
assert "Paris" not in (stopped.choices[0].message.content or "") and stopped.choices[0].finish_reason == "stop"

plain = {"model": "text-completion-openai/default", "prompt": "The capital of France is", "temperature": 0, "max_tokens": 8, **there}
completed = litellm.text_completion(**plain)
assert "Paris" in completed.choices[0].text and completed.choices[0].finish_reason == "length", completed
pieces = [c.choices[0].text or "" for c in litellm.text_completion(**plain, stream=True)]
assert "".join(pieces) == completed.choices[0].text, pieces


class City(pydantic.BaseModel):
    """The expected form of the answer."""

    name: str = pydantic.Field(max_length=20)
    large: bool


schema = {"name": "City", "schema": {**City.model_json_schema(), "additionalProperties": False}, "strict": True}
shaped = litellm.completion(**{**ask, "max_tokens": 120}, response_format={"type": "json_schema", "json_schema": schema})
City.model_validate_json(shaped.choices[0].message.content)

tool = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather of a city",
        "parameters": {"type": "object", "properties": {"city": {"enum": ["Paris", "Rome"]}}, "required": ["city"], "additionalProperties": False},
    },
}
forced = {**ask, "max_tokens": 100, "tools": [tool], "tool_choice": {"type": "function", "function": {"name": "get_weather"}}}
called = litellm.completion(**forced)
(call,) = called.choices[0].message.tool_calls
assert call.function.name == "get_weather" and json.loads(call.function.arguments)["city"] in ("Paris", "Rome"), called
assert called.choices[0].finish_reason == "tool_calls"
built = litellm.stream_chunk_builder(list(litellm.completion(**forced, stream=True)), messages=question)
(again,) = built.choices[0].message.tool_calls
assert (again.function.name, again.function.arguments) == (call.function.name, call.function.arguments), built
history = question + [called.choices[0].message.model_dump(), {"role": "tool", "tool_call_id": call.id, "content": "Sunny."}]
assert litellm.completion(**{**ask, "messages": history, "tools": [tool], "tool_choice": "none"}).choices[0].message.content

for bad, part in (({"temperature": -1}, "temperature"), ({"messages": []}, "empty"), ({"top_p": 0}, "top_p")):
    for stream in (False, True):
        try:
            answer = litellm.completion(**{**ask, **bad, "stream": stream})
            list(answer)
        except litellm.BadRequestError as error:
            assert error.status_code == 400 and part in str(error), error
        else:
            raise AssertionError(f"{bad} was accepted")


async def many():
    """Several answers at once, streamed and not, are the one that comes alone."""
    answers = await asyncio.gather(*(litellm.acompletion(**ask) for _ in range(4)))
    assert {a.choices[0].message.content for a in answers} == {text}
    stream = await litellm.acompletion(**ask, stream=True)
    assert "".join([c.choices[0].delta.content or "" async for c in stream]) == text


asyncio.run(many())

answer = litellm.responses(model="openai/" + sys.argv[2], input="What is the capital of France?", temperature=0, max_output_tokens=32, **there)
assert "Paris" in answer.output_text and answer.status == "completed", answer

if len(sys.argv) > 3:
    there["api_base"] = sys.argv[3] + "/v1"
    for how in ("float", "base64"):
        vectors = litellm.embedding(model="openai/default", input=["one", "two"], encoding_format=how, **there)
        assert [d["index"] for d in vectors.data] == [0, 1] and vectors.usage.prompt_tokens > 0, vectors
print("ok")
