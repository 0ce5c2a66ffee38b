#!/usr/bin/env python3
"""Writes runtime/constrained/tests/fixtures/xgrammar.json: which JSON schemas the reference's grammar engine
accepts, and which texts under each of them.

usage: schemas.py OUT_DIR

Needs xgrammar 0.2.7, the version that the reference pins (pip install xgrammar==0.2.7). The vocabulary has one token per byte, so that a
text is accepted exactly if the grammar accepts it.
"""
import contextlib
import importlib.metadata
import itertools
import json
import os
import pathlib
import sys

import xgrammar

VERSION = importlib.metadata.version("xgrammar")
if VERSION != "0.2.7":
    sys.exit(f"xgrammar is {VERSION}; the reference pins 0.2.7 (pip install xgrammar==0.2.7)")
EOS = 256
TOKENS = xgrammar.TokenizerInfo([bytes([i]) for i in range(256)] + [b"</s>"], stop_token_ids=[EOS], vocab_size=257)
COMPILER = xgrammar.GrammarCompiler(TOKENS, max_threads=1)

ROWS = []


class Raw(str):
    """JSON text is used as it is; anything else is a value."""


def add(name, schema, *texts):
    ROWS.append((name, schema, [text if isinstance(text, Raw) else json.dumps(text, ensure_ascii=False) for text in texts]))


def family(name, texts, *schemas):
    for number, schema in enumerate(schemas, 1):
        add(f"{name} {number}", schema, *texts)


def obj(properties, required=(), **more):
    schema = {"type": "object", "properties": properties}
    if required:
        schema["required"] = list(required)
    return schema | more


INT, STR, ONE, TWO = {"type": "integer"}, {"type": "string"}, {"const": 1}, {"const": 2}

# Formats.
SAMPLES = {
    "email": ["a@b.de", "a.b", "@"], "date": ["2026-02-28", "2026-13-01"], "time": ["12:30:00Z", "25:00:00Z"],
    "date-time": ["2026-02-28T12:30:00Z", "2026-02-28"], "duration": ["P1DT2H", "1D"], "ipv4": ["1.2.3.4", "256.1.1.1"],
    "ipv6": ["::1", "1:2"], "hostname": ["a.example", "-a"], "uuid": ["123e4567-e89b-12d3-a456-426614174000", "123"],
    "uri": ["https://a.example/b?c#d", "no uri"], "uri-reference": ["/a/b?c", "a b"], "uri-template": ["/a/{b}", "/a/{"],
    "json-pointer": ["/a/0", "a"], "relative-json-pointer": ["1/a", "/a"],
}
OTHER = "byte password int32 int64 float double binary cuid cuid2 ulid nanoid base64 jwt emoji cidrv4 regex iri idn-email phone color xyz"
for name, (good, *bad) in SAMPLES.items():
    add(f"format {name}", {"type": "string", "format": name}, good, *bad, "")
    add(f"format {name} in an object", obj({"a": {"type": "string", "format": name}}, "a"), {"a": good}, {"a": 1}, {})
for name in OTHER.split():
    add(f"format {name}", {"type": "string", "format": name}, "x y", "", 1)
for name in ["int32", "int64", "float", "double", "unix-time"]:
    add(f"format {name} of a number", {"type": "integer", "format": name}, 5, "5", 1.5)
add("format without a type", {"format": "int32"}, 5, "x")
add("format of text or null", {"type": ["string", "null"], "format": "date"}, "2026-02-28", None, "x")

