//! Displays the progress of a download: a bar on a terminal, log lines otherwise.

use std::io::IsTerminal;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Time between two log lines.
const LOG_EVERY: Duration = Duration::from_secs(10);

/// Receives the progress of a download.
pub trait Progress: Sync {
    /// Adds files and bytes to the amount to fetch.
    fn expect(&self, files: usize, bytes: u64);
    /// Adds bytes to the amount fetched; negative if fetched bytes were discarded.
    fn advance(&self, bytes: i64);
    /// A file is complete.
    fn file_done(&self, path: &str);
    /// The download has ended.
    fn finish(&self);
}

/// Displays nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Progress for Silent {
    fn expect(&self, _files: usize, _bytes: u64) {}
    fn advance(&self, _bytes: i64) {}
    fn file_done(&self, _path: &str) {}
    fn finish(&self) {}
}

/// Displays a bar on standard error if that is a terminal, otherwise a log line every 10 seconds.
#[derive(Debug)]
pub struct TerminalProgress {
    name: String,
    bar: Option<ProgressBar>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    files: usize,
    files_done: usize,
    total: u64,
    done: i64,
    started: Instant,
    last_log: Instant,
}

impl TerminalProgress {
    /// Displays progress under a name; `bar` says whether a bar may be drawn.
    pub fn new(name: &str, bar: bool) -> Self {
        let bar = (bar && std::io::stderr().is_terminal()).then(|| {
            let bar = ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stderr_with_hz(10));
            let template = "{prefix} {msg} {bar:30} {bytes}/{total_bytes} {bytes_per_sec} {eta}";
            let style = ProgressStyle::with_template(template);
            bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
                .with_prefix(name.to_owned())
        });
        let now = Instant::now();
        let state = State { files: 0, files_done: 0, total: 0, done: 0, started: now, last_log: now };
        Self { name: name.to_owned(), bar, state: Mutex::new(state) }
    }

    fn with_state(&self, change: impl FnOnce(&mut State)) {
        // A panic of another thread cannot leave the numbers inconsistent.
        let mut state = self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        change(&mut state);
        if let Some(bar) = &self.bar {
            bar.set_length(state.total);
            bar.set_position(state.done.max(0) as u64);
            bar.set_message(format!("{}/{} files", state.files_done, state.files));
        } else if state.last_log.elapsed() >= LOG_EVERY {
            state.last_log = Instant::now();
            tracing::info!("{}", state.line(&self.name));
        }
    }
}

impl State {
    fn line(&self, name: &str) -> String {
        let mb = |n: i64| n.max(0) as f64 / 1e6;
        let speed = mb(self.done) / self.started.elapsed().as_secs_f64().max(1e-3);
        format!(
            "{name}: {:.0} of {:.0} MB, {} of {} files, {speed:.1} MB/s",
            mb(self.done),
            self.total as f64 / 1e6,
            self.files_done,
            self.files
        )
    }
}

impl Progress for TerminalProgress {
    fn expect(&self, files: usize, bytes: u64) {
        self.with_state(|s| {
            s.files += files;
            s.total += bytes;
        });
    }

    fn advance(&self, bytes: i64) {
        self.with_state(|s| s.done += bytes);
    }

    fn file_done(&self, path: &str) {
        tracing::debug!("{}: fetched {path}", self.name);
        self.with_state(|s| s.files_done += 1);
    }

    fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
        let state = self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if state.files > 0 {
            tracing::info!("{}", state.line(&self.name));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_adds_up_what_it_was_told() {
        let progress = TerminalProgress::new("org/name", false);
        progress.expect(2, 3_000_000);
        progress.expect(1, 1_000_000);
        progress.advance(2_500_000);
        progress.advance(-500_000);
        progress.file_done("a");
        let line = progress.state.lock().expect("whole").line("org/name");
        assert!(line.starts_with("org/name: 2 of 4 MB, 1 of 3 files, "), "{line}");
    }
}
