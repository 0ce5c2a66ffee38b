"""Tests a running server with the official OpenAI client: python openai_client.py BASE_URL. Prints `ok` at the end."""

import asyncio
import sys

import openai
import pydantic

base_url = sys.argv[1] + "/v1"
client = openai.OpenAI(base_url=base_url, api_key="none", max_retries=0, timeout=120)
question = [{"role": "user", "content": "What is the capital of France?"}]

models = client.models.list().data
assert len(models) == 1 and models[0].id, models
assert client.models.retrieve(models[0].id).id == models[0].id

chat = client.chat.completions.create(model="default", messages=question, temperature=0, max_tokens=32)
answer = chat.choices[0].message.content
assert "Paris" in answer, answer
assert chat.choices[0].finish_reason == "stop" and chat.choices[0].message.role == "assistant"
assert chat.usage.total_tokens == chat.usage.prompt_tokens + chat.usage.completion_tokens

pieces, finishes, usage = [], [], None
for chunk in client.chat.completions.create(
    model="default", messages=question, temperature=0, max_tokens=32, stream=True, stream_options={"include_usage": True}
):
    usage = chunk.usage or usage
    for choice in chunk.choices:
        pieces.append(choice.delta.content or "")
        finishes += [choice.finish_reason] if choice.finish_reason else []
assert "".join(pieces) == answer, (pieces, answer)
assert finishes == ["stop"], finishes
assert usage.completion_tokens == chat.usage.completion_tokens

several = client.chat.completions.create(model="default", messages=question, n=3, temperature=0.9, seed=1, max_tokens=8)
assert [c.index for c in several.choices] == [0, 1, 2]
assert several.usage.prompt_tokens == chat.usage.prompt_tokens

scored = client.chat.completions.create(
    model="default", messages=question, temperature=0, max_tokens=4, logprobs=True, top_logprobs=3
)
content = scored.choices[0].logprobs.content
assert len(content) == scored.usage.completion_tokens == 4
for entry in content:
    assert entry.logprob <= 0 and len(entry.top_logprobs) == 3
    assert entry.top_logprobs[0].logprob == max(t.logprob for t in entry.top_logprobs)
    assert bytes(entry.bytes).decode() == entry.token
assert "".join(e.token for e in content) == scored.choices[0].message.content

completion = client.completions.create(model="default", prompt="The capital of France is", temperature=0, max_tokens=8)
assert completion.choices[0].finish_reason == "length" and "Paris" in completion.choices[0].text
echoed = client.completions.create(
    model="default", prompt=["One two", "Three"], temperature=0, max_tokens=3, echo=True, logprobs=2
)
assert [c.index for c in echoed.choices] == [0, 1]
assert echoed.choices[0].text.startswith("One two")
assert echoed.choices[0].logprobs.token_logprobs[0] is None

streamed = "".join(
    c.choices[0].text
    for c in client.completions.create(
        model="default", prompt="The capital of France is", temperature=0, max_tokens=8, stream=True
    )
    if c.choices
)
assert streamed == completion.choices[0].text


class City(pydantic.BaseModel):
    """The expected result of the parse helper."""

    name: str = pydantic.Field(max_length=20)
    large: bool


parsed = client.chat.completions.parse(
    model="default", messages=question, response_format=City, temperature=0, max_tokens=120
)
city = parsed.choices[0].message.parsed
assert isinstance(city, City) and parsed.choices[0].finish_reason == "stop", parsed
with client.chat.completions.stream(
    model="default", messages=question, response_format=City, temperature=0, max_tokens=120
) as stream:
    assert stream.get_final_completion().choices[0].message.parsed == city

for bad in ({"temperature": -1}, {"top_p": 0}, {"max_tokens": -5}):
    try:
        client.chat.completions.create(model="default", messages=question, **bad)
    except openai.BadRequestError as error:
        assert error.status_code == 400 and next(iter(bad)).split("_")[0] in str(error), error
    else:
        raise AssertionError(f"{bad} was accepted")


async def many():
    """Eight answers at once are the ones that come alone, as is a stream; the helpers parse as without async."""
    async with openai.AsyncOpenAI(base_url=base_url, api_key="none", max_retries=0) as c:
        ask = {"model": "default", "messages": question, "temperature": 0}
        calls = [c.chat.completions.create(**ask, max_tokens=32) for _ in range(8)]
        answers = [r.choices[0].message.content for r in await asyncio.gather(*calls)]
        text = ""
        async for chunk in await c.chat.completions.create(**ask, max_tokens=32, stream=True):
            text += "".join(choice.delta.content or "" for choice in chunk.choices)
        parsed = await c.chat.completions.parse(**ask, response_format=City, max_tokens=120)
        assert parsed.choices[0].message.parsed == city, parsed
        async with c.chat.completions.stream(**ask, response_format=City, max_tokens=120) as stream:
            events = [event.type async for event in stream]
            final = await stream.get_final_completion()
        assert final.choices[0].message.parsed == city and "content.done" in events, (final, events)
        return [*answers, text]


assert set(asyncio.run(many())) == {answer}
print("ok")