# Patterns.
for pattern, *texts in [
    ("^[a-z]+$", "ab", "", "aB"), ("^a|b$", "a", "b", "c"), ("[0-9]{2,3}", "12", "123", "1"), ("^\\d{4}-\\d{2}$", "2026-02", "26-2"),
    ("^\\w+@\\w+\\.com$", "a@b.com", "a@b"), ("^(?:a|bc)*$", "", "abca", "b"), ("^\\S*$", "ab", "a b"), ("^.{3}$", "abc", "ab", "日本語"),
    ("^[^x]*$", "abc", "axb"), ("^\\+?[1-9]\\d{1,14}$", "+4912345", "0"), ("^#[0-9a-fA-F]{6}$", "#00ff00", "#00f"), ("^$", "", "a"),
    ("^(yes|no)$", "yes", "maybe"), ("^a\\.b$", "a.b", "axb"), ("^\\\"x\\\"$", "\"x\"", "x"), ("^[\\u4e00-\\u9fff]+$", "日本", "ab"),
    ("^a{2}$", "aa", "a"), ("^a{2,}$", "aaa", "a"), ("^a{0,2}$", "", "aaa"), ("^[A-Z]{2}\\d{2,4}$", "AB123", "AB1"),
    ("^[\\w.-]+$", "a.b-c", "a b"), ("^/[a-z]+(/[a-z]+)*$", "/a/b", "a"), ("^\\s*\\S+\\s*$", " a ", "a b"), ("a", "a", "b"),
    ("^(?!^[-+.]*$)[+-]?0*\\d*\\.?\\d*$", "1.5", "-", "x", ""), ("^(?=.*\\d)[a-z0-9]+$", "a1", "a", "A1"), ("^(?!admin$)[a-z]+$", "bob", "admin", "1"),
    ("^(?!.*\\.\\.)[a-z.]+$", "a.b", "A"), ("^[a-z]+(?<!x)$", "ab", "1"), ("^(?!\\s)[\\s\\S]+$", "a", " a"), ("^$|^\\S+@\\S+$", "", "a@b", "a"),
    ("^(a)\\1$", "aa"), ("\\bfoo\\b", "foo"), ("^[a-z", "a"), ("^(a", "a"), ("*", "a"), ("^a{2,1}$", "a"), ("^\\p{L}+$", "é", "1"),
    ("^(?<y>\\d{4})$", "2026", "x"), ("^[a-z]*?$", "ab", "1"), ("^\\x41$", "A", "B"), ("^[\\d]+[\\D]$", "1a", "a1"),
]:
    add(f"pattern {pattern}", {"type": "string", "pattern": pattern}, *texts)
add("pydantic's Decimal", {"anyOf": [{"type": "number"}, {"type": "string", "pattern": "^(?!^[-+.]*$)[+-]?0*\\d*\\.?\\d*$"}]}, 1.5, "1.5", "x", None)
add("pattern and length", {"type": "string", "pattern": "^a*$", "maxLength": 2}, "aa", "aaa", "b")

# Lengths.
family("length", ["", "a", "ab", "éé", "abc", "日本語", "a\nb"], *[{"type": "string"} | more for more in [
    {}, {"minLength": 1}, {"maxLength": 2}, {"minLength": 2, "maxLength": 2}, {"minLength": 2}, {"maxLength": 0},
    {"maxLength": 9007199254740991}, {"minLength": 0, "maxLength": 2147483647}, {"minLength": 3, "maxLength": 1}]])

# Numbers.
BOUNDS = [{}, {"minimum": 0}, {"maximum": 10}, {"minimum": -5, "maximum": 12}, {"exclusiveMinimum": 0}, {"exclusiveMaximum": 10},
          {"exclusiveMinimum": 0, "exclusiveMaximum": 2}, {"minimum": 3, "maximum": 3}, {"minimum": 100}, {"maximum": -100}, {"minimum": 5, "maximum": 1}]
family("integer", [0, 1, -1, 3, 10, 12, 100, -100, *map(Raw, ["1.5", "1e2", "01", "-0"])], *[{"type": "integer"} | bound for bound in BOUNDS])
family("number", [0, 1, -1.5, 3, 10, 9.99, 100.25, -100, *map(Raw, ["1e2", "1.", ".5"])], *[{"type": "number"} | bound for bound in BOUNDS],
       {"type": "number", "minimum": 0.5, "maximum": 3.25}, {"type": "number", "minimum": -1.5, "exclusiveMaximum": 10})
FAR = [Raw(text) for text in "0 -5 9223372036854775807 -9223372036854775808 9223372036854775808 100000000000000000000 1.5".split()]
for kind, keyword, bound in itertools.product(["integer", "number"], ["minimum", "maximum"],
                                              [-(2**63), 2**63 - 1, -(2**53), 2**53, 2**63, -3.4028235e38, 3.4028235e38, 1.7976931348623157e308]):
    add(f"{kind} {keyword} {bound}", {"type": kind, keyword: bound}, *FAR)
