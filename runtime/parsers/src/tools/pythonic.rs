//! Llama 4 and others: `[f(a=1), g(b="x")]`, a Python list of calls anywhere in the text.

use super::sink::Sink;
use super::stream::Format;
use crate::python_literal::parse_call_list;
use crate::scan::MarkerScan;

/// A longer bracket is text.
const MAX_LIST: usize = 1 << 20;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// After `[`, before a name.
    Open,
    Name,
    /// After a name, before its parenthesis.
    Named,
    Calls,
}

#[derive(Debug)]
struct List {
    raw: String,
    stage: Stage,
    depth: usize,
    quote: Option<char>,
    escaped: bool,
}

enum ListStatus {
    More,
    Closed,
    NotAList,
}

impl List {
    fn new() -> Self {
        Self { raw: "[".to_owned(), stage: Stage::Open, depth: 1, quote: None, escaped: false }
    }

    fn feed(&mut self, c: char) -> ListStatus {
        self.raw.push(c);
        if self.raw.len() > MAX_LIST {
            return ListStatus::NotAList;
        }
        self.stage = match self.stage {
            Stage::Open if c.is_whitespace() => Stage::Open,
            Stage::Open if c.is_alphabetic() || c == '_' => Stage::Name,
            Stage::Name if c.is_alphanumeric() || c == '_' => Stage::Name,
            Stage::Name | Stage::Named if c.is_whitespace() => Stage::Named,
            Stage::Name | Stage::Named if c == '(' => {
                self.depth += 1;
                Stage::Calls
            }
            Stage::Calls => return self.calls(c),
            _ => return ListStatus::NotAList,
        };
        ListStatus::More
    }

    fn calls(&mut self, c: char) -> ListStatus {
        if std::mem::take(&mut self.escaped) {
            return ListStatus::More;
        }
        match (self.quote, c) {
            (Some(_), '\\') => self.escaped = true,
            (Some(quote), c) if c == quote => self.quote = None,
            (Some(_), _) => {}
            (None, '"' | '\'') => self.quote = Some(c),
            (None, '(' | '[' | '{') => self.depth += 1,
            (None, ')' | ']' | '}') => self.depth -= 1,
            _ => {}
        }
        if self.depth == 0 { ListStatus::Closed } else { ListStatus::More }
    }
}

#[derive(Debug)]
pub(crate) struct Pythonic {
    /// Tokens that some models put around the list; they are never part of the text.
    scan: MarkerScan,
    list: Option<List>,
    /// Calls that the model wrote so far, including dropped ones.
    written: i32,
}

impl Pythonic {
    pub(crate) fn new() -> Self {
        Self { scan: MarkerScan::new(&["<|python_start|>", "<|python_end|>"]), list: None, written: 0 }
    }

    fn char(&mut self, c: char, sink: &mut Sink) {
        let Some(list) = &mut self.list else {
            if c == '[' {
                self.list = Some(List::new());
            } else {
                sink.text(c.encode_utf8(&mut [0; 4]));
            }
            return;
        };
        match list.feed(c) {
            ListStatus::More => {}
            ListStatus::Closed => {
                let raw = std::mem::take(&mut list.raw);
                self.list = None;
                self.calls(&raw, sink);
            }
            ListStatus::NotAList => {
                let mut raw = std::mem::take(&mut list.raw);
                self.list = None;
                if c == '[' {
                    raw.pop();
                    self.list = Some(List::new());
                }
                sink.text(&raw);
            }
        }
    }

    fn calls(&mut self, raw: &str, sink: &mut Sink) {
        let Some(calls) = parse_call_list(raw) else { return sink.text(raw) };
        sink.boundary();
        for call in calls {
            let number = self.written;
            self.written += 1;
            if let Some(arguments) = call.arguments
                && sink.call_start_numbered(&call.name, number)
            {
                sink.args(&arguments);
                sink.call_end();
            }
        }
    }
}

impl Format for Pythonic {
    fn feed(&mut self, c: char, sink: &mut Sink) {
        let mut text = String::new();
        self.scan.feed(c, &mut text);
        text.chars().for_each(|c| self.char(c, sink));
    }

    fn finish(&mut self, sink: &mut Sink) {
        let held = self.scan.take_held();
        held.chars().for_each(|c| self.char(c, sink));
        if let Some(list) = self.list.take() {
            sink.text(&list.raw);
        }
    }
}
