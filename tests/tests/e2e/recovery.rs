//! Scheduler and detokenizer are killed under load, and every stream goes on as if nothing had happened. The roles are
//! started by hand, as by a supervisor other than the launcher.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use sglang_e2e::{bin_dir, free_port, model_path, sse_events};

/// One process, which can be killed and started again.
struct Role {
    program: PathBuf,
    args: Vec<String>,
    log: PathBuf,
    child: Child,
}

impl Role {
    fn start(program: PathBuf, args: Vec<String>, log: PathBuf) -> Self {
        let child = Self::spawn(&program, &args, &log);
        Self { program, args, log, child }
    }

    fn spawn(program: &Path, args: &[String], log: &Path) -> Child {
        let log = File::options().create(true).append(true).open(log).unwrap();
        let mut command = Command::new(program);
        command.args(args).stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        command.spawn().unwrap()
    }

    /// SIGKILL, if it lives, and the next life at once.
    fn replace(&mut self) {
        self.kill();
        self.child = Self::spawn(&self.program, &self.args, &self.log);
    }

    fn kill(&mut self) {
        // It may be dead already.
        let _ = self.child.kill();
        self.child.wait().unwrap();
    }
}

impl Drop for Role {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

struct Roles {
    scheduler: Role,
    detokenizer: Role,
    _tokenizer_manager: Role,
    port: u16,
    client: reqwest::blocking::Client,
    dir: tempfile::TempDir,
}

impl Roles {
    fn start(flags: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let port = free_port().unwrap();
        let model = model_path();
        let mut args = vec!["--model-path".to_owned(), model.to_str().unwrap().to_owned()];
        args.extend(["--ipc-dir".to_owned(), dir.path().to_str().unwrap().to_owned()]);
        args.extend(["--host", "127.0.0.1", "--port", &port.to_string()].map(str::to_owned));
        args.extend(["--random-seed", "7"].map(str::to_owned));
        args.extend(flags.iter().map(|flag| (*flag).to_owned()));
        let start = |program: PathBuf| {
            let log = dir.path().join(format!("{}.log", program.file_name().unwrap().to_str().unwrap()));
            Role::start(program, args.clone(), log)
        };
        let roles = Self {
            scheduler: start(env!("CARGO_BIN_EXE_sglang-echo-scheduler").into()),
            detokenizer: start(bin_dir().join("sglang-detokenizer")),
            _tokenizer_manager: start(bin_dir().join("sglang-tokenizer-manager")),
            port,
            client: reqwest::blocking::Client::builder().timeout(Duration::from_secs(60)).build().unwrap(),
            dir,
        };
        let deadline = Instant::now() + Duration::from_secs(60);
        let url = roles.url("/health");
        while !roles.client.get(&url).send().is_ok_and(|answer| answer.status() == 200) {
            assert!(Instant::now() < deadline, "the server did not come up:\n{}", roles.logs());
            std::thread::sleep(Duration::from_millis(20));
        }
        roles
    }

    fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    fn logs(&self) -> String {
        let entries = std::fs::read_dir(self.dir.path()).unwrap().flatten();
        let logs = entries.filter(|entry| entry.path().extension().is_some_and(|ending| ending == "log"));
        logs.map(|entry| {
            let text = std::fs::read_to_string(entry.path()).unwrap_or_default();
            format!("{}:\n{text}\n", entry.path().display())
        })
        .collect()
    }
}

/// A request of its own kind for each `i`.
fn body(i: u32, tokens: u32) -> Value {
    let ids: Vec<u32> = (0..60).map(|k| 1000 + (i * 997 + k * 331) % 40_000).collect();
    let mut params = json!({"max_new_tokens": tokens, "ignore_eos": true, "temperature": 0});
    if i % 4 == 3 {
        params["stop"] = json!(["never to be seen ####"]);
    }
    json!({
        "input_ids": ids, "rid": format!("r{i}-{tokens}"), "stream": i % 4 != 2, "sampling_params": params,
    })
}

/// What the client of a request sees at last, after a look at each event.
fn ask(client: &reqwest::blocking::Client, url: &str, body: &Value) -> Value {
    let text = client.post(url).json(body).send().unwrap().text().unwrap();
    let mut answer = match body["stream"].as_bool() {
        Some(true) => {
            let events = sse_events(&text);
            assert_eq!(events.last(), Some(&"[DONE]"), "{text}");
            let events: Vec<Value> =
                events[..events.len() - 1].iter().map(|e| serde_json::from_str(e).unwrap()).collect();
            for pair in events.windows(2) {
                let (before, after) = (pair[0]["text"].as_str().unwrap(), pair[1]["text"].as_str().unwrap());
                assert!(after.starts_with(before), "text that was sent changed: {before:?}, {after:?}");
            }
            events.into_iter().last().unwrap()
        }
        _ => serde_json::from_str(&text).unwrap_or_else(|_| panic!("{text}")),
    };
    let meta = answer["meta_info"].as_object_mut().unwrap_or_else(|| panic!("{text}"));
    // Times, and what an earlier request with the same prompt has left in the cache.
    meta.retain(|name, _| ["finish_reason", "prompt_tokens", "completion_tokens"].contains(&name.as_str()));
    answer
}

/// Sends eight requests while `disturb` has the roles.
fn answers(
    roles: &mut Roles,
    tokens: u32,
    disturb: impl FnOnce(&mut Roles, &AtomicBool) + Send,
) -> Vec<Value> {
    let (client, url, done) = (roles.client.clone(), roles.url("/generate"), AtomicBool::new(false));
    let (client, url, done) = (&client, &url, &done);
    std::thread::scope(|scope| {
        let one = |i: u32| {
            scope.spawn(move || {
                // One after the other, so that the queue has room for all of them.
                std::thread::sleep(Duration::from_millis(u64::from(i) * 40));
                ask(client, url, &body(i, tokens))
            })
        };
        let running: Vec<_> = (0..8).map(one).collect();
        let disturbed = scope.spawn(move || disturb(roles, done));
        let answers = running.into_iter().map(|request| request.join()).collect::<Vec<_>>();
        done.store(true, Ordering::Relaxed);
        disturbed.join().unwrap();
        answers.into_iter().map(|answer| answer.unwrap_or_else(|_| panic!("a request failed"))).collect()
    })
}

fn disturbed_runs_equal_undisturbed_ones(tokens: u32, replace: impl Fn(&mut Roles, u32) + Sync) {
    // Queued requests are among those that are sent again, and no limit of the queue may hit them then.
    let mut roles = Roles::start(&["--max-running-requests", "6", "--max-queued-requests", "3"]);
    let expected = answers(&mut roles, tokens, |_, _| {});
    let mut kills = 0;
    let seen = answers(&mut roles, tokens, |roles, done| {
        std::thread::sleep(Duration::from_millis(500));
        while !done.load(Ordering::Relaxed) && kills < 6 {
            replace(roles, kills);
            kills += 1;
            std::thread::sleep(Duration::from_millis(400));
        }
    });
    assert!(kills >= 2, "the requests were done before anything happened");
    for (i, (seen, expected)) in seen.iter().zip(&expected).enumerate() {
        let (mut seen, mut expected) = (seen.clone(), expected.clone());
        for answer in [&mut seen, &mut expected] {
            assert_eq!(answer["output_ids"].as_array().unwrap().len() as u32, tokens);
        }
        assert_eq!(seen, expected, "request {i}\n{}", roles.logs());
    }
    // Nothing is left behind: the ids are free, and requests are served as before.
    let again = answers(&mut roles, tokens / 10, |_, _| {});
    assert_eq!(again.len(), 8);
}

#[test]
fn a_detokenizer_that_is_killed_costs_nobody_anything() {
    disturbed_runs_equal_undisturbed_ones(1500, |roles, _| roles.detokenizer.replace());
}

#[test]
fn a_scheduler_that_is_killed_costs_nobody_anything() {
    disturbed_runs_equal_undisturbed_ones(1500, |roles, _| roles.scheduler.replace());
}

#[test]
fn both_may_be_killed_one_after_the_other_and_together() {
    disturbed_runs_equal_undisturbed_ones(1500, |roles, kills| match kills % 3 {
        0 => roles.detokenizer.replace(),
        1 => roles.scheduler.replace(),
        _ => {
            roles.detokenizer.kill();
            roles.scheduler.replace();
            roles.detokenizer.replace();
        }
    });
}

#[test]
fn a_detokenizer_that_was_replaced_while_idle_loses_nothing() {
    let mut roles = Roles::start(&[]);
    let expected = ask(&roles.client, &roles.url("/generate"), &body(0, 50));
    for _ in 0..3 {
        roles.detokenizer.replace();
        assert_eq!(ask(&roles.client, &roles.url("/generate"), &body(0, 50)), expected);
    }
}

#[test]
fn an_abort_that_is_lost_with_a_scheduler_is_not_forgotten() {
    let mut roles = Roles::start(&[]);
    let (client, url) = (roles.client.clone(), roles.url("/generate"));
    std::thread::scope(|scope| {
        let running = scope.spawn(|| ask(&client, &url, &body(0, 6000)));
        std::thread::sleep(Duration::from_millis(400));
        roles.scheduler.kill();
        let rid = json!({"rid": "r0-6000"});
        assert_eq!(client.post(roles.url("/abort_request")).json(&rid).send().unwrap().status(), 200);
        roles.scheduler.replace();
        let answer = running.join().unwrap();
        assert_eq!(answer["meta_info"]["finish_reason"]["type"], "abort", "{answer}\n{}", roles.logs());
    });
}
