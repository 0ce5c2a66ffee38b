//! `sglang-launch`: one command that starts a whole server. See `--help`.

use std::process::ExitCode;

fn main() -> ExitCode {
    sglang_launcher::run(std::env::args_os())
}
