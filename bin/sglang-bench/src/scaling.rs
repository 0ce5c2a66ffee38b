//! `sglang-bench decode-scaling`: how much throughput batching gains.

use anyhow::Result;
use serde_json::{Value, json};

use crate::Verdict;
use crate::cli::ScalingArgs;
use crate::output::{append_line, check_file, heading, json as metrics_json, problems};
use crate::session::{Session, prompt_mode};
use crate::workload::Workload;

/// Runs the command.
///
/// # Errors
/// If the server cannot be reached, the warm-up fails, or results cannot be written.
pub async fn run(args: ScalingArgs) -> Result<Verdict> {
    check_file(args.request.output_file.as_deref())?;
    let mut session = Session::open(&args.target, None).await?;
    let mode = prompt_mode(args.target.backend, args.request.prompt_mode)?;
    let workload = Workload {
        mode,
        input_len: args.input_len,
        output_len: args.output_len,
        range_ratio: 1.0,
        shared_prefix_len: 0,
        vocab_size: args.request.vocab_size,
        request_rate: f64::INFINITY,
        seed: args.request.seed,
    };
    session.warm_up(&workload, 1, &args.request).await?;
    println!("{}", heading("Decode Scaling", '='));
    println!(
        "{:>11}  {:>14}  {:>12}  {:>12}  {:>6}",
        "concurrency", "output tok/s", "TPOT ms p50", "TTFT ms p50", "ratio"
    );
    let mut verdict = Verdict::Clean;
    let mut rows = Vec::new();
    let mut base = None;
    for (step, &concurrency) in args.concurrency.iter().enumerate() {
        session.plan.max_concurrency = Some(concurrency);
        // Every step uses new prompts, so that none is in the prefix cache.
        let workload = Workload { seed: workload.seed.wrapping_add(step as u64), ..workload };
        let metrics = session.measure(&workload, concurrency * args.rounds, &args.request).await;
        verdict = verdict.and(Verdict::of(&metrics));
        if metrics.interrupted {
            // An incomplete step would have a different concurrency.
            break;
        }
        let base = *base.get_or_insert(metrics.output_throughput);
        let ratio = if base > 0.0 { metrics.output_throughput / base } else { 0.0 };
        println!(
            "{concurrency:>11}  {:>14.2}  {:>12.2}  {:>12.2}  {ratio:>6.2}",
            metrics.output_throughput, metrics.tpot.median, metrics.ttft.median
        );
        for problem in problems(&metrics) {
            eprintln!("concurrency {concurrency}: {problem}");
        }
        let mut row = metrics_json(&metrics);
        row.insert("max_concurrency".into(), json!(concurrency));
        row.insert("ratio".into(), json!(ratio));
        rows.push(Value::Object(row));
    }
    if let Some(path) = &args.request.output_file {
        let record = json!({
            "input_len": args.input_len, "output_len": args.output_len, "rounds": args.rounds, "steps": rows,
        });
        append_line(path, &record)?;
    }
    Ok(verdict)
}
