//! `sglang-grammar-helper`: compiles grammars before the scheduler does, so that one that overflows the stack, takes too
//! much memory or never ends costs this process and not the scheduler. The scheduler starts it and talks to it over stdin
//! and stdout; it is of no use by hand.

use std::process::ExitCode;

use sglang_process::signals::TerminationSignals;

fn main() -> ExitCode {
    // A supervisor that signals every process lets requests finish; their grammars may still have to be tried. The end of
    // the scheduler ends this process.
    let served = TerminationSignals::block().map_err(|e| e.to_string()).and_then(|_| {
        sglang_constrained::helper::serve(std::io::stdin(), std::io::stdout()).map_err(|e| e.to_string())
    });
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
