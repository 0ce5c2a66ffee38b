//! Tests of the server's routes over HTTP, with a simulated scheduler. They are one program, since each separate test
//! program would link the whole server again.
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

mod access_log;
mod anthropic;
mod embedding;
mod empty_stops;
mod environment;
mod failures;
mod forced_tools;
mod golden;
mod headers;
mod hidden_states;
mod http2;
mod lifecycle;
mod limits;
mod lora;
mod memory;
mod model_names;
mod native;
mod nulls;
mod ollama;
mod openai;
mod openapi;
mod operations;
mod reasoning;
mod rerank;
mod responses;
mod sessions;
mod suffix;
mod tools;
mod weights;
