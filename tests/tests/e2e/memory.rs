//! A running server releases memory and takes it back, with the real model.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use sglang_e2e::{Server, model_path, process_tree, resident_bytes};

/// KV cache of one token of SmolLM2-135M in bytes: layers, heads, head size, keys and values, float32.
const KV_BYTES: u64 = 30 * 3 * 64 * 2 * 4;

fn scheduler_bytes(server: &Server) -> u64 {
    let tree = process_tree(server.pid());
    resident_bytes(tree.iter().find(|p| p.name.starts_with("sglang-schedul")).unwrap().pid)
}

/// Text, ids and log-probabilities of a greedy answer, and its number of cached tokens.
fn answer(server: &Server, prompt: &str) -> (Value, Value, Value, u64) {
    let body = json!({"text": prompt, "return_logprob": true, "sampling_params": {"temperature": 0, "max_new_tokens": 12}});
    let answer = server.post_json("/generate", &body).unwrap();
    let meta = &answer["meta_info"];
    let cached = meta["cached_tokens"].as_u64().unwrap();
    (answer["text"].clone(), answer["output_ids"].clone(), meta["output_token_logprobs"].clone(), cached)
}

fn call(server: &Server, what: &str, tags: &[&str]) -> (u16, Value) {
    let body = if tags.is_empty() { json!({}) } else { json!({"tags": tags}) };
    let response = server.post(&format!("/{what}_memory_occupation"), &body).unwrap();
    (response.status().as_u16(), response.json().unwrap())
}

fn status(server: &Server, path: &str) -> u16 {
    server.get(path).unwrap().status().as_u16()
}

#[test]
fn memory_falls_when_it_is_released_and_answers_are_the_same_when_it_is_back() {
    let server = Server::start(&["--max-total-tokens", "6000"]).unwrap();
    let prompts = ["The capital of France is", "Once upon a time", "def fibonacci(n):"];
    let before: Vec<_> = prompts.iter().map(|p| answer(&server, p)).collect();
    // Fills half of the pool.
    let mut filled = 0;
    for i in 0..6 {
        let text: String = (0..180).map(|k| format!("{} ", (k * 7 + i * 131) % 997)).collect();
        let body = json!({"text": text, "sampling_params": {"temperature": 0, "max_new_tokens": 1}});
        filled +=
            server.post_json("/generate", &body).unwrap()["meta_info"]["prompt_tokens"].as_u64().unwrap();
    }
    let full = scheduler_bytes(&server);

    assert_eq!(call(&server, "release", &["kv_cache"]), (200, Value::Null));
    let without_kv = scheduler_bytes(&server);
    let kv = filled * KV_BYTES;
    assert!(
        kv > 80 << 20 && full - without_kv > kv * 9 / 10,
        "{kv} bytes were filled; {full} became {without_kv}"
    );
    assert_eq!(call(&server, "release", &["weights"]), (200, Value::Null));
    let without_weights = scheduler_bytes(&server);
    let weights = std::fs::metadata(model_path()).unwrap().len();
    assert!(
        without_kv - without_weights > weights * 7 / 10,
        "the file has {weights} bytes; {without_kv} became {without_weights}"
    );

    // Others see a server that is alive but does not serve.
    assert_eq!((status(&server, "/health"), status(&server, "/ready")), (200, 503));
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| answer(&server, prompts[0]));
        std::thread::sleep(Duration::from_millis(300));
        assert!(!waiting.is_finished(), "a request waits");
        assert_eq!(call(&server, "resume", &["weights"]), (200, Value::Null));
        std::thread::sleep(Duration::from_millis(100));
        assert!(!waiting.is_finished(), "it waits for keys and values as well");
        assert_eq!(call(&server, "resume", &["kv_cache"]), (200, Value::Null));
        let (text, ids, logprobs, cached) = waiting.join().unwrap();
        assert_eq!((text, ids), (before[0].0.clone(), before[0].1.clone()));
        assert_eq!((logprobs, cached), (before[0].2.clone(), 0), "the cache was emptied");
    });
    assert_eq!(status(&server, "/ready"), 200);
    for (prompt, before) in prompts.iter().zip(&before).skip(1) {
        let after = answer(&server, prompt);
        assert_eq!((&after.0, &after.1, &after.2), (&before.0, &before.1, &before.2), "{prompt}");
    }
    // Everything at once, twice, as a trainer does between its steps.
    for _ in 0..2 {
        assert_eq!(call(&server, "release", &[]), (200, Value::Null));
        assert!(scheduler_bytes(&server) < without_weights + (32 << 20));
        assert_eq!(call(&server, "resume", &[]), (200, Value::Null));
        assert_eq!(answer(&server, prompts[1]).1, before[1].1);
    }
    println!(
        "resident: {} MB with {filled} tokens of keys and values, {} MB without them, {} MB without weights",
        full >> 20,
        without_kv >> 20,
        without_weights >> 20
    );
}

