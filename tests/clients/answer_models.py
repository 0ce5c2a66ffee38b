"""Checks that every answer fits the clients' own models: python answer_models.py BASE_URL EMBEDDING_URL. Prints `ok` at the end.

The clients of OpenAI and Anthropic accept answers unchecked, and only complain when one is serialised. Here every answer
and every event of a stream is serialised, with warnings as errors, and then parsed by its model.
"""

import sys
import warnings

import anthropic
import ollama
import openai
import pydantic

warnings.simplefilter("error", UserWarning)
problems = []
checked = 0


# Fields in which OpenAI's own service sends null although the client's model does not allow it: the reason in a piece of a
# completion, and the log-probability of a prompt's first token.
NULLS = {"finish_reason", "token_logprobs", "top_logprobs"}


def is_openais(error):
    return error["input"] is None and NULLS.intersection(error["loc"])


def check(name, answer):
    """Records where an answer does not fit its model."""
    global checked
    checked += 1
    problem = lambda error: problems.append(f"{name} ({type(answer).__name__}): {error}")
    try:
        answer.model_dump(mode="json", warnings="error")
    except Exception as error:
        problem(error)
    try:
        type(answer).model_validate(answer.model_dump(mode="json", warnings=False, by_alias=True, exclude_unset=True))
    except pydantic.ValidationError as error:
        for one in error.errors():
            if not is_openais(one):
                problem(one)
    return answer


def check_all(name, stream):
    events = [check(name, event) for event in stream]
    assert events, name
    return events


base, embedding = sys.argv[1], sys.argv[2]
client = openai.OpenAI(base_url=f"{base}/v1", api_key="none", max_retries=0, timeout=120)
question = [{"role": "user", "content": "What is the capital of France?"}]
parameters = {"type": "object", "properties": {"city": {"type": "string", "maxLength": 10}}, "required": ["city"]}
tools = [{"type": "function", "function": {"name": "get_weather", "description": "Weather", "parameters": parameters}}]
forced = {"tools": tools, "tool_choice": "required"}

check("models", client.models.list())
(model,) = client.models.list().data
check("model", client.models.retrieve(model.id))
cases = {
    "plain": {},
    "limit": {"max_tokens": 2},
    "samples": {"n": 2, "max_tokens": 4},
    "logprobs": {"logprobs": True, "top_logprobs": 3, "max_tokens": 4},
    "schema": {"response_format": {"type": "json_object"}, "max_tokens": 12},
    "stop": {"stop": ["Paris"]},
    "call": forced,
    "details": {"extra_body": {"return_cached_tokens_details": True}},
    "ids": {"extra_body": {"return_token_ids": True, "return_meta_info": True}},
}
for name, more in cases.items():
    ask = {"model": model.id, "messages": question, "temperature": 0, "max_tokens": 32, **more}
    check(f"chat, {name}", client.chat.completions.create(**ask))
    if name != "ids":
        options = {"include_usage": True}
        check_all(f"chat stream, {name}", client.chat.completions.create(**ask, stream=True, stream_options=options))
for name, more in {"plain": {}, "logprobs": {"logprobs": 2, "echo": True}, "samples": {"n": 2}}.items():
    ask = {"model": model.id, "prompt": "The capital of France is", "temperature": 0, "max_tokens": 4, **more}
    check(f"completion, {name}", client.completions.create(**ask))
    check_all(f"completion stream, {name}", client.completions.create(**ask, stream=True))

function = {"type": "function", "name": "get_weather", "description": "Weather", "parameters": parameters, "strict": True}
cases = {
    "plain": {},
    "limit": {"max_output_tokens": 4},
    "logprobs": {"include": ["message.output_text.logprobs"], "top_logprobs": 2},
    "format": {"text": {"format": {"type": "json_schema", "name": "city", "schema": parameters}}},
    "call": {"tools": [function], "tool_choice": "required"},
    "custom": {"tools": [{"type": "custom", "name": "note"}], "tool_choice": {"type": "custom", "name": "note"}},
    "fields": {"metadata": {"a": "b"}, "user": "me", "reasoning": {"effort": "low"}, "instructions": "Be brief."},
}
for name, more in cases.items():
    ask = {"model": model.id, "input": "What is the capital of France?", "temperature": 0, "max_output_tokens": 32, **more}
    check(f"response, {name}", client.responses.create(**ask))
    if name != "logprobs":
        check_all(f"response stream, {name}", client.responses.create(**ask, stream=True))

embedder = openai.OpenAI(base_url=f"{embedding}/v1", api_key="none", max_retries=0, timeout=120)
# Without a format the client asks for base64 and unpacks it.
for more in ({}, {"encoding_format": "float"}):
    check("embeddings", embedder.embeddings.create(model="m", input=["a", "b"], **more))

claude = anthropic.Anthropic(base_url=base, auth_token="none", max_retries=0, timeout=120)
tool = {"name": "get_weather", "description": "Weather", "input_schema": parameters}
cases = {
    "plain": {},
    "limit": {"max_tokens": 2},
    "stop": {"stop_sequences": ["Paris"]},
    "call": {"tools": [tool], "tool_choice": {"type": "any"}},
    "begun": {"messages": question + [{"role": "assistant", "content": "The capital"}]},
}
for name, more in cases.items():
    ask = {"model": "m", "messages": question, "max_tokens": 32, "extra_body": {"temperature": 0}, **more}
    check(f"message, {name}", claude.messages.create(**ask))
    check_all(f"message stream, {name}", claude.messages.create(**ask, stream=True))
check("count", claude.messages.count_tokens(model="m", messages=question))

llama = ollama.Client(host=base, timeout=120)
options = {"temperature": 0, "num_predict": 8}
ask = {"model": "m", "options": options}
check("ollama chat", llama.chat(messages=question, **ask))
check_all("ollama chat stream", llama.chat(messages=question, stream=True, logprobs=True, **ask))
check("ollama generate", llama.generate(prompt="The capital of France is", **ask))
check_all("ollama generate stream", llama.generate(prompt="The capital of France is", stream=True, **ask))
for answer in (llama.list(), llama.ps(), llama.show("m")):
    check("ollama models", answer)
vectors = ollama.Client(host=embedding, timeout=120)
check("ollama embed", vectors.embed(model="m", input=["a", "b"]))
check("ollama embeddings", vectors.embeddings(model="m", prompt="a"))

assert not problems, "\n".join(problems)
assert checked > 100, checked
print("ok", checked)
