//! A mixture of experts behind the whole server: answers, and the record of chosen experts.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};
use sglang_e2e::{Server, ServerOptions};

const MODEL: &str =
    concat!(env!("CARGO_MANIFEST_DIR"), "/../runtime/model/tests/fixtures/moe/tiny-qwen2-moe");
const LAYERS: usize = 3;
const EXPERTS: usize = 6;

/// The result of transformers for the third prompt of the model's fixture.
fn fixture() -> (Value, Value, Value) {
    let text = std::fs::read(format!("{MODEL}.json")).unwrap();
    let mut fixture: Value = serde_json::from_slice(&text).unwrap();
    let case = fixture["cases"][2].take();
    (case["input_ids"].clone(), case["greedy"].clone(), fixture["counts"][2].take())
}

fn start(dir: &Path, args: &[&str]) -> Server {
    // Without overlap, no step is started for a request that has ended.
    let common = ["--skip-tokenizer-init", "--dtype", "float32", "--disable-overlap-schedule"];
    let args = [&common, args].concat();
    let env = vec![("SGLANG_EXPERT_DISTRIBUTION_RECORDER_DIR".to_owned(), dir.to_str().unwrap().to_owned())];
    let options = ServerOptions { env, model: Some(MODEL.into()), ..ServerOptions::with_args(&args) };
    Server::start_with(&options).unwrap()
}

fn generate(server: &Server, input_ids: &Value, tokens: usize) -> Vec<Value> {
    let params = json!({"temperature": 0, "max_new_tokens": tokens, "ignore_eos": true});
    let body = json!({"input_ids": input_ids, "sampling_params": params});
    server.post_json("/generate", &body).unwrap()["output_ids"].as_array().unwrap().clone()
}

fn call(server: &Server, action: &str, expected: &str) {
    let response = server.post(&format!("/{action}_expert_distribution_record"), &json!({})).unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(response.text().unwrap(), expected);
}

/// Starts the recording, runs `work`, stops and dumps; returns the new `.pt` file.
fn record(server: &Server, dir: &Path, work: impl FnOnce()) -> PathBuf {
    call(server, "start", "Start recording the expert distribution.\n");
    work();
    call(server, "stop", "Stop recording the expert distribution.\n");
    let before = files(dir, "pt");
    call(server, "dump", "Dump expert distribution record.\n");
    files(dir, "pt").into_iter().find(|f| !before.contains(f)).unwrap()
}

fn files(dir: &Path, extension: &str) -> Vec<PathBuf> {
    // The server creates the folder when it first writes.
    let Ok(entries) = std::fs::read_dir(dir) else { return Vec::new() };
    let paths = entries.map(|e| e.unwrap().path());
    paths.filter(|p| p.extension().is_some_and(|e| e == extension)).collect()
}

/// The file's content, as Python reads it.
fn load(path: &Path) -> Value {
    let python = std::env::var("SGLANG_TEST_PYTHON").unwrap_or_else(|_| "python3".into());
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/clients/expert_distribution.py");
    let output = Command::new(python).arg(script).arg(path).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// The CSV file beside a dump, as `[layers][experts]`.
fn csv(path: &Path) -> Value {
    let text = std::fs::read_to_string(path.with_extension("csv")).unwrap();
    let mut lines = text.lines();
    assert_eq!(lines.next(), Some("layer_id,expert_id,count"));
    let mut counts = vec![vec![0; EXPERTS]; LAYERS];
    for line in lines {
        let numbers: Vec<usize> = line.split(',').map(|x| x.parse().unwrap()).collect();
        counts[numbers[0]][numbers[1]] = numbers[2];
    }
    json!(counts)
}

/// The sum of count tensors, `[layers][experts]`.
fn sum<'a>(tables: impl Iterator<Item = &'a Value>) -> Value {
    let mut counts = vec![vec![0; EXPERTS]; LAYERS];
    for table in tables {
        for (layer, row) in counts.iter_mut().enumerate() {
            for (expert, count) in row.iter_mut().enumerate() {
                *count += table[layer][expert].as_u64().unwrap();
            }
        }
    }
    json!(counts)
}

