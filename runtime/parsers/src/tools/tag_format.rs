//! A constraint as the text that a request's sampling parameters carry: xgrammar's structural tag formats.

use serde_json::{Value, json};

use super::structural_tag::{ArgumentTags, Constraint, StructuralTag, StructureContent};
use crate::schema::{infer_type, schema_properties};

impl Constraint {
    /// The sampling parameter that enforces it, and its value.
    pub fn sampling_param(&self) -> (&'static str, String) {
        match self {
            Self::StructuralTag(tag) => ("structural_tag", tag.to_json().to_string()),
            Self::Ebnf(grammar) => ("ebnf", grammar.clone()),
            Self::JsonSchema(schema) => ("json_schema", schema.to_string()),
        }
    }
}

impl StructuralTag {
    /// The tag in xgrammar's form (`{"type": "structural_tag", "format": …}`).
    pub fn to_json(&self) -> Value {
        let tag = |structure: &super::Structure| {
            let content = match &structure.content {
                StructureContent::Json(schema) => json!({"type": "json_schema", "json_schema": schema}),
                StructureContent::Tagged(schema, tags) => tagged(schema, *tags),
            };
            json!({"type": "tag", "begin": structure.begin, "content": content, "end": structure.end})
        };
        let tags = json!({
            "type": "triggered_tags",
            "triggers": self.triggers,
            "tags": self.structures.iter().map(tag).collect::<Vec<_>>(),
            "at_least_one": self.at_least_one,
            "stop_after_first": self.stop_after_first,
        });
        let format = match self.lead.filter(|_| self.at_least_one) {
            Some(lead) => sequence(vec![optional(json!({"type": "const_string", "value": lead})), tags]),
            None => tags,
        };
        json!({"type": "structural_tag", "format": format})
    }
}

fn sequence(elements: Vec<Value>) -> Value {
    json!({"type": "sequence", "elements": elements})
}

fn optional(content: Value) -> Value {
    json!({"type": "optional", "content": content})
}

/// The properties of an object schema in its order, or any properties where it lists none.
fn tagged(schema: &Value, tags: ArgumentTags) -> Value {
    let schema = resolved(schema, schema);
    let properties = schema_properties(schema);
    if properties.is_empty() {
        let any = sequence(vec![
            json!({"type": "const_string", "value": tags.open}),
            json!({"type": "regex", "pattern": "[^<>\"\\n]{1,64}"}),
            json!({"type": "tag", "begin": tags.then, "content": free(tags), "end": tags.close}),
        ]);
        return match schema.get("additionalProperties") {
            Some(Value::Bool(false)) => json!({"type": "const_string", "value": ""}),
            _ if schema.get("properties").is_some() => json!({"type": "const_string", "value": ""}),
            _ => json!({"type": "star", "content": any}),
        };
    }
    let required: Vec<&str> = schema
        .get("required")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    let parameter = |(name, property): (&String, &Value)| {
        let (content, json) = value(property, schema, tags);
        let begin = format!("{}{name}{}", tags.open, if json { tags.then_json } else { tags.then });
        let tag = json!({"type": "tag", "begin": begin, "content": content, "end": tags.close});
        if required.contains(&name.as_str()) { tag } else { optional(tag) }
    };
    sequence(properties.iter().map(parameter).collect())
}

/// What a property that only refers to a definition refers to.
fn resolved<'a>(property: &'a Value, schema: &'a Value) -> &'a Value {
    let place = property.get("$ref").and_then(Value::as_str).and_then(|place| place.strip_prefix('#'));
    place.and_then(|place| schema.pointer(place)).unwrap_or(property)
}

/// The bare text of an argument, a string as it is or anything else as JSON, and which of the two it is.
fn value(property: &Value, schema: &Value, tags: ArgumentTags) -> (Value, bool) {
    let property = resolved(property, schema);
    let strings = |values: &Vec<Value>| values.iter().all(Value::is_string);
    if let Some(values) =
        property.get("enum").and_then(Value::as_array).filter(|v| !v.is_empty() && strings(v))
    {
        let word = |value: &Value| json!({"type": "const_string", "value": value});
        return (json!({"type": "or", "elements": values.iter().map(word).collect::<Vec<_>>()}), false);
    }
    if let Some(word @ Value::String(_)) = property.get("const") {
        return (json!({"type": "const_string", "value": word}), false);
    }
    match infer_type(property).as_deref() {
        None | Some("string") => (text(property, tags), false),
        Some(_) => {
            let mut own = property.as_object().cloned().unwrap_or_default();
            for keyword in ["$defs", "definitions"] {
                if let Some(definitions) = schema.get(keyword) {
                    own.entry(keyword).or_insert_with(|| definitions.clone());
                }
            }
            (json!({"type": "json_schema", "json_schema": own}), true)
        }
    }
}

fn free(tags: ArgumentTags) -> Value {
    json!({"type": "any_text", "excludes": tags.never})
}

