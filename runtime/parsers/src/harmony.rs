//! The harmony format of gpt-oss: messages in channels, between special tokens.
//!
//! `<|start|>assistant<|channel|>analysis<|message|>…<|end|>` and so on. A message whose header has `to=functions.f` is
//! a tool call, the channel `analysis` is reasoning, and everything else is text for the user.

use crate::scan::MarkerScan;

const TOKENS: &[&str] =
    &["<|start|>", "<|channel|>", "<|message|>", "<|constrain|>", "<|end|>", "<|call|>", "<|return|>"];
const START: usize = 0;
const CHANNEL: usize = 1;
const MESSAGE: usize = 2;
const END: usize = 4;
const CALL: usize = 5;
const RETURN: usize = 6;

/// A longer header is taken for ordinary text.
const MAX_HEADER: usize = 1024;
/// gpt-oss sometimes writes this word between a call and the next message. It carries no meaning and is dropped.
const FILLER: &str = "commentary";

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum HarmonyEvent {
    /// A message begins: text before and after this event belongs to different messages.
    Message,
    Reasoning(String),
    Text(String),
    /// A call begins. `header` is everything from the first token up to and including `<|message|>`.
    Call {
        recipient: String,
        header: String,
    },
    /// More of the call's body.
    CallBody(String),
    /// The call ended with this token (empty: the text stopped, or the next message began).
    CallEnd(&'static str),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Reasoning,
    Text,
    Call,
}

#[derive(Debug)]
enum State {
    Outside,
    /// Text right after a call, while it may still turn out to be [`FILLER`].
    AfterCall(String),
    Header(String),
    Body(Kind),
}

/// Splits harmony text that arrives character by character.
#[derive(Debug)]
pub(crate) struct HarmonyStream {
    scan: MarkerScan,
    state: State,
}

impl HarmonyStream {
    pub(crate) fn new() -> Self {
        Self { scan: MarkerScan::new(TOKENS), state: State::Outside }
    }

    pub(crate) fn feed(&mut self, c: char, events: &mut Vec<HarmonyEvent>) {
        let mut text = String::new();
        let token = self.scan.feed(c, &mut text);
        if !text.is_empty() {
            self.text(text, events);
        }
        if let Some(token) = token {
            self.token(token, events);
        }
    }

    /// Ends the text and emits what was held back.
    pub(crate) fn finish(&mut self, events: &mut Vec<HarmonyEvent>) {
        let held = self.scan.take_held();
        if !held.is_empty() {
            self.text(held, events);
        }
        match std::mem::replace(&mut self.state, State::Outside) {
            State::AfterCall(text) if !is_filler(&text) => events.push(HarmonyEvent::Text(text)),
            State::Body(Kind::Call) => events.push(HarmonyEvent::CallEnd("")),
            _ => {}
        }
    }

    fn text(&mut self, text: String, events: &mut Vec<HarmonyEvent>) {
        match &mut self.state {
            State::Outside | State::Body(Kind::Text) => events.push(HarmonyEvent::Text(text)),
            State::Body(Kind::Reasoning) => events.push(HarmonyEvent::Reasoning(text)),
            State::Body(Kind::Call) => events.push(HarmonyEvent::CallBody(text)),
            State::AfterCall(so_far) => {
                so_far.push_str(&text);
                let word = so_far.trim().to_ascii_lowercase();
                if !FILLER.starts_with(word.as_str()) || so_far.len() > MAX_HEADER {
                    let text = std::mem::take(so_far);
                    self.state = State::Outside;
                    events.push(HarmonyEvent::Text(text));
                }
            }
            State::Header(header) => {
                header.push_str(&text);
                if header.len() > MAX_HEADER {
                    let text = std::mem::take(header);
                    self.state = State::Outside;
                    events.push(HarmonyEvent::Text(text));
                }
            }
        }
    }

    fn token(&mut self, token: usize, events: &mut Vec<HarmonyEvent>) {
        let literal = TOKENS.get(token).copied().unwrap_or_default();
        match (std::mem::replace(&mut self.state, State::Outside), token) {
            (State::Header(mut header), CHANNEL | 3) => {
                header.push_str(literal);
                self.state = State::Header(header);
            }
            (State::Header(header), MESSAGE) => self.open(header + literal, events),
            (state, START | CHANNEL) => {
                match state {
                    State::Body(Kind::Call) => events.push(HarmonyEvent::CallEnd("")),
                    State::AfterCall(text) if !is_filler(&text) => events.push(HarmonyEvent::Text(text)),
                    _ => {}
                }
                self.state = State::Header(literal.to_owned());
            }
            (State::Body(Kind::Call), END | CALL | RETURN) => {
                events.push(HarmonyEvent::CallEnd(literal));
                self.state = State::AfterCall(String::new());
            }
            (State::Body(_), END | CALL | RETURN) | (State::Header(_) | State::Outside, _) => {}
            // A stray token inside a message or after a call is dropped.
            (state @ (State::Body(_) | State::AfterCall(_)), _) => self.state = state,
        }
    }

    fn open(&mut self, header: String, events: &mut Vec<HarmonyEvent>) {
        events.push(HarmonyEvent::Message);
        let channel =
            header.split("<|channel|>").nth(1).unwrap_or_default().trim_start().to_ascii_lowercase();
        let kind = match recipient(&header) {
            Some(recipient) => {
                events.push(HarmonyEvent::Call { recipient, header });
                Kind::Call
            }
            None if channel.starts_with("analysis") => Kind::Reasoning,
            None => Kind::Text,
        };
        self.state = State::Body(kind);
    }
}

fn is_filler(text: &str) -> bool {
    let word = text.trim();
    word.is_empty() || word.eq_ignore_ascii_case(FILLER)
}

/// The name after `to=`.
fn recipient(header: &str) -> Option<String> {
    let at = header.find("to=")?;
    let preceded = header[..at].chars().next_back().is_some_and(|c| c.is_whitespace() || c == '>');
    let rest = &header[at + 3..];
    let end = rest
        .find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-')))
        .unwrap_or(rest.len());
    let name = &rest[..end];
    let named = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    (preceded && named).then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn events(text: &str) -> Vec<HarmonyEvent> {
        let (mut stream, mut events) = (HarmonyStream::new(), Vec::new());
        text.chars().for_each(|c| stream.feed(c, &mut events));
        stream.finish(&mut events);
        events
    }

    fn joined(events: &[HarmonyEvent]) -> (String, String, String) {
        let (mut reasoning, mut text, mut body) = (String::new(), String::new(), String::new());
        for event in events {
            match event {
                HarmonyEvent::Reasoning(t) => reasoning.push_str(t),
                HarmonyEvent::Text(t) => text.push_str(t),
                HarmonyEvent::CallBody(t) => body.push_str(t),
                _ => {}
            }
        }
        (reasoning, text, body)
    }

    #[test]
    fn channels_are_told_apart() {
        let all = events(
            "<|channel|>analysis<|message|>hm<|end|><|start|>assistant<|channel|>commentary to=functions.f \
             <|constrain|>json<|message|>{}<|call|>commentary<|channel|>final<|message|>Hi <|odd|>!<|return|>",
        );
        assert_eq!(joined(&all), ("hm".into(), "Hi <|odd|>!".into(), "{}".into()));
        assert!(all.contains(&HarmonyEvent::CallEnd("<|call|>")));
        assert!(
            all.iter()
                .any(|e| matches!(e, HarmonyEvent::Call { recipient, .. } if recipient == "functions.f"))
        );
    }

    #[test]
    fn text_after_a_call_that_is_not_filler_is_kept() {
        let all = events("<|channel|>commentary to=f<|message|>{}<|call|>common sense");
        assert_eq!(joined(&all).1, "common sense");
    }

    #[test]
    fn a_header_without_end_comes_out_as_text() {
        let long = "x".repeat(2 * MAX_HEADER);
        assert!(joined(&events(&format!("<|channel|>{long}"))).1.len() >= MAX_HEADER);
    }
}
