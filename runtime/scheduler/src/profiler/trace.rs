//! Writes trace files for Perfetto and `chrome://tracing`: gzipped JSON in the trace event format.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};

use crate::step::StepInfo;

/// Thread of the scheduler process that a span belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Track {
    /// The scheduler loop.
    Scheduler,
    /// The thread that runs the model.
    Model,
}

impl Track {
    fn tid(self) -> u32 {
        match self {
            Self::Scheduler => 1,
            Self::Model => 2,
        }
    }
}

/// An interval in a trace.
#[derive(Clone, Copy, Debug)]
pub struct Span {
    /// Name of the activity.
    pub name: &'static str,
    /// Thread that it ran on.
    pub track: Track,
    /// Start.
    pub start: Instant,
    /// End.
    pub end: Instant,
    /// The step that it belongs to, if any.
    pub step: Option<StepInfo>,
}

/// All spans of a trace, and its start on both clocks.
#[derive(Debug)]
pub struct Trace {
    began: Instant,
    began_at: SystemTime,
    /// The spans, in unspecified order.
    pub spans: Vec<Span>,
}

impl Trace {
    /// A trace that starts now.
    pub fn new() -> Self {
        Self { began: Instant::now(), began_at: SystemTime::now(), spans: Vec::new() }
    }

    fn event(&self, span: &Span, pid: u32) -> Value {
        let micros = |t: Instant| t.saturating_duration_since(self.began).as_secs_f64() * 1e6;
        let category = match span.track {
            Track::Scheduler => "scheduler",
            Track::Model => "model",
        };
        let mut event = json!({
            "ph": "X",
            "cat": category,
            "name": span.name,
            "pid": pid,
            "tid": span.track.tid(),
            "ts": micros(span.start),
            "dur": span.end.saturating_duration_since(span.start).as_secs_f64() * 1e6,
        });
        if let Some(step) = &span.step {
            event["args"] = step.to_json();
        }
        event
    }

    /// Writes the trace as one JSON object. Times are microseconds since the start of the trace.
    ///
    /// # Errors
    /// Writing to `out` fails.
    pub fn write_json(&self, out: &mut impl Write) -> std::io::Result<()> {
        let pid = std::process::id();
        let began_at = self.began_at.duration_since(UNIX_EPOCH).map_or(0, |d| d.as_nanos() as u64);
        let name = |kind: &str, tid: u32, name: &str| json!({"ph": "M", "name": kind, "pid": pid, "tid": tid, "ts": 0, "args": {"name": name}});
        let names = [
            name("process_name", 0, "sglang::scheduler"),
            name("thread_name", Track::Scheduler.tid(), "scheduler"),
            name("thread_name", Track::Model.tid(), "model"),
        ];
        write!(
            out,
            "{{\"schemaVersion\":1,\"displayTimeUnit\":\"ms\",\"baseTimeNanoseconds\":{began_at},\"traceEvents\":["
        )?;
        let events = names.into_iter().chain(self.spans.iter().map(|span| self.event(span, pid)));
        for (i, event) in events.enumerate() {
            out.write_all(if i > 0 { b",\n" } else { b"\n" })?;
            serde_json::to_writer(&mut *out, &event)?;
        }
        out.write_all(b"\n]}\n")
    }

    /// Writes the trace to a file, gzipped.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn write_file(&self, path: &Path) -> std::io::Result<()> {
        let mut out = GzEncoder::new(BufWriter::new(File::create(path)?), Compression::fast());
        self.write_json(&mut out)?;
        out.finish()?.flush()
    }
}

impl Default for Trace {
    fn default() -> Self {
        Self::new()
    }
}
