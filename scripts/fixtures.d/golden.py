#!/usr/bin/env python3
"""Writes tests/fixtures/golden/SET.json: every exchange recorded from the reference, in the order it was recorded.

usage: golden.py OUT_DIR GOLDEN      (GOLDEN: the folder of the recorded exchanges with its record*.py)

Irrelevant parts are left out: headers about the connection, the source location in the reference's schema errors, and
the samples of /metrics (their names and labels stay; their values are times and counts).
"""
import json
import pathlib
import re
import sys

out, golden = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
CONNECTION = {"server", "date", "content-length", "transfer-encoding"}
SOURCE = re.compile(r'\\n\\n  File \\"[^"]*\\", line \d+, in \w+\\n    [A-Z]+ [^ ]+(?= \[)')


def order():
    """Names in the order of the recording scripts, since some answers depend on earlier requests."""
    text = "".join((golden / name).read_text() for name in ("record.py", "record_special.py", "record_limits.py"))
    names = re.findall(r'(?:^    \(|save\()"([\w-]+)"', text, re.M)
    return {name: place for place, name in reversed(list(enumerate(names)))}


def metrics(text):
    """The contents of /metrics: types and help of families, and samples with labels but without values."""
    lines = [re.sub(r" [^ ]+$", "", line) if line[:1] != "#" else line for line in text.splitlines()]
    lines = [re.sub(r'le="[^"]*"', 'le=""', line) for line in lines]
    return "\n".join(dict.fromkeys(lines)) + "\n"


def exchange(folder, path):
    recorded = json.loads(path.read_text())
    request, response = recorded["request"], recorded["response"]
    headers = {k.lower(): v for k, v in response.get("headers", {}).items() if k.lower() not in CONNECTION}
    body = response.get("body")
    if request["path"].startswith("/metrics") and response["status"] == 200:
        body = metrics(body)
    return {
        "set": folder,
        "name": recorded["name"],
        "method": request["method"],
        "path": request["path"],
        "headers": {k.lower(): v for k, v in request["headers"].items()},
        "body": request["body"] or "",
        # None: the server ended without an answer.
        "status": response["status"],
        "response_headers": headers,
        "response_body": SOURCE.sub("", body) if body is not None else "",
    }


def main():
    places, total = order(), 0
    (out / "golden").mkdir(parents=True, exist_ok=True)
    for folder in sorted(path for path in golden.iterdir() if path.is_dir()):
        # Not an exchange but the contents of a dump, which moe.py covers.
        files = [f for f in folder.glob("*.json") if "request" in json.loads(f.read_text())]
        names = lambda f: places.get(f.stem, places.get(f.stem.replace("causal-", ""), -1))
        exchanges = [exchange(folder.name, f) for f in sorted(files, key=lambda f: (names(f), f.stem))]
        total += len(exchanges)
        (out / "golden" / f"{folder.name}.json").write_text(json.dumps(exchanges, ensure_ascii=False, indent=1) + "\n")
    print(f"{out}: {total} exchanges")


main()
