//! What the log needs to know about an HTTP call: the ids of its requests, and why it failed. The code that serves the
//! call notes both; the access log writes them.

use std::cell::RefCell;
use std::fmt::Write;

/// Most ids in a line.
const MAX_IDS: usize = 8;
/// Longest id and longest reason in a line, in characters.
const MAX_ID_CHARS: usize = 128;
const MAX_REASON_CHARS: usize = 1000;

/// The notes about a call.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CallTrace {
    ids: Vec<String>,
    more_ids: usize,
    reason: Option<String>,
}

tokio::task_local! {
    static TRACE: RefCell<CallTrace>;
}

/// Runs a call and returns what was noted meanwhile.
pub async fn traced<F: Future>(call: F) -> (F::Output, CallTrace) {
    let run = async {
        let output = call.await;
        (output, TRACE.with(RefCell::take))
    };
    TRACE.scope(RefCell::default(), run).await
}

/// Notes that the call makes a request with this id. Outside a call this has no effect, as for the other notes.
pub fn note_request(rid: &str) {
    // There may be no call, for example in tests.
    let _ = TRACE.try_with(|trace| {
        let mut trace = trace.borrow_mut();
        let rid = one_line(rid, MAX_ID_CHARS);
        if trace.ids.contains(&rid) {
            return;
        }
        match trace.ids.len() < MAX_IDS {
            true => trace.ids.push(rid),
            false => trace.more_ids += 1,
        }
    });
}

/// Notes why the call fails. The first reason is kept, since later ones are only rewordings for the client.
pub fn note_reason(reason: &str) {
    let _ = TRACE.try_with(|trace| {
        let mut trace = trace.borrow_mut();
        if trace.reason.is_none() {
            trace.reason = Some(one_line(reason, MAX_REASON_CHARS));
        }
    });
}

/// Logs that a stream with status 200 ended with an error.
pub fn log_failed_stream(status: u16, reason: &str) {
    let trace = TRACE.try_with(|trace| trace.borrow().clone()).unwrap_or_default();
    log_failure(status, &trace.suffix(), reason);
}

/// Logs why something failed, as an error if the server caused it. `suffix` contains the ids.
pub fn log_failure(status: u16, suffix: &str, reason: &str) {
    let reason = one_line(reason, MAX_REASON_CHARS);
    match status {
        500.. => tracing::error!("Request failed with {status}:{suffix} {reason}"),
        _ => tracing::warn!("Request failed with {status}:{suffix} {reason}"),
    }
}

impl CallTrace {
    /// The ids for the end of a line, such as ` rid=a,b`; empty if there are none.
    pub fn suffix(&self) -> String {
        if self.ids.is_empty() {
            return String::new();
        }
        let mut text = format!(" rid={}", self.ids.join(","));
        if self.more_ids > 0 {
            // Writing to a string does not fail.
            let _ = write!(text, " and {} more", self.more_ids);
        }
        text
    }

    /// Why the call failed.
    pub fn reason(&self) -> Option<&str> {
        self.reason.as_deref()
    }
}

/// A text for a log line: without characters that would break the line, and at most `chars` long.
pub fn one_line(text: &str, chars: usize) -> String {
    let mut line = String::new();
    for (i, c) in text.chars().enumerate() {
        if i == chars {
            line.push('…');
            break;
        }
        match c.is_control() || matches!(c, '\u{2028}' | '\u{2029}') {
            true => line.extend(c.escape_default()),
            false => line.push(c),
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn notes_belong_to_the_call_in_which_they_are_made() {
        note_request("nowhere");
        let call = async {
            for rid in ["a", "b", "a"] {
                note_request(rid);
            }
            note_reason("why");
            note_reason("later");
            5
        };
        let ((five, trace), (_, other)) =
            futures::join!(traced(call), traced(async { note_request("c\nd") }));
        assert_eq!((five, trace.suffix().as_str(), trace.reason()), (5, " rid=a,b", Some("why")));
        assert_eq!((other.suffix().as_str(), other.reason()), (" rid=c\\nd", None));
        assert_eq!(CallTrace::default().suffix(), "");
    }

    #[tokio::test]
    async fn a_line_stays_a_line_of_bounded_length() {
        let many = async { (0..100).for_each(|i| note_request(&i.to_string())) };
        let suffix = traced(many).await.1.suffix();
        assert_eq!(suffix, " rid=0,1,2,3,4,5,6,7 and 92 more");
        assert_eq!(one_line("a\r\nb\u{1b}[31m\u{2028}ü", 50), "a\\r\\nb\\u{1b}[31m\\u{2028}ü");
        assert_eq!(one_line("abcdef", 3), "abc…");
    }
}
