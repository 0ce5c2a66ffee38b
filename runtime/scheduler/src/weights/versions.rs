//! Tracks which weight version generated which output tokens (reference: `utils/weight_versions.py`).

use std::collections::HashMap;
use std::sync::Arc;

use sglang_proto::messages::WeightVersionSpan;

/// The version label of the served weights, and earlier labels of requests that ran during a change.
#[derive(Debug)]
pub struct WeightVersions {
    current: String,
    /// Earlier labels by request, each with the number of output tokens at the time of the change.
    changes: HashMap<Arc<str>, Vec<(String, u64)>>,
}

impl WeightVersions {
    /// Starts with this label and no changes.
    pub fn new(current: String) -> Self {
        Self { current, changes: HashMap::new() }
    }

    /// The label of the served weights.
    pub fn current(&self) -> &str {
        &self.current
    }

    /// Changes the label from now on. `live` are the unfinished requests with their number of output tokens.
    pub fn change(&mut self, version: &str, live: impl IntoIterator<Item = (Arc<str>, usize)>) {
        if version == self.current {
            return;
        }
        let old = std::mem::replace(&mut self.current, version.to_owned());
        for (rid, tokens) in live.into_iter().filter(|(_, tokens)| *tokens > 0) {
            self.changes.entry(rid).or_default().push((old.clone(), tokens as u64));
        }
    }

    /// The labels of the first `tokens` output tokens of a request.
    pub fn spans(&self, rid: &str, tokens: u64) -> Vec<WeightVersionSpan> {
        let earlier = self.changes.get(rid).map_or(&[][..], Vec::as_slice);
        let all = earlier.iter().map(|(version, end)| (version, *end)).chain([(&self.current, tokens)]);
        let mut spans: Vec<WeightVersionSpan> = Vec::new();
        for (version, end) in all {
            let end = end.min(tokens);
            match spans.last_mut() {
                Some(last) if end <= last.end => {}
                Some(last) if last.version == *version => last.end = end,
                last => {
                    let start = last.map_or(0, |s| s.end);
                    spans.push(WeightVersionSpan { version: version.clone(), start, end });
                }
            }
        }
        spans
    }

    /// Removes a finished request.
    pub fn ended(&mut self, rid: &str) {
        self.changes.remove(rid);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spans(versions: &WeightVersions, rid: &str, tokens: u64) -> Vec<(String, u64, u64)> {
        versions.spans(rid, tokens).into_iter().map(|s| (s.version, s.start, s.end)).collect()
    }

    fn span(version: &str, start: u64, end: u64) -> (String, u64, u64) {
        (version.to_owned(), start, end)
    }

    #[test]
    fn a_request_that_ran_during_changes_has_a_span_for_each_label() {
        let mut versions = WeightVersions::new("v1".into());
        assert_eq!(spans(&versions, "a", 3), [span("v1", 0, 3)]);
        versions.change("v2", [("a".into(), 3), ("b".into(), 0)]);
        versions.change("v2", [("a".into(), 4)]);
        versions.change("v3", [("a".into(), 3), ("c".into(), 2)]);
        assert_eq!(spans(&versions, "a", 5), [span("v1", 0, 3), span("v3", 3, 5)]);
        assert_eq!(spans(&versions, "a", 3), [span("v1", 0, 3)]);
        assert_eq!(spans(&versions, "b", 2), [span("v3", 0, 2)]);
        assert_eq!(spans(&versions, "c", 7), [span("v2", 0, 2), span("v3", 2, 7)]);
        versions.ended("a");
        assert_eq!(spans(&versions, "a", 0), [span("v3", 0, 0)]);
    }

    #[test]
    fn a_label_that_comes_back_joins_its_span() {
        let mut versions = WeightVersions::new("v1".into());
        versions.change("v2", [("a".into(), 3)]);
        versions.change("v1", [("a".into(), 3)]);
        assert_eq!(spans(&versions, "a", 6), [span("v1", 0, 6)]);
    }
}
