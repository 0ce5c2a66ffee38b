//! Finds the end of a value that is written between tags.
//!
//! A value is bare text and may contain the format's own tags, for example a file about tool calls. A closing tag ends
//! the value only if the format continues after it: with another argument that the schema allows, or with the end of
//! the call. The tags of a whole call inside the value, closing tags that other text follows, and every tag inside an
//! incomplete JSON value belong to the value.
//!
//! No part of a value is passed on before its end is known. If the text ends first, the formats take the first closing
//! tag for the end, as the reference does.

use std::collections::HashSet;

use sglang_json_schema::JsonType;

use crate::json::normalise;
use crate::python_literal::literal_to_json;
use crate::schema::{Parameter, Parameters};

/// Longer text is not a name.
const MAX_NAME: usize = 1024;
/// A value is checked for completeness at most this often; after that, the tags alone decide.
const MAX_TRIES: usize = 64;
const CDATA: (&str, &str) = ("<![CDATA[", "]]>");

/// The tags around and inside the calls of a format.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ValueTags {
    /// What ends a value.
    pub(crate) close: &'static str,
    /// What begins an argument, and what ends its name.
    pub(crate) key: (&'static str, &'static str),
    /// What begins a value, unless the end of the argument's name does.
    pub(crate) open: Option<&'static str>,
    /// What begins and ends a call.
    pub(crate) call: (&'static str, &'static str),
    /// What begins and ends a region of calls.
    pub(crate) region: Option<(&'static str, &'static str)>,
    /// What may follow the end of a call. Empty: anything.
    pub(crate) after_call: &'static [&'static str],
    /// The closing tag may be missing before another argument.
    pub(crate) may_be_open: bool,
    /// A value may be a CDATA section, inside which nothing is a tag.
    pub(crate) cdata: bool,
}

/// When a value counts as complete.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reads {
    /// Any text.
    Text,
    /// A short value of another type than string; if it turns out not to be one, any text.
    Word,
    /// JSON, or a Python literal.
    Json,
}

impl Reads {
    /// How to read an argument that the schema describes like this.
    pub(crate) fn of(parameter: Option<&Parameter>) -> Self {
        let text = parameter.is_none_or(|parameter| parameter.names(JsonType::String));
        match parameter.and_then(Parameter::main) {
            _ if text => Self::Text,
            None | Some(JsonType::String) => Self::Text,
            Some(JsonType::Object | JsonType::Array) => Self::Json,
            Some(_) => Self::Word,
        }
    }
}

/// The call that surrounds a value.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Around<'a> {
    pub(crate) parameters: &'a Parameters,
    /// The arguments that the call already has.
    pub(crate) given: &'a HashSet<String>,
    /// The argument whose value is being read.
    pub(crate) current: &'a str,
}

/// The name of an argument, which more attributes may follow.
pub(crate) fn argument_name(header: &str) -> &str {
    header.split('"').next().unwrap_or_default().trim()
}

impl Around<'_> {
    /// Whether an argument of this name may follow a closing tag.
    fn allows(&self, name: &str) -> bool {
        !name.is_empty() && self.parameters.allows(name)
    }

    /// Whether the schema lists this argument and the call does not have it yet.
    fn lacks(&self, name: &str) -> bool {
        let known = !self.parameters.lists_any() || self.parameters.lists(name);
        known && self.allows(name) && !self.given.contains(name) && self.current != name
    }
}

/// The end of a value: the value's length, and where the format continues.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ended {
    pub(crate) value: usize,
    pub(crate) rest: usize,
}

/// A closing tag that may be the value's end.
#[derive(Debug, Clone, Copy)]
struct Close {
    at: usize,
    end: usize,
    /// It seems to close a tag inside the value.
    inner: bool,
}

#[derive(Debug, Clone, Copy)]
enum Tag {
    Close,
    Key,
    Open,
    Call,
    CallEnd,
    Region,
    RegionEnd,
}

#[derive(Debug, Clone, Copy)]
enum Phase {
    Inside,
    /// Inside the name of an argument whose tag begins at `at`.
    Name {
        at: usize,
        from: usize,
    },
    /// After the end of a call and white space.
    AfterCall {
        from: usize,
    },
}

#[derive(Debug)]
pub(crate) struct ValueReader {
    tags: ValueTags,
    reads: Reads,
    raw: String,
    phase: Phase,
    close: Option<Close>,
    /// Tags of arguments that are open inside the value.
    values: usize,
    calls: usize,
    regions: usize,
    tries: usize,
}

impl ValueReader {
    pub(crate) fn new(tags: ValueTags, reads: Reads) -> Self {
        Self {
            tags,
            reads,
            raw: String::new(),
            phase: Phase::Inside,
            close: None,
            values: 0,
            calls: 0,
            regions: 0,
            tries: 0,
        }
    }

