"""Tests a running server with Ollama's client: python ollama_client.py BASE_URL. Prints `ok` at the end."""

import asyncio
import json
import sys

import ollama

client = ollama.Client(host=sys.argv[1], timeout=120)
question = [{"role": "user", "content": "What is the capital of France?"}]
options = {"temperature": 0, "num_predict": 32}

(model,) = client.list().models
shown = client.show(model.model)
assert "completion" in shown.capabilities and shown.parameters.startswith("num_ctx"), shown

chat = client.chat(model=model.model, messages=question, options=options)
answer = chat.message.content
assert "Paris" in answer and chat.done and chat.done_reason == "stop", chat
assert chat.message.role == "assistant" and chat.prompt_eval_count > 0 and 0 < chat.eval_count <= 32
assert chat.total_duration > 0

chunks = list(client.chat(model=model.model, messages=question, options=options, stream=True))
assert "".join(c.message.content for c in chunks) == answer, chunks
assert [c.done for c in chunks] == [False] * (len(chunks) - 1) + [True]

prompt = "The capital of France is"
options = {"temperature": 0, "num_predict": 8, "seed": 1}
whole = client.generate(model=model.model, prompt=prompt, options=options)
assert "Paris" in whole.response and whole.eval_count == 8, whole
pieces = [c.response for c in client.generate(model=model.model, prompt=prompt, options=options, stream=True)]
assert "".join(pieces) == whole.response, pieces
assert whole.done_reason == "length" and client.ps().models[0].model == model.model
logged = client.chat(model=model.model, messages=question, think=False, logprobs=True, top_logprobs=2, options=options)
assert len(logged.logprobs) == logged.eval_count and all(len(t.top_logprobs) == 2 for t in logged.logprobs), logged
begun = question + [{"role": "assistant", "content": "The capital of France is"}]
continued = client.chat(model=model.model, messages=begun, options={"temperature": 0, "num_predict": 8})
assert continued.message.content.startswith(" Paris"), continued
one = {**options, "num_predict": 1}
(first, end) = client.generate(model=model.model, prompt=prompt, options=one, stream=True)
assert first.response and whole.response.startswith(first.response) and end.done and not end.response

assert client.generate(model=model.model, prompt="").done

schema = {
    "type": "object",
    "properties": {"city": {"type": "string", "maxLength": 20}, "size": {"enum": ["small", "large"]}},
    "required": ["city", "size"],
    "additionalProperties": False,
}
options = {"temperature": 0, "num_predict": 64}
for ask in (
    lambda **more: client.chat(model=model.model, messages=question, options=options, format=schema, **more),
    lambda **more: client.generate(model=model.model, prompt=prompt, options=options, format=schema, **more),
):
    text = lambda r: r.message.content if hasattr(r, "message") else r.response
    bound = json.loads(text(ask()))
    assert set(bound) == {"city", "size"} and bound["size"] in ("small", "large"), bound
    assert json.loads("".join(map(text, ask(stream=True)))) == bound
assert client.chat(model=model.model, messages=question, options=options, format="json").message.content.startswith("{")

try:
    client.chat(model=model.model, messages=question, options={"temperature": -1})
except ollama.ResponseError as error:
    assert error.status_code == 400 and "temperature" in error.error, error
else:
    raise AssertionError("a negative temperature was accepted")


async def many():
    """Four answers at once are the one that comes alone."""
    c = ollama.AsyncClient(host=sys.argv[1], timeout=120)
    calls = [c.chat(model=model.model, messages=question, options={"temperature": 0, "num_predict": 32}) for _ in range(4)]
    return [r.message.content for r in await asyncio.gather(*calls)]


assert set(asyncio.run(many())) == {answer}
print("ok")
