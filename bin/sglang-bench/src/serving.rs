//! `sglang-bench serving`.

use anyhow::Result;
use serde_json::Value;

use crate::cli::{ServingArgs, TargetArgs};
use crate::metrics::Metrics;
use crate::output::{append_line, check_file, json as metrics_json, problems, table};
use crate::session::{Session, flush_cache, prompt_mode};
use crate::workload::Workload;
use crate::{Verdict, compare, settings};

/// Runs the command.
///
/// # Errors
/// If the server cannot be reached, the warm-up fails, or results cannot be written.
pub async fn run(args: ServingArgs) -> Result<Verdict> {
    check_file(args.request.output_file.as_deref())?;
    let workload = Workload {
        mode: prompt_mode(args.target.backend, args.request.prompt_mode)?,
        input_len: args.random_input_len,
        output_len: args.random_output_len,
        range_ratio: args.random_range_ratio,
        shared_prefix_len: args.shared_prefix_len,
        vocab_size: args.request.vocab_size,
        request_rate: args.request_rate,
        seed: args.request.seed,
    };
    let session = prepare(&args, &args.target, &workload).await?;
    match &args.compare {
        Some(url) => {
            let target = TargetArgs { base_url: Some(url.clone()), model: None, ..args.target.clone() };
            let other = prepare(&args, &target, &workload).await?;
            compare::run(&args, &workload, [&session, &other]).await
        }
        None => alone(&args, &workload, &session).await,
    }
}

/// Connects to a server and warms it up.
async fn prepare(args: &ServingArgs, target: &TargetArgs, workload: &Workload) -> Result<Session> {
    let session = Session::open(target, args.concurrency()).await?;
    session.warm_up(workload, args.warmup_requests, &args.request).await?;
    if args.flush_cache {
        flush_cache(&session.plan.target).await?;
    }
    Ok(session)
}

async fn alone(args: &ServingArgs, workload: &Workload, session: &Session) -> Result<Verdict> {
    let metrics = Metrics::of(&session.send(workload, args.limit(), &args.request).await);
    println!("{}", table(&metrics, &settings::shown(args)));
    for problem in problems(&metrics) {
        eprintln!("{problem}");
    }
    if let Some(path) = &args.request.output_file {
        let mut record = settings::record(args, session);
        record.extend(metrics_json(&metrics));
        append_line(path, &Value::Object(record))?;
    }
    Ok(Verdict::of(&metrics))
}
