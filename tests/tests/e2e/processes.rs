//! The processes: start, end, signals, memory, idle load.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use serde_json::json;
use sglang_e2e::{Server, ServerOptions, process_tree, resident_bytes};

/// Waits until all of the processes have ended.
fn all_gone(pids: &[i32]) -> bool {
    let deadline = Instant::now() + Duration::from_secs(5);
    while Instant::now() < deadline {
        if pids.iter().all(|pid| process_tree(*pid).is_empty()) {
            return true;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    false
}

fn pids(server: &Server) -> Vec<i32> {
    process_tree(server.pid()).into_iter().map(|p| p.pid).collect()
}

#[test]
fn four_processes_serve_and_only_the_scheduler_links_libtorch() {
    let server = Server::start(&[]).unwrap();
    let tree = process_tree(server.pid());
    assert_eq!(tree.len(), 4, "{tree:?}");
    for process in &tree {
        let maps = std::fs::read_to_string(format!("/proc/{}/maps", process.pid)).unwrap();
        assert_eq!(
            maps.contains("libtorch_cpu"),
            process.name.starts_with("sglang-schedul") || process.name.contains("scheduler"),
            "{process:?}"
        );
    }
    assert!(server.log_text().contains("The server is fired up and ready to roll!"));
}

#[test]
fn sigterm_and_interrupt_end_everything() {
    for (signal, code) in [(Signal::SIGTERM, 0), (Signal::SIGINT, 130)] {
        let mut server = Server::start(&[]).unwrap();
        let before = pids(&server);
        server.signal(signal).unwrap();
        let status = server.wait().unwrap();
        assert_eq!(status.code(), Some(code), "{signal}: {}", server.log_text());
        assert!(all_gone(&before), "{signal} left processes");
    }
}

/// systemd signals every process of a service by default; `timeout` and terminals signal a process group.
#[test]
fn sigterm_to_every_process_loses_no_request() {
    let mut server = Server::start_with(&ServerOptions { own_group: true, ..Default::default() }).unwrap();
    let before = pids(&server);
    let body = json!({
        "text": "Once upon a time", "stream": true,
        "sampling_params": {"max_new_tokens": 150, "ignore_eos": true, "temperature": 0},
    });
    std::thread::scope(|scope| {
        let streams: Vec<_> =
            (0..4).map(|_| scope.spawn(|| server.post_text("/generate", &body).unwrap())).collect();
        server.until_loads(4, 0).unwrap();
        server.signal_group(Signal::SIGTERM).unwrap();
        for stream in streams {
            let text = stream.join().unwrap();
            assert!(text.trim_end().ends_with("data: [DONE]"), "{text}");
            assert!(text.contains(r#""completion_tokens":150"#), "{text}");
        }
    });
    let status = server.wait().unwrap();
    assert_eq!(status.code(), Some(0), "{}", server.log_text());
    assert!(server.log_text().contains("running requests have finished"), "{}", server.log_text());
    assert!(all_gone(&before));
}

#[test]
fn a_killed_launcher_takes_its_children_with_it() {
    let mut server = Server::start(&[]).unwrap();
    let before = pids(&server);
    server.signal(Signal::SIGKILL).unwrap();
    server.wait().unwrap();
    assert!(all_gone(&before));
}

#[test]
fn without_restarts_a_dead_child_ends_the_server_with_its_cause() {
    let mut server = Server::start(&["--restart-policy", "never"]).unwrap();
    let before = process_tree(server.pid());
    let scheduler =
        before.iter().find(|p| p.name.contains("scheduler") || p.name.contains("schedul")).unwrap();
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(scheduler.pid), Signal::SIGKILL).unwrap();
    let status = server.wait().unwrap();
    assert_eq!(status.code(), Some(3), "{}", server.log_text());
    assert!(server.log_text().contains("SIGKILL"), "{}", server.log_text());
    assert!(all_gone(&before.iter().map(|p| p.pid).collect::<Vec<_>>()));
}

#[test]
fn a_port_in_use_and_a_missing_model_are_named() {
    let taken = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = taken.local_addr().unwrap().port();
    let mut server = Server::spawn(&ServerOptions { port: Some(port), ..Default::default() }).unwrap();
    assert_eq!(server.wait().unwrap().code(), Some(1));
    assert!(server.log_text().contains(&port.to_string()), "{}", server.log_text());

    let model = Some("/does/not/exist".into());
    let mut server = Server::spawn(&ServerOptions { model, ..Default::default() }).unwrap();
    assert_eq!(server.wait().unwrap().code(), Some(2));
    assert!(server.log_text().contains("/does/not/exist"), "{}", server.log_text());
}

#[test]
fn front_end_processes_stay_small_and_quiet() {
    let server = Server::start(&[]).unwrap();
    for _ in 0..10 {
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..25 {
                        let body = json!({"text": "Hello", "sampling_params": {"max_new_tokens": 1}});
                        server.post_json("/generate", &body).unwrap();
                    }
                });
            }
        });
    }
    let tree = process_tree(server.pid());
    for process in tree.iter().filter(|p| !p.name.contains("schedul")) {
        let mib = resident_bytes(process.pid) as f64 / f64::from(1 << 20);
        assert!(mib <= 40.0, "{} holds {mib:.1} MiB", process.name);
    }
    // User and system time of all processes, in clock ticks of 10 ms.
    let ticks = || -> u64 {
        let of = |pid: i32| -> u64 {
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            let fields: Vec<&str> = stat.rsplit_once(')').map_or("", |s| s.1).split_whitespace().collect();
            [11, 12].iter().filter_map(|i| fields.get(*i)?.parse::<u64>().ok()).sum()
        };
        tree.iter().map(|p| of(p.pid)).sum()
    };
    std::thread::sleep(Duration::from_millis(500));
    let before = ticks();
    std::thread::sleep(Duration::from_secs(5));
    let busy = ticks() - before;
    assert!(busy <= 5, "an idle server used {busy} ticks of CPU in 5 s");
}
