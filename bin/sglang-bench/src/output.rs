//! Prints results as a table for people and as a line of JSON for programs.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::{Map, Value, json};

use crate::Usage;
use crate::metrics::Metrics;
use crate::stats::Summary;

/// Width of a table in characters.
pub const WIDTH: usize = 56;
/// Number of distinct errors that are shown.
const SHOWN_ERRORS: usize = 5;

/// A title line, padded with `fill`.
pub fn heading(title: &str, fill: char) -> String {
    let title = format!(" {title} ");
    let side = WIDTH.saturating_sub(title.len());
    let left = side / 2;
    let bar = |n| std::iter::repeat_n(fill, n).collect::<String>();
    format!("{}{title}{}", bar(left), bar(side - left))
}

/// A labelled value.
pub fn line(label: &str, value: impl std::fmt::Display) -> String {
    format!("{label:<42} {value}")
}

/// The table of a run.
pub fn table(metrics: &Metrics, settings: &[(&str, String)]) -> String {
    let m = metrics;
    let two = |x: f64| format!("{x:.2}");
    let mut out = vec![heading("Serving Benchmark Result", '=')];
    out.extend(settings.iter().map(|(label, value)| line(label, value)));
    out.extend([line("Successful requests:", m.completed), line("Failed requests:", m.failed)]);
    if m.interrupted {
        out.push(line("Unfinished requests (interrupted):", m.unfinished));
    }
    out.extend([
        line("Benchmark duration (s):", two(m.duration)),
        line("Total input tokens:", m.total_input_tokens),
        line("Total cached input tokens:", m.total_cached_tokens),
        line("Total generated tokens:", m.total_output_tokens),
        line("Request throughput (req/s):", two(m.request_throughput)),
        line("Input token throughput (tok/s):", two(m.input_throughput)),
        line("Output token throughput (tok/s):", two(m.output_throughput)),
        line("Peak output token throughput (tok/s):", two(m.max_output_tokens_per_s)),
        line("Total token throughput (tok/s):", two(m.total_throughput)),
        line("Concurrency:", two(m.concurrency)),
        line("Peak concurrent requests:", m.max_concurrent_requests),
    ]);
    for (title, short, summary) in [
        ("End-to-End Latency", "E2E Latency", &m.e2e_latency),
        ("Time to First Token", "TTFT", &m.ttft),
        ("Time per Output Token (excl. 1st token)", "TPOT", &m.tpot),
        ("Inter-Token Latency", "ITL", &m.itl),
    ] {
        out.push(heading(title, '-'));
        if summary.count == 0 {
            out.push("not measured".into());
            continue;
        }
        for (name, value) in [
            ("Mean", summary.mean),
            ("Median", summary.median),
            ("P90", summary.p90),
            ("P95", summary.p95),
            ("P99", summary.p99),
            ("Max", summary.max),
        ] {
            out.push(line(&format!("{name} {short} (ms):"), two(value)));
        }
    }
    out.push("=".repeat(WIDTH));
    out.join("\n")
}

/// Problems to report on standard error; empty if there were none.
pub fn problems(metrics: &Metrics) -> Vec<String> {
    let mut out = Vec::new();
    if metrics.uncounted > 0 {
        out.push(format!(
            "warning: for {} requests the server did not count tokens; streamed pieces were counted instead",
            metrics.uncounted
        ));
    }
    if metrics.short_outputs > 0 {
        out.push(format!("warning: {} requests got fewer tokens than asked for", metrics.short_outputs));
    }
    let mut errors: Vec<_> = metrics.errors.iter().collect();
    errors.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
    for (error, count) in errors.iter().take(SHOWN_ERRORS) {
        out.push(format!("error ({count} requests): {error}"));
    }
    if errors.len() > SHOWN_ERRORS {
        out.push(format!("… and {} other errors", errors.len() - SHOWN_ERRORS));
    }
    out
}

/// The results under the reference's names.
pub fn json(metrics: &Metrics) -> Map<String, Value> {
    let m = metrics;
    let mut map = Map::new();
    let mut put = |key: &str, value: Value| {
        map.insert(key.to_owned(), value);
    };
    put("duration", json!(m.duration));
    put("completed", json!(m.completed));
    put("failed", json!(m.failed));
    put("unfinished", json!(m.unfinished));
    put("interrupted", json!(m.interrupted));
    put("total_input_tokens", json!(m.total_input_tokens));
    put("total_cached_tokens", json!(m.total_cached_tokens));
    put("total_output_tokens", json!(m.total_output_tokens));
    put("request_throughput", json!(m.request_throughput));
    put("input_throughput", json!(m.input_throughput));
    put("output_throughput", json!(m.output_throughput));
    put("total_throughput", json!(m.total_throughput));
    put("max_output_tokens_per_s", json!(m.max_output_tokens_per_s));
    put("concurrency", json!(m.concurrency));
    put("max_concurrent_requests", json!(m.max_concurrent_requests));
    put("short_outputs", json!(m.short_outputs));
    put("errors", json!(m.errors));
    for (name, s) in [("e2e_latency", &m.e2e_latency), ("ttft", &m.ttft), ("tpot", &m.tpot), ("itl", &m.itl)]
    {
        let Summary { mean, std, median, p90, p95, p99, max, count: _ } = *s;
        for (kind, value) in [
            ("mean", mean),
            ("median", median),
            ("std", std),
            ("p90", p90),
            ("p95", p95),
            ("p99", p99),
            ("max", max),
        ] {
            // A figure that was not measured is null, not 0.
            put(&format!("{kind}_{name}_ms"), if s.count == 0 { Value::Null } else { json!(value) });
        }
    }
    map
}

/// Checks before the measurement that its results can be written.
///
/// # Errors
/// If the file cannot be opened.
pub fn check_file(path: Option<&Path>) -> Result<()> {
    let Some(path) = path else { return Ok(()) };
    let opened = OpenOptions::new().create(true).append(true).open(path);
    opened.map(drop).map_err(|e| Usage(format!("cannot open --output-file {}: {e}", path.display())).into())
}

/// Appends `value` to `path` as one line.
///
/// # Errors
/// If the file cannot be opened or written.
pub fn append_line(path: &Path, value: &Value) -> Result<()> {
    let mut file = OpenOptions::new()
        .create(true)
        .append(true)
        .open(path)
        .with_context(|| format!("cannot open --output-file {}", path.display()))?;
    writeln!(file, "{value}").with_context(|| format!("cannot write --output-file {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_measured_is_neither_zero_nor_null_text() {
        let table = table(&Metrics::default(), &[("Backend:", "sglang".into())]);
        assert_eq!(table.matches("not measured").count(), 4);
        assert_eq!(json(&Metrics::default())["mean_ttft_ms"], Value::Null);
    }

    #[test]
    fn the_most_frequent_errors_come_first_and_the_rest_is_counted() {
        let errors = (0..8).map(|i| (format!("e{i}"), i + 1)).collect();
        let shown = problems(&Metrics { errors, ..Metrics::default() });
        assert_eq!(shown.len(), 6);
        assert_eq!(shown[0], "error (8 requests): e7");
        assert_eq!(shown[5], "… and 3 other errors");
    }
}
