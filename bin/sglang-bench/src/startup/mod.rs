//! `sglang-bench startup`: time from exec to the first answer, memory of each process, and CPU time while idle.

mod process_tree;
mod server;

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use nix::unistd::{SysconfVar, sysconf};
use serde::Serialize;

use self::process_tree::ProcessSample;
use self::server::{FirstRequest, Server, url_of_command};
use crate::Verdict;
use crate::cli::StartupArgs;
use crate::output::{append_line, heading, line};
use crate::target::Target;

/// One process of the server, with its load while idle.
#[derive(Debug, Serialize)]
struct ProcessReport {
    #[serde(flatten)]
    process: ProcessSample,
    /// Percent of one CPU while idle.
    idle_cpu_percent: f64,
}

/// The results of one start.
#[derive(Debug, Serialize)]
struct StartupReport {
    /// Seconds from exec to a successful `/health`.
    health_seconds: f64,
    /// Seconds from exec to the first successful generation.
    first_answer_seconds: f64,
    rss_kib: u64,
    /// `None` if it cannot be read for some process.
    pss_kib: Option<u64>,
    idle_cpu_percent: f64,
    idle_seconds: f64,
    processes: Vec<ProcessReport>,
    /// Seconds from SIGTERM to the end of the main process.
    stop_seconds: f64,
    /// Number of processes that did not stop by themselves.
    killed: usize,
}

/// Runs the command.
///
/// # Errors
/// If the server does not start or never answers, or results cannot be written.
pub async fn run(args: StartupArgs) -> Result<Verdict> {
    let base_url = args.base_url.clone().unwrap_or_else(|| url_of_command(&args.command));
    let target = Target::new(&base_url, args.api_key.clone())?;
    let mut verdict = Verdict::Clean;
    for number in 1..=args.runs {
        let report = measure(&args, &target).await?;
        println!("{}", render(&report, number, args.runs));
        if report.killed > 0 {
            eprintln!("error: {} processes did not stop and were killed", report.killed);
            verdict = Verdict::Failures;
        }
        if let Some(path) = &args.output_file {
            append_line(path, &serde_json::to_value(&report).context("cannot write the report as JSON")?)?;
        }
    }
    Ok(verdict)
}

async fn measure(args: &StartupArgs, target: &Target) -> Result<StartupReport> {
    let mut server = Server::start(&args.command, args.server_log.as_deref())?;
    let request = FirstRequest { backend: args.backend, model: args.model.clone() };
    let answered = server.first_answer(target, &request, Duration::from_secs_f64(args.timeout)).await;
    let (health_seconds, first_answer_seconds) = match answered {
        Ok(times) => times,
        Err(error) => {
            server.stop().await?;
            return Err(error);
        }
    };
    // Work left over from the first answer does not count as idle.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let before = server.processes();
    let clock = Instant::now();
    tokio::time::sleep(Duration::from_secs_f64(args.idle_seconds)).await;
    let after = server.processes();
    let idle_seconds = clock.elapsed().as_secs_f64();
    let (stop_seconds, killed) = server.stop().await?;
    let processes = idle_load(&before, after, idle_seconds, ticks_per_second());
    Ok(StartupReport {
        health_seconds,
        first_answer_seconds,
        rss_kib: processes.iter().map(|p| p.process.rss_kib).sum(),
        pss_kib: processes.iter().map(|p| p.process.pss_kib).sum(),
        idle_cpu_percent: processes.iter().map(|p| p.idle_cpu_percent).sum(),
        idle_seconds,
        processes,
        stop_seconds,
        killed,
    })
}

fn ticks_per_second() -> f64 {
    // Linux reports 100 to user space on every architecture.
    sysconf(SysconfVar::CLK_TCK).ok().flatten().unwrap_or(100) as f64
}

/// CPU time between two samples as percent of one CPU; for a process that appeared in between, all its CPU time counts.
fn idle_load(
    before: &[ProcessSample],
    after: Vec<ProcessSample>,
    seconds: f64,
    ticks: f64,
) -> Vec<ProcessReport> {
    let used = |p: &ProcessSample| {
        let earlier = before.iter().find(|b| b.pid == p.pid && b.start_ticks == p.start_ticks);
        p.cpu_ticks.saturating_sub(earlier.map_or(0, |b| b.cpu_ticks)) as f64
    };
    after
        .into_iter()
        .map(|process| {
            let idle_cpu_percent = 100.0 * used(&process) / ticks / seconds.max(1e-9);
            ProcessReport { process, idle_cpu_percent }
        })
        .collect()
}

fn render(report: &StartupReport, number: usize, runs: usize) -> String {
    let mib = |kib: u64| format!("{:.1}", kib as f64 / 1024.0);
    let pss = |kib: Option<u64>| kib.map_or("not readable".into(), mib);
    let mut out = vec![
        heading(&format!("Startup, run {number} of {runs}"), '='),
        line("Exec to /health (s):", format!("{:.3}", report.health_seconds)),
        line("Exec to first answer (s):", format!("{:.3}", report.first_answer_seconds)),
        line("RSS of all processes (MiB):", mib(report.rss_kib)),
        line("PSS of all processes (MiB):", pss(report.pss_kib)),
        line(
            &format!("Idle CPU over {:.0} s (% of one CPU):", report.idle_seconds),
            format!("{:.2}", report.idle_cpu_percent),
        ),
        line("SIGTERM to exit (s):", format!("{:.3}", report.stop_seconds)),
        heading("Processes", '-'),
        format!(
            "{:>8} {:<16} {:>9} {:>9} {:>7} {:>7}",
            "pid", "name", "RSS MiB", "PSS MiB", "threads", "CPU %"
        ),
    ];
    for ProcessReport { process: p, idle_cpu_percent } in &report.processes {
        out.push(format!(
            "{:>8} {:<16} {:>9} {:>9} {:>7} {idle_cpu_percent:>7.2}",
            p.pid,
            p.name,
            mib(p.rss_kib),
            p.pss_kib.map_or("-".into(), mib),
            p.threads
        ));
    }
    out.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn process(pid: i32, start_ticks: u64, cpu_ticks: u64) -> ProcessSample {
        ProcessSample {
            pid,
            name: "p".into(),
            rss_kib: 2048,
            pss_kib: None,
            threads: 1,
            cpu_ticks,
            start_ticks,
        }
    }

    #[test]
    fn idle_load_is_the_time_used_between_two_looks() {
        let before = [process(1, 5, 100), process(2, 6, 50)];
        // Process id 2 was reused by another process.
        let load = idle_load(&before, vec![process(1, 5, 150), process(2, 9, 20)], 10.0, 100.0);
        assert_eq!(load.iter().map(|p| p.idle_cpu_percent).collect::<Vec<_>>(), [5.0, 2.0]);
    }

    #[test]
    fn unreadable_pss_is_said_and_not_summed() {
        let report = StartupReport {
            health_seconds: 0.5,
            first_answer_seconds: 1.25,
            rss_kib: 2048,
            pss_kib: None,
            idle_cpu_percent: 0.0,
            idle_seconds: 10.0,
            processes: idle_load(&[], vec![process(1, 5, 0)], 10.0, 100.0),
            stop_seconds: 0.1,
            killed: 0,
        };
        let text = render(&report, 1, 1);
        assert!(text.contains("1.250") && text.contains("not readable"), "{text}");
    }
}
