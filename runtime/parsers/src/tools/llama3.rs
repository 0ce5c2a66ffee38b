//! Llama 3: `<|python_tag|>{"name": …, "parameters": …}`, several separated by `;`, or a bare object at the start of
//! the answer. A Python dict is accepted in place of the object.
//!
//! A bare object is a call only if it looks like one: an answer that happens to be JSON stays text.

use super::call_json::{CallReader, CallStatus};
use super::sink::Sink;
use super::stream::Format;
use crate::json::JsonStyle;
use crate::scan::MarkerScan;

pub(crate) const PYTHON_TAG: &str = "<|python_tag|>";
/// An object that shows no name within this many bytes is text.
const MAX_UNDECIDED: usize = 1 << 20;
/// The keys with which a call may begin.
const CALL_KEYS: [&str; 6] = ["name", "arguments", "parameters", "type", "id", "function"];

#[derive(Debug)]
struct Candidate {
    reader: CallReader,
    /// The object so far, while it may still be text.
    raw: String,
    /// Known to be a call, whether passed on or dropped.
    decided: bool,
}

#[derive(Debug)]
pub(crate) struct Llama3 {
    scan: MarkerScan,
    candidate: Option<Candidate>,
    /// An object at this point may be a call: at the start, after the tag, or after a call.
    may_call: bool,
    tagged: bool,
    /// A call just ended; one separator may follow.
    separator: bool,
}

enum Verdict {
    Undecided,
    Call,
    Text,
}

impl Llama3 {
    pub(crate) fn new() -> Self {
        Self {
            scan: MarkerScan::new(&[PYTHON_TAG]),
            candidate: None,
            may_call: true,
            tagged: false,
            separator: false,
        }
    }

    fn plain(&mut self, c: char, sink: &mut Sink) {
        if c == '{' && self.may_call {
            let reader = CallReader::new(JsonStyle::Python);
            self.candidate = Some(Candidate { reader, raw: String::new(), decided: false });
            return self.candidate(c, sink);
        }
        if c == ';' && self.separator {
            self.separator = false;
            return;
        }
        self.separator &= c.is_whitespace();
        // Without a tag or an earlier call, only the very first character can open a call.
        self.may_call &= self.tagged;
        sink.text(c.encode_utf8(&mut [0; 4]));
    }

    fn candidate(&mut self, c: char, sink: &mut Sink) {
        let Some(candidate) = &mut self.candidate else { return };
        let status = candidate.reader.feed(c, sink);
        if !candidate.decided {
            candidate.raw.push(c);
            match verdict(candidate, status, self.tagged) {
                Verdict::Undecided => return,
                Verdict::Call => {
                    candidate.decided = true;
                    candidate.raw.clear();
                    self.tagged = true;
                    sink.boundary();
                }
                Verdict::Text => {
                    let raw = std::mem::take(&mut candidate.raw);
                    self.candidate = None;
                    self.may_call = self.tagged;
                    sink.text(&raw);
                    return;
                }
            }
        }
        match status {
            CallStatus::More => {}
            CallStatus::Done => {
                self.candidate = None;
                (self.may_call, self.separator) = (true, true);
            }
            CallStatus::Malformed => {
                self.candidate = None;
                self.may_call = true;
                self.plain(c, sink);
            }
        }
    }
}

fn verdict(candidate: &Candidate, status: CallStatus, tagged: bool) -> Verdict {
    let reader = &candidate.reader;
    if reader.accepted() {
        return Verdict::Call;
    }
    let over = status != CallStatus::More || candidate.raw.len() > MAX_UNDECIDED;
    let foreign = reader.first_key().is_some_and(|key| !CALL_KEYS.contains(&key));
    if reader.refused() {
        // An unknown function: dropped if this really is a call.
        return match (tagged || reader.has_argument_key(), over || reader.keys() > 1) {
            (true, _) => Verdict::Call,
            (false, true) => Verdict::Text,
            (false, false) => Verdict::Undecided,
        };
    }
    if over || foreign { Verdict::Text } else { Verdict::Undecided }
}

impl Format for Llama3 {
    fn feed(&mut self, c: char, sink: &mut Sink) {
        if self.candidate.is_some() {
            return self.candidate(c, sink);
        }
        let mut text = String::new();
        let tagged = self.scan.feed(c, &mut text).is_some();
        text.chars().for_each(|c| self.plain(c, sink));
        if tagged {
            sink.boundary();
            (self.tagged, self.may_call) = (true, true);
        }
    }

    fn finish(&mut self, sink: &mut Sink) {
        match self.candidate.take() {
            Some(candidate) => sink.text(&candidate.raw),
            None => {
                let held = self.scan.take_held();
                held.chars().for_each(|c| self.plain(c, sink));
            }
        }
    }
}
