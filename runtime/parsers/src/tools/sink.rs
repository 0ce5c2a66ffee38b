//! The output side of the format machines: a gate for text that handles white space, and a check of call names.

use std::collections::HashMap;

use serde_json::Value;

use super::arguments_gate::ArgumentsGate;
use super::types::Tool;

/// White space longer than this is sent even though a call may follow.
const MAX_SPACE: usize = 4096;

/// An event found by a format machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Event {
    Text(String),
    /// `position` is what a whole-text result reports: usually the index of the tool in the request (-1: none).
    CallStart {
        name: String,
        position: i32,
    },
    Args(String),
    CallEnd,
    /// The started call will not be completed.
    CallBroken,
}

/// How the text before the first call is treated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Before {
    /// White space before a call is dropped.
    Trim,
    Keep,
    /// Dropped if it is only white space.
    KeepUnlessBlank,
}

/// How the text after the first call is treated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum After {
    Drop,
    /// Kept without surrounding white space, after one space if there was text before.
    Join,
    /// Kept without surrounding white space.
    Trim,
    /// Kept, except white space at the very end.
    Keep,
}

/// Passes text on as the reference's whole-text function would return it.
#[derive(Debug)]
struct TextGate {
    before: Before,
    after: After,
    behind_call: bool,
    /// Nothing has been sent since the last call.
    fresh: bool,
    any: bool,
    space: String,
}

impl TextGate {
    fn push(&mut self, c: char, out: &mut String) {
        if self.behind_call && self.after == After::Drop {
            return;
        }
        if c.is_whitespace() {
            let dropped = self.behind_call && self.fresh && self.after != After::Keep;
            let holds = self.behind_call
                || self.before == Before::Trim
                || (self.before == Before::KeepUnlessBlank && !self.any);
            if dropped {
                return;
            }
            if holds && self.space.len() < MAX_SPACE {
                self.space.push(c);
            } else {
                out.push_str(&std::mem::take(&mut self.space));
                out.push(c);
            }
            return;
        }
        if self.fresh && self.after == After::Join && self.any {
            out.push(' ');
        }
        out.push_str(&std::mem::take(&mut self.space));
        out.push(c);
        (self.fresh, self.any) = (false, true);
    }

    fn call(&mut self, out: &mut String) {
        let keep = if self.behind_call {
            self.after == After::Keep
        } else {
            match self.before {
                Before::Trim => false,
                Before::Keep => true,
                Before::KeepUnlessBlank => self.any,
            }
        };
        let space = std::mem::take(&mut self.space);
        if keep {
            out.push_str(&space);
        }
        (self.behind_call, self.fresh) = (true, true);
    }

    fn finish(&mut self, out: &mut String) {
        let space = std::mem::take(&mut self.space);
        if !self.behind_call {
            out.push_str(&space);
        }
    }
}

/// The tools of a request, by name.
#[derive(Debug, Default)]
pub(crate) struct ToolSet {
    tools: Vec<Tool>,
    positions: HashMap<String, usize>,
}

impl ToolSet {
    pub(crate) fn new(tools: &[Tool]) -> Self {
        let positions = tools
            .iter()
            .enumerate()
            .filter(|(_, tool)| !tool.function.name.is_empty())
            .map(|(i, tool)| (tool.function.name.clone(), i))
            .collect();
        Self { tools: tools.to_vec(), positions }
    }

    pub(crate) fn tools(&self) -> &[Tool] {
        &self.tools
    }

    /// The parameter schema of a tool.
    pub(crate) fn parameters(&self, name: &str) -> Option<&Value> {
        self.tools.get(*self.positions.get(name)?)?.function.parameters.as_ref()
    }
}

/// Receives what a format machine finds.
#[derive(Debug)]
pub(crate) struct Sink {
    pub(crate) tools: ToolSet,
    forward_unknown_tools: bool,
    gate: TextGate,
    events: Vec<Event>,
    open: bool,
    arguments: ArgumentsGate,
}

impl Sink {
    pub(crate) fn new(tools: &[Tool], forward_unknown_tools: bool, before: Before, after: After) -> Self {
        let gate =
            TextGate { before, after, behind_call: false, fresh: false, any: false, space: String::new() };
        Self {
            tools: ToolSet::new(tools),
            forward_unknown_tools,
            gate,
            events: Vec::new(),
            open: false,
            arguments: ArgumentsGate::default(),
        }
    }

    pub(crate) fn take_events(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.events)
    }

    pub(crate) fn text(&mut self, text: &str) {
        let mut out = String::new();
        text.chars().for_each(|c| self.gate.push(c, &mut out));
        self.send(out);
    }

    /// Marks a boundary between text and calls, or between two parts of the text.
    pub(crate) fn boundary(&mut self) {
        let mut out = String::new();
        self.gate.call(&mut out);
        self.send(out);
    }

    /// Whether a call of this name may be passed on.
    pub(crate) fn knows(&self, name: &str) -> bool {
        !name.is_empty() && (self.forward_unknown_tools || self.tools.positions.contains_key(name))
    }

    /// Starts a call; `false` if the request has no tool of this name, in which case the call is dropped.
    pub(crate) fn call_start(&mut self, name: &str) -> bool {
        self.knows(name) && {
            self.call_start_unchecked(name);
            true
        }
    }

    /// As [`call_start`](Self::call_start), for formats whose results count the calls that the model wrote.
    pub(crate) fn call_start_numbered(&mut self, name: &str, number: i32) -> bool {
        let accepted = self.call_start(name);
        if accepted && let Some(Event::CallStart { position, .. }) = self.events.last_mut() {
            *position = number;
        }
        accepted
    }

    /// Starts a call without checking its name, for formats whose reference parser does not check it.
    pub(crate) fn call_start_unchecked(&mut self, name: &str) {
        self.call_broken();
        let position = self.tools.positions.get(name).and_then(|i| i32::try_from(*i).ok()).unwrap_or(-1);
        self.events.push(Event::CallStart { name: name.to_owned(), position });
        self.open = true;
        self.arguments = ArgumentsGate::default();
    }

    /// Takes a piece of the arguments of the open call.
    pub(crate) fn args(&mut self, fragment: &str) {
        if !self.open {
            return;
        }
        match self.arguments.push(fragment) {
            Some(fragment) => self.send_args(fragment),
            None => self.call_broken(),
        }
    }

    fn send_args(&mut self, fragment: &str) {
        if fragment.is_empty() {
            return;
        }
        match self.events.last_mut() {
            Some(Event::Args(so_far)) => so_far.push_str(fragment),
            _ => self.events.push(Event::Args(fragment.to_owned())),
        }
    }

    /// Ends the open call. If its arguments are not an object, the call is broken.
    pub(crate) fn call_end(&mut self) {
        if !self.open {
            return;
        }
        match self.arguments.finish() {
            Some(rest) => {
                self.send_args(&rest);
                self.open = false;
                self.events.push(Event::CallEnd);
            }
            None => self.call_broken(),
        }
    }

    /// Drops the open call, if any.
    pub(crate) fn call_broken(&mut self) {
        if std::mem::take(&mut self.open) {
            self.events.push(Event::CallBroken);
        }
    }

    /// Ends the answer.
    pub(crate) fn finish(&mut self) {
        self.call_broken();
        let mut out = String::new();
        self.gate.finish(&mut out);
        self.send(out);
    }

    fn send(&mut self, text: String) {
        if text.is_empty() {
            return;
        }
        match self.events.last_mut() {
            Some(Event::Text(so_far)) => so_far.push_str(&text),
            _ => self.events.push(Event::Text(text)),
        }
    }
}
