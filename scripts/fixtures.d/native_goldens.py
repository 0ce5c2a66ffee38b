#!/usr/bin/env python3
"""Writes tests/fixtures/native_goldens.json: exchanges of the native routes with the reference, on the same weights.

usage: native_goldens.py OUT_DIR GOLDEN      (GOLDEN: the folder of the recorded exchanges, one JSON file each)

They are copied without the headers and facts that say nothing.
"""
import json
import pathlib
import sys

out, golden = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])

# Servers and what was asked of them, in this order: some answers depend on what came before.
NAMES = {
    "generate": [
        "generate-text", "generate-text-again-cached", "generate-input_ids", "generate-batch", "generate-put",
        "generate-n2", "generate-stream", "generate-stream-batch", "generate-stream-logprob",
        "generate-logprob-full", "generate-logprob-ids-only", "generate-logprob-start3", "generate-zero-tokens",
        "generate-zero-tokens-logprob", "generate-stop-string", "generate-stop-string-no-trim",
        "generate-stop-string-stream", "generate-stop-token", "generate-stop-regex", "generate-json_schema",
        "generate-regex", "generate-ebnf", "vertex_generate", "tokenize", "tokenize-batch", "tokenize-messages",
        "detokenize", "detokenize-batch", "open_session", "open_session-twice", "close_session",
        "error-generate-unknown-session", "error-generate-too-long-prompt", "error-generate-bad-json",
        "error-generate-bad-regex", "error-generate-bad-ebnf", "error-generate-bad-schema",
        "info-get_model_info", "info-v1_models", "info-v1_loads", "parse_function_call", "separate_reasoning",
    ],
    "auth": [
        "auth-none", "auth-wrong", "auth-right", "auth-unknown-path", "auth-ping", "auth-health-open",
        "auth-admin-key-on-admin-route", "auth-admin-key-on-plain-route", "auth-plain-key-on-admin-route",
        "generate-stream-incremental", "generate-stream-incremental-logprob",
    ],
}


def exchange(server, path):
    recorded = json.loads(path.read_text())
    request, response = recorded["request"], recorded["response"]
    return {
        "server": server,
        "name": recorded["name"],
        "method": request["method"],
        "path": request["path"],
        "headers": {k.lower(): v for k, v in request["headers"].items()},
        "body": request["body"] or "",
        "status": response["status"],
        "content_type": response["headers"].get("content-type"),
        "response_body": response["body"],
    }


files = [(server, golden / server / f"{name}.json") for server, names in NAMES.items() for name in names]
exchanges = [exchange(server, file) for server, file in files]
(out / "native_goldens.json").write_text(json.dumps(exchanges, ensure_ascii=False, indent=1) + "\n")