    /// Everything that was read.
    pub(crate) fn take_raw(&mut self) -> String {
        std::mem::take(&mut self.raw)
    }

    /// Whether the text has passed the end of the call, if the first tags were the format's own.
    pub(crate) fn holds_an_end(&self) -> bool {
        self.raw.contains(self.tags.call.1) || self.tags.region.is_some_and(|(_, end)| self.raw.contains(end))
    }

    /// Takes one character and returns the end of the value once it is known.
    pub(crate) fn feed(&mut self, c: char, around: Around<'_>) -> Option<Ended> {
        self.raw.push(c);
        if let Phase::AfterCall { from } = self.phase {
            let tail = &self.raw[from..];
            if tail.trim_start().is_empty() {
                self.phase = Phase::AfterCall { from: self.raw.len() };
                return None;
            }
            if self.tags.after_call.iter().any(|tag| tail.starts_with(tag)) {
                return self.at_close();
            }
            if self.tags.after_call.iter().any(|tag| tag.starts_with(tail)) {
                return None;
            }
            self.phase = Phase::Inside;
        }
        if self.in_cdata() {
            return None;
        }
        if let Some(tag) = self.tag() {
            // A tag inside a name: this is not a name.
            self.phase = Phase::Inside;
            return self.tagged(tag);
        }
        let Phase::Name { at, from } = self.phase else { return None };
        if let Some(name) = self.raw[from..].strip_suffix(self.tags.key.1) {
            let name = argument_name(name).to_owned();
            self.phase = Phase::Inside;
            return self.named(at, &name, around);
        }
        if self.raw.len() - from > MAX_NAME {
            self.phase = Phase::Inside;
        }
        None
    }

    fn in_cdata(&self) -> bool {
        self.tags.cdata
            && self.raw.trim_start().starts_with(CDATA.0)
            && !self.raw.trim_end_matches(self.tags.close).trim_end().ends_with(CDATA.1)
    }

    fn at_close(&self) -> Option<Ended> {
        self.close.map(|close| Ended { value: close.at, rest: close.end })
    }

    /// The tag with which the text ends.
    fn tag(&self) -> Option<Tag> {
        let tags = self.tags;
        let known = [
            (Some(tags.close), Tag::Close),
            (Some(tags.key.0), Tag::Key),
            (tags.open, Tag::Open),
            (Some(tags.call.1), Tag::CallEnd),
            (Some(tags.call.0), Tag::Call),
            (tags.region.map(|region| region.0), Tag::Region),
            (tags.region.map(|region| region.1), Tag::RegionEnd),
        ];
        let ends = |(text, _): &(Option<&str>, Tag)| text.is_some_and(|text| self.raw.ends_with(text));
        known.into_iter().find(ends).map(|(_, tag)| tag)
    }

    fn tagged(&mut self, tag: Tag) -> Option<Ended> {
        let from = self.raw.len();
        match tag {
            Tag::Close => return self.closed(from - self.tags.close.len()),
            Tag::Key => self.phase = Phase::Name { at: from - self.tags.key.0.len(), from },
            Tag::Open => self.values += 1,
            Tag::Call => self.calls += 1,
            Tag::Region => self.regions += 1,
            Tag::CallEnd if self.calls > 0 => self.calls -= 1,
            Tag::CallEnd => {
                if self.follows(from - self.tags.call.1.len()) && self.may_end() {
                    if self.tags.after_call.is_empty() {
                        return self.at_close();
                    }
                    self.phase = Phase::AfterCall { from };
                }
            }
            Tag::RegionEnd if self.regions > 0 => self.regions -= 1,
            Tag::RegionEnd => {
                let length = self.tags.region.map_or(0, |region| region.1.len());
                if self.calls == 0 && self.follows(from - length) && self.may_end() {
                    return self.at_close();
                }
            }
        }
        None
    }

    /// Whether there is only white space between the last closing tag and `at`.
    fn follows(&self, at: usize) -> bool {
        let between = self.close.and_then(|close| self.raw.get(close.end..at));
        between.is_some_and(|text| text.chars().all(char::is_whitespace))
    }

    fn closed(&mut self, at: usize) -> Option<Ended> {
        // The tag belongs to a call inside the value.
        if self.calls > 0 {
            return None;
        }
        let inner = self.values > 0;
        self.values = self.values.saturating_sub(1);
        self.close = Some(Close { at, end: self.raw.len(), inner });
        let cdata = self.tags.cdata && self.raw.trim_start().starts_with(CDATA.0);
        let complete = cdata || (self.reads != Reads::Text && self.complete(at));
        if complete { self.at_close() } else { None }
    }

