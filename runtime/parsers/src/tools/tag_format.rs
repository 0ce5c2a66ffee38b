//! Writes a constraint as the text of a sampling parameter, in xgrammar's structural tag format.

use serde_json::{Value, json};
use sglang_json_schema::{JsonType, Schema, Variant};

use super::argument_tags::ArgumentTags;
use super::structural_tag::{Constraint, StructuralTag, StructureContent};

impl Constraint {
    /// The sampling parameter that enforces the constraint, and its value.
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
                StructureContent::Tagged(schema, tags) => tagged(&Schema::new(schema), *tags),
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

/// At most this many alternative forms of the arguments are kept apart; beyond that, a text may mix them.
const MAX_VARIANTS: usize = 16;

/// A tag for each property of an object schema, in its order, or for any property if it lists none. Each alternative
/// form that the schema allows is a separate sequence.
fn tagged(schema: &Schema<'_>, tags: ArgumentTags) -> Value {
    let variants = schema.variants();
    match variants.len() {
        2..=MAX_VARIANTS => {
            let forms: Vec<Value> = variants.iter().map(|variant| form(variant, schema, tags)).collect();
            json!({"type": "or", "elements": forms})
        }
        _ => form(&schema.properties(), schema, tags),
    }
}

fn form(variant: &Variant<'_>, schema: &Schema<'_>, tags: ArgumentTags) -> Value {
    let nothing = || json!({"type": "const_string", "value": ""});
    if variant.properties.is_empty() {
        let lists = schema.parts().iter().any(|part| part.node().get("properties").is_some());
        let more = schema.additional();
        if variant.closed || (lists && more.is_none()) {
            return nothing();
        }
        let values = more.map_or_else(|| vec![(free(tags), false)], |more| values(&more, tags));
        let any = values.into_iter().map(|(content, json)| {
            let then = if json { tags.then_json } else { tags.then };
            sequence(vec![
                json!({"type": "const_string", "value": tags.open}),
                json!({"type": "regex", "pattern": "[^<>\"\\n]{1,64}"}),
                json!({"type": "tag", "begin": then, "content": content, "end": tags.close}),
            ])
        });
        return json!({"type": "star", "content": one_of(any.collect())});
    }
    let parameters = variant.properties.iter().map(|property| {
        let own = property.schema();
        let forms = values(&schema.at(&own), tags).into_iter().map(|(content, json)| {
            let then = if json { tags.then_json } else { tags.then };
            let begin = format!("{}{}{then}", tags.open, property.name);
            json!({"type": "tag", "begin": begin, "content": content, "end": tags.close})
        });
        let tag = one_of(forms.collect());
        if variant.required.contains(&property.name) { tag } else { optional(tag) }
    });
    sequence(parameters.collect())
}

fn one_of(mut forms: Vec<Value>) -> Value {
    match (forms.pop(), forms.is_empty()) {
        (Some(only), true) => only,
        (last, _) => {
            forms.extend(last);
            json!({"type": "or", "elements": forms})
        }
    }
}

/// The forms of an argument's bare text, and whether each is JSON: strings are bare, anything else is JSON.
fn values(property: &Schema<'_>, tags: ArgumentTags) -> Vec<(Value, bool)> {
    if let Some(values) = property.values().filter(|values| !values.is_empty()) {
        let (texts, others): (Vec<&Value>, Vec<&Value>) = values.into_iter().partition(|v| v.is_string());
        let words: Vec<Value> =
            texts.into_iter().map(|text| json!({"type": "const_string", "value": text})).collect();
        let mut forms = Vec::new();
        if !words.is_empty() {
            forms.push((json!({"type": "or", "elements": words}), false));
        }
        if !others.is_empty() {
            forms.push((json!({"type": "json_schema", "json_schema": {"enum": others}}), true));
        }
        return forms;
    }
    let named = property.named_types();
    let main = property.main_type();
    if main.is_none() || named.contains(&JsonType::String) {
        return vec![(text(property, tags), false)];
    }
    // If only the other keywords imply the type, JSON Schema by itself would accept every other type.
    let mut own = property.bundled().unwrap_or_else(|_| property.node().clone());
    if property.types().has(JsonType::String) {
        let names: Vec<&str> = named.iter().map(|kind| kind.name()).collect();
        own = with_type(own, json!(names));
    }
    vec![(json!({"type": "json_schema", "json_schema": own}), true)]
}

/// The schema with its type spelled out.
fn with_type(mut schema: Value, kind: Value) -> Value {
    if let Value::Object(map) = &mut schema {
        map.insert("type".to_owned(), kind);
    }
    schema
}

fn free(tags: ArgumentTags) -> Value {
    json!({"type": "any_text", "excludes": tags.never})
}

/// The longest string whose length limits are spelled out.
const MAX_LENGTH: u64 = 1 << 12;

/// A bare string. With length limits it has no white space at its ends, which parsers trim, and no character that could
/// begin markup.
fn text(property: &Schema<'_>, tags: ArgumentTags) -> Value {
    let parts = property.parts();
    let lengths = |key: &'static str| {
        let length = move |part: &Schema<'_>| part.node().get(key).and_then(Value::as_u64);
        parts.iter().filter_map(length).filter(|n| *n <= MAX_LENGTH)
    };
    let (low, high) = (lengths("minLength").max().unwrap_or(0), lengths("maxLength").min());
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
        let any_of = json!({"type": "object", "properties": {"a": {"allOf": [{"$ref": "#/$defs/N"}]},
            "b": {"enum": ["x", 1, null]}, "c": {"properties": {}}, "d": {"anyOf": [{"type": "string"}, {"type": "null"}]}},
            "$defs": {"N": {"type": "integer"}}});
        let (_, value) = param("qwen3_coder", &ToolChoice::Required, any_of);
        let content = |i: usize| &value.pointer("/format/tags/0/content/elements").unwrap()[i]["content"];
        assert_eq!(content(0)["content"]["type"], "json_schema");
        assert_eq!(content(0)["content"]["json_schema"]["$defs"]["N"], json!({"type": "integer"}));
        assert_eq!(content(1)["elements"][0]["content"]["elements"][0]["value"], "x");
        assert_eq!(content(1)["elements"][1]["content"]["json_schema"], json!({"enum": [1, null]}));
        assert_eq!(content(2)["content"]["json_schema"]["type"], json!(["object"]));
        assert_eq!(content(3)["content"]["type"], "any_text");
        let root = json!({"$ref": "#/$defs/R", "$defs": {"R": {"oneOf": [
            {"properties": {"kind": {"const": "a"}}, "required": ["kind"]},
            {"properties": {"kind": {"const": "b"}, "n": {"type": "integer"}}, "required": ["kind", "n"]}]}}});
        let (_, value) = param("qwen3_coder", &ToolChoice::Required, root);
        let forms = value.pointer("/format/tags/0/content/elements").unwrap();
        assert_eq!(forms[0]["elements"][0]["content"]["elements"][0]["value"], "a");
        assert_eq!(forms[1]["elements"][1]["begin"], "<parameter=n>\n");
        let numbers = json!({"type": "object", "additionalProperties": {"type": "integer"}});
        let (_, value) = param("qwen3_coder", &ToolChoice::Required, numbers);
        let star = value.pointer("/format/tags/0/content/content/elements/2/content").unwrap();
        assert_eq!(star["json_schema"]["type"], "integer");
        let (_, any) = param("qwen3_coder", &ToolChoice::Required, json!({"type": "object"}));
        assert_eq!(any.pointer("/format/tags/0/content/type"), Some(&json!("star")));
        let empty = json!({"type": "object", "properties": {}});
        let (_, none) = param("qwen3_coder", &ToolChoice::Required, empty);
        assert_eq!(none.pointer("/format/tags/0/content/value"), Some(&json!("")));
    }
}
