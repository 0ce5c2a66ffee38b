"""Tests an embedding server with the official OpenAI client: python openai_embeddings.py BASE_URL. Prints `ok`."""

import asyncio
import base64
import struct
import sys

import openai

base_url = sys.argv[1] + "/v1"
client = openai.OpenAI(base_url=base_url, api_key="none", max_retries=0, timeout=120)
texts = ["The quick brown fox", "jumps over", "the lazy dog"]

# By default the client requests base64 and decodes it.
packed = client.embeddings.create(model="default", input=texts)
plain = client.embeddings.create(model="default", input=texts, encoding_format="float")
assert [d.index for d in packed.data] == [0, 1, 2] and packed.object == "list"
assert packed.usage.prompt_tokens == packed.usage.total_tokens > 0, packed.usage
for a, b in zip(packed.data, plain.data):
    assert len(a.embedding) == len(b.embedding) and a.object == "embedding"
    assert max(abs(x - y) for x, y in zip(a.embedding, b.embedding)) < 1e-5
    assert abs(sum(x * x for x in a.embedding) - 1) < 1e-4

raw = client.embeddings.create(model="default", input=texts[0], encoding_format="base64").data[0].embedding
values = struct.unpack(f"<{len(plain.data[0].embedding)}f", base64.b64decode(raw))
assert max(abs(x - y) for x, y in zip(values, plain.data[0].embedding)) < 1e-5

for bad in ({"input": ""}, {"input": ["a", " "]}, {"input": "x", "dimensions": 8}):
    try:
        client.embeddings.create(model="default", **bad)
    except openai.BadRequestError as error:
        assert error.status_code == 400, error
    else:
        raise AssertionError(f"{bad} was accepted")
try:
    client.chat.completions.create(model="default", messages=[{"role": "user", "content": "Hi"}])
except openai.BadRequestError as error:
    assert "does not generate" in str(error), error
else:
    raise AssertionError("an embedding model generated")


async def many():
    """Eight requests at once give what they give alone."""
    async with openai.AsyncOpenAI(base_url=base_url, api_key="none", max_retries=0) as c:
        calls = [c.embeddings.create(model="default", input=texts[i % 3], encoding_format="float") for i in range(8)]
        return [r.data[0].embedding for r in await asyncio.gather(*calls)]


for i, embedding in enumerate(asyncio.run(many())):
    assert max(abs(x - y) for x, y in zip(embedding, plain.data[i % 3].embedding)) < 1e-4
print("ok")
