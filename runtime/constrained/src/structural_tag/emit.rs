//! Writes the tree as a Lark grammar.

use super::format::{Edge, Format, Tag, TokenName};
use crate::ebnf;
use crate::environment::TokenEnvironment;
use crate::json::JsonOptions;
use crate::lark::{Lark, json, tokens};
use crate::regex;

pub(super) struct Emitter<'a> {
    pub(super) lark: Lark,
    pub(super) json: &'a JsonOptions,
    pub(super) env: &'a TokenEnvironment,
}

impl Emitter<'_> {
    /// The expression for `format` followed by one of `ends`. Free text must know where it ends, so the ends are
    /// written together with what precedes them.
    pub(super) fn emit(&mut self, format: &Format, ends: &[Edge]) -> Result<String, String> {
        let alone = match format {
            Format::AnyText { excludes } => return self.any_text(excludes, ends),
            Format::TriggeredTags { .. } => return self.triggered_tags(format, ends),
            Format::Sequence(elements) => return self.sequence(elements, ends),
            Format::Or(elements) => {
                let options = elements.iter().map(|e| self.emit(e, ends)).collect::<Result<Vec<_>, _>>()?;
                return Ok(self.lark.rule(&options.join(" | ")));
            }
            Format::ConstString(text) => self.spelled(text),
            Format::JsonSchema(schema) => {
                let schema = self.json.apply(schema.clone())?;
                self.lark.rule(&json(&schema))
            }
            Format::Grammar(text) => ebnf::to_lark(text, &mut self.lark)?,
            Format::Regex(pattern) => {
                let pattern = regex::to_lark(pattern)?;
                self.lark.terminal(&format!("/{pattern}/"))
            }
            Format::Token(name) => self.token(name)?,
            Format::Tag(tag) => self.tag(tag)?,
            Format::TagsWithSeparator { tags, separator, at_least_one, stop_after_first } => {
                let tag = self.one_of(tags)?;
                let mut list = tag.clone();
                if !stop_after_first {
                    let separator = self.spelled(separator);
                    let more = self.lark.rule(&format!("{separator} {tag}"));
                    list = self.lark.rule(&format!("{tag} {more}*"));
                }
                if *at_least_one { list } else { self.lark.rule(&format!("{list}?")) }
            }
            Format::Repeat { content, min, max } => {
                let content = self.emit(content, &[])?;
                let content = self.lark.rule(&content);
                let max = max.map_or(String::new(), |max| max.to_string());
                if max == "0" {
                    self.spelled("")
                } else {
                    self.lark.rule(&format!("{content}{{{min},{max}}}"))
                }
            }
        };
        if ends.is_empty() {
            return Ok(alone);
        }
        let end = self.edges(ends)?;
        Ok(self.lark.rule(&format!("{alone} {end}")))
    }

    fn sequence(&mut self, elements: &[Format], ends: &[Edge]) -> Result<String, String> {
        let Some((last, before)) = elements.split_last() else { return Ok(self.spelled("")) };
        let mut words = Vec::new();
        for (i, element) in before.iter().enumerate() {
            let endless = match element {
                Format::AnyText { excludes } => excludes.is_empty(),
                Format::TriggeredTags { excludes, stop_after_first, at_least_one, .. } => {
                    excludes.is_empty() && !(*stop_after_first && *at_least_one)
                }
                _ => false,
            };
            if endless {
                return Err(format!(
                    "element {i} of a sequence is free text without excludes, which only its last element may be"
                ));
            }
            words.push(self.emit(element, &[])?);
        }
        words.push(self.emit(last, ends)?);
        Ok(self.lark.rule(&words.join(" ")))
    }

    fn any_text(&mut self, excludes: &[String], ends: &[Edge]) -> Result<String, String> {
        let excludes: Vec<&str> = excludes.iter().map(String::as_str).collect();
        let mut words = self.ended(&excludes, ends)?;
        if ends.is_empty() {
            words.push(self.free(&excludes));
        }
        Ok(self.lark.rule(&words.join(" | ")))
    }

    /// Free text followed by one of `ends`, as one item for each end.
    fn ended(&mut self, excludes: &[&str], ends: &[Edge]) -> Result<Vec<String>, String> {
        let texts: Vec<&str> = ends
            .iter()
            .filter_map(|end| match end {
                Edge::Text(text) => Some(text.as_str()),
                Edge::Token(_) => None,
            })
            .collect();
        let mut words = self.free_until(&texts, excludes);
        for end in ends {
            if let Edge::Token(name) = end {
                let all: Vec<&str> = texts.iter().chain(excludes).copied().collect();
                let (text, token) = (self.free(&all), self.token(name)?);
                words.push(self.lark.rule(&format!("{text} {token}")));
            }
        }
        Ok(words)
    }

    /// Free text that contains tags. One rule repeats: a stretch of text ends with a trigger (then its tag follows),
    /// with one of `ends`, or with the output.
    fn triggered_tags(&mut self, format: &Format, ends: &[Edge]) -> Result<String, String> {
        let Format::TriggeredTags { triggers, tags, at_least_one, stop_after_first, excludes } = format
        else {
            return Ok(self.spelled(""));
        };
        let excludes: Vec<&str> = excludes.iter().map(String::as_str).collect();
        if *at_least_one && *stop_after_first {
            let tag = self.one_of(tags)?;
            return self.then(tag, ends);
        }
        let triggers: Vec<&str> = triggers.iter().map(String::as_str).collect();
        let mut words = Vec::new();
        for (trigger, text) in triggers.iter().zip(self.free_until(&triggers, &excludes)) {
            let rest = self.after_trigger(&triggers, trigger, tags)?;
            if let Some(rest) = rest {
                words.push(self.lark.rule(&format!("{text} {rest}")));
            }
        }
        let tagged = self.lark.rule(&words.join(" | "));
        let mut tails = self.ended(&excludes, ends)?;
        if ends.is_empty() {
            let all: Vec<&str> = triggers.iter().chain(&excludes).copied().collect();
            tails.push(self.free(&all));
        }
        let tail = self.lark.rule(&tails.join(" | "));
        if *stop_after_first {
            let tagged = self.then(tagged, ends)?;
            return Ok(self.lark.rule(&format!("{tagged} | {tail}")));
        }
        let rest = self.lark.rule(&format!("{tagged}* {tail}"));
        if *at_least_one {
            let first = self.one_of(tags)?;
            return Ok(self.lark.rule(&format!("{first} {rest}")));
        }
        Ok(rest)
    }

    /// What may follow `trigger`: the rest of every tag that begins with it. A tag belongs to its shortest trigger,
    /// because the text reaches that one first.
    fn after_trigger(
        &mut self,
        triggers: &[&str],
        trigger: &str,
        tags: &[Tag],
    ) -> Result<Option<String>, String> {
        let mut options = Vec::new();
        for tag in tags {
            let Edge::Text(begin) = &tag.begin else { continue };
            let first = triggers.iter().filter(|t| begin.starts_with(**t)).min_by_key(|t| t.len());
            if first == Some(&trigger)
                && let Some(rest) = begin.strip_prefix(trigger)
            {
                let rest = self.spelled(rest);
                let content = self.emit(&tag.content, &tag.end)?;
                options.push(format!("{rest} {content}"));
            }
        }
        Ok(if options.is_empty() { None } else { Some(self.lark.rule(&options.join(" | "))) })
    }

    fn one_of(&mut self, tags: &[Tag]) -> Result<String, String> {
        let options = tags.iter().map(|tag| self.tag(tag)).collect::<Result<Vec<_>, _>>()?;
        Ok(self.lark.rule(&options.join(" | ")))
    }

    fn tag(&mut self, tag: &Tag) -> Result<String, String> {
        let begin = self.edge(&tag.begin)?;
        let content = self.emit(&tag.content, &tag.end)?;
        Ok(self.lark.rule(&format!("{begin} {content}")))
    }

    fn then(&mut self, word: String, ends: &[Edge]) -> Result<String, String> {
        if ends.is_empty() {
            return Ok(word);
        }
        let end = self.edges(ends)?;
        Ok(self.lark.rule(&format!("{word} {end}")))
    }

    fn edges(&mut self, edges: &[Edge]) -> Result<String, String> {
        let options = edges.iter().map(|edge| self.edge(edge)).collect::<Result<Vec<_>, _>>()?;
        Ok(self.lark.rule(&options.join(" | ")))
    }

    fn edge(&mut self, edge: &Edge) -> Result<String, String> {
        match edge {
            Edge::Text(text) => Ok(self.spelled(text)),
            Edge::Token(name) => self.token(name),
        }
    }

    fn token(&mut self, name: &TokenName) -> Result<String, String> {
        let id = match name {
            TokenName::Id(id) => *id,
            TokenName::Name(name) => {
                let found = self.env.special().iter().find(|(text, _)| text == name);
                found.ok_or_else(|| format!("{name:?} is not a special token of the model"))?.1
            }
        };
        if id as usize >= self.env.vocab_size() {
            return Err(format!("token {id} is outside the vocabulary of {}", self.env.vocab_size()));
        }
        Ok(tokens(&[id]))
    }
}
