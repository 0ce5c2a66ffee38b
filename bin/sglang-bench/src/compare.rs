//! Compares two servers in turns with the same traffic, so that other load on the machine, and its temperature, affect
//! both.

use anyhow::Result;
use serde_json::{Map, Value, json};

use crate::cli::ServingArgs;
use crate::limit::Limit;
use crate::load::Run;
use crate::metrics::Metrics;
use crate::output::{WIDTH, append_line, heading, json as metrics_json, problems, table};
use crate::session::{Session, flush_cache};
use crate::stats::{Ratio, ratio};
use crate::workload::Workload;
use crate::{Verdict, settings};

/// The figures to compare: name, JSON key, value of one turn, and whether more is better.
type Figure = (&'static str, &'static str, fn(&Metrics) -> f64, bool);
const FIGURES: [Figure; 6] = [
    ("Request throughput", "request_throughput", |m| m.request_throughput, true),
    ("Output token throughput", "output_throughput", |m| m.output_throughput, true),
    ("Mean E2E Latency", "mean_e2e_latency_ms", |m| m.e2e_latency.mean, false),
    ("Mean TTFT", "mean_ttft_ms", |m| m.ttft.mean, false),
    ("Mean TPOT", "mean_tpot_ms", |m| m.tpot.mean, false),
    ("P99 ITL", "p99_itl_ms", |m| m.itl.p99, false),
];

/// One server with the results of all its turns.
struct Side<'a> {
    server: &'a Session,
    total: Run,
}

/// Runs `--compare`. In each round both servers get the same prompts, which are new to them; who goes first alternates.
///
/// # Errors
/// If a cache cannot be emptied, or results cannot be written.
pub async fn run(args: &ServingArgs, workload: &Workload, servers: [&Session; 2]) -> Result<Verdict> {
    let whole = args.limit();
    let rounds = args.rounds.min(whole.count.unwrap_or(usize::MAX));
    let limit = Limit {
        count: whole.count.map(|count| count.div_ceil(rounds)),
        // The time limit applies to the whole comparison.
        time: whole.time.map(|time| time.div_f64(2.0 * rounds as f64)),
    };
    let [mut one, mut other] = servers.map(|server| Side { server, total: Run::default() });
    let mut pairs = Vec::new();
    for round in 0..rounds {
        eprintln!("Round {} of {rounds}", round + 1);
        let workload = Workload { seed: workload.seed.wrapping_add(round as u64), ..*workload };
        let (first, second) = if round % 2 == 0 { (&mut one, &mut other) } else { (&mut other, &mut one) };
        let figures = first.turn(args, &workload, limit).await?;
        if figures.interrupted {
            break;
        }
        let later = second.turn(args, &workload, limit).await?;
        if later.interrupted {
            break;
        }
        pairs.push(if round % 2 == 0 { (figures, later) } else { (later, figures) });
    }
    report(args, [&one, &other], &pairs)
}

impl Side<'_> {
    async fn turn(&mut self, args: &ServingArgs, workload: &Workload, limit: Limit) -> Result<Metrics> {
        if args.flush_cache {
            flush_cache(&self.server.plan.target).await?;
        }
        let run = self.server.send(workload, limit, &args.request).await;
        let figures = Metrics::of(&run);
        self.total.append(run);
        Ok(figures)
    }
}

/// Prints both tables, and the ratios of the turns of each round.
fn report(args: &ServingArgs, sides: [&Side<'_>; 2], pairs: &[(Metrics, Metrics)]) -> Result<Verdict> {
    let totals = sides.map(|side| Metrics::of(&side.total));
    let urls = sides.map(|side| side.server.plan.target.base_url.as_str());
    let mut verdict = Verdict::Clean;
    for (total, url) in totals.iter().zip(urls) {
        let settings = [vec![("Server:", url.to_owned())], settings::shown(args)].concat();
        println!("{}\n", table(total, &settings));
        for problem in problems(total) {
            eprintln!("{url}: {problem}");
        }
        verdict = verdict.and(Verdict::of(total));
    }
    let ratios: Vec<(Figure, Option<Ratio>)> = FIGURES
        .iter()
        .map(|figure| {
            let values: Vec<(f64, f64)> = pairs.iter().map(|(a, b)| (figure.2(a), figure.2(b))).collect();
            (*figure, ratio(&values))
        })
        .collect();
    let [one, other] = urls;
    println!("{}", heading("First / Second", '='));
    println!("{one} / {other}, {} rounds, 95% intervals", pairs.len());
    for ((name, _, _, more), ratio) in &ratios {
        println!("{name:<24} {:<24} {}", shown(ratio.as_ref()), verdict_of(ratio.as_ref(), *more));
    }
    println!("{}", "=".repeat(WIDTH));
    if let Some(path) = &args.request.output_file {
        let mut record = settings::record(args, sides[0].server);
        let [server, compared] = totals.each_ref().map(|total| Value::Object(metrics_json(total)));
        record.insert("server".into(), server);
        record.insert("compared".into(), compared);
        record.insert("urls".into(), json!(urls));
        record.insert("rounds".into(), json!(pairs.len()));
        let ratios: Map<String, Value> =
            ratios.iter().map(|((_, key, ..), ratio)| ((*key).to_owned(), json!(ratio))).collect();
        record.insert("ratios".into(), Value::Object(ratios));
        append_line(path, &Value::Object(record))?;
    }
    Ok(verdict)
}

fn shown(ratio: Option<&Ratio>) -> String {
    match ratio {
        None => "not measured".to_owned(),
        Some(Ratio { ratio, interval: None }) => format!("{ratio:.3}"),
        Some(Ratio { ratio, interval: Some((low, high)) }) => format!("{ratio:.3} ({low:.3} to {high:.3})"),
    }
}

/// Which server is better, if the interval shows it.
fn verdict_of(ratio: Option<&Ratio>, more_is_better: bool) -> &'static str {
    match ratio.and_then(|r| r.interval) {
        Some((low, _)) if low > 1.0 => {
            if more_is_better {
                "first is better"
            } else {
                "second is better"
            }
        }
        Some((_, high)) if high < 1.0 => {
            if more_is_better {
                "second is better"
            } else {
                "first is better"
            }
        }
        Some(_) => "no difference is sure",
        None => "",
    }
}
