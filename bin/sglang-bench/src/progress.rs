//! Shows the progress of a run: a bar on a terminal, otherwise a line from time to time.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

/// Interval between two lines, and longest interval between two updates of a bar.
const LINE_EVERY: Duration = Duration::from_secs(10);
const BAR_EVERY: Duration = Duration::from_millis(250);

/// The progress of a run.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counts {
    pub done: usize,
    pub failed: usize,
    pub running: usize,
    /// Output tokens received.
    pub tokens: u64,
}

impl Counts {
    fn text(self, seconds: f64) -> String {
        let failed = if self.failed > 0 { format!(", {} failed", self.failed) } else { String::new() };
        let rate = self.tokens as f64 / seconds.max(1e-9);
        format!("{} requests done, {} running{failed}, {rate:.1} output tok/s", self.done, self.running)
    }
}

/// Shows the progress of one run on standard error.
#[derive(Debug)]
pub struct Progress {
    start: Instant,
    bar: Option<ProgressBar>,
    every: Duration,
    next: Instant,
    /// Number of requests, if known.
    count: Option<usize>,
    /// For how long requests are sent.
    limit: Option<Duration>,
}

impl Progress {
    /// For a run of `count` requests or with a time limit. `quiet` shows nothing.
    pub fn start(count: Option<usize>, limit: Option<Duration>, quiet: bool) -> Self {
        let start = Instant::now();
        let terminal = std::io::stderr().is_terminal();
        let bar = (terminal && !quiet).then(|| bar(count, limit));
        let every = match (quiet, &bar, limit) {
            (true, ..) => Duration::MAX / 4,
            (_, Some(_), _) => BAR_EVERY,
            (_, None, Some(limit)) => (limit / 6).clamp(Duration::from_secs(1), LINE_EVERY),
            (_, None, None) => LINE_EVERY,
        };
        Self { start, bar, every, next: start + every, count, limit }
    }

    /// The time of the next update.
    pub fn next(&self) -> Instant {
        self.next
    }

    /// Shows the progress.
    pub fn show(&mut self, counts: Counts) {
        self.next = Instant::now() + self.every;
        let elapsed = self.start.elapsed();
        let text = counts.text(elapsed.as_secs_f64());
        match &self.bar {
            Some(bar) => {
                bar.set_message(text);
                bar.set_position(match self.count {
                    Some(_) => counts.done as u64,
                    None => elapsed.as_secs(),
                });
            }
            None => eprintln!("{:.0} s{}: {text}", elapsed.as_secs_f64(), self.whole()),
        }
    }

    /// The goal of the run, for a line.
    fn whole(&self) -> String {
        match (self.count, self.limit) {
            (Some(count), _) => format!(", {count} requests in all"),
            (None, Some(limit)) => format!(" of {:.0}", limit.as_secs_f64()),
            (None, None) => String::new(),
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

fn bar(count: Option<usize>, limit: Option<Duration>) -> ProgressBar {
    let seconds = limit.map_or(0, |limit| limit.as_secs_f64().ceil() as u64);
    let (length, template) = match count {
        Some(count) => (count as u64, "{bar:30} {pos}/{len} in {elapsed}: {msg}"),
        None => (seconds, "{bar:30} {pos}/{len} s: {msg}"),
    };
    let bar = ProgressBar::new(length);
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar
}