add("int64", {"type": "integer", "minimum": -(2**63), "maximum": 2**63 - 1}, *FAR)
add("uint64", {"type": "integer", "minimum": 0, "maximum": 2**64 - 1}, *FAR)
add("float32", {"type": "number", "minimum": -3.4028235e38, "maximum": 3.4028235e38}, *FAR)
family("multiple", [0, 3, 4, 6, -3, 1.5, 0.01, 0.015], {"type": "integer", "multipleOf": 3}, {"type": "number", "multipleOf": 1.5},
       {"type": "number", "multipleOf": 0.01}, {"type": "integer", "multipleOf": 2, "minimum": 3, "maximum": 7}, {"multipleOf": 1, "type": "integer"})

# Types.
ANY = [None, True, 1, 1.5, "a", [], {}, [1], {"a": 1}]
family("type", ANY, *[{"type": kind} for kind in "null boolean integer number string array object".split()], {}, True, {"title": "x"},
       {"type": ["string", "null"]}, {"type": ["integer", "array"]}, {"type": ["object", "boolean", "null"]})
for number, schema in enumerate([{"type": "any"}, {"type": "str"}, {"type": []}, {"type": 5}, {"type": ["string", "x"]}, False, {"enum": []}, {"anyOf": []},
                                 {"properties": 3}, {"required": "a", "type": "object"}, {"$ref": 3}, {"items": 3, "type": "array"}, {"minLength": "a", "type": "string"},
                                 {"minimum": "a", "type": "integer"}, {"pattern": 3, "type": "string"}, {"allOf": []}, {"maxLength": -1, "type": "string"}], 1):
    add(f"wrong {number}", schema, "a")

# Values.
family("values", ["a", "b", 1, 2.5, None, True, *map(Raw, ['{"a":1}', '{"a": 1}', "[1,2]", "[1, 2]"]), "é\"", ""], {"const": "a"}, {"const": 1}, {"const": None}, {"const": True},
       {"const": {"a": 1}}, {"const": [1, 2]}, {"enum": ["a", "b"]}, {"enum": ["a", 1, None, True]}, {"enum": [{"a": 1}, [1, 2]]}, {"enum": [2.5]},
       {"type": "string", "enum": ["a", 1]}, {"const": "é\""}, {"enum": [""]}, {"type": "string", "const": "b"})

# Objects.
AB = {"a": ONE, "b": TWO}
OBJECTS = [{}, {"a": 1}, {"b": 2}, {"a": 1, "b": 2}, {"b": 2, "a": 1}, {"a": 2}, {"c": 3}, {"a": 1, "c": 3}]
family("object", OBJECTS, obj(AB), obj(AB, "a"), obj(AB, "ab"), obj(AB, additionalProperties=False), obj(AB, additionalProperties=True),
       obj(AB, additionalProperties=INT), obj(AB, "b", additionalProperties=STR), {"type": "object", "additionalProperties": INT},
       {"type": "object", "additionalProperties": False}, obj({}), {"properties": AB, "required": ["a"]}, obj({"a": False, "b": TWO}), obj(AB, ["c"]),
       obj(AB, unevaluatedProperties=False), obj(AB, unevaluatedProperties=True), obj(AB, unevaluatedProperties=INT))
family("count", OBJECTS, *[obj(AB, **bound, additionalProperties=more) for bound in
                           [{"minProperties": 1}, {"minProperties": 2}, {"maxProperties": 1}, {"maxProperties": 0}, {"minProperties": 1, "maxProperties": 1}]
                           for more in [False, INT]], {"type": "object", "minProperties": 1}, {"type": "object", "maxProperties": 1}, obj(AB, "a", maxProperties=1))
family("names", OBJECTS + [{"A": 1}, {"abc": 1}, {"x-a": "v"}], {"type": "object", "propertyNames": {"pattern": "^[a-z]+$"}},
       {"type": "object", "propertyNames": {"enum": ["a", "b"]}}, {"type": "object", "propertyNames": {"maxLength": 1}, "additionalProperties": INT},
       {"type": "object", "propertyNames": {"type": "string"}}, {"type": "object", "propertyNames": {"const": "c"}}, obj(AB, propertyNames={"pattern": "^a$"}),
       {"type": "object", "propertyNames": {"minLength": 2}}, {"type": "object", "propertyNames": {"$ref": "#/$defs/n"}, "$defs": {"n": {"pattern": "^[A-Z]$"}}},
       {"type": "object", "patternProperties": {"^x-": STR}}, {"type": "object", "patternProperties": {"^[a-z]$": INT}, "additionalProperties": False},
       obj(AB, patternProperties={"^x-": STR}), obj(AB, patternProperties={"^[ab]$": INT}, additionalProperties=False),
       {"type": "object", "patternProperties": {"^a": INT, "c$": INT}, "additionalProperties": False}, {"type": "object", "patternProperties": {"": INT}})
