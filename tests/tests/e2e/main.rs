//! End-to-end tests: real processes, a real model, real clients. They are one program, because each separate test
//! program would compile and link the clients again.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod clients;
mod embedding;
mod experts;
mod families;
mod faults;
mod golden;
mod hidden_states;
mod hub;
mod installed;
mod logprobs;
mod lora;
mod memory;
mod native;
mod processes;
mod promises;
mod recovery;
mod refusals;
mod restarts;
mod scheduling;
mod serving;
mod structured;
mod structured_errors;
mod structured_thinking;
mod tls;
mod weights;