/// Most characters of a string whose length is spelled out.
const MAX_LENGTH: u64 = 1 << 12;

/// A bare string. One of a stated length has no white space at its ends, where parsers trim it, and nothing that markup
/// could begin with.
fn text(property: &Value, tags: ArgumentTags) -> Value {
    let length = |key: &str| property.get(key).and_then(Value::as_u64).filter(|n| *n <= MAX_LENGTH);
    let (low, high) = (length("minLength").unwrap_or(0), length("maxLength"));
    if (low == 0 && high.is_none()) || high.is_some_and(|high| high < low) {
        return free(tags);
    }
    let (edge, inner) = ("[^<&\\s]", "[^<&]");
    let one_or_more = match high {
        Some(0) => String::new(),
        Some(1) => edge.to_owned(),
        _ => {
            let upper = high.map_or(String::new(), |high| (high - 2).to_string());
            let rest = format!("{inner}{{{},{upper}}}{edge}", low.saturating_sub(2));
            if low < 2 { format!("{edge}({rest})?") } else { format!("{edge}{rest}") }
        }
    };
    let pattern = if low == 0 { format!("({one_or_more})?") } else { one_or_more };
    json!({"type": "regex", "pattern": pattern})
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tools::{Function, Tool, ToolChoice, ToolParser};

    fn tool(parameters: Value) -> Tool {
        let function = Function {
            name: "f".into(),
            parameters: Some(parameters),
            strict: Some(true),
            ..Default::default()
        };
        Tool { r#type: "function".into(), function }
    }

    fn param(parser: &str, choice: &ToolChoice, parameters: Value) -> (String, Value) {
        let parser = ToolParser::by_name(parser).unwrap_or_else(ToolParser::json_array);
        let constraint = parser.structural_tag(&[tool(parameters)], choice, true).unwrap();
        let (name, text) = constraint.sampling_param();
        (name.to_owned(), serde_json::from_str(&text).unwrap())
    }

    #[test]
    fn a_call_is_a_tag_around_its_schema() {
        let schema = json!({"type": "object", "properties": {"a": {"type": "integer"}}});
        let (name, value) = param("qwen", &ToolChoice::Required, schema.clone());
        assert_eq!(name, "structural_tag");
        assert_eq!(
            value["format"],
            json!({"type": "triggered_tags", "triggers": ["<tool_call>"], "tags": [{
                "type": "tag", "begin": "<tool_call>\n{\"name\":\"f\", \"arguments\":",
                "content": {"type": "json_schema", "json_schema": schema}, "end": "}\n</tool_call>",
            }], "at_least_one": true, "stop_after_first": false})
        );
        assert_eq!(param("no parser", &ToolChoice::Required, schema).0, "json_schema");
    }

    #[test]
    fn a_message_of_gpt_oss_may_begin_behind_its_thinking() {
        let (_, value) = param("gpt-oss", &ToolChoice::Required, json!({"type": "object"}));
        assert_eq!(value["format"]["elements"][0]["content"]["value"], "<|start|>assistant");
        assert_eq!(value["format"]["elements"][1]["type"], "triggered_tags");
        let (_, free) = param("gpt-oss", &ToolChoice::Auto, json!({"type": "object"}));
        assert_eq!(free["format"]["type"], "triggered_tags");
    }

    #[test]
    fn arguments_in_tags_are_bare_strings_words_or_json() {
        let schema = json!({"type": "object", "required": ["n"], "$defs": {"N": {"type": "integer"}, "E": {"enum": ["a", "b"]}}, "properties": {
            "s": {"type": "string"}, "e": {"$ref": "#/$defs/E"}, "n": {"type": "array", "items": {"$ref": "#/$defs/N"}}}});
        let (_, value) = param("qwen3_coder", &ToolChoice::Required, schema);
        let parameters = value.pointer("/format/tags/0/content/elements").unwrap();
        let (s, e) = (&parameters[0]["content"], &parameters[1]["content"]);
        assert_eq!((&parameters[0]["type"], &s["content"]["type"]), (&json!("optional"), &json!("any_text")));
        assert_eq!(e["content"]["elements"][1]["value"], "b");
        assert_eq!(
            (&parameters[2]["type"], &parameters[2]["begin"]),
            (&json!("tag"), &json!("<parameter=n>\n"))
        );
        assert_eq!(parameters[2]["content"]["json_schema"]["$defs"]["N"]["type"], "integer");
        let (_, any) = param("qwen3_coder", &ToolChoice::Required, json!({"type": "object"}));
        assert_eq!(any.pointer("/format/tags/0/content/type"), Some(&json!("star")));
        let empty = json!({"type": "object", "properties": {}});
        let (_, none) = param("qwen3_coder", &ToolChoice::Required, empty);
        assert_eq!(none.pointer("/format/tags/0/content/value"), Some(&json!("")));
    }
}
