//! Sets that were recorded with random weights, replayed on random weights of the same shape: everything is compared
//! that does not depend on the weights' values.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use sglang_e2e::{Server, ServerOptions, model_path};
use sglang_golden::{Exchange, exchange};

use super::harness::{Found, ask, replay, replay_as};

/// Starts a server with random weights in the shape of `config` and the default model's tokenizer.
fn serve(config: &Value, folder: &Path, args: &[&str], env: &[(&str, &Path)]) -> Server {
    std::fs::write(folder.join("config.json"), config.to_string()).unwrap();
    let tokenizer = model_path();
    let own = folder.join("tokenizer.json").exists();
    let tokenizer = if own { folder.to_owned() } else { tokenizer };
    let common = ["--load-format", "dummy", "--tokenizer-path", tokenizer.to_str().unwrap()];
    let text = |path: &Path| path.to_str().unwrap().to_owned();
    Server::start_with(&ServerOptions {
        model: Some(folder.to_owned()),
        env: env.iter().map(|(key, value)| ((*key).to_owned(), text(value))).collect(),
        ..ServerOptions::with_args(&[&common, args].concat())
    })
    .unwrap()
}

fn decoder(architecture: &str, more: &Value) -> Value {
    let mut config = json!({
        "architectures": [architecture], "hidden_size": 128, "intermediate_size": 256, "num_hidden_layers": 3,
        "num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": 49152, "max_position_embeddings": 2048,
        "rms_norm_eps": 1e-6, "rope_theta": 10000.0, "hidden_act": "silu", "tie_word_embeddings": false,
        "dtype": "float32", "bos_token_id": 1, "eos_token_id": 2,
    });
    config.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    config
}

fn mixture_of_experts() -> Value {
    let experts = json!({
        "model_type": "qwen2_moe", "num_experts": 8, "num_experts_per_tok": 2, "moe_intermediate_size": 64,
        "shared_expert_intermediate_size": 0, "norm_topk_prob": true, "decoder_sparse_step": 1,
    });
    decoder("Qwen2MoeForCausalLM", &experts)
}

#[test]
fn a_cross_encoder_ranks_as_the_references() {
    let folder = tempfile::tempdir().unwrap();
    let default = || model_path().with_file_name("all-MiniLM-L6-v2");
    let minilm = std::env::var_os("SGLANG_TEST_MINILM").map_or_else(default, PathBuf::from);
    for file in ["tokenizer.json", "tokenizer_config.json"] {
        symlink(minilm.join(file), folder.path().join(file)).unwrap();
    }
    let mut config: Value =
        serde_json::from_slice(&std::fs::read(minilm.join("config.json")).unwrap()).unwrap();
    config["architectures"] = json!(["BertForSequenceClassification"]);
    config["id2label"] = json!({"0": "LABEL_0"});
    let flags = ["--is-embedding", "--disable-radix-cache", "--chunked-prefill-size", "-1"];
    let server = serve(&config, folder.path(), &flags, &[]);
    replay(&server, "rerank", |_| true);
}

#[test]
fn a_reward_model_scores_as_the_references() {
    let folder = tempfile::tempdir().unwrap();
    let labels = json!({"model_type": "llama", "id2label": {"0": "LABEL_0", "1": "LABEL_1"}});
    let config = decoder("LlamaForSequenceClassification", &labels);
    let server = serve(&config, folder.path(), &["--is-embedding"], &[]);
    replay_as(&server, "reward", |_| true, Some((folder.path().to_str().unwrap(), "MODELS/reward")));
}

#[test]
fn experts_are_recorded_as_by_the_reference() {
    let folder = tempfile::tempdir().unwrap();
    let flags = ["--expert-distribution-recorder-mode", "stat"];
    let env = [("SGLANG_EXPERT_DISTRIBUTION_RECORDER_DIR", folder.path())];
    let server = serve(&mixture_of_experts(), folder.path(), &flags, &env);
    replay(&server, "moe", |_| true);
}

#[test]
fn a_full_server_refuses_as_the_references() {
    let folder = tempfile::tempdir().unwrap();
    let flags = [
        "--max-running-requests",
        "1",
        "--max-queued-requests",
        "1",
        "--allow-auto-truncate",
        "--enable-return-hidden-states",
    ];
    let server = serve(&mixture_of_experts(), folder.path(), &flags, &[]);
    let recorded = |name: &str| exchange("limits", name);
    let mut found = Found::default();
    let waiting = recorded("generate-aborted-while-waiting");
    let running =
        Exchange { body: waiting.body.replace("lim1", "lim0").replace("1500", "2000"), ..waiting.clone() };
    std::thread::scope(|scope| {
        let first = scope.spawn(|| ask(&server.url(""), &running));
        server.until_loads(1, 0).unwrap();
        let second = scope.spawn(|| ask(&server.url(""), &waiting));
        server.until_loads(1, 1).unwrap();
        for name in [
            "queue-full-generate",
            "queue-full-generate-stream",
            "queue-full-chat",
            "queue-full-chat-stream",
            "queue-full-anthropic",
        ] {
            found.replay(&server, &recorded(name));
        }
        server.post("/abort_request", &json!({"rid": "lim1"})).unwrap();
        found.compare(&waiting, &second.join().unwrap());
        server.post("/abort_request", &json!({"abort_all": true})).unwrap();
        first.join().unwrap();
    });
    for name in [
        "auto-truncate-long-prompt",
        "hidden-states",
        "expert-record-without-flag-ends-server",
        "health-after-that",
    ] {
        found.replay(&server, &recorded(name));
    }
    found.assert_none();
}
