//! Thinking between a start tag and an end tag.

use super::Delta;

/// Once more text than this is held after a tool tag inside the thinking, the tag is taken for a real call.
const MAX_UNDECIDED: usize = 1 << 20;

/// The tags of one model family.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ThinkTags {
    pub(crate) start: &'static str,
    pub(crate) end: &'static str,
    /// The tag of a tool call. It ends the thinking if the model forgot the end tag.
    pub(crate) tool_start: Option<&'static str>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Only white space and start tags so far.
    Start,
    /// Text before a start tag that may still come.
    Before,
    Reasoning,
    /// After a tool tag inside the thinking: if an end tag follows, it was thinking; if the text ends, it was a call.
    Undecided,
    After,
}

/// Reads one answer by the rule of the reference's whole-text function: thinking goes up to the first end tag; without
/// one, up to the first tool tag; without either, to the end.
#[derive(Debug)]
pub(crate) struct ThinkReasoning {
    tags: ThinkTags,
    state: State,
    in_reasoning: bool,
    held: String,
}

impl ThinkReasoning {
    pub(crate) fn new(tags: ThinkTags, in_reasoning: bool, closed: bool) -> Self {
        let state = if closed { State::Before } else { State::Start };
        Self { tags, state, in_reasoning, held: String::new() }
    }

    /// The thinking has ended.
    pub(crate) fn is_over(&self) -> bool {
        self.state == State::After
    }

    pub(crate) fn feed(&mut self, c: char, out: &mut Delta) {
        self.held.push(c);
        // A character that ends a state is read again in the next one.
        while !self.held.is_empty() && self.step(out) {}
    }

    pub(crate) fn finish(&mut self, out: &mut Delta) {
        let held = std::mem::take(&mut self.held);
        match self.state {
            State::Start if self.in_reasoning => out.reasoning.push_str(&held),
            State::Start | State::Before | State::After | State::Undecided => out.normal.push_str(&held),
            State::Reasoning => out.reasoning.push_str(&held),
        }
    }

    /// Makes one decision about the held text; `true` if there may be more to decide.
    fn step(&mut self, out: &mut Delta) -> bool {
        match self.state {
            State::Start => self.start(out),
            State::Before => {
                let Some(tag) = self.find(&[self.tags.start], &mut out.normal) else { return false };
                self.held.drain(..tag.len());
                self.state = State::Reasoning;
                true
            }
            State::Reasoning => {
                let tags = [self.tags.end, self.tags.tool_start.unwrap_or(self.tags.end)];
                let Some(tag) = self.find(&tags, &mut out.reasoning) else { return false };
                if tag == self.tags.end {
                    self.held.drain(..tag.len());
                    self.state = State::After;
                } else {
                    self.state = State::Undecided;
                }
                true
            }
            State::Undecided => {
                if let Some(at) = self.held.strip_suffix(self.tags.end).map(str::len) {
                    out.reasoning.push_str(&self.held[..at]);
                    self.held.clear();
                    self.state = State::After;
                } else if self.held.len() > MAX_UNDECIDED {
                    self.state = State::After;
                    return true;
                }
                false
            }
            State::After => {
                out.normal.push_str(&self.held);
                self.held.clear();
                false
            }
        }
    }

    fn start(&mut self, out: &mut Delta) -> bool {
        let rest = self.held.trim_start();
        let space = self.held.len() - rest.len();
        if rest.starts_with(self.tags.start) {
            // White space before the tag stays with the thinking.
            out.reasoning.push_str(&self.held[..space]);
            self.held.drain(..space + self.tags.start.len());
            self.in_reasoning = true;
            return !self.held.is_empty();
        }
        if self.tags.start.starts_with(rest) && self.held.len() < MAX_UNDECIDED {
            return false;
        }
        self.state = if self.in_reasoning { State::Reasoning } else { State::Before };
        true
    }

    /// Moves everything before the first of `tags` to `text`, and returns the tag with which the held text now starts.
    fn find(&mut self, tags: &[&'static str], text: &mut String) -> Option<&'static str> {
        loop {
            if let Some(tag) = tags.iter().find(|tag| self.held.starts_with(**tag)) {
                return Some(tag);
            }
            if self.held.is_empty() || tags.iter().any(|tag| tag.starts_with(self.held.as_str())) {
                return None;
            }
            let first = self.held.chars().next()?;
            text.push(first);
            self.held.drain(..first.len_utf8());
        }
    }
}
