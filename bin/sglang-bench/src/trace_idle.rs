//! `trace-idle`: how long the model was idle although there was work, from a trace of `/start_profile`.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

use anyhow::{Context, Result, bail};
use flate2::read::GzDecoder;
use serde::Deserialize;

use crate::Verdict;
use crate::cli::TraceIdleArgs;
use crate::stats::Summary;

/// Names of the spans that are whole steps of the model; other spans of its category are parts of steps.
const STEPS: [&str; 3] = ["extend", "decode", "mixed"];
/// The parts of a model step.
const PHASES: [&str; 3] = ["prepare", "forward", "sample"];
/// Largest unpacked size of a trace in bytes.
const MAX_BYTES: u64 = 4 << 30;

#[derive(Debug, Deserialize)]
struct TraceFile {
    #[serde(rename = "traceEvents")]
    events: Vec<Event>,
}

#[derive(Debug, Deserialize)]
struct Event {
    ph: String,
    #[serde(default)]
    cat: String,
    name: String,
    #[serde(default)]
    ts: f64,
    #[serde(default)]
    dur: f64,
}

impl Event {
    fn end(&self) -> f64 {
        self.ts + self.dur
    }
}

/// The results; times in milliseconds.
#[derive(Debug, PartialEq)]
struct Idle {
    steps: usize,
    /// From the start of the first step to the end of the last one, without the time in which there was nothing to do.
    span: f64,
    busy: f64,
    /// Pauses of the model between two steps during which there was work.
    gaps: Vec<f64>,
    /// Time in each of [`PHASES`].
    phases: [f64; 3],
}

impl Idle {
    fn share(&self) -> f64 {
        if self.span > 0.0 { (1.0 - self.busy / self.span).max(0.0) } else { 0.0 }
    }
}

/// Prints the figures of a trace.
pub fn run(args: &TraceIdleArgs) -> Result<Verdict> {
    let idle = measure(&read(&args.file)?)?;
    let gaps = Summary::of(idle.gaps.clone());
    println!("steps of the model:    {}", idle.steps);
    println!("time with work:        {:.3} ms", idle.span);
    println!("model busy:            {:.3} ms", idle.busy);
    println!("model idle:            {:.2} %", 100.0 * idle.share());
    println!(
        "gap between two steps: mean {:.4}, median {:.4}, p99 {:.4} ms",
        gaps.mean, gaps.median, gaps.p99
    );
    for (name, time) in PHASES.iter().zip(idle.phases) {
        println!("{name:<22} {:.4} ms a step", time / idle.steps.max(1) as f64);
    }
    Ok(Verdict::Clean)
}

fn read(path: &Path) -> Result<TraceFile> {
    let open = || File::open(path).with_context(|| format!("cannot open {}", path.display()));
    let mut magic = [0; 2];
    let gzipped = open()?.read_exact(&mut magic).is_ok() && magic == [0x1f, 0x8b];
    let reader: Box<dyn Read> = match gzipped {
        true => Box::new(GzDecoder::new(BufReader::new(open()?))),
        false => Box::new(open()?),
    };
    serde_json::from_reader(BufReader::new(reader.take(MAX_BYTES)))
        .with_context(|| format!("{} is no trace in the trace event format", path.display()))
}

fn measure(trace: &TraceFile) -> Result<Idle> {
    let spans = |category: &'static str, names: &'static [&'static str]| {
        trace
            .events
            .iter()
            .filter(move |e| e.ph == "X" && e.cat == category && names.contains(&e.name.as_str()))
    };
    let mut steps: Vec<&Event> = spans("model", &STEPS).collect();
    steps.sort_by(|a, b| a.ts.total_cmp(&b.ts));
    let (Some(first), Some(last)) = (steps.first(), steps.last()) else {
        bail!("the trace has no step of the model; was there a request while it was recorded?");
    };
    // While the loop sleeps there is nothing to do.
    let sleeps: Vec<&Event> = spans("scheduler", &["idle"]).collect();
    let asleep = |from: f64, to: f64| -> f64 {
        sleeps.iter().map(|s| (s.end().min(to) - s.ts.max(from)).max(0.0)).sum()
    };
    let mut gaps = Vec::with_capacity(steps.len());
    for pair in steps.windows(2) {
        if let [before, after] = pair
            && asleep(before.end(), after.ts) == 0.0
        {
            gaps.push((after.ts - before.end()).max(0.0) / 1e3);
        }
    }
    let phases = PHASES.map(|phase| {
        let of_phase = trace.events.iter().filter(|e| e.ph == "X" && e.cat == "model" && e.name == phase);
        of_phase.map(|e| e.dur).sum::<f64>() / 1e3
    });
    Ok(Idle {
        steps: steps.len(),
        span: (last.end() - first.ts - asleep(first.ts, last.end())) / 1e3,
        busy: steps.iter().map(|s| s.dur).sum::<f64>() / 1e3,
        gaps,
        phases,
    })
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use serde_json::{Value, json};

    use super::*;

    fn span(category: &str, name: &str, ts: u32, dur: u32) -> Value {
        json!({"ph": "X", "cat": category, "name": name, "pid": 1, "tid": 1, "ts": ts, "dur": dur})
    }

    fn trace() -> Value {
        json!({"traceEvents": [
            {"ph": "M", "name": "thread_name", "pid": 1, "tid": 1, "args": {"name": "model"}},
            span("model", "extend", 0, 4000), span("model", "forward", 0, 3000), span("model", "sample", 3000, 1000),
            span("scheduler", "idle", 4500, 10_000),
            span("model", "decode", 15_000, 2000), span("model", "decode", 18_000, 1000),
            span("scheduler", "schedule", 15_000, 2000),
        ]})
    }

    #[test]
    fn time_without_work_is_not_idle_time_of_the_model() {
        let trace: TraceFile = serde_json::from_value(trace()).unwrap();
        let idle = measure(&trace).unwrap();
        assert_eq!(idle, Idle { steps: 3, span: 9.0, busy: 7.0, gaps: vec![1.0], phases: [0.0, 3.0, 1.0] });
        assert!((idle.share() - 2.0 / 9.0).abs() < 1e-12);
        assert!(measure(&TraceFile { events: Vec::new() }).unwrap_err().to_string().contains("no step"));
    }

    #[test]
    fn traces_are_read_gzipped_or_plain() {
        let dir = tempfile::tempdir().unwrap();
        let plain = dir.path().join("t.json");
        std::fs::write(&plain, trace().to_string()).unwrap();
        let packed = dir.path().join("t.json.gz");
        let mut out = flate2::write::GzEncoder::new(File::create(&packed).unwrap(), Default::default());
        out.write_all(trace().to_string().as_bytes()).unwrap();
        out.finish().unwrap();
        assert_eq!(measure(&read(&plain).unwrap()).unwrap(), measure(&read(&packed).unwrap()).unwrap());
        std::fs::write(&plain, "{}").unwrap();
        assert!(read(&plain).unwrap_err().to_string().contains("trace event format"));
    }
}