#[test]
fn a_busy_server_keeps_its_memory_and_its_requests() {
    let server = Server::start(&[]).unwrap();
    let long = json!({"text": "Count: 1, 2, 3,", "stream": true,
        "sampling_params": {"temperature": 0, "max_new_tokens": 150, "ignore_eos": true}});
    std::thread::scope(|scope| {
        let running = scope.spawn(|| server.post_text("/generate", &long).unwrap());
        let deadline = Instant::now() + Duration::from_secs(20);
        let loads = || -> Value { server.get("/v1/loads").unwrap().json().unwrap() };
        while loads()["loads"][0]["num_running_reqs"] == 0 {
            assert!(Instant::now() < deadline, "the request does not start");
        }
        let (code, body) = call(&server, "release", &[]);
        assert_eq!(code, 400, "{body}");
        let message = body["error"]["message"].as_str().unwrap();
        assert!(message.contains("only when server is idle"), "{message}");
        let text = running.join().unwrap();
        assert!(text.contains("\"completion_tokens\":150") && text.trim_end().ends_with("[DONE]"));
    });
    for (what, tags, expected) in [
        ("resume", &[][..], "No memory is released."),
        ("release", &["cache"], "Unknown tag 'cache'"),
        ("resume", &["weights"], "'weights' is not released."),
    ] {
        let (code, body) = call(&server, what, tags);
        assert_eq!(code, 400);
        assert!(body["error"]["message"].as_str().unwrap().starts_with(expected), "{body}");
    }
    assert_eq!(call(&server, "release", &[]), (200, Value::Null));
    assert_eq!(call(&server, "release", &[]).0, 400);
    assert_eq!(call(&server, "resume", &[]), (200, Value::Null));
    assert_eq!(
        answer(&server, "The capital of France is").0.as_str().unwrap().trim_start().split('.').next(),
        Some("Paris")
    );
}

#[test]
fn checksums_are_those_of_the_same_weights_after_a_reload() {
    let server = Server::start(&["--enable-memory-saver"]).unwrap();
    let check = |body: Value| -> Value { server.post("/weights_checker", &body).unwrap().json().unwrap() };
    let before = check(json!({}));
    let checksums = before["ranks"][0]["checksums"].as_object().unwrap();
    assert!(checksums.len() > 200, "{}", checksums.len());
    assert_eq!(check(json!({"action": "snapshot"}))["success"], true);
    assert_eq!(call(&server, "release", &["weights"]), (200, Value::Null));
    assert_eq!(check(json!({}))["success"], false);
    assert_eq!(call(&server, "resume", &["weights"]), (200, Value::Null));
    assert_eq!(check(json!({"action": "compare"})), json!({"success": true, "message": "Success."}));
    assert_eq!(check(json!({}))["per_engine_checksum"], before["per_engine_checksum"]);
}

