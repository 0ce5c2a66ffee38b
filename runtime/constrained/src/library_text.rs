//! Cleans up the library's error messages.

/// The library's message without dumps of its internal state.
pub(crate) fn first_lines(message: &str) -> String {
    let end = ["\n<state>", "\n<non-verbose", "\n<backtrace>", "<non-verbose"]
        .iter()
        .filter_map(|marker| message.find(marker))
        .min()
        .unwrap_or(message.len());
    message.get(..end).unwrap_or(message).trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn internal_state_is_cut_from_messages() {
        assert_eq!(first_lines("bad\n<state>\nx"), "bad");
        assert_eq!(first_lines("panic: x\n<backtrace>\n1: y"), "panic: x");
        assert_eq!(first_lines("two\nlines"), "two\nlines");
    }
}
