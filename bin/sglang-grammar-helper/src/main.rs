//! `sglang-grammar-helper`: compiles each grammar before the scheduler does, so that a grammar that overflows the
//! stack, takes too much memory or never ends costs only this process. The scheduler starts it and talks to it over
//! stdin and stdout; it is of no use by hand.

use std::process::ExitCode;

use sglang_process::signals::TerminationSignals;

fn main() -> ExitCode {
    // A supervisor may signal every process and still expect requests to finish, and their grammars may need this
    // process. It ends when the scheduler ends.
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
