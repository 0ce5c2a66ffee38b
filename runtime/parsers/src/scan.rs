//! Finds markers in text that arrives in pieces.

/// Watches for any of a fixed set of markers and holds back exactly the text that may still become one.
///
/// No marker may be a proper prefix of another marker in the set.
#[derive(Debug)]
pub(crate) struct MarkerScan {
    markers: &'static [&'static str],
    held: String,
}

impl MarkerScan {
    pub(crate) fn new(markers: &'static [&'static str]) -> Self {
        Self { markers, held: String::new() }
    }

    /// Takes one character. Text that can no longer be part of a marker is appended to `text`. Returns the index of the
    /// marker that this character completes.
    pub(crate) fn feed(&mut self, c: char, text: &mut String) -> Option<usize> {
        if self.held.is_empty() && !self.markers.iter().any(|m| m.starts_with(c)) {
            text.push(c);
            return None;
        }
        self.held.push(c);
        loop {
            if let Some(index) = self.markers.iter().position(|m| *m == self.held) {
                self.held.clear();
                return Some(index);
            }
            if self.markers.iter().any(|m| m.starts_with(self.held.as_str())) {
                return None;
            }
            match self.held.chars().next() {
                Some(first) => {
                    text.push(first);
                    self.held.drain(..first.len_utf8());
                }
                None => return None,
            }
        }
    }

    /// Returns the held text: the answer has ended, so no marker can complete.
    pub(crate) fn take_held(&mut self) -> String {
        std::mem::take(&mut self.held)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(markers: &'static [&'static str], input: &str) -> (String, Vec<usize>, String) {
        let (mut scan, mut text, mut found) = (MarkerScan::new(markers), String::new(), Vec::new());
        for c in input.chars() {
            found.extend(scan.feed(c, &mut text));
        }
        let held = scan.take_held();
        (text, found, held)
    }

    #[test]
    fn a_marker_after_its_own_false_start_is_found() {
        assert_eq!(run(&["<<a>"], "x<<<a>y"), ("x<y".into(), vec![0], String::new()));
        assert_eq!(run(&["aab", "abc"], "aaabcabc"), ("ac".into(), vec![0, 1], String::new()));
    }

    #[test]
    fn only_a_possible_marker_is_held_back() {
        assert_eq!(run(&["</think>"], "a < b </thi"), ("a < b ".into(), vec![], "</thi".into()));
    }
}
