"""Tests a server with a tool parser with LangChain's OpenAI integration: python langchain_client.py BASE_URL. Prints `ok`
at the end."""

import asyncio
import sys

import pydantic
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI, OpenAI


def chat(**more):
    """A chat model."""
    return ChatOpenAI(
        base_url=sys.argv[1] + "/v1", api_key="none", model="m", temperature=0, max_tokens=120, max_retries=0, **more
    )


model = chat()
answer = model.invoke([SystemMessage("You know geography."), HumanMessage("What is the capital of France?")])
assert isinstance(answer, AIMessage) and answer.content, answer
assert answer.usage_metadata["total_tokens"] == answer.usage_metadata["input_tokens"] + answer.usage_metadata["output_tokens"]
question = "What is the capital of France?"
whole = model.invoke(question).content
assert "Paris" in whole
assert "".join(chunk.content for chunk in model.stream(question)) == whole
assert [m.content for m in model.batch([question] * 3)] == [whole] * 3
assert asyncio.run(model.ainvoke(question)).content == whole


class Capital(pydantic.BaseModel):
    """A capital."""

    city: str = pydantic.Field(max_length=20)
    large: bool


for method in ("json_schema", "function_calling"):
    structured = model.with_structured_output(Capital, method=method, strict=True).invoke(question)
    assert isinstance(structured, Capital), structured


@tool
def get_weather(days: int) -> str:
    """The weather of the next days."""
    return f"Sunny for {days} days."


bound = model.bind_tools([get_weather], tool_choice="get_weather", strict=True, parallel_tool_calls=False)
called = bound.invoke("What will the weather be?")
(call,) = called.tool_calls
assert call["name"] == "get_weather" and isinstance(call["args"]["days"], int), called
merged = None
for chunk in bound.stream("What will the weather be?"):
    merged = chunk if merged is None else merged + chunk
assert [(c["name"], c["args"]) for c in merged.tool_calls] == [(call["name"], call["args"])], merged
result = get_weather.invoke(call)
assert isinstance(result, ToolMessage)
assert model.invoke([HumanMessage("What will the weather be?"), called, result]).content

completion = OpenAI(base_url=sys.argv[1] + "/v1", api_key="none", model="m", temperature=0, max_tokens=8, max_retries=0)
assert "Paris" in completion.invoke("The capital of France is")
print("ok")
