use std::path::{Path, PathBuf};

use serde_json::Value;
use sglang_e2e::{Server, ServerOptions};

pub fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures")
}

pub fn expected() -> Value {
    serde_json::from_slice(&std::fs::read(fixtures().join("embedding.json")).unwrap()).unwrap()
}

pub fn texts(value: &Value) -> Vec<String> {
    value.as_array().unwrap().iter().map(|v| v.as_str().unwrap().to_owned()).collect()
}

/// Folder of all-MiniLM-L6-v2: `SGLANG_TEST_MINILM`, or where `scripts/setup --test-models` puts it.
pub fn minilm() -> PathBuf {
    let default = || sglang_e2e::model_path().with_file_name("all-MiniLM-L6-v2");
    let path = std::env::var_os("SGLANG_TEST_MINILM").map_or_else(default, PathBuf::from);
    assert!(path.is_dir(), "{} is missing: run scripts/setup --test-models", path.display());
    path
}

/// A server with the model of a fixture.
pub fn serve(folder: &str) -> Server {
    serve_path(fixtures().join(folder), &[])
}

pub fn serve_path(model: PathBuf, args: &[&str]) -> Server {
    let options = ServerOptions { model: Some(model), ..ServerOptions::with_args(args) };
    Server::start_with(&options).unwrap()
}

pub fn floats(value: &Value) -> Vec<f64> {
    value.as_array().unwrap_or_else(|| panic!("{value}")).iter().map(|x| x.as_f64().unwrap()).collect()
}

pub fn cosine(a: &[f64], b: &[f64]) -> f64 {
    assert_eq!(a.len(), b.len());
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(x, y)| x * y).sum::<f64>();
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}

/// Largest difference, relative to the largest expected number.
pub fn error(found: &[f64], expected: &[f64]) -> f64 {
    assert_eq!(found.len(), expected.len());
    let largest = |values: &mut dyn Iterator<Item = f64>| values.fold(0.0, |x: f64, y| x.max(y.abs()));
    largest(&mut found.iter().zip(expected).map(|(a, b)| a - b)) / largest(&mut expected.iter().copied())
}

/// Status and JSON of a call.
pub fn call(server: &Server, path: &str, body: &Value) -> (u16, Value) {
    let response = server.post(path, body).unwrap();
    (response.status().as_u16(), serde_json::from_str(&response.text().unwrap()).unwrap())
}
