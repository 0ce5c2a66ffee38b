//! Reads the tree of a structural tag from JSON.

use serde_json::{Map, Value};

use crate::json::type_name;

/// A part of the output (xgrammar's structural tag formats).
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Format {
    /// Exactly this text.
    ConstString(String),
    /// JSON that follows a schema.
    JsonSchema(Value),
    /// Any text without the excluded strings.
    AnyText {
        excludes: Vec<String>,
    },
    /// A grammar in xgrammar's EBNF.
    Grammar(String),
    /// A regular expression.
    Regex(String),
    /// One token, by id or name.
    Token(TokenName),
    Sequence(Vec<Format>),
    Or(Vec<Format>),
    Tag(Box<Tag>),
    /// Free text in which a trigger must begin one of the tags.
    TriggeredTags {
        triggers: Vec<String>,
        tags: Vec<Tag>,
        at_least_one: bool,
        stop_after_first: bool,
        excludes: Vec<String>,
    },
    /// Only tags, with a separator between them.
    TagsWithSeparator {
        tags: Vec<Tag>,
        separator: String,
        at_least_one: bool,
        stop_after_first: bool,
    },
    Repeat {
        content: Box<Format>,
        min: u32,
        max: Option<u32>,
    },
}

/// `begin content end` with any of the ends; without ends the tag ends with its content.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Tag {
    pub(super) begin: Edge,
    pub(super) content: Format,
    pub(super) end: Vec<Edge>,
}

/// An end of a tag.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Edge {
    Text(String),
    Token(TokenName),
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum TokenName {
    Id(u32),
    Name(String),
}

/// Reads the legacy form (`structures` and `triggers`) or the newer one (`format`).
pub(super) fn parse(value: &Value) -> Result<Format, String> {
    let node = Node::new(value, String::new())?;
    match node.object.get("structures") {
        Some(structures) if !structures.is_null() => legacy(&node),
        _ => format(&node.child("format")?),
    }
}

fn legacy(node: &Node<'_>) -> Result<Format, String> {
    let tags =
        node.objects("structures")?
            .iter()
            .map(|structure| {
                let schema = match structure.object.get("schema") {
                    None | Some(Value::Null) => Value::Bool(true),
                    Some(Value::String(text)) => serde_json::from_str(text)
                        .map_err(|e| format!("at {}/schema: {e}", structure.path))?,
                    Some(schema) => schema.clone(),
                };
                let begin = Edge::Text(structure.text("begin")?);
                let end = vec![Edge::Text(structure.text("end")?)];
                Ok(Tag { begin, content: Format::JsonSchema(schema), end })
            })
            .collect::<Result<Vec<_>, String>>()?;
    triggered(node, tags, "structures")
}

fn triggered(node: &Node<'_>, tags: Vec<Tag>, field: &str) -> Result<Format, String> {
    let triggers = node.texts("triggers")?;
    if triggers.is_empty() || tags.is_empty() {
        return Err(node.error("at least one trigger and one tag are needed"));
    }
    if triggers.iter().any(String::is_empty) {
        return Err(node.error("a trigger must not be empty"));
    }
    for (i, tag) in tags.iter().enumerate() {
        let fits = match &tag.begin {
            Edge::Text(begin) => triggers.iter().any(|trigger| begin.starts_with(trigger.as_str())),
            Edge::Token(_) => false,
        };
        if !fits {
            return Err(format!(
                "at {}/{field}/{i}/begin: it does not start with any of the triggers",
                node.path
            ));
        }
    }
    Ok(Format::TriggeredTags {
        triggers,
        tags,
        at_least_one: node.flag("at_least_one")?,
        stop_after_first: node.flag("stop_after_first")?,
        excludes: node.optional_texts("excludes")?,
    })
}

fn format(node: &Node<'_>) -> Result<Format, String> {
    let kind = node.text("type")?;
    Ok(match kind.as_str() {
        "const_string" => Format::ConstString(node.text("value")?),
        "json_schema" => {
            if let Some(style) = node.object.get("style").filter(|style| *style != "json") {
                return Err(format!("at {}/style: {style} is not supported, only \"json\" is", node.path));
            }
            match node.object.get("json_schema") {
                None | Some(Value::Null) => Format::JsonSchema(Value::Bool(true)),
                Some(schema) => Format::JsonSchema(schema.clone()),
            }
        }
        "any_text" => Format::AnyText { excludes: node.optional_texts("excludes")? },
        "grammar" => Format::Grammar(node.text("grammar")?),
        "regex" => Format::Regex(node.text("pattern")?),
        "token" => Format::Token(token(node.object.get("token"), &format!("{}/token", node.path))?),
        "sequence" => Format::Sequence(formats(node, "elements")?),
        "or" => Format::Or(formats(node, "elements")?),
        "tag" => Format::Tag(Box::new(tag(node)?)),
        "triggered_tags" => triggered(node, tags(node)?, "tags")?,
        "tags_with_separator" => Format::TagsWithSeparator {
            tags: tags(node)?,
            separator: node.text("separator")?,
            at_least_one: node.flag("at_least_one")?,
            stop_after_first: node.flag("stop_after_first")?,
        },
        "optional" => repeat(node, 0, Some(1))?,
        "star" => repeat(node, 0, None)?,
        "plus" => repeat(node, 1, None)?,
        "repeat" => {
            let bound = |field: &str| {
                let value = node.object.get(field).and_then(Value::as_i64);
                value.ok_or_else(|| format!("at {}/{field}: expected an integer", node.path))
            };
            let (min, max) = (bound("min")?, bound("max")?);
            let max = if max == -1 { None } else { Some(max) };
            let limit = i64::from(i32::MAX) - 1;
            if min < 0 || min > limit || max.is_some_and(|max| max < min || max > limit) {
                return Err(node.error("0 <= min <= max is needed (max may be -1 for no limit)"));
            }
            repeat(node, min as u32, max.map(|max| max as u32))?
        }
        other => return Err(format!("at {}/type: the format {other:?} is not supported", node.path)),
    })
}

