//! Reads server-sent events from a byte stream (WHATWG HTML, "Parsing an event stream"), however it is chunked.

/// Largest event in bytes; a larger one comes from a broken or hostile server.
const MAX_EVENT_BYTES: usize = 64 << 20;

/// The stream cannot be read further.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum SseError {
    /// An event is too long.
    #[error("an event is longer than {MAX_EVENT_BYTES} bytes")]
    TooLong,
}

/// Collects bytes and returns the `data` of complete events. Comments (heartbeats) and the fields `event`, `id` and
/// `retry` do not matter to a benchmark and are skipped.
#[derive(Debug, Default)]
pub struct SseParser {
    line: Vec<u8>,
    data: Vec<u8>,
    has_data: bool,
    /// The last byte was a CR, so a following LF belongs to the same line end.
    after_cr: bool,
    started: bool,
}

impl SseParser {
    /// Reads `bytes` and calls `event` with the data of each event that they complete.
    ///
    /// # Errors
    /// If an event is too long.
    pub fn push(&mut self, bytes: &[u8], mut event: impl FnMut(&[u8])) -> Result<(), SseError> {
        let mut rest = bytes;
        if self.after_cr && !rest.is_empty() {
            self.after_cr = false;
            rest = rest.strip_prefix(b"\n").unwrap_or(rest);
        }
        while let Some(end) = rest.iter().position(|&b| b == b'\n' || b == b'\r') {
            let (line, tail) = rest.split_at(end);
            self.extend(line)?;
            self.end_line(&mut event);
            rest = match tail {
                [b'\r', b'\n', after @ ..] => after,
                [b'\r'] => {
                    self.after_cr = true;
                    &[]
                }
                [_, after @ ..] => after,
                [] => &[],
            };
        }
        self.extend(rest)
    }

    /// Ends the stream: an event that lacks only its final blank line still counts.
    pub fn finish(&mut self, mut event: impl FnMut(&[u8])) {
        if !self.line.is_empty() {
            self.end_line(&mut event);
        }
        self.end_line(&mut event);
    }

    fn extend(&mut self, bytes: &[u8]) -> Result<(), SseError> {
        if self.line.len() + self.data.len() + bytes.len() > MAX_EVENT_BYTES {
            return Err(SseError::TooLong);
        }
        self.line.extend_from_slice(bytes);
        Ok(())
    }

    fn end_line(&mut self, event: &mut impl FnMut(&[u8])) {
        let line = self.line.as_slice();
        let line = if self.started { line } else { line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line) };
        self.started = true;
        if line.is_empty() {
            if self.has_data {
                event(&self.data);
            }
            self.data.clear();
            self.has_data = false;
        } else if let Some(value) = line.strip_prefix(b"data") {
            // "database: x" is another field.
            if let Some(value) = value.strip_prefix(b":").or(value.is_empty().then_some(value)) {
                if self.has_data {
                    self.data.push(b'\n');
                }
                self.data.extend_from_slice(value.strip_prefix(b" ").unwrap_or(value));
                self.has_data = true;
            }
        }
        self.line.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn events(chunks: &[&[u8]]) -> Vec<String> {
        let mut parser = SseParser::default();
        let mut out = Vec::new();
        for chunk in chunks {
            parser.push(chunk, |e| out.push(String::from_utf8_lossy(e).into_owned())).unwrap();
        }
        parser.finish(|e| out.push(String::from_utf8_lossy(e).into_owned()));
        out
    }

    const STREAM: &str = "\u{feff}: hello\r\n\r\nevent: x\r\ndata: {\"a\":\"é\"}\r\n\r\ndata:one\ndata:  two\n\n:beat\n\n\
         id: 4\nretry: 5\ndatabase: no\n\ndata\n\ndata: cr\r\rdata: [DONE]\n\n";

    #[test]
    fn comments_fields_and_all_line_ends_are_understood() {
        assert_eq!(events(&[STREAM.as_bytes()]), ["{\"a\":\"é\"}", "one\n two", "", "cr", "[DONE]"]);
    }

    #[test]
    fn chunk_borders_do_not_matter() {
        let bytes = STREAM.as_bytes();
        let whole = events(&[bytes]);
        for size in 1..bytes.len() {
            assert_eq!(events(&bytes.chunks(size).collect::<Vec<_>>()), whole, "chunks of {size}");
        }
    }

    #[test]
    fn an_event_without_its_last_line_end_still_counts() {
        assert_eq!(events(&[b"data: a\n\ndata: b"]), ["a", "b"]);
        assert_eq!(events(&[b"data: b\n"]), ["b"]);
        assert!(events(&[b""]).is_empty());
    }

    #[test]
    fn an_endless_line_is_an_error() {
        let mut parser = SseParser::default();
        let chunk = vec![b'x'; 1 << 20];
        let failed = (0..65).find_map(|_| parser.push(&chunk, |_| {}).err());
        assert_eq!(failed, Some(SseError::TooLong));
    }
}
