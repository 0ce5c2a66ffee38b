//! The last lines that a process wrote to standard error. They often explain why it died.
//!
//! One thread per process forwards the output, so that a blocked log stops that process but not the launcher.

use std::collections::VecDeque;
use std::io::{Read, Write};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

/// Number of lines to keep.
const LINES: usize = 5;
/// Bytes to keep of each line.
const LONGEST: usize = 300;
/// Longest wait for the last lines after a process has ended. A child that it left behind may keep the pipe open for
/// longer.
const DELAY: Duration = Duration::from_millis(200);

/// The last lines of one process.
#[derive(Debug, Clone, Default)]
pub(crate) struct LastWords {
    shared: Arc<(Mutex<Tail>, Condvar)>,
}

#[derive(Debug, Default)]
struct Tail {
    lines: VecDeque<String>,
    line: Vec<u8>,
    ended: bool,
}

impl LastWords {
    /// Starts a thread that forwards `pipe` to `to`.
    ///
    /// # Errors
    /// The system cannot start a thread.
    pub(crate) fn hand_on(
        mut pipe: impl Read + Send + 'static,
        mut to: impl Write + Send + 'static,
    ) -> std::io::Result<Self> {
        let words = LastWords::default();
        let own = words.clone();
        std::thread::Builder::new().name("stderr".to_owned()).stack_size(128 << 10).spawn(move || {
            let mut chunk = [0; 8192];
            loop {
                match pipe.read(&mut chunk) {
                    Ok(0) => break,
                    Ok(n) => {
                        let bytes = chunk.get(..n).unwrap_or_default();
                        // Keep the lines even if nothing reads `to` any more.
                        let _ = to.write_all(bytes);
                        own.tail().take(bytes);
                    }
                    Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
                    Err(_) => break,
                }
            }
            own.tail().ended = true;
            own.shared.1.notify_all();
        })?;
        Ok(words)
    }

    fn tail(&self) -> std::sync::MutexGuard<'_, Tail> {
        self.shared.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The last lines of a process that has ended. Waits until everything has been forwarded.
    pub(crate) fn of_the_dead(&self) -> Vec<String> {
        let waited = self.shared.1.wait_timeout_while(self.tail(), DELAY, |tail| !tail.ended);
        let (mut tail, _) = waited.unwrap_or_else(PoisonError::into_inner);
        tail.end_line();
        tail.lines.iter().cloned().collect()
    }
}

impl Tail {
    fn take(&mut self, bytes: &[u8]) {
        for byte in bytes {
            match byte {
                b'\n' | b'\r' => self.end_line(),
                byte if self.line.len() < LONGEST => self.line.push(*byte),
                _ => {}
            }
        }
    }

    fn end_line(&mut self) {
        let line = String::from_utf8_lossy(&self.line).trim_end().to_owned();
        self.line.clear();
        if line.is_empty() {
            return;
        }
        if self.lines.len() == LINES {
            self.lines.pop_front();
        }
        self.lines.push_back(line);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_lines_are_kept_and_everything_is_handed_on() {
        let text: String = (0..9).map(|n| format!("line {n}\n")).collect::<String>() + "\n  \nno end";
        let file = tempfile::tempfile().expect("a file");
        let words = LastWords::hand_on(std::io::Cursor::new(text.clone()), file.try_clone().expect("cloned"))
            .expect("a thread");
        assert_eq!(words.of_the_dead(), ["line 5", "line 6", "line 7", "line 8", "no end"]);
        assert_eq!(file.metadata().expect("metadata").len(), text.len() as u64);
        let long =
            LastWords::hand_on(std::io::Cursor::new("x".repeat(999)), std::io::sink()).expect("a thread");
        assert_eq!(long.of_the_dead(), ["x".repeat(LONGEST)]);
    }

    #[test]
    fn a_pipe_that_does_not_end_is_not_waited_for() {
        let (pipe, mut writer) = std::io::pipe().expect("a pipe");
        let words = LastWords::hand_on(pipe, std::io::sink()).expect("a thread");
        writer.write_all(b"here\n").expect("written");
        assert_eq!(words.of_the_dead(), ["here"]);
    }
}
