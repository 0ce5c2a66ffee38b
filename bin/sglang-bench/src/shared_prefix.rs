//! `sglang-bench shared-prefix`: conversations of many users with one system prompt, to measure what prefix reuse
//! gains.
//!
//! A turn's prompt consists of the system prompt, all earlier questions and answers of the user, and a new question, as
//! token ids. So every turn after a user's first one can reuse everything except the question.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Instant;

use anyhow::{Result, bail};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::backend::Backend;
use crate::cli::{SharedPrefixArgs, TargetArgs};
use crate::client::{Outcome, send};
use crate::load::Run;
use crate::metrics::Metrics;
use crate::output::{append_line, check_file, heading, json as metrics_json, line, problems};
use crate::session::Session;
use crate::workload::{FIRST_ID, Job, Prompt};
use crate::{Usage, Verdict};

/// The results of one server.
struct Figures {
    /// The very first request, with an empty cache and nothing else running.
    cold: Metrics,
    /// First turns of the other users.
    first: Metrics,
    /// All turns after the user's first one.
    later: Metrics,
    /// All requests.
    all: Metrics,
}

/// Runs the command.
///
/// # Errors
/// If a server cannot be reached, the warm-up fails, or results cannot be written.
pub async fn run(args: SharedPrefixArgs) -> Result<Verdict> {
    if args.target.backend != Backend::Sglang || args.request.disable_stream {
        let why =
            "shared-prefix continues with the server's own output ids: it needs --backend sglang and streams";
        return Err(Usage(why.to_owned()).into());
    }
    check_file(args.request.output_file.as_deref())?;
    let figures = measure(&args, &args.target).await?;
    let mut verdict = report("Shared Prefix", &figures);
    let mut record = json!({
        "system_prompt_len": args.system_prompt_len, "users": args.users, "turns": args.turns,
        "question_len": args.question_len, "output_len": args.output_len, "max_concurrency": args.max_concurrency,
    });
    record["server"] = as_json(&figures);
    if let Some(url) = args.compare.as_ref().filter(|_| verdict != Verdict::Interrupted) {
        let target = TargetArgs { base_url: Some(url.clone()), ..args.target.clone() };
        let other = measure(&args, &target).await?;
        verdict = verdict.and(report(&format!("Compared with {url}"), &other));
        record["compared"] = as_json(&other);
        println!(
            "{}",
            line("Total token throughput, times:", ratio(&figures.all, &other.all, |m| m.total_throughput))
        );
        println!("{}", line("Mean later TTFT, times:", ratio(&figures.later, &other.later, |m| m.ttft.mean)));
    }
    if let Some(path) = &args.request.output_file {
        append_line(path, &record)?;
    }
    Ok(verdict)
}

async fn measure(args: &SharedPrefixArgs, target: &TargetArgs) -> Result<Figures> {
    let session = Arc::new(Session::open(target, None).await?);
    let talks = Talks { args: Arc::new(args.clone()), session: Arc::clone(&session), start: Instant::now() };
    // The warm-up prompt shares no beginning with the measured ones.
    let Some(warm_up) = talks.ask(vec![FIRST_ID; 8]).await else { bail!("interrupted during the warm-up") };
    if let Some(error) = warm_up.error {
        bail!("the warm-up request failed: {error}");
    }
    let talks = Talks { start: Instant::now(), ..talks };
    let mut first_user = talks.user(0);
    let mut first: Vec<Outcome> = first_user.turn().await.into_iter().collect();
    let cold = Metrics::of(&Run {
        outcomes: first.clone(),
        duration: talks.start.elapsed().as_secs_f64(),
        ..Run::default()
    });
    let slots = Arc::new(Semaphore::new(args.max_concurrency.unwrap_or(Semaphore::MAX_PERMITS)));
    let mut tasks = JoinSet::new();
    for number in 0..args.users {
        let mut user = if number == 0 { first_user.clone() } else { talks.user(number) };
        let slots = Arc::clone(&slots);
        tasks.spawn(async move {
            let _slot = slots.acquire().await;
            let mut outcomes = Vec::new();
            while user.turns < user.talks.args.turns && outcomes.iter().all(|o: &Outcome| o.error.is_none()) {
                let Some(outcome) = user.turn().await else { break };
                outcomes.push(outcome);
            }
            (number, outcomes)
        });
    }
    let mut later = Vec::new();
    while let Some(joined) = tasks.join_next().await {
        let (number, outcomes) = joined?;
        let mut outcomes = outcomes.into_iter();
        if number > 0 {
            first.extend(outcomes.next());
        }
        later.extend(outcomes);
    }
    let duration = talks.start.elapsed().as_secs_f64();
    let interrupted = session.plan.interrupt.is_set();
    let of = |outcomes: Vec<Outcome>| Metrics::of(&Run { outcomes, duration, interrupted, ..Run::default() });
    let all = of(first.iter().chain(&later).cloned().collect());
    Ok(Figures { cold, first: of(first.split_off(first.len().min(1))), later: of(later), all })
}