#[test]
fn a_setting_that_is_changed_has_its_effect() {
    let server = Server::start(&[]).unwrap();
    let set = |n: i64| -> Value {
        let body = json!({"server_args": {"pp_max_micro_batch_size": n}});
        server.post("/set_internal_state", &body).unwrap().json().unwrap()
    };
    assert_eq!((set(0), set(100_000), set(2)), (json!([false]), json!([false]), json!([true])));
    let state: Value = server.get("/get_server_info").unwrap().json().unwrap();
    assert_eq!(state["internal_states"][0]["pp_max_micro_batch_size"], 2);
    let most = std::thread::scope(|scope| {
        let clients: Vec<_> = (0..5)
            .map(|i| {
                let body = json!({"text": format!("{i} bottles"),
                    "sampling_params": {"temperature": 0, "max_new_tokens": 40, "ignore_eos": true}});
                let server = &server;
                scope.spawn(move || server.post_json("/generate", &body).unwrap())
            })
            .collect();
        let mut most = 0;
        while clients.iter().any(|client| !client.is_finished()) {
            let loads: Value = server.get("/v1/loads").unwrap().json().unwrap();
            most = most.max(loads["loads"][0]["num_running_reqs"].as_u64().unwrap());
        }
        most
    });
    assert_eq!(most, 2);
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap()
}

/// Bytes available without swapping.
fn available_bytes() -> u64 {
    let text = std::fs::read_to_string("/proc/meminfo").unwrap();
    let line = text.lines().find(|l| l.starts_with("MemAvailable:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
}

#[test]
fn the_cache_is_sized_by_what_is_free_and_takes_nothing_before_it_is_used() {
    let before = available_bytes();
    let servers = [Server::start(&[]).unwrap(), Server::start(&[]).unwrap()];
    for server in &servers {
        let info: Value = server.get("/get_server_info").unwrap().json().unwrap();
        let bytes = number(&info["max_total_num_tokens"]) * KV_BYTES;
        // Other tests allocate and free memory meanwhile.
        assert!(bytes < before, "{bytes} of {before}");
        assert!(bytes > (before / 4).min(3 << 30), "{bytes} of {before}");
        assert_eq!(info["mem_fraction_static"], 0.8);
        let resident = scheduler_bytes(server);
        assert!(resident < 1 << 30, "{resident} bytes for a cache of {bytes}");
    }
    let log = servers[0].log_text();
    let lines: Vec<&str> = log.lines().filter(|l| l.contains("Memory: ")).collect();
    let [line] = lines[..] else { panic!("{log}") };
    for part in [
        "weights about ",
        "KV cache ",
        "tokens of 46.1 kB",
        "--mem-fraction-static 0.8",
        "--max-total-tokens",
        "--context-length",
        "--max-running-requests",
    ] {
        assert!(line.contains(part), "{part}: {line}");
    }
    assert!(log.find("Memory: ") < log.find("Loaded "), "{log}");
}

#[test]
fn a_small_cache_is_what_a_request_may_have_and_says_which_flag_makes_it_larger() {
    let server = Server::start(&["--max-total-tokens", "512"]).unwrap();
    let models: Value = server.get("/v1/models").unwrap().json().unwrap();
    assert_eq!(models["data"][0]["max_model_len"], 512);
    let tokenized = server.post_json("/tokenize", &json!({"prompt": "a"})).unwrap();
    assert_eq!(tokenized["max_model_len"], 512);
    for path in ["/generate", "/v1/completions"] {
        let ids: Vec<u32> = (0..600).map(|i| 100 + i).collect();
        let body = match path {
            "/generate" => json!({"input_ids": ids, "sampling_params": {"max_new_tokens": 4}}),
            _ => json!({"model": "default", "prompt": ids, "max_tokens": 4}),
        };
        let response = server.post(path, &body).unwrap();
        let (status, text) = (response.status().as_u16(), response.text().unwrap());
        assert_eq!(status, 400, "{path}: {text}");
        assert!(text.contains("holds 512 tokens; --max-total-tokens"), "{path}: {text}");
    }
    assert!(server.log_text().contains("KV cache 23.6 MB for 512 tokens of 46.1 kB (--max-total-tokens)"));
}
