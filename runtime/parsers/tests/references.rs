//! Every format finds the types of arguments whose schemas use references, combinations or lists of values.

mod common;

use common::calls::{calls, parsers, tool, write};
use serde_json::{Value, json};

/// Schemas of an argument, each with values that must survive a round trip.
fn cases() -> Vec<(Value, Value)> {
    let to = |name: &str| json!({"$ref": format!("#/$defs/{name}")});
    vec![
        (to("N"), json!(5)),
        (to("Again"), json!(5)),
        (to("a b<é>"), json!(5)),
        (to("Float"), json!(2.5)),
        (to("B"), json!(true)),
        (to("S"), json!("5")),
        (to("S"), json!("true")),
        (to("O"), json!({"k": [1, "x"]})),
        (to("L"), json!([1, 2])),
        (to("E"), json!(2)),
        (to("Words"), json!("b c")),
        (to("C"), json!(7)),
        (to("Bare"), json!({"k": 1})),
        (to("Tree"), json!({"left": {"n": 1}})),
        (to("Loop"), json!("x")),
        (json!({"allOf": [to("N")]}), json!(5)),
        (json!({"allOf": [to("N"), {"minimum": 1}], "description": "d"}), json!(5)),
        (json!({"anyOf": [to("N"), {"type": "null"}]}), json!(5)),
        (json!({"anyOf": [to("N"), {"type": "null"}]}), json!(null)),
        (json!({"oneOf": [{"type": "null"}, to("O")]}), json!({"k": 1})),
        (json!({"oneOf": [{"allOf": [to("L")]}]}), json!([1])),
        (json!({"anyOf": [{"type": "string"}, {"type": "null"}]}), json!(null)),
        (json!({"anyOf": [{"type": "string"}, {"type": "null"}]}), json!("5")),
        (json!({"type": ["integer", "null"]}), json!(null)),
        (json!({"enum": ["a", 1, null]}), json!(1)),
        (json!({"enum": ["a", 1, null]}), json!("a")),
        (json!({"enum": ["a", 1, null]}), json!(null)),
        (json!({"const": true}), json!(true)),
        (json!({"$ref": "#/definitions/Old"}), json!(5)),
        (json!({"$ref": "#/properties/other"}), json!(5)),
        (json!({"$ref": "#spot"}), json!(5)),
    ]
}

fn definitions() -> Value {
    json!({"N": {"type": "integer"}, "Again": {"$ref": "#/$defs/N"}, "a b<é>": {"type": "integer"}, "Float": {"type": "number"},
        "B": {"type": "boolean"}, "S": {"type": "string"}, "O": {"type": "object"}, "L": {"type": "array", "items": {}},
        "E": {"enum": [1, 2]}, "Words": {"enum": ["a", "b c"]}, "C": {"const": 7}, "Bare": {"properties": {"k": {}}},
        "Tree": {"type": "object", "properties": {"left": {"$ref": "#/$defs/Tree"}}}, "Loop": {"$ref": "#/$defs/Loop"},
        "Spot": {"$anchor": "spot", "type": "integer"}})
}

/// Schemas of a tool whose argument `x` has this schema, one for each form that a root can have.
fn roots(property: &Value) -> Vec<Value> {
    let object = json!({"type": "object", "properties": {"x": property, "other": {"type": "integer"}}});
    let with = |root: Value| {
        let mut root = root;
        root["$defs"] = definitions();
        root["$defs"]["Root"] = object.clone();
        root["definitions"] = json!({"Old": {"type": "integer"}});
        // `#/properties/other` must exist at the root of the document.
        root["properties"] = object["properties"].clone();
        root
    };
    let mut referring = with(json!({"$ref": "#/$defs/Root"}));
    let mut combined = with(json!({"allOf": [{"$ref": "#/$defs/Root"}]}));
    for root in [&mut referring, &mut combined] {
        root["properties"] = json!({"other": {"type": "integer"}});
    }
    let any = json!({"anyOf": [{"$ref": "#/$defs/Root"}, {"type": "null"}], "$defs": with(json!({}))["$defs"],
        "definitions": {"Old": {"type": "integer"}}, "properties": {"other": {"type": "integer"}}});
    vec![with(json!({"type": "object"})), referring, combined, any]
}

#[test]
fn an_argument_has_the_type_that_its_schema_refers_to() {
    let mut read = 0;
    for parser in parsers() {
        for (property, value) in cases() {
            let Some(text) = write(parser, "f", &[("x", value.clone())]) else { continue };
            for root in roots(&property) {
                let tools = [tool("f", root.clone())];
                let got = calls(parser, &tools, &text);
                assert_eq!(
                    got,
                    [("f".to_owned(), json!({"x": value}))],
                    "{}: {property} in {root}",
                    parser.name()
                );
                read += 1;
            }
        }
    }
    assert!(read > 3000, "{read}");
}

#[test]
fn an_argument_that_is_not_listed_has_the_type_that_the_schema_gives_the_others() {
    let numbers = json!({"type": "object", "additionalProperties": {"$ref": "#/$defs/N"}, "$defs": {"N": {"type": "integer"}}});
    for parser in parsers() {
        let Some(text) = write(parser, "f", &[("x", json!(5))]) else { continue };
        let got = calls(parser, &[tool("f", numbers.clone())], &text);
        assert_eq!(got, [("f".to_owned(), json!({"x": 5}))], "{}", parser.name());
    }
}
