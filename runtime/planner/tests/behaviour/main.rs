//! The guarantees of the planner, one per test.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "../common/mod.rs"]
mod common;

mod adapters;
mod chunking;
mod control;
mod embedding;
mod ending;
mod hidden_states;
mod hold;
mod intake;
mod order;
mod output;
mod pressure;
mod resubmit;
mod times;
