//! Why a program ends before it starts its work.

use std::io::Write;
use std::process::ExitCode;

use super::spec::{FlagSpec, Kind};

/// Text to print before ending: help, a version, a completion script, or what is wrong with the arguments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exit {
    /// The text, with its last newline.
    pub text: String,
    /// 0 for text that was asked for, printed to stdout; 2 for a usage error, printed to stderr.
    pub code: u8,
}

impl Exit {
    /// A usage error.
    pub(crate) fn usage(why: String) -> Self {
        Exit { text: format!("error: {why}\n\nFor more information, try '--help'.\n"), code: 2 }
    }

    /// An invalid value. A switch has no value to show, and a secret is not shown.
    pub(crate) fn bad_value(flag: &FlagSpec, value: &str, why: &str) -> Self {
        let long = flag.long;
        Exit::usage(match flag.kind {
            Kind::Switch => format!("--{long}: {why}"),
            _ if flag.secret => format!("--{long} '…': {why}"),
            _ => format!("--{long} '{value}': {why}"),
        })
    }

    /// Prints the text to stdout or stderr and returns the exit code.
    pub fn report(self) -> ExitCode {
        // The reader may have closed the pipe (`--help | head`); that is not an error.
        let _ = match self.code {
            0 => std::io::stdout().write_all(self.text.as_bytes()),
            _ => std::io::stderr().write_all(self.text.as_bytes()),
        };
        ExitCode::from(self.code)
    }
}
