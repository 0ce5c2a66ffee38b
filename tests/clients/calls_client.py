"""Sends the calls of answers back in the history: python calls_client.py BASE_URL. Prints `ok` at the end.

The server echoes the prompt, so the questions determine which calls the model writes. Its template shows the calls of the
history as `<NAME KEY=VALUE>`. The clients of OpenAI, Anthropic and Ollama send back what they received, as they store it.
"""

import json
import sys

import anthropic
import ollama
import openai

base = sys.argv[1]
client = openai.OpenAI(base_url=base + "/v1", api_key="none", max_retries=0, timeout=120)
claude = anthropic.Anthropic(base_url=base, auth_token="none", max_retries=0, timeout=120)
lama = ollama.Client(host=base, timeout=120)

schema = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "days": {"$ref": "#/$defs/N"}},
    "$defs": {"N": {"type": "integer"}},
}
tools = [{"type": "function", "function": {"name": "f", "parameters": schema}}]
claude_tools = [{"name": "f", "input_schema": schema}]
responses_tools = [{"type": "function", "name": "f", "parameters": schema}]


def asked(arguments):
    """A question whose answer is a call with this text as arguments."""
    return '<tool_call>\n{"name": "f", "arguments": ' + arguments + "}\n</tool_call>"


def chat(question, **more):
    """The calls of a chat, and the message as the client stores it; whole and streamed must agree."""
    ask = {"model": "m", "messages": [{"role": "user", "content": question}], "tools": tools, **more}
    whole = client.chat.completions.create(**ask).choices[0]
    calls = [(c.function.name, c.function.arguments) for c in whole.message.tool_calls or []]
    pieces, finish = {}, None
    for chunk in client.chat.completions.create(**ask, stream=True):
        for choice in chunk.choices:
            finish = choice.finish_reason or finish
            for call in choice.delta.tool_calls or []:
                name, arguments = pieces.get(call.index, ("", ""))
                pieces[call.index] = (name + (call.function.name or ""), arguments + (call.function.arguments or ""))
    assert ([pieces[i] for i in sorted(pieces)], finish) == (calls, whole.finish_reason), (pieces, whole)
    return calls, whole


def shown(message, calls):
    """The rendered prompt of a history with these calls."""
    results = [{"role": "tool", "tool_call_id": c["id"], "content": "12 degrees"} for c in calls]
    history = [{"role": "user", "content": "Q."}, message, *results]
    return client.chat.completions.create(model="m", messages=history).choices[0].message.content


wanted = [
    ('{"city": "Paris", "days": 2}', {"city": "Paris", "days": 2}),
    ("{}", {}),
    ("null", {}),
    ('""', {}),
    (json.dumps('{"city": "Paris"}'), {"city": "Paris"}),
    (json.dumps(json.dumps('{"city": "Paris"}')), {"city": "Paris"}),
]
for text, arguments in wanted:
    mark = "".join(f" {key}={value}" for key, value in arguments.items())

    calls, choice = chat(asked(text))
    assert [(name, json.loads(given)) for name, given in calls] == [("f", arguments)], (text, calls)
    assert choice.finish_reason == "tool_calls", choice
    message = choice.message.model_dump(include={"role", "content", "tool_calls", "refusal"})
    assert shown(message, message["tool_calls"]) == f"Q.<f{mark}>12 degrees", shown(message, message["tool_calls"])

    ask = {"model": "m", "max_tokens": 200, "messages": [{"role": "user", "content": asked(text)}], "tools": claude_tools}
    block = next(b for b in claude.messages.create(**ask).content if b.type == "tool_use")
    with claude.messages.stream(**ask) as stream:
        again = next(b for b in stream.get_final_message().content if b.type == "tool_use")
    assert (block.name, block.input) == (again.name, again.input) == ("f", arguments), (block, again)
    for given in (block.input, json.dumps(block.input), json.dumps(json.dumps(block.input))):
        kept = {**block.model_dump(include={"type", "id", "name"}), "input": given}
        result = {"type": "tool_result", "tool_use_id": block.id, "content": "12 degrees"}
        history = [
            {"role": "user", "content": "Q."},
            {"role": "assistant", "content": [kept]},
            {"role": "user", "content": [result]},
        ]
        answer = claude.messages.create(model="m", max_tokens=200, messages=history)
        assert answer.content[0].text == f"Q.<f{mark}>12 degrees", answer

    ask = {"model": "m", "input": asked(text), "tools": responses_tools}
    item = next(i for i in client.responses.create(**ask).output if i.type == "function_call")
    (final,) = [e.response for e in client.responses.create(**ask, stream=True) if e.type == "response.completed"]
    again = next(i for i in final.output if i.type == "function_call")
    assert item.arguments == again.arguments and json.loads(item.arguments) == arguments, (item, again)
    output = {"type": "function_call_output", "call_id": item.call_id, "output": "12 degrees"}
    answer = client.responses.create(model="m", input=[{"role": "user", "content": "Q."}, item.model_dump(), output])
    assert answer.output_text == f"Q.<f{mark}>12 degrees", answer

    message = lama.chat(model="m", messages=[{"role": "user", "content": asked(text)}], tools=tools).message
    pieces = list(lama.chat(model="m", messages=[{"role": "user", "content": asked(text)}], tools=tools, stream=True))
    (again,) = [call for piece in pieces for call in piece.message.tool_calls or []]
    (call,) = message.tool_calls
    assert dict(call.function.arguments) == dict(again.function.arguments) == arguments, (call, again)
    history = [{"role": "user", "content": "Q."}, message, {"role": "tool", "tool_name": "f", "content": "12 degrees"}]
    answer = lama.chat(model="m", messages=history)
    assert answer.message.content == f"Q.<f{mark}>12 degrees", answer

