//! The scheduling logic: which requests run in the next batch, and which KV slots they use. It is pure logic without
//! model, sockets, threads or clock. The caller passes in the time and the results, and gets batches as data
//! ([`sglang_proto::forward::ForwardBatch`]). The scheduler process (`runtime/scheduler`) receives messages, runs the
//! batches and sends the outputs.
//!
//! # How a step works
//!
//! 1. [`Planner::add_request`] checks a request, limits `max_new_tokens` to what context and KV pool allow, and puts
//!    the request into the waiting queue.
//! 2. [`Planner::plan`] decides what the model does next. Prefill takes precedence: the [`policy`] orders the queue,
//!    each request looks up its prefix in the [`radix_cache`], and the budgets of [`admission`] decide which requests
//!    fit. A prompt longer than a chunk is split; while its chunks run, every second step decodes, so that no other
//!    request waits longer than a chunk. If nothing can be prefilled, all running requests decode one token. If the KV
//!    pool is full, cached prefixes are evicted; if that is not enough, requests are retracted to the queue.
//! 3. The caller runs the batch. With overlap, it may call `plan` once more before it has the result: tokens that are
//!    not yet known go into the next batch as negative ids, which the worker resolves. Slots of a batch in flight are
//!    neither freed nor reused before its result is back; retraction, preemption and pause, which take memory from
//!    running requests, wait for it.
//! 4. [`Planner::on_result`] appends the tokens, checks stop conditions, adds computed prefixes to the tree, and
//!    releases rows and slots of ended requests. If a request ends in step k while step k+1 is already running, its
//!    token from step k+1 is dropped.
//! 5. [`Planner::take_events`] returns the outputs to send: new ids per request and, exactly once per request, its
//!    finish reason.
//!
//! ```
//! use sglang_planner::{NewRequest, Planner, PlannerConfig};
//! use sglang_planner::simulator::{NoText, SimWorker};
//!
//! let config = PlannerConfig { max_total_num_tokens: 1024, ..PlannerConfig::default() };
//! let mut worker = SimWorker::new(&config);
//! let mut planner = Planner::new(config)?;
//! planner.add_request(NewRequest::new("a", vec![1, 2, 3]), 0.0)?;
//! let mut ended = Vec::new();
//! while let Some(batch) = planner.plan(0.0).batch {
//!     let result = worker.run(&batch).map_err(|why| why.to_string()).unwrap_or_default();
//!     planner.on_result(result, &mut NoText)?;
//!     ended.extend(planner.take_events().into_iter().filter_map(|event| event.finish_reason));
//! }
//! assert_eq!(ended.len(), 1);
//! # Ok::<(), sglang_planner::PlannerError>(())
//! ```

pub mod admission;
mod config;
mod error;
mod events;
mod finish;
mod hidden_states;
mod ledger;
pub mod memory;
mod planner;
pub mod policy;
pub mod radix_cache;
mod req;
mod request;
mod rng;
pub mod simulator;
mod stats;
mod times;
mod tuning;

pub use config::{
    DEFAULT_CHUNKED_PREFILL_SIZE, DEFAULT_CHUNKED_PREFILL_SIZE_CPU, PlannerConfig, RetractionPolicy,
};
pub use error::PlannerError;
pub use events::{BatchReport, InputLogprobs, OutputEvent, RetractionReport, TailDecoder};
pub use finish::NAN_MATCHED;
pub use ledger::Ledger;
pub use planner::{AbortCause, PauseMode, Plan, Planner};
pub use request::{NewRequest, PROMPT_TAIL_LEN, RequestInfo};
pub use stats::PlannerStats;
pub use times::ReqTimes;
pub use tuning::Tuning;
