//! Explores one setup and prints how many states it has, or the shortest way to a broken promise.
//!
//! `cargo run --release -p sglang-recovery-model --example explore -- requests=1 deaths=2,2,2 faults=GapsIgnored`

use std::error::Error;
use std::time::Instant;

use sglang_recovery_model::checker::explore;
use sglang_recovery_model::faults::{ALL, Faults};
use sglang_recovery_model::setup::{Op, Poison, Setup};
use sglang_recovery_model::state::State;

fn main() -> Result<(), Box<dyn Error>> {
    let mut setup = Setup::calm();
    for argument in std::env::args().skip(1) {
        let (name, value) = argument.split_once('=').ok_or("arguments are NAME=VALUE")?;
        set(&mut setup, name, value)?;
    }
    let start = Instant::now();
    let report = explore(&setup);
    println!(
        "{} states, {} events, {} at rest, {:.1} s",
        report.states,
        report.events,
        report.at_rest,
        start.elapsed().as_secs_f64()
    );
    let Some(broken) = report.broken else { return Ok(()) };
    println!("broken: {:?}", broken.property);
    let mut state = State::initial(&setup);
    for action in broken.events {
        println!("  {action:?}");
        if let Ok(next) = state.after(action, &setup) {
            state = next;
        }
    }
    println!("{state:#?}");
    Ok(())
}

fn set(setup: &mut Setup, name: &str, value: &str) -> Result<(), Box<dyn Error>> {
    let numbers = || value.split(',').map(str::parse::<u8>).collect::<Result<Vec<_>, _>>();
    match name {
        "requests" => setup.requests = value.parse()?,
        "frames" => setup.frames = value.parse()?,
        "deaths" => setup.deaths = numbers()?.try_into().map_err(|_| "deaths are three numbers")?,
        "cuts" => setup.cuts = value.parse()?,
        "repeats" => setup.repeats = value.parse()?,
        "aborts" => setup.aborts = value.parse()?,
        "ops" => setup.ops = value.chars().map(op).collect::<Option<_>>().ok_or("ops are c, p, r")?,
        "same_rid" => setup.same_rid = value.parse()?,
        "overtaking" => setup.overtaking = value.parse()?,
        "poison" => setup.poison = Some(Poison { request: 0, position: value.parse()? }),
        "faults" => {
            let names: Vec<_> = value.split(',').collect();
            let chosen = ALL.iter().filter(|fault| names.contains(&format!("{fault:?}").as_str()));
            setup.faults = Faults::of(&chosen.copied().collect::<Vec<_>>());
        }
        _ => return Err(format!("unknown: {name}").into()),
    }
    Ok(())
}

fn op(letter: char) -> Option<Op> {
    match letter {
        'c' => Some(Op::Change),
        'p' => Some(Op::Pause),
        'r' => Some(Op::Continue),
        _ => None,
    }
}
