//! Runs a model in this process: greedy tokens for a prompt of ids, or timings without any server around it.
//!
//! ```text
//! generate MODEL [--device D] [--dtype T] [--backend auto|native|torch] [--load-format F] [--threads N]
//!          (--ids 1,2,3 [--tokens N] | --bench [--repeat N])
//! ```

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use sglang_model::runner::ModelRunner;
use sglang_model::{Backend, ModelOptions, load_runner};
use sglang_proto::SamplingParams;
use sglang_proto::forward::{ForwardBatch, ForwardMode, NewRow, ReqSampling};
use sglang_proto::worker::ModelWorker;

type Failure = Box<dyn std::error::Error>;

struct Args {
    options: ModelOptions,
    ids: Vec<u32>,
    tokens: usize,
    bench: bool,
    repeat: usize,
}

fn parse() -> Result<Args, Failure> {
    let mut words = std::env::args().skip(1);
    let model = words.next().ok_or("usage: generate MODEL [--ids 1,2,3 | --bench] (see the source)")?;
    let mut args = Args {
        options: ModelOptions::new(model.into()),
        ids: Vec::new(),
        tokens: 64,
        bench: false,
        repeat: 3,
    };
    args.options.max_running_requests = Some(64);
    while let Some(flag) = words.next() {
        let mut value = || words.next().ok_or(format!("{flag} needs a value"));
        match flag.as_str() {
            "--device" => args.options.device = value()?,
            "--dtype" => args.options.dtype = value()?,
            "--load-format" => args.options.load_format = value()?,
            "--threads" => args.options.threads = Some(value()?.parse()?),
            "--tokens" => args.tokens = value()?.parse()?,
            "--repeat" => args.repeat = value()?.parse()?,
            "--ids" => {
                args.ids = value()?.split(',').map(|id| id.trim().parse()).collect::<Result<_, _>>()?
            }
            "--bench" => args.bench = true,
            "--backend" => {
                args.options.backend = match value()?.as_str() {
                    "auto" => Backend::Auto,
                    "native" => Backend::Native,
                    "torch" => Backend::Torch,
                    other => return Err(format!("--backend {other}: expected auto, native or torch").into()),
                };
            }
            _ => return Err(format!("unknown flag {flag}").into()),
        }
    }
    if args.ids.is_empty() && !args.bench {
        return Err("give --ids or --bench".into());
    }
    Ok(args)
}

/// Requests that were entered at position 0 and decode together.
struct Session {
    runner: ModelRunner,
    lengths: Vec<u32>,
    next_slot: u32,
}

impl Session {
    fn sampling(&self) -> Result<Arc<ReqSampling>, Failure> {
        let mut params = SamplingParams { temperature: 0.0, ..SamplingParams::default() };
        params.normalize(str::len)?;
        Ok(Arc::new(ReqSampling {
            params,
            seed: 0,
            prompt_len: 0,
            output_ids: Vec::new(),
            stop_token_ids: Vec::new(),
            return_logprob: false,
            top_logprobs_num: 0,
            token_ids_logprob: Vec::new(),
            grammar: None,
        }))
    }

    /// Forgets all requests and prefills these.
    fn prefill(&mut self, prompts: &[Vec<u32>]) -> Result<Vec<u32>, Failure> {
        self.lengths = vec![0; prompts.len()];
        self.next_slot = 0;
        let sampling = self.sampling()?;
        let rows = 0..prompts.len() as u32;
        let enter = |row| NewRow {
            req_pool_idx: row,
            prefix_slots: Vec::new(),
            sampling: Arc::clone(&sampling),
            embedding: None,
        };
        let ids = prompts.iter().flatten().map(|&id| i64::from(id)).collect();
        let lens = prompts.iter().map(|p| p.len() as u32).collect();
        self.step(ForwardMode::Extend, ids, lens, rows.map(enter).collect())
    }

    /// One token more for everyone.
    fn decode(&mut self) -> Result<Vec<u32>, Failure> {
        let requests = self.lengths.len();
        let ids = (0..requests as i64).map(|row| -(row + 1)).collect();
        self.step(ForwardMode::Decode, ids, vec![1; requests], Vec::new())
    }

    fn step(
        &mut self,
        mode: ForwardMode,
        input_ids: Vec<i64>,
        extend_lens: Vec<u32>,
        new_rows: Vec<NewRow>,
    ) -> Result<Vec<u32>, Failure> {
        let tokens = input_ids.len() as u32;
        let batch = ForwardBatch {
            forward_id: 0,
            mode,
            req_pool_indices: (0..extend_lens.len() as u32).collect(),
            prefix_lens: self.lengths.clone(),
            sample: vec![true; extend_lens.len()],
            input_ids,
            out_cache_loc: (self.next_slot..self.next_slot + tokens).collect(),
            new_rows,
            input_logprobs: Vec::new(),
            extend_lens,
        };
        self.next_slot += tokens;
        for (length, added) in self.lengths.iter_mut().zip(&batch.extend_lens) {
            *length += added;
        }
        Ok(self.runner.forward(&batch)?.next_token_ids.into_iter().flatten().collect())
    }
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("generate: {e}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Failure> {
    let args = parse()?;
    let started = Instant::now();
    let runner =
        load_runner(&args.options, &mut |phase, seconds| eprintln!("{phase}: {:.1} ms", seconds * 1e3))?;
    eprintln!("loaded in {:.1} ms: {:?}", started.elapsed().as_secs_f64() * 1e3, runner.info());
    let mut session = Session { runner, lengths: Vec::new(), next_slot: 0 };
    if args.bench { bench(&mut session, args.repeat) } else { generate(&mut session, &args) }
}

fn generate(session: &mut Session, args: &Args) -> Result<(), Failure> {
    let mut output = session.prefill(std::slice::from_ref(&args.ids))?;
    let started = Instant::now();
    while output.len() < args.tokens {
        output.extend(session.decode()?);
    }
    let rate = (args.tokens - 1) as f64 / started.elapsed().as_secs_f64();
    let words: Vec<String> = output.iter().map(u32::to_string).collect();
    println!("{}", words.join(","));
    eprintln!("{rate:.1} tokens/s");
    Ok(())
}

fn bench(session: &mut Session, repeat: usize) -> Result<(), Failure> {
    let vocab = session.runner.info().vocab_size;
    let prompt =
        |len: u32, salt: u32| (0..len).map(|i| (i * 7919 + salt * 104_729) % vocab).collect::<Vec<u32>>();
    for _ in 0..repeat {
        let mut line = Vec::new();
        for length in [512, 2048] {
            let started = Instant::now();
            session.prefill(&[prompt(length, 1)])?;
            line.push(format!(
                "prefill {length} {:.0} tok/s",
                f64::from(length) / started.elapsed().as_secs_f64()
            ));
        }
        for requests in [1, 8] {
            let prompts: Vec<Vec<u32>> = (0..requests).map(|r| prompt(128, r)).collect();
            session.prefill(&prompts)?;
            let steps = 64;
            let started = Instant::now();
            for _ in 0..steps {
                session.decode()?;
            }
            let rate = f64::from(requests * steps) / started.elapsed().as_secs_f64();
            line.push(format!("decode b{requests} {rate:.1} tok/s"));
        }
        println!("{}", line.join(", "));
    }
    Ok(())
}
