//! Sends one request and measures its times.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use futures::StreamExt;
use serde_json::Value;

use crate::backend::{Backend, Piece, shorten};
use crate::sse::SseParser;
use crate::target::{Target, describe};

/// The result of one request. Times are in seconds; `start` counts from the start of the run.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Outcome {
    pub start: f64,
    /// From sending to the last byte.
    pub latency: f64,
    /// From sending to the first output; `None` without streaming.
    pub ttft: Option<f64>,
    /// Gap before each token except the first; tokens that arrive together share their gap.
    pub itl: Vec<f64>,
    /// When output arrived, counted from the start of the run, and its number of tokens.
    pub arrivals: Vec<(f64, u64)>,
    pub prompt_tokens: u64,
    pub cached_tokens: u64,
    pub output_tokens: u64,
    /// Number of output tokens that were requested.
    pub asked_tokens: u64,
    /// Whether the server counted the output tokens; otherwise pieces were counted.
    pub counted_by_server: bool,
    /// The event or answer that ended the output.
    pub last_event: Vec<u8>,
    /// Why the request failed.
    pub error: Option<String>,
}

/// Progress of one answer.
struct Answer<'a> {
    /// Counts the output tokens of all requests.
    all_tokens: &'a AtomicU64,
    run_start: Instant,
    sent: Instant,
    last: Instant,
    outcome: Outcome,
    finished: bool,
    done: bool,
}

impl Answer<'_> {
    fn take(&mut self, piece: &Piece) {
        let now = Instant::now();
        self.finished |= piece.finished;
        if let Some(tokens) = piece.prompt_tokens.filter(|&n| n > 0) {
            self.outcome.prompt_tokens = tokens;
        }
        if let Some(tokens) = piece.cached_tokens {
            self.outcome.cached_tokens = tokens;
        }
        let before = self.outcome.output_tokens;
        if let Some(total) = piece.completion_tokens {
            self.outcome.counted_by_server = true;
            self.outcome.output_tokens = if piece.has_output { total.max(before) } else { total };
        } else if piece.has_output {
            self.outcome.output_tokens += 1;
        }
        if !piece.has_output {
            return;
        }
        let new = self.outcome.output_tokens.saturating_sub(before);
        if new == 0 {
            return;
        }
        if self.outcome.ttft.is_none() {
            self.outcome.ttft = Some((now - self.sent).as_secs_f64());
            // Tokens that arrive together with the first one have no gap.
        } else {
            let gap = (now - self.last).as_secs_f64() / new as f64;
            self.outcome.itl.extend((0..new).map(|_| gap));
        }
        self.all_tokens.fetch_add(new, Ordering::Relaxed);
        self.outcome.arrivals.push(((now - self.run_start).as_secs_f64(), new));
        self.last = now;
    }

    fn event(&mut self, backend: Backend, data: &[u8]) -> Result<(), String> {
        if data == b"[DONE]" {
            self.done = true;
            return Ok(());
        }
        if data.is_empty() {
            return Ok(());
        }
        let piece = backend.read(data)?;
        self.take(&piece);
        if piece.finished {
            self.outcome.last_event = data.to_vec();
        }
        Ok(())
    }
}

/// Sends `body` and reads the answer to its end, counting its output in `all_tokens` as it arrives.
pub async fn send(
    target: &Target,
    backend: Backend,
    body: &Value,
    prompt_len: usize,
    asked_tokens: usize,
    run_start: Instant,
    all_tokens: &AtomicU64,
) -> Outcome {
    let sent = Instant::now();
    let outcome = Outcome {
        start: (sent - run_start).as_secs_f64(),
        prompt_tokens: prompt_len as u64,
        asked_tokens: asked_tokens as u64,
        ..Outcome::default()
    };
    let mut answer =
        Answer { all_tokens, run_start, sent, last: sent, outcome, finished: false, done: false };
    let result = exchange(target, backend, body, &mut answer).await;
    answer.outcome.latency = sent.elapsed().as_secs_f64();
    answer.outcome.error = result.err();
    answer.outcome
}

async fn exchange(
    target: &Target,
    backend: Backend,
    body: &Value,
    answer: &mut Answer<'_>,
) -> Result<(), String> {
    let response = target.post(backend.path()).json(body).send().await.map_err(|e| describe(&e))?;
    let status = response.status();
    let streamed = response
        .headers()
        .get(reqwest::header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|value| value.starts_with("text/event-stream"));
    if !status.is_success() {
        let text = response.text().await.unwrap_or_default();
        return Err(format!("HTTP {status}: {}", shorten(text.trim())));
    }
    if !streamed {
        let bytes = response.bytes().await.map_err(|e| describe(&e))?;
        answer.take(&backend.read(&bytes)?);
        // The time of a whole answer is not the time of its first token.
        answer.outcome.ttft = None;
        return Ok(());
    }
    let mut parser = SseParser::default();
    let mut failed = Ok(());
    let mut stream = response.bytes_stream();
    while let Some(chunk) = stream.next().await {
        let chunk = chunk.map_err(|e| format!("connection broke: {}", describe(&e)))?;
        let mut feed = |data: &[u8]| {
            if failed.is_ok() {
                failed = answer.event(backend, data);
            }
        };
        parser.push(&chunk, &mut feed).map_err(|e| e.to_string())?;
        failed.clone()?;
    }
    parser.finish(|data| {
        if failed.is_ok() {
            failed = answer.event(backend, data);
        }
    });
    failed?;
    if answer.finished || answer.done {
        Ok(())
    } else {
        Err("the stream ended before the output was finished".into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer() -> Answer<'static> {
        static TOKENS: AtomicU64 = AtomicU64::new(0);
        let now = Instant::now();
        Answer {
            all_tokens: &TOKENS,
            run_start: now,
            sent: now,
            last: now,
            outcome: Outcome::default(),
            finished: false,
            done: false,
        }
    }

    #[test]
    fn tokens_that_come_together_share_their_gap() {
        let mut a = answer();
        let piece = |n| Piece { has_output: true, completion_tokens: Some(n), ..Piece::default() };
        for total in [2, 3, 3, 7] {
            a.take(&piece(total));
        }
        assert!(a.outcome.ttft.is_some());
        assert_eq!(a.outcome.itl.len(), 5);
        assert_eq!(a.outcome.itl[1], a.outcome.itl[4]);
        assert_eq!(a.outcome.arrivals.iter().map(|x| x.1).collect::<Vec<_>>(), [2, 1, 4]);
        assert_eq!(a.outcome.output_tokens, 7);
    }

    #[test]
    fn a_usage_at_the_end_replaces_counted_pieces() {
        let mut a = answer();
        for _ in 0..3 {
            a.take(&Piece { has_output: true, ..Piece::default() });
        }
        assert_eq!((a.outcome.output_tokens, a.outcome.counted_by_server), (3, false));
        a.take(&Piece { completion_tokens: Some(5), prompt_tokens: Some(9), ..Piece::default() });
        assert_eq!((a.outcome.output_tokens, a.outcome.prompt_tokens), (5, 9));
        assert!(a.outcome.counted_by_server);
        assert_eq!(a.outcome.itl.len(), 2);
    }

    #[test]
    fn done_and_empty_events_are_not_output() {
        let mut a = answer();
        a.event(Backend::Openai, b"").unwrap();
        a.event(Backend::Openai, b"[DONE]").unwrap();
        assert!(a.done && a.outcome.ttft.is_none());
        assert!(a.event(Backend::Openai, b"nonsense").is_err());
    }
}