NEST = [{"o": {"a": 1}}, {"o": {}}, {"o": {"a": 1, "b": 2}}, {"o": None}, {"l": [{"a": 1}]}, {"l": []}, {}]
family("nested", NEST, obj({"o": obj(AB, "a"), "l": {"type": "array", "items": obj(AB)}}), obj({"o": {"anyOf": [obj(AB), {"type": "null"}]}}, "o"),
       obj({"o": {"type": ["object", "null"], "properties": AB}, "l": {"type": "array", "items": {"type": "object"}, "minItems": 1}}))

# Arrays.
ARRAYS = [[], [1], [1, 2], [1, 1], [1, 2, 3], ["a"], [1, "a"], [1, "a", None], [None]]
family("array", ARRAYS, {"type": "array"}, *[{"type": "array", "items": INT} | more for more in [
    {}, {"minItems": 1}, {"maxItems": 2}, {"minItems": 2, "maxItems": 2}, {"minItems": 3}, {"maxItems": 0}, {"uniqueItems": True}, {"uniqueItems": False},
    {"maxItems": 9007199254740991}, {"contains": ONE}, {"contains": TWO, "maxItems": 3}, {"contains": ONE, "minContains": 0}, {"contains": ONE, "maxContains": 1}]],
    {"type": "array", "prefixItems": [INT, STR]}, {"type": "array", "prefixItems": [INT, STR], "items": False}, {"type": "array", "prefixItems": [INT], "items": STR},
    {"type": "array", "prefixItems": [INT, STR], "minItems": 2, "items": {"type": "null"}}, {"type": "array", "items": [INT, STR]},
    {"type": "array", "items": [INT], "additionalItems": False}, {"type": "array", "items": False}, {"type": "array", "items": {"enum": [1, 2]}, "uniqueItems": True},
    {"type": "array", "prefixItems": [INT], "unevaluatedItems": False}, {"type": "array", "unevaluatedItems": False}, {"type": "array", "minItems": 2, "maxItems": 1})

# Combinations.
family("union", [1, "a", None, 1.5, {"a": 1}, {"b": 2}, [], True], {"anyOf": [INT, STR]}, {"oneOf": [INT, STR]}, {"anyOf": [obj(AB, "a"), {"type": "null"}]},
       {"oneOf": [obj({"a": ONE}, "a"), obj({"b": TWO}, "b")]}, {"anyOf": [INT, {"type": "number"}]}, {"oneOf": [INT, {"type": "number"}]}, {"anyOf": [{"const": 1}, {"enum": ["a"]}]},
       {"anyOf": [STR, True]}, {"anyOf": [STR, False]}, {"type": "string", "anyOf": [STR, INT]}, {"anyOf": [{"anyOf": [INT]}, {"oneOf": [STR]}]})
family("all", [1, 5, 12, "a", {"a": 1}, {"a": 1, "b": 2}, {"b": 2}, {}], {"allOf": [INT]}, {"allOf": [INT, {"minimum": 3}]}, {"allOf": [obj({"a": ONE}, "a"), obj({"b": TWO}, "b")]},
       {"allOf": [{"$ref": "#/$defs/i"}], "$defs": {"i": INT}}, {"allOf": [STR, INT]}, {"allOf": [obj(AB)], "description": "x"}, {"allOf": [obj(AB), {"required": ["b"]}]},
       {"type": "integer", "allOf": [{"maximum": 10}]}, {"allOf": [obj({"a": ONE}), obj({"b": TWO})], "unevaluatedProperties": False})
