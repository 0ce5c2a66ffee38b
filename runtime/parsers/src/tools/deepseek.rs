//! DeepSeek V3 and V3.1.
//!
//! V3 writes `<｜tool▁call▁begin｜>function<｜tool▁sep｜>NAME`, a fenced JSON block and `<｜tool▁call▁end｜>`; V3.1 writes
//! `<｜tool▁call▁begin｜>NAME<｜tool▁sep｜>JSON<｜tool▁call▁end｜>`. Both follow `<｜tool▁calls▁begin｜>`.

use super::call_json::ArgumentsReader;
use super::sink::Sink;
use super::stream::Format;
use crate::json::{JsonStatus, JsonStyle};
use crate::scan::MarkerScan;

pub(crate) const CALLS_BEGIN: &str = "<｜tool▁calls▁begin｜>";
const CALL_END: &str = "<｜tool▁call▁end｜>";
const MAX_NAME: usize = 1024;

#[derive(Debug)]
enum State {
    Text(MarkerScan),
    /// After the first marker, between calls.
    Outside(MarkerScan),
    /// V3 only: the word `function`.
    Kind(MarkerScan),
    Name(MarkerScan, String),
    Arguments(ArgumentsReader),
}

#[derive(Debug)]
pub(crate) struct DeepSeek {
    v31: bool,
    state: State,
}

impl DeepSeek {
    pub(crate) fn v3() -> Self {
        Self { v31: false, state: State::Text(MarkerScan::new(&[CALLS_BEGIN])) }
    }

    pub(crate) fn v31() -> Self {
        Self { v31: true, ..Self::v3() }
    }

    fn outside() -> State {
        State::Outside(MarkerScan::new(&["<｜tool▁call▁begin｜>"]))
    }

    fn kind() -> State {
        State::Kind(MarkerScan::new(&["<｜tool▁sep｜>", CALL_END]))
    }

    fn name(&self) -> State {
        let end: &'static [&'static str] =
            if self.v31 { &["<｜tool▁sep｜>", CALL_END] } else { &["\n```json\n", CALL_END] };
        State::Name(MarkerScan::new(end), String::new())
    }
}

impl Format for DeepSeek {
    fn feed(&mut self, c: char, sink: &mut Sink) {
        match &mut self.state {
            State::Text(scan) => {
                let mut text = String::new();
                let opened = scan.feed(c, &mut text).is_some();
                sink.text(&text);
                if opened {
                    sink.boundary();
                    self.state = Self::outside();
                }
            }
            State::Outside(scan) => {
                if scan.feed(c, &mut String::new()).is_some() {
                    self.state = if self.v31 { self.name() } else { Self::kind() };
                }
            }
            State::Kind(scan) => match scan.feed(c, &mut String::new()) {
                Some(0) => self.state = self.name(),
                Some(_) => self.state = Self::outside(),
                None => {}
            },
            State::Name(scan, name) => match scan.feed(c, name) {
                Some(0) => {
                    sink.call_start(name.trim());
                    self.state = State::Arguments(ArgumentsReader::new(JsonStyle::Normalised));
                }
                Some(_) => self.state = Self::outside(),
                None if name.len() > MAX_NAME => self.state = Self::outside(),
                None => {}
            },
            State::Arguments(arguments) => {
                let status = arguments.feed(c, sink);
                if status != JsonStatus::More {
                    self.state = Self::outside();
                }
                if matches!(status, JsonStatus::DoneBefore | JsonStatus::Malformed) {
                    self.feed(c, sink);
                }
            }
        }
    }

    fn finish(&mut self, sink: &mut Sink) {
        if let State::Text(scan) = &mut self.state {
            sink.text(&scan.take_held());
        }
    }
}
