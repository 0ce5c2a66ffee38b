//! A server that is ready, and the traffic sent to it.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use crate::Usage;
use crate::backend::Backend;
use crate::cli::TargetArgs;
use crate::interrupt::Interrupt;
use crate::limit::Limit;
use crate::load::{Plan, Run};
use crate::metrics::Metrics;
use crate::output::problems;
use crate::request_args::RequestArgs;
use crate::target::Target;
use crate::workload::{PromptMode, Workload};

/// A server that is known to answer.
pub struct Session {
    pub plan: Plan,
    pub model: String,
}

impl Session {
    /// Waits for the server and gets its model's name; the time limit starts now.
    ///
    /// # Errors
    /// If the server cannot be reached, or names no model.
    pub async fn open(args: &TargetArgs, max_concurrency: Option<usize>) -> Result<Self> {
        let target = Target::from_args(args)?;
        let interrupt = Interrupt::watch()?;
        tokio::select! {
            () = interrupt.wait() => bail!("interrupted before {} answered", target.base_url),
            ready = target.wait_until_ready(args.backend, args.ready_check_timeout_sec) => ready?,
        }
        let model = match args.backend {
            Backend::Sglang => args.model.clone().unwrap_or_default(),
            Backend::Openai | Backend::OpenaiChat => target.model_name(args.model.as_deref()).await?,
        };
        let plan = Plan {
            target,
            backend: args.backend,
            max_concurrency,
            deadline: Instant::now() + Duration::from_secs_f64(args.timeout),
            interrupt,
            quiet: false,
        };
        Ok(Self { plan, model })
    }

    /// Sends requests of `workload` up to a limit.
    pub async fn send(&self, workload: &Workload, limit: Limit, args: &RequestArgs) -> Run {
        let body = |job: &_| self.plan.backend.body(job, &self.model, args);
        self.plan.send_all(workload.jobs(), limit, body).await
    }

    /// Sends `count` requests of `workload` and evaluates them.
    pub async fn measure(&self, workload: &Workload, count: usize, args: &RequestArgs) -> Metrics {
        let limit = Limit { count: Some(count), time: None };
        Metrics::of(&self.send(workload, limit, args).await)
    }

    /// Sends requests that are not measured.
    ///
    /// # Errors
    /// If a request fails, or the user stops it: measuring would be pointless.
    pub async fn warm_up(&self, workload: &Workload, count: usize, args: &RequestArgs) -> Result<()> {
        // The measured prompts must not be cached yet, so these differ.
        let workload = Workload { seed: !workload.seed, request_rate: f64::INFINITY, ..*workload };
        let metrics = self.measure(&workload, count, args).await;
        if metrics.interrupted {
            bail!("interrupted during the warm-up");
        }
        if metrics.failed > 0 {
            bail!("{} of {count} warm-up requests failed: {}", metrics.failed, problems(&metrics).join("; "));
        }
        Ok(())
    }
}

/// The form of prompts for a protocol.
///
/// # Errors
/// If the protocol does not support the requested form.
pub fn prompt_mode(backend: Backend, asked: Option<PromptMode>) -> Result<PromptMode> {
    match (backend, asked) {
        (Backend::OpenaiChat, Some(PromptMode::Ids)) => {
            let why = "--prompt-mode ids is not possible with --backend openai-chat; use text";
            Err(Usage(why.to_owned()).into())
        }
        (_, asked) => Ok(asked.unwrap_or_else(|| backend.default_prompt_mode())),
    }
}

/// Empties the prefix cache.
///
/// # Errors
/// If the server has no such route, or is busy.
pub async fn flush_cache(target: &Target) -> Result<()> {
    let response = target.post("/flush_cache").timeout(Duration::from_secs(60)).send().await?;
    if !response.status().is_success() {
        bail!(
            "/flush_cache answered {}: --flush-cache needs an idle server that knows it",
            response.status()
        );
    }
    Ok(())
}