family("not", [1, "a", "b", None, {}, {"a": 1}, {"b": 2}, {"a": 1, "b": 2}, [1]], {"not": STR}, {"not": {}}, {"not": False}, {"type": "string", "not": {"const": "a"}},
       {"type": "string", "not": {"enum": ["a", "b"]}}, {"not": {"type": ["string", "null"]}}, obj(AB, **{"not": {"required": ["a"]}}), obj(AB, **{"not": {"required": ["a", "b"]}}),
       {"type": "integer", "not": {"const": 1}}, {"type": "integer", "not": {"minimum": 1}}, {"type": "string", "not": {"pattern": "^a"}}, {"not": {"anyOf": [STR, {"type": "null"}]}},
       {"type": "string", "not": {"minLength": 1}}, {"type": "array", "not": {"contains": ONE}})
CONDITIONS = [{}, {"a": 1}, {"b": 2}, {"a": 1, "b": 2}, {"k": "x"}, {"k": "y"}, {"k": "x", "v": 1}, {"k": "y", "v": 1}, {"k": "x", "v": "s"}, {"k": "y", "v": "s"}]
KV = {"k": {"enum": ["x", "y"]}, "v": {"type": ["integer", "string"]}}
IS_X = {"properties": {"k": {"const": "x"}}, "required": ["k"]}
family("condition", CONDITIONS, obj(KV, "k", **{"if": IS_X, "then": {"required": ["v"]}}),
       obj(KV, "k", **{"if": IS_X, "then": {"properties": {"v": INT}}, "else": {"properties": {"v": STR}}}), obj(KV, **{"then": {"required": ["v"]}}),
       obj(AB, **{"if": {"required": ["a"]}, "then": {"required": ["b"]}}), obj(AB, dependentRequired={"a": ["b"]}), obj(AB, "a", dependentRequired={"a": ["b"]}),
       obj(AB, dependentSchemas={"a": {"required": ["b"]}}), obj(AB, dependencies={"b": ["a"]}), obj(AB, dependentRequired={}), obj(KV, **{"if": {"multipleOf": 2}, "else": {"required": ["v"]}}))

# References.
NAMES = ["N", "é", "List<Foo>", "a b", "Foo[Bar]", "a-b.c_d", "日本", "a%b", "x{y}", "a^b|c"]
for name in NAMES:
    add(f"reference {name}", {"$ref": f"#/$defs/{name}", "$defs": {name: INT}}, 1, "a")
for written, name in [("%C3%A9", "é"), ("List%3CFoo%3E", "List<Foo>"), ("a%20b", "a b"), ("a~1b", "a/b"), ("a~0b", "a~b")]:
    add(f"reference {written}", {"$ref": f"#/$defs/{written}", "$defs": {name: INT}}, 1, "a")
for number, schema in enumerate([
    {"$ref": "#/definitions/N", "definitions": {"N": INT}}, {"$ref": "#/$defs/A", "$defs": {"A": {"$ref": "#/$defs/N"}, "N": INT}}, {"$ref": "#/$defs/none"},
    {"$ref": "https://example.com/a.json"}, {"$ref": "#anchor", "$defs": {"N": {"$anchor": "anchor"} | INT}}, {"$ref": "n.json", "$defs": {"N": {"$id": "n.json"} | INT}},
    {"$ref": "#/$defs/N", "minimum": 3, "$defs": {"N": INT}}, {"$ref": "#/$defs/N", "description": "x", "$defs": {"N": INT}}, {"$ref": "#/$defs/L", "$defs": {"L": {"$ref": "#/$defs/L"}}}], 1):
    add(f"reference {number}", schema, 1, 5, "a")
TREE = obj({"v": INT, "kids": {"type": "array", "items": {"$ref": "#"}}}, "v")
LISTS = [{"v": 1}, {"v": 1, "kids": []}, {"v": 1, "kids": [{"v": 2}]}, {"v": 1, "kids": [{}]}, {"v": 1, "next": None}, {"v": 1, "next": {"v": 2}}, {"v": 1, "next": {}}]
NEXT = {"anyOf": [{"$ref": "#/$defs/node"}, {"type": "null"}]}
family("recursion", LISTS, TREE, {"$ref": "#/$defs/node", "$defs": {"node": obj({"v": INT, "next": NEXT}, "v")}}, obj({"v": INT, "next": {"$ref": "#", "description": "x"}}, "v"),
       obj({"v": INT, "next": {"$ref": "#", "type": "object"}}, "v"), obj({"v": INT, "next": {"$ref": "#"}}, ["v", "next"]), obj({"v": INT, "next": {"allOf": [{"$ref": "#"}]}}, "v"))

