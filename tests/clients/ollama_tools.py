"""Tests servers that echo the prompt with Ollama's client: python ollama_tools.py BASE_URL EMBEDDING_URL.

The chat template writes the messages unchanged, then the names of the tools in brackets. Prints `ok` at the end.
"""

import json
import sys

import ollama

client = ollama.Client(host=sys.argv[1], timeout=120)
embedder = ollama.Client(host=sys.argv[2], timeout=120)


def get_weather(city: str, days: int = 1) -> str:
    """The weather of a city.

    Args:
        city: Where
        days: How many
    """


def call(name, **arguments):
    return "<tool_call>\n" + json.dumps({"name": name, "arguments": arguments}) + "\n</tool_call>"


def whole_of(chunks):
    """The answer that the pieces of a stream add up to."""
    chunks = list(chunks)
    calls = [c for chunk in chunks for c in chunk.message.tool_calls or []]
    text = "".join(chunk.message.content or "" for chunk in chunks)
    thinking = "".join(chunk.message.thinking or "" for chunk in chunks)
    assert [c.done for c in chunks] == [False] * (len(chunks) - 1) + [True], chunks
    return thinking, text, calls, chunks[-1]


# Calls, whole and streamed, in the client's form.
asked = [{"role": "user", "content": "hm</think>Let me see." + call("get_weather", city="Paris", days=2) + call("get_weather", city="Rome")}]
answer = client.chat(model="m", messages=asked, tools=[get_weather])
message = answer.message
assert message.thinking == "hm" and message.content.startswith("Let me see."), answer
assert [c.function.name for c in message.tool_calls] == ["get_weather"] * 2, answer
assert [dict(c.function.arguments) for c in message.tool_calls] == [{"city": "Paris", "days": 2}, {"city": "Rome"}]
assert answer.done and answer.done_reason == "stop" and answer.eval_count > 10
thinking, text, calls, end = whole_of(client.chat(model="m", messages=asked, tools=[get_weather], stream=True))
assert (thinking, text) == (message.thinking, message.content), (thinking, text)
assert [c.function for c in calls] == [c.function for c in message.tool_calls]
assert end.done_reason == "stop" and end.eval_count == answer.eval_count and end.eval_duration > 0, end

# The template shows the tools.
shown = client.chat(model="m", messages=[{"role": "user", "content": "</think>So."}], tools=[get_weather])
assert shown.message.content == "So.[get_weather]" and not shown.message.tool_calls, shown

# The assistant's message and the tool's answer are sent back unchanged.
history = asked + [message, {"role": "tool", "tool_name": "get_weather", "content": "12 degrees"}]
assert client.chat(model="m", messages=history).message.content.endswith("12 degrees")

# Cut off by the limit: no partial call, and `done_reason` says why.
cut = {"num_predict": 12}
half = [{"role": "user", "content": "</think>" + call("get_weather", city="Paris")}]
answer = client.chat(model="m", messages=half, tools=[get_weather], options=cut)
assert not answer.message.tool_calls and answer.done_reason == "length", answer
*_, calls, end = whole_of(client.chat(model="m", messages=half, tools=[get_weather], options=cut, stream=True))
assert not calls and end.done_reason == "length"

# What is supported, and what is refused.
shown = client.show("m")
assert {"completion", "tools", "thinking"} <= set(shown.capabilities), shown
(running,) = client.ps().models
assert running.context_length > 0 and running.size > 0 and running.model == client.list().models[0].model
for refuse, part in (
    (lambda: client.chat(model="m", messages=[{"role": "user", "content": "x", "images": [b"image"]}]), "only supports text"),
    (lambda: client.generate(model="m", prompt="x", images=[b"image"]), "only supports text"),
    (lambda: client.generate(model="m", prompt="x", suffix="y"), "does not support insert"),
    (lambda: client.generate(model="m", prompt="x", template="{{ .Prompt }}"), "template"),
    (lambda: client.chat(model="m", messages=[], keep_alive=0), "stays loaded"),
    (lambda: client.embed(model="m", input="x"), "--is-embedding"),
):
    try:
        refuse()
    except ollama.ResponseError as error:
        assert error.status_code == 400 and part in error.error and not error.error.startswith("{"), error
    else:
        raise AssertionError(part)

# Prompts unchanged and through the template; the context comes first.
few = {"num_predict": 3}
raw = client.generate(model="m", prompt="one two three four", raw=True, options=few)
assert raw.response == "one two three" and raw.done_reason == "length" and raw.context is None, raw
first = client.generate(model="m", prompt="one two three four", options=few)
assert first.response == raw.response and len(first.context) == first.prompt_eval_count + 3, first
again = client.generate(model="m", prompt=" five", context=first.context, options={"num_predict": 40})
assert again.response.startswith("one two three fourone two three five"), again
pieces = list(client.generate(model="m", prompt="one two three four", options=few, stream=True))
assert "".join(p.response for p in pieces) == first.response and pieces[-1].context == first.context
thoughtful = client.generate(model="m", prompt="hm</think>So.", think=True)
assert (thoughtful.thinking, thoughtful.response) == ("hm", "So."), thoughtful

# Vectors.
embedded = embedder.embed(model="m", input=["a cat", "a dog"])
assert len(embedded.embeddings) == 2 and all(abs(sum(x * x for x in v) - 1) < 1e-4 for v in embedded.embeddings)
assert embedder.embed(model="m", input="a cat").embeddings[0] == embedded.embeddings[0]
assert len(embedder.embeddings(model="m", prompt="a cat").embedding) == len(embedded.embeddings[0])
print("ok")