    /// Whether the value would be valid JSON or a literal if it ended at `at`.
    fn complete(&mut self, at: usize) -> bool {
        self.tries += 1;
        let value = self.raw[..at].trim();
        self.tries <= MAX_TRIES && (normalise(value).is_some() || literal_to_json(value).is_some())
    }

    /// Whether the value may end at the last closing tag, judging by its type.
    fn may_end(&mut self) -> bool {
        let Some(close) = self.close else { return false };
        self.reads != Reads::Json || self.tries > MAX_TRIES || self.complete(close.at)
    }

    /// Handles the end of an argument's name whose tag begins at `at`.
    fn named(&mut self, at: usize, name: &str, around: Around<'_>) -> Option<Ended> {
        let ends = match self.close {
            _ if self.calls > 0 || name.contains(['<', '\n']) => false,
            Some(close) if self.follows(at) => {
                if close.inner {
                    around.lacks(name)
                } else {
                    around.allows(name)
                }
            }
            Some(_) => around.lacks(name),
            None => self.tags.may_be_open && around.lacks(name),
        };
        if ends && self.close.is_none() {
            return Some(Ended { value: at, rest: at });
        }
        if ends && self.may_end() {
            return self.at_close();
        }
        if self.tags.open.is_none() {
            self.values += 1;
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    const TAGS: ValueTags = ValueTags {
        close: "</p>",
        key: ("<p=", ">"),
        open: None,
        call: ("<f=", "</f>"),
        region: Some(("<c>", "</c>")),
        after_call: &["</c>", "<f="],
        may_be_open: true,
        cdata: true,
    };

    /// The value and what follows it, as the schema with `a`, `b` and `o` sees it.
    fn value(key: &str, text: &str, more: Value) -> Option<(String, String)> {
        let mut tool = json!({"properties": {"a": {"type": "string"}, "b": {"type": "integer"}, "o": {"type": "object"}}});
        tool.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let mut parameters = Parameters::new(Some(&tool));
        let reads = Reads::of(parameters.get(key).as_deref());
        let mut reader = ValueReader::new(TAGS, reads);
        let given = HashSet::new();
        let around = Around { parameters: &parameters, given: &given, current: key };
        let ended = text.chars().find_map(|c| reader.feed(c, around))?;
        let raw = reader.take_raw();
        Some((raw[..ended.value].to_owned(), raw[ended.rest..].to_owned()))
    }

    fn text(text: &str) -> String {
        value("a", text, json!({})).map_or_else(|| "-".to_owned(), |(value, _)| value)
    }

    #[test]
    fn a_closing_tag_ends_a_value_where_the_format_goes_on() {
        assert_eq!(text("x</p>\n<p=b>"), "x");
        assert_eq!(text("x</p>\n</f>\n</c>"), "x");
        assert_eq!(text("x</p></c>"), "x");
        assert_eq!(text("x </p> y</p></f><f="), "x </p> y");
        assert_eq!(text("x</p></f> y</p>\n</f></c>"), "x</p></f> y");
        assert_eq!(text("x</p> y"), "-");
        assert_eq!(text("x<p=b>"), "x");
        assert_eq!(text("see <p=z> y</p></f></c>"), "see <p=z> y");
        assert_eq!(text("x</p> , <p=b>"), "x");
    }

    #[test]
    fn a_call_inside_a_value_belongs_to_it() {
        let inner = "<c>\n<f=g>\n<p=q>\n1\n</p>\n<p=r>2</p>\n</f>\n</c>";
        assert_eq!(text(&format!("{inner} done</p></f></c>")), format!("{inner} done"));
        assert_eq!(text(&format!("{inner}\n</p>\n<p=b>")), format!("{inner}\n"));
        assert_eq!(text("<p=q>1</p>\n<p=r>2</p></p></f></c>"), "<p=q>1</p>\n<p=r>2</p>");
    }

    #[test]
    fn the_schema_says_what_may_follow() {
        let closed = json!({"additionalProperties": false});
        let of = |more: Value| value("a", "x</p><p=z>y</p></f></c>", more).unwrap().0;
        assert_eq!(of(closed), "x</p><p=z>y");
        assert_eq!(of(json!({})), "x");
    }

    #[test]
    fn a_value_that_is_no_text_ends_where_it_is_complete() {
        let of = |key: &str, text: &str| value(key, text, json!({})).unwrap();
        assert_eq!(of("b", "5</p>"), ("5".into(), String::new()));
        assert_eq!(of("o", "{\"x\": \"</p></f></c>\"}</p>").0, "{\"x\": \"</p></f></c>\"}");
        assert_eq!(of("b", "five</p> or</p></f></c>").0, "five</p> or");
        assert_eq!(of("a", "<![CDATA[</p></f></c>]]></p>").0, "<![CDATA[</p></f></c>]]>");
    }
}
