//! An invalid log filter is an error at start-up; it must not turn logging off.
#![allow(clippy::unwrap_used)]

use std::process::Command;

#[test]
fn a_log_filter_that_makes_no_sense_is_a_wrong_command_line() {
    for filter in ["nonsense", "info,sglang_scheduler", "a=loud"] {
        let run = Command::new(env!("CARGO_BIN_EXE_sglang-launch"))
            .args(["--model-path", "/nowhere/at/all"])
            .env("SGLANG_LOG", filter)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&run.stderr);
        assert_eq!(run.status.code(), Some(2), "{filter}: {said}");
        assert!(said.contains("SGLANG_LOG") && said.contains("TARGET=LEVEL"), "{filter}: {said}");
        assert_eq!(said.lines().count(), 1, "{filter}: {said}");
    }
}