fn formats(node: &Node<'_>, field: &str) -> Result<Vec<Format>, String> {
    let formats = node.objects(field)?.iter().map(format).collect::<Result<Vec<_>, _>>()?;
    if formats.is_empty() { Err(node.error(&format!("{field} must not be empty"))) } else { Ok(formats) }
}

fn tags(node: &Node<'_>) -> Result<Vec<Tag>, String> {
    let tags = node.objects("tags")?.iter().map(tag).collect::<Result<Vec<_>, _>>()?;
    if tags.is_empty() { Err(node.error("tags must not be empty")) } else { Ok(tags) }
}

fn repeat(node: &Node<'_>, min: u32, max: Option<u32>) -> Result<Format, String> {
    Ok(Format::Repeat { content: Box::new(format(&node.child("content")?)?), min, max })
}

fn tag(node: &Node<'_>) -> Result<Tag, String> {
    let begin = edge(node.object.get("begin"), &format!("{}/begin", node.path))?;
    let content = format(&node.child("content")?)?;
    let path = format!("{}/end", node.path);
    let end = match node.object.get("end") {
        Some(Value::Array(ends)) => {
            ends.iter().map(|end| edge(Some(end), &path)).collect::<Result<Vec<_>, _>>()?
        }
        other => vec![edge(other, &path)?],
    };
    // An empty end counts as no end.
    let open = end.iter().any(|end| *end == Edge::Text(String::new()));
    Ok(Tag { begin, content, end: if open { Vec::new() } else { end } })
}

fn edge(value: Option<&Value>, path: &str) -> Result<Edge, String> {
    match value {
        Some(Value::String(text)) => Ok(Edge::Text(text.clone())),
        Some(Value::Object(object)) if object.get("type").is_some_and(|kind| kind == "token") => {
            Ok(Edge::Token(token(object.get("token"), path)?))
        }
        other => Err(format!("at {path}: expected a string or a token format, got {}", shown(other))),
    }
}

fn token(value: Option<&Value>, path: &str) -> Result<TokenName, String> {
    match value {
        Some(Value::String(name)) => Ok(TokenName::Name(name.clone())),
        Some(Value::Number(id)) => {
            let id = id.as_u64().and_then(|id| u32::try_from(id).ok());
            id.map(TokenName::Id).ok_or_else(|| format!("at {path}: expected a token id"))
        }
        other => Err(format!("at {path}: expected a token's id or text, got {}", shown(other))),
    }
}

fn shown(value: Option<&Value>) -> &'static str {
    value.map_or("nothing", type_name)
}

/// An object and its JSON pointer.
struct Node<'a> {
    object: &'a Map<String, Value>,
    path: String,
}

impl<'a> Node<'a> {
    fn new(value: &'a Value, path: String) -> Result<Self, String> {
        match value {
            Value::Object(object) => Ok(Self { object, path }),
            other => Err(format!(
                "at {}: expected an object, got {}",
                if path.is_empty() { "/" } else { &path },
                type_name(other)
            )),
        }
    }

    fn error(&self, message: &str) -> String {
        format!("at {}: {message}", if self.path.is_empty() { "/" } else { &self.path })
    }

    fn wrong(&self, field: &str, wanted: &str) -> String {
        format!("at {}/{field}: expected {wanted}, got {}", self.path, shown(self.object.get(field)))
    }

    fn child(&self, field: &str) -> Result<Node<'a>, String> {
        let value = self.object.get(field).ok_or_else(|| self.wrong(field, "an object"))?;
        Node::new(value, format!("{}/{field}", self.path))
    }

    fn text(&self, field: &str) -> Result<String, String> {
        let text = self.object.get(field).and_then(Value::as_str);
        text.map(str::to_owned).ok_or_else(|| self.wrong(field, "a string"))
    }

    fn texts(&self, field: &str) -> Result<Vec<String>, String> {
        let wrong = || self.wrong(field, "a list of strings");
        let items = self.object.get(field).and_then(Value::as_array).ok_or_else(wrong)?;
        items.iter().map(|item| item.as_str().map(str::to_owned).ok_or_else(wrong)).collect()
    }

    fn optional_texts(&self, field: &str) -> Result<Vec<String>, String> {
        match self.object.get(field) {
            None | Some(Value::Null) => Ok(Vec::new()),
            Some(_) => self.texts(field),
        }
    }

    fn objects(&self, field: &str) -> Result<Vec<Node<'a>>, String> {
        let items = self.object.get(field).and_then(Value::as_array);
        let items = items.ok_or_else(|| self.wrong(field, "a list of objects"))?;
        let path = |i| format!("{}/{field}/{i}", self.path);
        items.iter().enumerate().map(|(i, item)| Node::new(item, path(i))).collect()
    }

    fn flag(&self, field: &str) -> Result<bool, String> {
        match self.object.get(field) {
            None | Some(Value::Null) => Ok(false),
            Some(Value::Bool(flag)) => Ok(*flag),
            Some(_) => Err(self.wrong(field, "a boolean")),
        }
    }
}
