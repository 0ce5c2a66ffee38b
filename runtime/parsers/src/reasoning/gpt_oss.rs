//! The reasoning of gpt-oss: the `analysis` channel of the harmony format.
//!
//! When the special tokens were stripped from the text, what remains is `analysis…assistantfinal…`; this bare form is
//! read as well.

use super::Delta;
use crate::harmony::{HarmonyEvent, HarmonyStream};

const FINAL: &str = "assistantfinal";

/// Longer held text is released.
const MAX_HELD: usize = 4096;

#[derive(Debug)]
enum State {
    /// Not yet known which of the two forms this is.
    Head(String),
    Tokens(HarmonyStream),
    Bare(Bare),
}

#[derive(Debug)]
pub(crate) struct GptOssReasoning {
    state: State,
}

enum Head {
    Undecided,
    Tokens,
    Bare(Part),
}

/// Whether `text` begins like the bare form: an optional `assistant`, then a channel name.
fn classify(text: &str) -> Head {
    let lower = text.trim_start().to_ascii_lowercase();
    let after = lower.strip_prefix("assistant").map(str::trim_start);
    for start in [Some(lower.as_str()), after].into_iter().flatten() {
        if start.starts_with("analysis") {
            return Head::Bare(Part::Analysis);
        }
        if start.starts_with("commentary") {
            return Head::Bare(Part::Commentary);
        }
    }
    if lower.starts_with(FINAL) {
        return Head::Bare(Part::Final);
    }
    let open = [FINAL, "analysis", "commentary"].iter().any(|word| word.starts_with(lower.as_str()))
        || after.is_some_and(|rest| ["analysis", "commentary"].iter().any(|word| word.starts_with(rest)));
    if open && text.len() < MAX_HELD { Head::Undecided } else { Head::Tokens }
}

impl GptOssReasoning {
    pub(crate) fn new() -> Self {
        Self { state: State::Head(String::new()) }
    }

    pub(crate) fn feed(&mut self, c: char, out: &mut Delta) {
        match &mut self.state {
            State::Head(head) => {
                head.push(c);
                match classify(head) {
                    Head::Undecided => {}
                    Head::Tokens => {
                        let head = std::mem::take(head);
                        self.state = State::Tokens(HarmonyStream::new());
                        head.chars().for_each(|c| self.feed(c, out));
                    }
                    Head::Bare(part) => {
                        self.state = State::Bare(Bare { part, started: false, held: String::new() })
                    }
                }
            }
            State::Tokens(harmony) => {
                let mut events = Vec::new();
                harmony.feed(c, &mut events);
                deliver(events, out);
            }
            State::Bare(bare) => bare.feed(c, out),
        }
    }

    pub(crate) fn finish(&mut self, out: &mut Delta) {
        match std::mem::replace(&mut self.state, State::Head(String::new())) {
            State::Head(head) => out.normal.push_str(&head),
            State::Tokens(mut harmony) => {
                let mut events = Vec::new();
                harmony.finish(&mut events);
                deliver(events, out);
            }
            State::Bare(bare) => bare.finish(out),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Analysis,
    Commentary,
    Final,
}

/// The bare form. White space around each part is dropped.
#[derive(Debug)]
struct Bare {
    part: Part,
    /// Some of the current part has been sent.
    started: bool,
    /// White space, or text that may still become [`FINAL`].
    held: String,
}

impl Bare {
    fn feed(&mut self, c: char, out: &mut Delta) {
        self.held.push(c);
        if self.part != Part::Final && self.held.trim_start().eq_ignore_ascii_case(FINAL) {
            *self = Self { part: Part::Final, started: false, held: String::new() };
            return;
        }
        while let Some(first) = self.held.chars().next() {
            if self.held.len() < MAX_HELD && self.may_wait() {
                return;
            }
            self.started |= !first.is_whitespace();
            if self.started {
                self.sink(out).push(first);
            }
            self.held.drain(..first.len_utf8());
        }
    }

    fn may_wait(&self) -> bool {
        let word = self.held.trim_start();
        word.is_empty()
            || (self.part != Part::Final
                && FINAL.get(..word.len()).is_some_and(|start| start.eq_ignore_ascii_case(word)))
    }

    fn finish(self, out: &mut Delta) {
        let rest = self.held.trim_end();
        let rest = if self.started { rest } else { rest.trim_start() };
        self.sink(out).push_str(rest);
    }

    fn sink<'a>(&self, out: &'a mut Delta) -> &'a mut String {
        if self.part == Part::Analysis { &mut out.reasoning } else { &mut out.normal }
    }
}

fn deliver(events: Vec<HarmonyEvent>, out: &mut Delta) {
    for event in events {
        match event {
            HarmonyEvent::Message => {}
            HarmonyEvent::Reasoning(text) => out.reasoning.push_str(&text),
            HarmonyEvent::Text(text) => out.normal.push_str(&text),
            // The call is passed on unchanged, for the tool-call parser.
            HarmonyEvent::Call { header, .. } => out.normal.push_str(&header),
            HarmonyEvent::CallBody(text) => out.normal.push_str(&text),
            HarmonyEvent::CallEnd(token) => out.normal.push_str(token),
        }
    }
}
