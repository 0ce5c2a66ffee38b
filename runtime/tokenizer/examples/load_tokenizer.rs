//! Loads a tokenizer and prints its loading time and memory: `cargo run --release --example load_tokenizer -- MODEL
//! [TEXT]`.

use std::time::Instant;

use sglang_tokenizer::Tokenizer;

/// Resident memory in kB.
fn resident() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|l| l.starts_with("VmRSS:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let path = arguments.next().ok_or("usage: load MODEL [TEXT]")?;
    let text = arguments.next().unwrap_or_else(|| "Hello, world".to_owned());
    let before = resident();
    let started = Instant::now();
    let tokenizer = Tokenizer::from_path(&path)?;
    let elapsed = started.elapsed();
    println!("loaded in {elapsed:.1?}; resident before {before:?} kB, after {:?} kB", resident());
    let ids = tokenizer.encode(&text, true)?;
    println!("{ids:?} -> {:?}", tokenizer.decode(&ids, false));
    println!(
        "after a call {:?} kB; {} tokens, bos {:?}, eos {:?}",
        resident(),
        tokenizer.len(),
        tokenizer.bos_token_id(),
        tokenizer.eos_token_id()
    );
    Ok(())
}
