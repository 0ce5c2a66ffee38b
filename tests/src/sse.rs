//! Reads event streams.

/// The `data:` payloads of an SSE body in order, including `[DONE]`.
pub fn sse_events(body: &str) -> Vec<&str> {
    body.split("\n\n").filter_map(|event| event.strip_prefix("data: ")).map(str::trim_end).collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn events_are_split_at_blank_lines() {
        assert_eq!(super::sse_events("data: {\"a\":1}\n\ndata: [DONE]\n\n"), ["{\"a\":1}", "[DONE]"]);
    }
}
