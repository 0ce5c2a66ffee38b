//! End-to-end tests: real processes, the real model, real clients. This library starts servers for them.
//!
//! Programs are taken from `SGLANG_BIN_DIR` (default: `target/release`), the model from `SGLANG_TEST_MODEL` (default:
//! where `scripts/setup` puts the default model). Python clients run under `SGLANG_TEST_PYTHON`.

mod process_tree;
mod server;
mod sse;

pub use process_tree::{ProcessInfo, process_tree, resident_bytes};
pub use server::{Server, ServerOptions, bin_dir, free_port, model_path};
pub use sse::sse_events;
