use serde_json::{Value, json};

use super::rewrite;

fn said(schema: Value) -> Value {
    let rewritten = rewrite(&schema).unwrap();
    assert_eq!(rewritten.ignored, Vec::<String>::new(), "{schema}");
    rewritten.schema
}

fn ignored(schema: Value) -> Vec<String> {
    rewrite(&schema).unwrap().ignored
}

#[test]
fn what_the_library_knows_stays_as_it_is() {
    for schema in [
        json!({"type": "object", "properties": {"a": {"type": "string", "minLength": 1}}, "required": ["a"]}),
        json!({"anyOf": [{"const": 1}, {"enum": ["a", null]}], "type": ["string", "integer"]}),
        json!({"type": "array", "prefixItems": [{}], "items": {"format": "email"}, "maxItems": 3}),
        json!({"$ref": "#/$defs/a", "$defs": {"a": {"type": "number", "exclusiveMinimum": 0.5}}}),
    ] {
        assert_eq!(said(schema.clone()), schema);
    }
}

#[test]
fn annotations_are_left_out_without_a_word() {
    let schema = json!({"$schema": "https://example.com/own", "title": "t", "type": "string", "format": "cuid2",
        "nullable": true, "x-order": 1, "default": "a", "discriminator": {}, "uniqueItems": false, "then": {}});
    assert_eq!(said(schema), json!({"type": "string"}));
}

#[test]
fn references_are_found_whatever_their_name() {
    for (name, reference) in [
        ("é", "é"),
        ("é", "%C3%A9"),
        ("List<Foo>", "List<Foo>"),
        ("List<Foo>", "List%3CFoo%3E"),
        ("a b", "a b"),
        ("a b", "a%20b"),
        ("a/b~c", "a~1b~0c"),
        ("a%b", "a%25b"),
        ("[x]", "[x]"),
        ("{}|\\^`", "{}|\\^`"),
    ] {
        let schema = json!({"$ref": format!("#/$defs/{reference}"), "$defs": {name: {"type": "null"}}});
        let schema = said(schema);
        let target = schema["$ref"].as_str().unwrap().strip_prefix("#/$defs/").unwrap();
        assert!(target.chars().all(|c| c.is_ascii_alphanumeric() || "_-.".contains(c)), "{target}");
        assert_eq!(schema["$defs"][target], json!({"type": "null"}), "{reference}");
    }
    let error = rewrite(&json!({"items": {"$ref": "#/$defs/none"}})).unwrap_err();
    assert_eq!(error, "JSON Schema at #/items/$ref: Pointer '/$defs/none' does not exist");
    let far = ignored(json!({"items": {"$ref": "https://example.com/a.json"}}));
    assert_eq!(far, ["#/items: $ref is not enforced: \"https://example.com/a.json\" is another document"]);
}

#[test]
fn what_is_not_enforced_is_named_with_its_place() {
    for (schema, place) in [
        (
            json!({"properties": {"a/b": {"uniqueItems": true}}}),
            "#/properties/a~1b: uniqueItems is not enforced",
        ),
        (json!({"items": {"not": {"multipleOf": 2}}}), "#/items: not is not enforced"),
        (json!({"not": {"const": [1]}}), "#: not is not enforced"),
        (json!({"if": {"multipleOf": 2}, "then": {"minimum": 3}}), "#: if is not enforced"),
        (json!({"contains": {"const": 1}}), "#: contains is not enforced"),
        (
            json!({"contains": {"const": 1}, "maxContains": 2, "maxItems": 3}),
            "#: maxContains is not enforced",
        ),
        (json!({"pattern": "a(?!b)c"}), "#: pattern is not enforced: \"(?!b)\""),
        (json!({"propertyNames": {"pattern": "^a", "maxLength": 3}}), "#: propertyNames is not enforced"),
        (
            json!({"patternProperties": {"^a": {"type": "null"}, "b$": {"type": "string"}}}),
            "#/patternProperties/b$: patternProperties is not enforced",
        ),
        (
            json!({"$ref": "#/$defs/a", "$defs": {"a": {"items": {"$ref": "#/$defs/a", "maxItems": 2}}}}),
            "#/$defs/a/items: maxItems is not enforced",
        ),
    ] {
        let lines = ignored(schema.clone());
        assert!(lines.iter().any(|line| line.starts_with(place)), "{schema}: {lines:?}");
    }
}

#[test]
fn conditions_that_would_grow_without_end_are_refused() {
    let mut schema = json!({"required": ["x"]});
    for i in 0..15 {
        let name = format!("p{i}");
        schema = json!({"if": {"properties": {&name: schema}}, "then": schema, "else": {"required": [name]}});
    }
    let error = rewrite(&schema).unwrap_err();
    assert!(error.contains("too large"), "{error}");
}
