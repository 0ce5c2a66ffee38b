//! Measures the loading of weights and compares it with a plain read of the same files in the same run.
//!
//! ```text
//! load MODEL... [--dtype T] [--backend auto|native|torch] [--repeat N]
//! ```
//!
//! Prints for each model, as the best of N runs: the speed of reading its weight files into fresh memory and into a
//! reused buffer, the speed of loading them, the ratios, and the peak of resident memory relative to the size of the
//! weights.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use sglang_model::{Backend, ModelOptions, load_runner};
use sglang_proto::worker::ModelWorker;

type Failure = Box<dyn std::error::Error>;

struct Args {
    models: Vec<PathBuf>,
    dtype: String,
    backend: Backend,
    repeat: usize,
}

fn parse() -> Result<Args, Failure> {
    let mut args = Args { models: Vec::new(), dtype: "auto".to_owned(), backend: Backend::Auto, repeat: 3 };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or(format!("{word} needs a value"));
        match word.as_str() {
            "--dtype" => args.dtype = value()?,
            "--repeat" => args.repeat = value()?.parse()?,
            "--backend" => {
                args.backend = match value()?.as_str() {
                    "auto" => Backend::Auto,
                    "native" => Backend::Native,
                    "torch" => Backend::Torch,
                    other => return Err(format!("--backend {other}: expected auto, native or torch").into()),
                };
            }
            flag if flag.starts_with("--") => return Err(format!("unknown flag {flag}").into()),
            model => args.models.push(model.into()),
        }
    }
    if args.models.is_empty() {
        return Err("usage: load MODEL... (see the source)".into());
    }
    Ok(args)
}

/// The files that hold a model's weights.
fn weight_files(model: &Path) -> Result<Vec<PathBuf>, Failure> {
    if model.is_file() {
        return Ok(vec![model.to_owned()]);
    }
    let is_weights = |p: &PathBuf| p.extension().is_some_and(|e| e == "safetensors" || e == "gguf");
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(model)?.map(|e| e.map(|e| e.path())).collect::<Result<_, _>>()?;
    files.retain(is_weights);
    files.sort();
    Ok(files)
}

/// Bytes per second of reading the files into newly allocated memory.
fn read_fresh(files: &[PathBuf]) -> Result<f64, Failure> {
    let started = Instant::now();
    let mut bytes = 0;
    let mut kept = Vec::new();
    for file in files {
        let content = std::fs::read(file)?;
        bytes += content.len();
        kept.push(content);
    }
    Ok(bytes as f64 / started.elapsed().as_secs_f64())
}

/// Bytes per second of reading the files into one reused buffer.
fn read_through(files: &[PathBuf]) -> Result<f64, Failure> {
    let mut buffer = vec![0_u8; 1 << 20];
    let started = Instant::now();
    let mut bytes = 0;
    for file in files {
        let mut file = File::open(file)?;
        loop {
            match file.read(&mut buffer)? {
                0 => break,
                n => bytes += n,
            }
        }
    }
    Ok(bytes as f64 / started.elapsed().as_secs_f64())
}

/// A field of /proc/self/status in bytes.
fn status(field: &str) -> Result<u64, Failure> {
    let text = std::fs::read_to_string("/proc/self/status")?;
    let line = text.lines().find(|l| l.starts_with(field)).ok_or("no such field in /proc/self/status")?;
    let kb: u64 = line.split_whitespace().nth(1).ok_or("no number")?.parse()?;
    Ok(kb * 1024)
}

struct Loaded {
    seconds: f64,
    weights: u64,
    /// Peak of resident bytes above those before loading.
    peak: u64,
}

fn load(model: &Path, args: &Args) -> Result<Loaded, Failure> {
    let options = ModelOptions {
        dtype: args.dtype.clone(),
        backend: args.backend,
        max_total_tokens: Some(16),
        max_running_requests: Some(1),
        ..ModelOptions::new(model.to_owned())
    };
    let before = status("VmRSS")?;
    // Resets the peak (proc(5), clear_refs).
    std::fs::write("/proc/self/clear_refs", "5")?;
    let mut seconds = 0.0;
    let runner = load_runner(&options, &mut |phase, taken| {
        if phase != "prepare device" && phase != "allocate KV cache" {
            seconds += taken;
        }
    })?;
    let peak = status("VmHWM")?.saturating_sub(before);
    Ok(Loaded { seconds, weights: runner.info().weight_bytes, peak })
}

fn measure(model: &Path, args: &Args) -> Result<(), Failure> {
    let files = weight_files(model)?;
    let bytes: u64 = files.iter().map(|f| f.metadata().map(|m| m.len())).sum::<Result<_, _>>()?;
    // Warms up the page cache and libtorch's allocator.
    read_through(&files)?;
    load(model, args)?;
    let (mut fresh, mut through, mut speed, mut peak, mut weights) = (0.0_f64, 0.0_f64, 0.0_f64, 0, 0);
    for _ in 0..args.repeat.max(1) {
        fresh = fresh.max(read_fresh(&files)?);
        through = through.max(read_through(&files)?);
        let loaded = load(model, args)?;
        speed = speed.max(bytes as f64 / loaded.seconds);
        peak = peak.max(loaded.peak);
        weights = loaded.weights;
    }
    println!(
        "{:<32} {:>8.0} {:>9.2} {:>9.2} {:>7.2} {:>8.2} {:>10.2} {:>8.0} {:>6.3}",
        model.file_name().unwrap_or_default().to_string_lossy(),
        bytes as f64 / 1e6,
        fresh / 1e9,
        through / 1e9,
        speed / 1e9,
        speed / fresh,
        speed / through,
        weights as f64 / 1e6,
        peak as f64 / weights as f64,
    );
    Ok(())
}

fn main() -> ExitCode {
    let run = || -> Result<(), Failure> {
        let args = parse()?;
        println!(
            "{:<32} {:>8} {:>9} {:>9} {:>7} {:>8} {:>10} {:>8} {:>6}",
            "model", "MB", "read GB/s", "reused", "load", "load/read", "load/reused", "weights", "peak"
        );
        args.models.iter().try_for_each(|model| measure(model, &args))
    };
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("load: {error}");
            ExitCode::FAILURE
        }
    }
}