#[test]
fn counts_of_steps_are_dumped_as_transformers_counts_them() {
    let (input_ids, greedy, counts) = fixture();
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("made/by the server");
    let server = start(&dir, &["--expert-distribution-recorder-mode", "stat"]);
    assert_eq!(json!(generate(&server, &input_ids, 32)), greedy);
    server.post("/flush_cache", &json!({})).unwrap();
    let path = record(&server, &dir, || {
        generate(&server, &input_ids, 1);
    });
    let name = path.file_name().unwrap().to_str().unwrap();
    let time = name.strip_prefix("expert_distribution_recorder_").unwrap().strip_suffix(".pt").unwrap();
    assert!(time.parse::<f64>().unwrap() > 1.7e9, "{name}");
    let content = load(&path);
    assert_eq!(
        (&content["rank"], &content["average_utilization_rate_over_window"]),
        (&json!(0), &Value::Null)
    );
    let logical = &content["logical_count"];
    assert_eq!((&logical["shape"], &logical["dtype"]), (&json!([1000, LAYERS, EXPERTS]), &json!("i")));
    let steps = logical["values"].as_array().unwrap();
    assert_eq!(sum(steps.iter()), counts);
    assert_eq!(csv(&path), counts);
    // A dump clears the record, and so does a start.
    let empty = record(&server, &dir, || {});
    assert_eq!(csv(&empty), sum([].into_iter()));
    // Every route also answers GET.
    let response = server.get("/start_expert_distribution_record").unwrap();
    assert_eq!(response.text().unwrap(), "Start recording the expert distribution.\n");
}

#[test]
fn every_step_and_every_token_can_be_dumped() {
    let (input_ids, greedy, counts) = fixture();
    for mode in ["per_pass", "per_token"] {
        let dir = tempfile::tempdir().unwrap();
        let server = start(dir.path(), &["--expert-distribution-recorder-mode", mode]);
        let path = record(&server, dir.path(), || {
            assert_eq!(json!(generate(&server, &input_ids, 4)), json!(greedy.as_array().unwrap()[..4]));
        });
        assert!(path.to_str().unwrap().ends_with("_0.pt"));
        let content = load(&path);
        let map = &content["last_physical_to_logical_map"];
        assert_eq!((&map["shape"], &map["dtype"]), (&json!([LAYERS, EXPERTS]), &json!("q")));
        assert_eq!(map["values"][1], json!([0, 1, 2, 3, 4, 5]));
        let records = content["records"].as_array().unwrap();
        assert_eq!(records.len(), 4, "a prefill and three steps");
        assert_eq!(records[0]["global_physical_count"]["values"], counts);
        let all = records.iter().map(|r| &r["global_physical_count"]["values"]);
        assert_eq!(csv(&path), sum(all));
        for (step, record) in records.iter().enumerate() {
            assert_eq!((&record["rank"], &record["gatherer_key"]), (&json!(0), &json!("primary")));
            if mode == "per_pass" {
                assert_eq!(record.as_object().unwrap().len(), 4);
                continue;
            }
            let decoded = json!([greedy[step.max(1) - 1]]);
            let ids = if step == 0 { &input_ids } else { &decoded };
            assert_eq!(record["input_ids"], *ids);
            assert_eq!(record["forward_mode"], if step == 0 { 1 } else { 2 });
            assert_eq!(record["misc_objects"], json!([]));
            let topk = &record["topk_ids_of_layer"];
            let tokens = ids.as_array().unwrap().len();
            assert_eq!(topk["shape"], json!([LAYERS, tokens, 8]));
            // The second layer has no experts.
            assert_eq!(topk["values"][1][0], json!([-1, -1, -1, -1, -1, -1, -1, -1]));
            assert_eq!(topk["values"][0][0].as_array().unwrap()[2..], [-1; 6].map(|n| json!(n)));
        }
    }
}

#[test]
fn without_the_flag_the_routes_say_so_and_the_server_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let server = start(dir.path(), &[]);
    for action in ["start", "stop", "dump"] {
        let response = server.post(&format!("/{action}_expert_distribution_record"), &json!({})).unwrap();
        assert_eq!(response.status(), 400);
        let text = response.text().unwrap();
        assert!(text.contains("--expert-distribution-recorder-mode"), "{text}");
    }
    let (input_ids, greedy, _) = fixture();
    assert_eq!(json!(generate(&server, &input_ids, 8)), json!(greedy.as_array().unwrap()[..8]));
}

#[test]
fn a_folder_that_cannot_be_written_is_an_error_and_not_the_end() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let server =
        start(&file.path().join("in a file"), &["--expert-distribution-recorder-mode", "stat_approx"]);
    call(&server, "start", "Start recording the expert distribution.\n");
    let response = server.post("/dump_expert_distribution_record", &json!({})).unwrap();
    assert_eq!(response.status(), 500);
    assert!(response.text().unwrap().contains(file.path().to_str().unwrap()));
    assert_eq!(generate(&server, &json!([1, 2, 3]), 2).len(), 2);
}
