//! Starts a server and measures its processes. The server is this test program itself, run again.

#![allow(clippy::unwrap_used)]

mod common;

use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use common::{Fault, bench, serve, stderr, stdout};

const ADDRESS: &str = "SGLANG_BENCH_TEST_ADDRESS";

#[test]
#[ignore = "is the server that the other test starts"]
fn serve_at_the_given_address() {
    let address = std::env::var(ADDRESS).unwrap();
    // Slow to start, like a server that loads a model.
    std::thread::sleep(Duration::from_millis(300));
    serve(&TcpListener::bind(address).unwrap(), Fault::None, &Arc::default());
}

#[test]
fn the_first_answer_memory_and_idle_load_are_reported_and_the_server_is_gone() {
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let url = format!("http://{address}");
    for backend in ["sglang", "openai-chat"] {
        let exe = std::env::current_exe().unwrap();
        let command = format!(
            "{ADDRESS}={address} exec {} --exact serve_at_the_given_address --ignored --nocapture",
            exe.to_str().unwrap()
        );
        let (output, lines) = bench(&[
            "startup",
            "--backend",
            backend,
            "--base-url",
            &url,
            "--idle-seconds",
            "0.5",
            "--",
            "sh",
            "-c",
            &command,
        ]);
        assert!(output.status.success(), "{}", stderr(&output));
        let report = &lines[0];
        let (health, first) = (&report["health_seconds"], &report["first_answer_seconds"]);
        assert!(health.as_f64().unwrap() >= 0.3 && first.as_f64() >= health.as_f64(), "{report}");
        assert!(report["rss_kib"].as_u64().unwrap() > 500, "{report}");
        assert!(report["idle_cpu_percent"].as_f64().unwrap() < 50.0, "{report}");
        assert_eq!(report["processes"].as_array().unwrap().len(), 1);
        assert_eq!(report["killed"], 0);
        assert!(stdout(&output).contains("Exec to first answer (s):"));
        assert!(std::net::TcpStream::connect(&address).is_err(), "the server still listens");
    }
}

#[test]
fn a_server_that_ends_early_is_reported_with_its_status() {
    let (output, lines) = bench(&["startup", "--", "sh", "-c", "exit 3"]);
    assert!(!output.status.success() && lines.is_empty());
    assert!(stderr(&output).contains("exit status: 3"), "{}", stderr(&output));
}

#[test]
fn a_server_that_never_answers_is_stopped() {
    let url = ["--base-url", "http://127.0.0.1:1"];
    let (output, _) = bench(&["startup", url[0], url[1], "--timeout", "0.5", "--", "sleep", "60"]);
    assert!(!output.status.success());
    assert!(stderr(&output).contains("no answer within 0.5 s"), "{}", stderr(&output));
}