# Annotations and the like.
for number, more in enumerate([{"$schema": "http://json-schema.org/draft-07/schema#"}, {"$schema": "https://json-schema.org/draft/2020-12/schema"}, {"$schema": "https://example.com/own"},
                               {"$schema": ""}, {"$id": "https://example.com/x"}, {"$comment": "x"}, {"x-own": 1}, {"nullable": True}, {"example": 1}, {"examples": [1]}, {"default": 1},
                               {"deprecated": True}, {"readOnly": True}, {"discriminator": {"propertyName": "k"}}, {"strict": True}, {"contentMediaType": "text/plain"}, {"unknown": {"type": 3}}], 1):
    add(f"annotation {number}", INT | more, 1, "a", None)

# As generated by programs.
CITY = obj({"city": STR | {"description": "the city"}, "unit": {"type": "string", "enum": ["c", "f"]}}, ["city"], additionalProperties=False)
add("tool", CITY, {"city": "Rom"}, {"city": "Rom", "unit": "c"}, {"city": "Rom", "unit": "k"}, {}, {"city": "Rom", "x": 1})
USER = {"$defs": {"Role": {"enum": ["admin", "user"], "title": "Role", "type": "string"}, "Address": obj({"zip": {"type": "string", "pattern": "^\\d{5}$", "title": "Zip"}}, ["zip"], title="Address")},
        "properties": {"name": {"minLength": 1, "title": "Name", "type": "string"}, "age": {"anyOf": [{"type": "integer", "minimum": 0}, {"type": "null"}], "default": None, "title": "Age"},
                       "role": {"$ref": "#/$defs/Role", "default": "user"}, "homes": {"items": {"$ref": "#/$defs/Address"}, "title": "Homes", "type": "array"}}, "required": ["name", "homes"], "title": "User", "type": "object"}
add("pydantic", USER, {"name": "a", "homes": []}, {"name": "a", "age": 3, "role": "admin", "homes": [{"zip": "12345"}]}, {"name": "", "homes": []}, {"name": "a", "age": -1, "homes": []}, {"name": "a"})
add("zod", obj({"id": {"type": "string", "format": "cuid2"}, "n": {"type": "integer", "minimum": -9007199254740991, "maximum": 9007199254740991}, "tags": {"type": "array", "items": STR, "uniqueItems": True}},
               ["id", "n"], additionalProperties=False, **{"$schema": "http://json-schema.org/draft-07/schema#"}), {"id": "x", "n": 1}, {"id": "x", "n": 1, "tags": ["a"]}, {"id": "x"}, {"n": 1, "id": "x"})
SHAPES = {"oneOf": [obj({"kind": {"const": "circle"}, "r": {"type": "number", "exclusiveMinimum": 0}}, ["kind", "r"]), obj({"kind": {"const": "box"}, "w": INT}, ["kind", "w"])],
          "discriminator": {"propertyName": "kind"}}
add("shapes", SHAPES, {"kind": "circle", "r": 1.5}, {"kind": "box", "w": 2}, {"kind": "box", "r": 1}, {"kind": "circle", "r": 0}, {"kind": "x"})


@contextlib.contextmanager
def quiet():
    """xgrammar's warnings go to the file descriptor, not to sys.stderr."""
    kept = os.dup(2)
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(kept, 2)


def takes(grammar, text):
    matcher = xgrammar.GrammarMatcher(grammar)
    return all(matcher.accept_token(byte) for byte in text.encode()) and matcher.accept_token(EOS)


def main():
    out, names = [], set()
    for name, schema, texts in ROWS:
        assert name not in names, name
        names.add(name)
        row = {"name": name, "schema": schema}
        try:
            with quiet():
                grammar = COMPILER.compile_json_schema(json.dumps(schema))
                row |= {"takes": [t for t in texts if takes(grammar, t)], "refuses": [t for t in texts if not takes(grammar, t)]}
        except Exception as error:
            row |= {"error": str(error).strip().split("\n")[-1].split(": ", 2)[-1][:100], "texts": texts}
        out.append(json.dumps(row, ensure_ascii=False))
    file = pathlib.Path(sys.argv[1]) / "xgrammar.json"
    file.write_text(f'{{"xgrammar": "{VERSION}", "rows": [\n' + ",\n".join(out) + "\n]}\n")
    print(f"{len(out)} schemas in {file}")


main()
