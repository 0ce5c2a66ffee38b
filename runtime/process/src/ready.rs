//! The start-up report of a process: phases with their times, then `ready` or `failed`. One JSON object per line.

use std::fs::File;
use std::io::Write;
use std::time::Instant;

use serde_json::{Value, json};

use crate::failure::Failure;

/// Reports the start-up of a process. Without a launcher, every call does nothing.
#[derive(Debug)]
pub struct ReadyHandle {
    role: &'static str,
    pipe: Option<File>,
}

impl ReadyHandle {
    /// Takes over the pipe inherited from the launcher. `role` is `scheduler`, `detokenizer` or `tokenizer-manager`.
    /// Call it once.
    pub fn from_env(role: &'static str) -> Self {
        ReadyHandle { role, pipe: crate::inherited::take(crate::READY_FD).map(File::from) }
    }

    /// A handle that writes to `pipe`.
    pub fn to_file(role: &'static str, pipe: File) -> Self {
        ReadyHandle { role, pipe: Some(pipe) }
    }

    /// Whether a launcher reads the report.
    pub fn is_launched(&self) -> bool {
        self.pipe.is_some()
    }

    /// Reports that a phase of start-up took `seconds` of wall time. Phases of one process must not overlap, because
    /// the launcher adds them up.
    pub fn phase(&mut self, name: &str, seconds: f64) {
        self.line(&json!({"role": self.role, "event": "phase", "name": name, "seconds": seconds}));
    }

    /// Runs a phase of start-up and reports its duration.
    pub fn time<T>(&mut self, name: &str, part: impl FnOnce() -> T) -> T {
        let start = Instant::now();
        let result = part();
        self.phase(name, start.elapsed().as_secs_f64());
        result
    }

    /// Reports that the process is ready, and ends the report. `info` is an object such as `{"max_total_num_tokens":
    /// 4096}`.
    pub fn ready(mut self, info: Value) {
        let mut line = json!({"role": self.role, "event": "ready"});
        if let (Value::Object(line), Value::Object(info)) = (&mut line, info) {
            for (key, value) in info {
                line.entry(key).or_insert(value);
            }
        }
        self.line(&line);
    }

    /// Reports that the process cannot start and will end with the failure's exit code. Joins the lines of its text.
    pub fn failed(mut self, failure: &Failure) {
        let text = failure.to_string();
        let one_line = text.split_whitespace().collect::<Vec<_>>().join(" ");
        self.line(&json!({
            "role": self.role, "event": "failed", "error": one_line, "exit_code": failure.exit_code(),
        }));
    }

    /// Writes a line. A failed write only ends the report: the control pipe tells when the launcher has ended.
    fn line(&mut self, value: &Value) {
        if let Some(pipe) = &mut self.pipe
            && pipe.write_all(format!("{value}\n").as_bytes()).is_err()
        {
            self.pipe = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Seek};

    use super::*;

    #[test]
    fn the_report_is_one_json_object_per_line() {
        let mut file = tempfile::tempfile().expect("temporary file");
        let mut handle = ReadyHandle::to_file("scheduler", file.try_clone().expect("cloned"));
        assert_eq!(handle.time("load weights", || 7), 7);
        handle.phase("KV pool", 0.5);
        handle.ready(json!({"max_total_num_tokens": 4096, "event": "not overwritten"}));
        ReadyHandle::to_file("scheduler", file.try_clone().expect("cloned"))
            .failed(&Failure::of_system("no\n  room"));
        let mut text = String::new();
        file.rewind().expect("rewound");
        file.read_to_string(&mut text).expect("read");
        let lines: Vec<Value> = text.lines().map(|l| serde_json::from_str(l).expect("JSON")).collect();
        assert_eq!(lines[0]["name"], "load weights");
        assert_eq!(
            lines[1],
            json!({"role": "scheduler", "event": "phase", "name": "KV pool", "seconds": 0.5})
        );
        assert_eq!(lines[2], json!({"role": "scheduler", "event": "ready", "max_total_num_tokens": 4096}));
        assert_eq!((&lines[3]["error"], &lines[3]["exit_code"]), (&json!("no room"), &json!(1)));
    }

    #[test]
    fn without_a_launcher_nothing_is_written() {
        let mut handle = ReadyHandle { role: "scheduler", pipe: None };
        assert!(!handle.is_launched());
        handle.phase("x", 1.0);
        handle.ready(Value::Null);
    }
}
