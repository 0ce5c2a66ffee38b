//! The answers of the routes about models.

use std::path::Path;

use serde_json::{Map, Value, json};
use sglang_tokenizer_manager::requests::validation::{FieldError, Fields, string};

use super::response::now;

/// The version of Ollama's API that is served; clients check it before they use newer features.
pub const VERSION: &str = "0.12.11";
/// The unload time of a model that stays loaded as long as the server runs.
const NEVER: &str = "9999-12-31T23:59:59Z";

fn last_step(name: &str) -> &str {
    name.rsplit('/').next().unwrap_or(name)
}

/// A model in a list.
fn model(name: &str, parent: Option<&str>, size: u64) -> Value {
    let mut details =
        json!({"format": "sglang", "family": last_step(parent.unwrap_or(name)), "parameter_size": "unknown"});
    if let Some(parent) = parent {
        details["parent_model"] = parent.into();
    }
    json!({
        "name": name,
        "model": name,
        "modified_at": now(),
        "size": size,
        "digest": format!("sha256:sglang{}", "0".repeat(58)),
        "details": details,
    })
}

/// The answer of `/api/tags`: the model, then its adapters.
pub fn tags(served: &str, adapters: &[String]) -> Value {
    let adapters = adapters.iter().map(|name| model(name, Some(served), 0));
    let models: Vec<Value> = [model(served, None, 0)].into_iter().chain(adapters).collect();
    json!({"models": models})
}

/// The answer of `/api/ps`: the loaded models, which are all listed models. `size` is the size of the model's files in
/// bytes; `on_gpu` says where the model is.
pub fn ps(served: &str, adapters: &[String], context_len: usize, size: u64, on_gpu: bool) -> Value {
    let loaded = |name: &str, parent: Option<&str>, size: u64| {
        let mut model = model(name, parent, size);
        if let Value::Object(map) = &mut model {
            map.shift_remove("modified_at");
            map.insert("expires_at".into(), NEVER.into());
            map.insert("size_vram".into(), if on_gpu { size } else { 0 }.into());
            map.insert("context_length".into(), context_len.into());
        }
        model
    };
    let adapters = adapters.iter().map(|name| loaded(name, Some(served), 0));
    let models: Vec<Value> = [loaded(served, None, size)].into_iter().chain(adapters).collect();
    json!({"models": models})
}

/// Size of a model in bytes: its file, or the weight files of its folder.
pub fn size_of(path: &Path) -> u64 {
    let length = |path: &Path| path.metadata().map_or(0, |metadata| metadata.len());
    let Ok(entries) = path.read_dir() else { return length(path) };
    let is_weights = |path: &Path| {
        path.extension().and_then(|e| e.to_str()).is_some_and(|e| ["safetensors", "gguf", "bin"].contains(&e))
    };
    entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| is_weights(path))
        .map(|path| length(&path))
        .sum()
}

/// Reads the body of `/api/show`: the model's name.
///
/// # Errors
/// If the name is missing or is not a string.
pub fn read_show(body: &Map<String, Value>) -> Result<String, Vec<FieldError>> {
    let mut f = Fields::of_body(body);
    let model = f.required("model", string);
    f.finish(model)
}

/// What a model can do on this server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Capabilities {
    /// It returns vectors or classes, not text.
    pub embedding: bool,
    /// Tool calls are parsed.
    pub tools: bool,
    /// Thinking is parsed.
    pub thinking: bool,
    /// It can fill in text between a prefix and a suffix.
    pub insert: bool,
}

impl Capabilities {
    fn words(self) -> Vec<&'static str> {
        let words = [
            ("completion", !self.embedding),
            ("embedding", self.embedding),
            ("tools", self.tools),
            ("thinking", self.thinking),
            ("insert", self.insert),
        ];
        words.into_iter().filter_map(|(word, has)| has.then_some(word)).collect()
    }
}

/// The answer of `/api/show`; `model` is the name that the client sent.
pub fn show(model: &str, context_len: usize, capabilities: Capabilities) -> Value {
    let name = last_step(model);
    let family = ["-Instruct", "-Chat", "-Base"].iter().find_map(|suffix| name.strip_suffix(suffix));
    let family = family.unwrap_or(name);
    let mut model_info = json!({
        "general.architecture": family,
        "general.name": model,
        "general.parameter_count": 0,
    });
    model_info[format!("{family}.context_length")] = context_len.into();
    for unknown in ["block_count", "embedding_length", "attention.head_count"] {
        model_info[format!("{family}.{unknown}")] = 0.into();
    }
    json!({
        "license": "",
        "modelfile": format!("FROM {model}\nPARAMETER num_ctx {context_len}\n"),
        "parameters": format!("num_ctx {context_len}"),
        "template": "",
        "modified_at": now(),
        "details": {
            "parent_model": "",
            "format": "sglang",
            "family": family,
            "families": [family],
            "parameter_size": "unknown",
            "quantization_level": "",
        },
        "model_info": model_info,
        "capabilities": capabilities.words(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_family_is_the_name_without_owner_and_kind() {
        let shown = show("org/Tiny-1B-Instruct", 4096, Capabilities::default());
        assert_eq!(shown["details"]["family"], "Tiny-1B");
        assert_eq!(shown["model_info"]["Tiny-1B.context_length"], 4096);
        assert_eq!(shown["modelfile"], "FROM org/Tiny-1B-Instruct\nPARAMETER num_ctx 4096\n");
        assert_eq!(shown["capabilities"], json!(["completion"]));
        let all = Capabilities { embedding: true, tools: true, thinking: true, insert: true };
        assert_eq!(all.words(), ["embedding", "tools", "thinking", "insert"]);
    }

    #[test]
    fn adapters_are_listed_behind_their_model() {
        let listed = tags("org/Tiny", &["sql".to_owned()]);
        assert_eq!(listed["models"][0]["details"]["family"], "Tiny");
        assert_eq!(
            (&listed["models"][1]["model"], &listed["models"][1]["details"]["parent_model"]),
            (&json!("sql"), &json!("org/Tiny"))
        );
        let loaded = ps("org/Tiny", &[], 4096, 7, true);
        let model = &loaded["models"][0];
        assert_eq!(
            (&model["size"], &model["size_vram"], &model["context_length"], &model["expires_at"]),
            (&json!(7), &json!(7), &json!(4096), &json!(NEVER))
        );
        assert_eq!(model.get("modified_at"), None);
    }

    #[test]
    fn the_size_of_a_model_is_that_of_its_weights() {
        let dir = tempfile::tempdir().unwrap();
        for (name, bytes) in [("a.safetensors", 3), ("b.safetensors", 4), ("tokenizer.json", 100)] {
            std::fs::write(dir.path().join(name), vec![0; bytes]).unwrap();
        }
        assert_eq!(size_of(dir.path()), 7);
        assert_eq!(size_of(&dir.path().join("tokenizer.json")), 100);
        assert_eq!(size_of(&dir.path().join("nothing")), 0);
    }
}