/// What all conversations share.
#[derive(Clone)]
struct Talks {
    args: Arc<SharedPrefixArgs>,
    session: Arc<Session>,
    start: Instant,
}

impl Talks {
    fn user(&self, number: usize) -> User {
        let seed = self.args.request.seed;
        let mut system = StdRng::seed_from_u64(seed);
        let history = self.ids(self.args.system_prompt_len, &mut system);
        let rng = StdRng::seed_from_u64(seed.wrapping_add(1 + number as u64));
        User { talks: self.clone(), history, rng, turns: 0 }
    }

    fn ids(&self, len: usize, rng: &mut StdRng) -> Vec<u32> {
        (0..len).map(|_| rng.random_range(FIRST_ID..self.args.request.vocab_size)).collect()
    }

    /// `None` if the user stops the run.
    async fn ask(&self, ids: Vec<u32>) -> Option<Outcome> {
        let (prompt_len, output_len) = (ids.len(), self.args.output_len);
        let job = Job { prompt: Prompt::Ids(ids), prompt_len, output_len, arrival: 0.0 };
        let plan = &self.session.plan;
        let body = plan.backend.body(&job, &self.session.model, &self.args.request);
        let tokens = AtomicU64::new(0);
        let answer = send(&plan.target, plan.backend, &body, prompt_len, output_len, self.start, &tokens);
        tokio::select! {
            biased;
            () = plan.interrupt.wait() => None,
            answer = tokio::time::timeout_at(plan.deadline.into(), answer) => {
                let late = || Outcome {
                    error: Some("not finished within --timeout".into()),
                    ..Outcome::default()
                };
                Some(answer.unwrap_or_else(|_| late()))
            }
        }
    }
}

/// One conversation.
#[derive(Clone)]
struct User {
    talks: Talks,
    history: Vec<u32>,
    rng: StdRng,
    turns: usize,
}

/// The part of an answer that the next prompt needs.
#[derive(Deserialize)]
struct Ids {
    output_ids: Vec<u32>,
}

impl User {
    /// Asks the next question and adds the answer to the conversation. `None` if the user stops the run.
    async fn turn(&mut self) -> Option<Outcome> {
        self.turns += 1;
        let question = self.talks.ids(self.talks.args.question_len, &mut self.rng);
        self.history.extend(question);
        let mut outcome = self.talks.ask(self.history.clone()).await?;
        if outcome.error.is_none() {
            match serde_json::from_slice::<Ids>(&outcome.last_event) {
                Ok(answer) => self.history.extend(answer.output_ids),
                Err(error) => outcome.error = Some(format!("the answer has no output_ids: {error}")),
            }
        }
        Some(outcome)
    }
}

fn ratio(one: &Metrics, other: &Metrics, figure: impl Fn(&Metrics) -> f64) -> String {
    let (one, other) = (figure(one), figure(other));
    if other > 0.0 { format!("{:.3}", one / other) } else { "not measured".into() }
}

fn report(title: &str, figures: &Figures) -> Verdict {
    let two = |x: f64| format!("{x:.2}");
    let Figures { cold, first, later, all } = figures;
    println!("{}", heading(title, '='));
    println!("{}", line("Successful requests:", all.completed));
    println!("{}", line("Failed requests:", all.failed));
    println!("{}", line("Benchmark duration (s):", two(all.duration)));
    println!("{}", line("Total input tokens:", all.total_input_tokens));
    println!("{}", line("Total cached input tokens:", all.total_cached_tokens));
    println!("{}", line("Total token throughput (tok/s):", two(all.total_throughput)));
    println!("{}", line("Output token throughput (tok/s):", two(all.output_throughput)));
    println!("{}", line("TTFT of the first request of all (ms):", two(cold.ttft.mean)));
    println!("{}", line("Mean TTFT of other first turns (ms):", two(first.ttft.mean)));
    println!("{}", line("Mean TTFT of later turns (ms):", two(later.ttft.mean)));
    println!("{}", line("P99 TTFT of later turns (ms):", two(later.ttft.p99)));
    println!("{}", line("Later turns / first request:", ratio(later, cold, |m| m.ttft.mean)));
    for problem in problems(all) {
        eprintln!("{problem}");
    }
    Verdict::of(all)
}

fn as_json(figures: &Figures) -> Value {
    json!({
        "cold": metrics_json(&figures.cold), "first_turns": metrics_json(&figures.first),
        "later_turns": metrics_json(&figures.later), "all": metrics_json(&figures.all),
    })
}
