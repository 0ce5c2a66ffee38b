"""Tests a running server with SGLang's own front-end language: python sglang_frontend.py BASE_URL. Prints `ok` at the end.

Importing the package imports torch, which these tests do not have, so the parts of the front end are imported below an
empty package of the same name. IPython is only used in notebooks.
"""

import importlib.util
import json
import re
import sys
import types

spec = importlib.util.find_spec("sglang")
package = types.ModuleType("sglang")
package.__path__ = list(spec.submodule_search_locations)
sys.modules["sglang"] = package
notebook = types.ModuleType("IPython.display")
notebook.HTML = notebook.display = None
sys.modules["IPython"] = types.ModuleType("IPython")
sys.modules["IPython.display"] = notebook

import sglang.lang.api as sgl
from sglang.lang.backend.runtime_endpoint import RuntimeEndpoint

backend = RuntimeEndpoint(sys.argv[1])
sgl.set_default_backend(backend)


@sgl.function
def answer(s, question):
    s += sgl.user(question)
    s += sgl.assistant(sgl.gen("answer", max_tokens=16, temperature=0))


question = "What is the capital of France?"
state = answer.run(question=question)
assert "Paris" in state["answer"], state["answer"]
assert state.get_meta_info("answer")["finish_reason"]["type"] in ("stop", "length")
stream = answer.run(question=question, stream=True)
assert "".join(stream.text_iter(var_name="answer")) == state["answer"]
batch = answer.run_batch([{"question": question}, {"question": "Name a colour."}], progress_bar=False)
assert batch[0]["answer"] == state["answer"] and batch[1]["answer"]


@sgl.function
def choose(s):
    s += "The capital of France is the city of"
    s += sgl.select("city", choices=[" Paris", " Pork", " Violin"])


state = choose.run()
assert state["city"] == " Paris", state["city"]
meta = state.get_meta_info("city")
assert len(meta["normalized_prompt_logprobs"]) == len(meta["input_token_logprobs"]) == 3, meta


@sgl.function
def branch(s):
    s += "Two tips for a long life.\n"
    forks = s.fork(2)
    for number, fork in enumerate(forks):
        fork += f"Tip {number + 1}:"
        fork += sgl.gen("tip", max_tokens=8, temperature=0)
    s += "1." + forks[0]["tip"] + "\n2." + forks[1]["tip"] + "\nTherefore"
    s += sgl.gen("end", max_tokens=8, temperature=0)


state = branch.run()
assert state["end"] and state.text().endswith(state["end"]), state.text()


@sgl.function
def constrained(s):
    s += "The IP address of the server is "
    s += sgl.gen("ip", regex=r"(\d{1,3}\.){3}\d{1,3}", max_tokens=20, temperature=0)
    s += "\nA person as JSON: "
    s += sgl.gen("person", max_tokens=48, temperature=0, json_schema=json.dumps({
        "type": "object",
        "properties": {"name": {"type": "string", "maxLength": 8}, "age": {"type": "integer", "maximum": 120}},
        "required": ["name", "age"],
    }))
    s += "\n2 + 3 = "
    s += sgl.gen_int("sum", max_tokens=4, temperature=0)


state = constrained.run()
assert re.fullmatch(r"(\d{1,3}\.){3}\d{1,3}", state["ip"]), state["ip"]
assert isinstance(json.loads(state["person"])["age"], int), state["person"]
assert re.fullmatch(r"-?\d+", state["sum"].strip()), state["sum"]

backend.flush_cache()
assert backend.get_server_info()["model_path"]
print("ok")
