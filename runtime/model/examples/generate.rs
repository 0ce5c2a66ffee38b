//! Runs a model without a server: generates greedy tokens for a prompt of ids, or measures speed.
//!
//! ```text
//! generate MODEL [--device D] [--dtype T] [--backend auto|native|torch] [--load-format F] [--threads N]
//!          (--ids 1,2,3 [--tokens N] | --bench [--repeat N] | --lora-bench RANK [--repeat N])
//! ```
//!
//! `--lora-bench` makes four random adapters of that rank for every linear layer. It prints the time of a decode step
//! with one and with four of them in a batch, relative to a step without adapters.

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use serde_json::json;
use sglang_checkpoint::{Checkpoint, ModelConfig};
use sglang_model::lora::LoraOptions;
use sglang_model::runner::ModelRunner;
use sglang_model::{Backend, ModelOptions, load_runner};
use sglang_proto::SamplingParams;
use sglang_proto::forward::{ForwardBatch, ForwardMode, NewRow, ReqSampling};
use sglang_proto::lora::LoRARef;
use sglang_proto::worker::ModelWorker;

type Failure = Box<dyn std::error::Error>;

/// Number of adapters of `--lora-bench`.
const ADAPTERS: usize = 4;

struct Args {
    options: ModelOptions,
    ids: Vec<u32>,
    tokens: usize,
    bench: bool,
    lora_rank: Option<usize>,
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
        lora_rank: None,
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
            "--lora-bench" => args.lora_rank = Some(value()?.parse()?),
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
    if args.ids.is_empty() && !args.bench && args.lora_rank.is_none() {
        return Err("give --ids, --bench or --lora-bench".into());
    }
    args.options.lora = args.lora_rank.map(|rank| LoraOptions {
        max_rank: Some(rank),
        target_modules: Some(vec!["all".to_owned()]),
        max_loras_per_batch: ADAPTERS + 1,
        ..LoraOptions::default()
    });
    Ok(args)
}

/// Requests that start together and decode together.
struct Session {
    runner: ModelRunner,
    lengths: Vec<u32>,
    next_slot: u32,
    /// Adapters that the requests use in turn; empty for none.
    adapters: Vec<Arc<str>>,
}

impl Session {
    fn sampling(&self) -> Result<Arc<ReqSampling>, Failure> {
        let mut params = SamplingParams { temperature: 0.0, ..SamplingParams::default() };
        params.normalize(str::len)?;
        Ok(Arc::new(ReqSampling {
            params,
            prompt_len: 0,
            output_ids: Vec::new(),
            stop_token_ids: Vec::new(),
            return_logprob: false,
            top_logprobs_num: 0,
            token_ids_logprob: Vec::new(),
            grammar: None,
        }))
    }

    /// Drops all requests and prefills these prompts.
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
            lora_id: self.adapters.get(row as usize % self.adapters.len().max(1)).cloned(),
        };
        let ids = prompts.iter().flatten().map(|&id| i64::from(id)).collect();
        let lens = prompts.iter().map(|p| p.len() as u32).collect();
        self.step(ForwardMode::Extend, ids, lens, rows.map(enter).collect())
    }

    /// Decodes one token for every request.
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
            hidden_states: Vec::new(),
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
    let mut session = Session { runner, lengths: Vec::new(), next_slot: 0, adapters: Vec::new() };
    if let Some(rank) = args.lora_rank {
        return lora_bench(&mut session, &args, rank);
    }
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

/// Seconds per decode step with this number of requests.
fn decode_seconds(session: &mut Session, requests: u32) -> Result<f64, Failure> {
    let vocab = session.runner.info().vocab_size;
    let prompt = |salt: u32| (0..32).map(|i| (i * 7919 + salt * 104_729) % vocab).collect::<Vec<u32>>();
    session.prefill(&(0..requests).map(prompt).collect::<Vec<_>>())?;
    let steps = 32;
    let started = Instant::now();
    for _ in 0..steps {
        session.decode()?;
    }
    Ok(started.elapsed().as_secs_f64() / f64::from(steps))
}

/// Measures the cost of adapters. The three kinds of steps alternate, so that changes of the machine's speed affect all
/// of them alike.
fn lora_bench(session: &mut Session, args: &Args, rank: usize) -> Result<(), Failure> {
    let config = ModelConfig::from_checkpoint(&Checkpoint::open(&args.options.model_path)?, None)?;
    let reader = session.runner.adapter_reader().ok_or("the worker reads no adapters")?;
    let mut ids: Vec<Arc<str>> = Vec::new();
    for i in 0..ADAPTERS {
        let folder = tempfile::tempdir()?;
        write_adapter(folder.path(), &config, rank, i)?;
        let lora = LoRARef::new(&format!("random-{i}"), &folder.path().to_string_lossy(), false);
        ids.push(lora.lora_id.as_str().into());
        session.runner.load_adapter(lora.clone(), reader.read(&lora)?)?;
    }
    for requests in [1, 8] {
        let kinds = [0, 1, ADAPTERS];
        let mut fastest = [f64::INFINITY; 3];
        for _ in 0..args.repeat {
            for (kind, fastest) in kinds.iter().zip(&mut fastest) {
                session.adapters = ids.iter().take(*kind).cloned().collect();
                *fastest = decode_seconds(session, requests)?.min(*fastest);
            }
        }
        let [none, one, four] = fastest;
        println!(
            "decode b{requests}, rank {rank}: {:.2} ms without adapters, x{:.2} with 1, x{:.2} with {ADAPTERS}",
            none * 1e3,
            one / none,
            four / none
        );
    }
    Ok(())
}

/// Writes an adapter with random matrices for every linear layer of a dense model.
fn write_adapter(folder: &Path, config: &ModelConfig, rank: usize, seed: usize) -> Result<(), Failure> {
    let (hidden, inner) = (config.hidden_size, config.intermediate_size);
    let (q, kv) =
        (config.num_attention_heads * config.head_dim, config.num_key_value_heads * config.head_dim);
    let modules = [
        ("self_attn.q_proj", hidden, q),
        ("self_attn.k_proj", hidden, kv),
        ("self_attn.v_proj", hidden, kv),
        ("self_attn.o_proj", q, hidden),
        ("mlp.gate_proj", hidden, inner),
        ("mlp.up_proj", hidden, inner),
        ("mlp.down_proj", inner, hidden),
    ];
    let (mut header, mut data) = (serde_json::Map::new(), Vec::new());
    for layer in 0..config.num_hidden_layers {
        for (module, columns, rows) in modules {
            for (matrix, shape) in [("A", [rank, columns]), ("B", [rows, rank])] {
                let start = data.len();
                let numbers = 0..shape.iter().product::<usize>();
                let number = |i: usize| ((i * 7919 + seed * 31 + layer) % 201) as f32 * 1e-4 - 0.01;
                data.extend(numbers.map(number).flat_map(f32::to_le_bytes));
                let name = format!("base_model.model.model.layers.{layer}.{module}.lora_{matrix}.weight");
                let entry = json!({"dtype": "F32", "shape": shape, "data_offsets": [start, data.len()]});
                header.insert(name, entry);
            }
        }
    }
    let header = serde_json::Value::Object(header).to_string();
    let file = [&(header.len() as u64).to_le_bytes(), header.as_bytes(), &data].concat();
    std::fs::write(folder.join("adapter_model.safetensors"), file)?;
    let text = json!({"peft_type": "LORA", "r": rank, "lora_alpha": rank, "target_modules": "all-linear"})
        .to_string();
    Ok(std::fs::write(folder.join("adapter_config.json"), text)?)
}
