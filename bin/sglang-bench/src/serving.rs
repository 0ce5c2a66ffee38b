//! `sglang-bench serving`.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use serde_json::{Map, Value, json};

use crate::Verdict;
use crate::backend::Backend;
use crate::cli::{RequestArgs, ServingArgs, TargetArgs};
use crate::load::Plan;
use crate::metrics::Metrics;
use crate::output::{append_line, json as metrics_json, problems, table};
use crate::target::Target;
use crate::workload::{PromptMode, Workload};

/// A server that is known to answer, and what is sent to it.
pub struct Session {
    pub plan: Plan,
    pub model: String,
}

impl Session {
    /// Waits for the server and learns its model's name; the time allowed starts now.
    ///
    /// # Errors
    /// The server cannot be reached, or names no model.
    pub async fn open(args: &TargetArgs, max_concurrency: Option<usize>) -> Result<Self> {
        let target = Target::from_args(args)?;
        target.wait_until_ready(args.backend, args.ready_check_timeout_sec).await?;
        let model = match args.backend {
            Backend::Sglang => args.model.clone().unwrap_or_default(),
            Backend::Openai | Backend::OpenaiChat => target.model_name(args.model.as_deref()).await?,
        };
        let plan = Plan {
            target,
            backend: args.backend,
            max_concurrency,
            deadline: Instant::now() + Duration::from_secs_f64(args.timeout),
            progress: std::io::stderr().is_terminal(),
        };
        Ok(Self { plan, model })
    }

    /// Sends `count` requests of `workload` and evaluates them.
    pub async fn measure(&self, workload: &Workload, count: usize, args: &RequestArgs) -> Metrics {
        let jobs = workload.jobs(count);
        let run = self.plan.send_all(&jobs, |job| self.plan.backend.body(job, &self.model, args)).await;
        Metrics::of(&run)
    }

    /// Sends requests that are not measured.
    ///
    /// # Errors
    /// One of them fails: measuring would be pointless.
    pub async fn warm_up(&self, workload: &Workload, count: usize, args: &RequestArgs) -> Result<()> {
        // Other prompts than the measured ones, which must not be cached yet.
        let workload = Workload { seed: !workload.seed, request_rate: f64::INFINITY, ..*workload };
        let metrics = self.measure(&workload, count, args).await;
        if metrics.failed > 0 {
            bail!("{} of {count} warm-up requests failed: {}", metrics.failed, problems(&metrics).join("; "));
        }
        Ok(())
    }
}

/// How prompts are written, given the protocol.
///
/// # Errors
/// The protocol has no such form.
pub fn prompt_mode(backend: Backend, asked: Option<PromptMode>) -> Result<PromptMode> {
    match (backend, asked) {
        (Backend::OpenaiChat, Some(PromptMode::Ids)) => {
            bail!("--prompt-mode ids is not possible with --backend openai-chat; use text")
        }
        (_, asked) => Ok(asked.unwrap_or_else(|| backend.default_prompt_mode())),
    }
}

/// Runs the command.
///
/// # Errors
/// The server cannot be reached, the warm-up fails, or results cannot be written.
pub async fn run(args: ServingArgs) -> Result<Verdict> {
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
    let session = Session::open(&args.target, args.max_concurrency).await?;
    session.warm_up(&workload, args.warmup_requests, &args.request).await?;
    if args.flush_cache {
        flush_cache(&session.plan.target).await?;
    }
    let metrics = session.measure(&workload, args.num_prompts, &args.request).await;

    let rate = args.request_rate.to_string();
    let concurrency = args.max_concurrency.map_or("not set".into(), |n| n.to_string());
    let backend = json!(args.target.backend);
    let settings = [
        ("Backend:", backend.as_str().unwrap_or_default().to_owned()),
        ("Traffic request rate:", rate.clone()),
        ("Max request concurrency:", concurrency),
    ];
    println!("{}", table(&metrics, &settings));
    for problem in problems(&metrics) {
        eprintln!("{problem}");
    }
    if let Some(path) = &args.request.output_file {
        let mut record = Map::new();
        record.insert("backend".into(), backend);
        record.insert("model".into(), json!(session.model));
        // JSON has no infinity; the reference writes the word too.
        record.insert("request_rate".into(), json!(rate));
        record.insert("max_concurrency".into(), json!(args.max_concurrency));
        record.insert("num_prompts".into(), json!(args.num_prompts));
        record.insert("random_input_len".into(), json!(args.random_input_len));
        record.insert("random_output_len".into(), json!(args.random_output_len));
        record.insert("random_range_ratio".into(), json!(args.random_range_ratio));
        record.insert("shared_prefix_len".into(), json!(args.shared_prefix_len));
        record.insert("seed".into(), json!(args.request.seed));
        record.extend(metrics_json(&metrics));
        append_line(path, &Value::Object(record))?;
    }
    Ok(if metrics.failed == 0 { Verdict::Clean } else { Verdict::Failures })
}

async fn flush_cache(target: &Target) -> Result<()> {
    let response = target.post("/flush_cache").timeout(Duration::from_secs(60)).send().await?;
    if !response.status().is_success() {
        bail!(
            "/flush_cache answered {}: --flush-cache needs an idle server that knows it",
            response.status()
        );
    }
    Ok(())
}
