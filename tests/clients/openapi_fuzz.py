"""Tests a running server with schemathesis and the server's OpenAPI document: python openapi_fuzz.py BASE_URL. Prints `ok` at the end.

It generates valid and invalid calls of every route from the document. No answer may be a 500, or have a status, content
type or form that the document does not list.
"""

import pathlib
import subprocess
import sys
import tempfile

import requests

config = pathlib.Path(__file__).with_name("schemathesis.toml")
command = [sys.executable, "-m", "schemathesis.cli", "--config-file", str(config), "run", sys.argv[1] + "/openapi.json", "--no-color"]
with tempfile.TemporaryDirectory() as folder:
    run = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=600, check=False)
if run.returncode:
    sys.exit(run.stdout[-20000:] + run.stderr)
assert requests.get(sys.argv[1] + "/health", timeout=30).status_code == 200
print(run.stdout[-1500:])
print("ok")