# Every other form in which clients store arguments.
for given, mark in [("", ""), (" ", ""), ("null", ""), (None, ""), ({}, ""), ({"a": 1}, " a=1"), ('"{\\"a\\": 1}"', " a=1")]:
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": given}}
    text = shown({"role": "assistant", "content": None, "tool_calls": [call]}, [call])
    assert text == f"Q.<f{mark}>12 degrees", (given, text)

# Cut off anywhere: the same whole and streamed, and accepted in the history.
partial = set()
for limit in range(1, 60):
    calls, choice = chat(asked('{"city": "Saint-Rémy-de-Provence", "days": 12}'), max_tokens=limit)
    if choice.finish_reason != "length":
        break
    for _, arguments in calls:
        partial.add(arguments)
        assert arguments == "" or arguments.startswith("{"), arguments
    if choice.message.tool_calls:
        message = choice.message.model_dump(include={"role", "content", "tool_calls"})
        text = shown(message, message["tool_calls"])
        assert text.startswith("Q.<f") and text.endswith(">12 degrees"), text
assert len(partial) > 5, partial
for limit in range(10, 50, 4):
    question = [{"role": "user", "content": asked('{"city": "Saint-Rémy-de-Provence", "days": 12}')}]
    ask = {"model": "m", "max_tokens": limit, "messages": question, "tools": claude_tools}
    answer = claude.messages.create(**ask)
    with claude.messages.stream(**ask) as stream:
        again = stream.get_final_message()
    kinds = [block.type for block in answer.content if block.type == "tool_use" or block.text]
    assert kinds == [block.type for block in again.content if block.type == "tool_use" or block.text], (answer, again)
    assert answer.stop_reason == again.stop_reason, (answer, again)
    history = [question[0], {"role": "assistant", "content": [b.model_dump() for b in answer.content]}, question[0]]
    claude.messages.create(model="m", max_tokens=5, messages=history)
    ask = {"model": "m", "input": question, "tools": responses_tools, "max_output_tokens": limit + 1}
    answer = client.responses.create(**ask)
    told = [(i.name, i.arguments, i.status) for i in answer.output if i.type == "function_call"]
    items = [e.item for e in client.responses.create(**ask, stream=True) if e.type == "response.output_item.done"]
    assert told == [(i.name, i.arguments, i.status) for i in items if i.type == "function_call"], (answer, items)
    client.responses.create(model="m", input=[*question, *[i.model_dump() for i in answer.output]], max_output_tokens=5)

# A refusal in the history is text.
for message in (
    {"role": "assistant", "content": [{"type": "refusal", "refusal": "I cannot."}]},
    {"role": "assistant", "content": None, "refusal": "I cannot."},
):
    assert shown(message, []) == "Q.I cannot.", message
refused = {"type": "message", "role": "assistant", "content": [{"type": "refusal", "refusal": "I cannot."}]}
question = {"role": "user", "content": "And now?"}
answer = client.responses.create(model="m", input=[{"role": "user", "content": "Q."}, refused, question])
assert answer.output_text == "Q.I cannot.And now?", answer
print("ok")
