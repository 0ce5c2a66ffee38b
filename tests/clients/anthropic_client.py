"""Tests a running server with Anthropic's client: python anthropic_client.py BASE_URL. Prints `ok` at the end."""

import asyncio
import sys

import anthropic

# The server expects bearer tokens, which the client calls auth_token.
client = anthropic.Anthropic(base_url=sys.argv[1], auth_token="none", max_retries=0, timeout=120)
question = [{"role": "user", "content": "What is the capital of France?"}]
# This version of the client no longer has a `temperature` argument; the API does.
ask = {"model": "my-model", "messages": question, "max_tokens": 32, "extra_body": {"temperature": 0}}

message = client.messages.create(**ask)
assert message.type == "message" and message.role == "assistant" and message.model == "my-model"
(block,) = message.content
assert block.type == "text" and "Paris" in block.text, message
assert message.stop_reason == "end_turn" and message.id.startswith("msg_")
assert 0 < message.usage.output_tokens <= 32

count = client.messages.count_tokens(model="my-model", messages=question)
assert count.input_tokens == message.usage.input_tokens, (count, message.usage)
longer = client.messages.count_tokens(model="my-model", messages=question, system="Answer in one word, please, and no more.")
assert longer.input_tokens != count.input_tokens

kinds = []
with client.messages.stream(**ask) as stream:
    for event in stream:
        kinds.append(event.type)
    final = stream.get_final_message()
assert final.content[0].text == block.text, (final, message)
assert final.stop_reason == "end_turn" and final.usage.output_tokens == message.usage.output_tokens
assert final.usage.input_tokens == message.usage.input_tokens
assert kinds[0] == "message_start" and kinds[-1] == "message_stop", kinds
assert kinds.count("content_block_start") == kinds.count("content_block_stop") == 1, kinds

short = client.messages.create(**{**ask, "max_tokens": 2})
assert short.stop_reason == "max_tokens" and short.usage.output_tokens == 2
stopped = client.messages.create(**ask, stop_sequences=["Paris"])
assert "Paris" not in stopped.content[0].text and block.text.startswith(stopped.content[0].text)

blocks = [{"type": "text", "text": "What is the capital of France?"}]
same = client.messages.create(**{**ask, "messages": [{"role": "user", "content": blocks}]})
assert same.content[0].text == block.text
tools = [{"name": "get_weather", "description": "The weather", "input_schema": {"type": "object", "properties": {}}}]
assert client.messages.create(**ask, tools=tools, tool_choice={"type": "none"}).content

begun = [{"role": "assistant", "content": "The capital of France is"}]
continued = client.messages.create(**{**ask, "messages": question + begun})
assert continued.content[0].text.startswith(" Paris"), continued
with client.messages.stream(**{**ask, "messages": question + begun}) as stream:
    assert stream.get_final_message().content[0].text == continued.content[0].text
begun_count = client.messages.count_tokens(model="my-model", messages=question + begun)
assert begun_count.input_tokens == continued.usage.input_tokens > count.input_tokens

for name, bad in (("temperature", {"extra_body": {"temperature": -1}}), ("max_tokens", {"max_tokens": 0})):
    try:
        client.messages.create(**{**ask, **bad})
    except anthropic.BadRequestError as error:
        assert error.body["type"] == "error" and name in error.body["error"]["message"], error
    else:
        raise AssertionError(f"{bad} was accepted")


async def many():
    """Four answers at once are the one that comes alone."""
    async with anthropic.AsyncAnthropic(base_url=sys.argv[1], auth_token="none", max_retries=0) as c:
        return [m.content[0].text for m in await asyncio.gather(*(c.messages.create(**ask) for _ in range(4)))]


assert set(asyncio.run(many())) == {block.text}
print("ok")
