//! The planner as pure logic: no model, no sockets, no threads and no clock. Time comes in as an argument, batches go
//! out as data ([`sglang_proto::forward::ForwardBatch`]), and what the model answers comes back as data. The process
//! around it (`runtime/scheduler`) receives messages, runs the batches and sends the outputs on.
//!
//! # The story of a step
//!
//! 1. [`Planner::add_request`] checks a request, cuts `max_new_tokens` to what context and KV pool allow, and puts it
//!    into the waiting queue.
//! 2. [`Planner::plan`] decides what the model does next. Prefill goes first: the [`policy`] orders the queue, each
//!    request looks its prefix up in the [`radix_cache`], and the budgets of [`admission`] say who fits. A prompt
//!    longer than a chunk is split; while its chunks run, every second step decodes, so that nobody else waits longer
//!    than a chunk. If nothing can be prefilled, all running requests decode one token; if the KV pool is full, cached
//!    prefixes are evicted, and if that is not enough, requests are retracted to the queue.
//! 3. The caller runs the batch. With overlap it may call `plan` once more before the result is there: tokens that are
//!    not known yet go into the next batch as negative ids, which the worker resolves. Slots of a batch in flight are
//!    neither freed nor given to anyone before its result is back; whatever would take memory from a running request
//!    (retraction, preemption, pause) waits for that.
//! 4. [`Planner::on_result`] appends the tokens, checks stop conditions, hands computed prefixes to the tree, and
//!    releases what ended requests held. A request that turned out to have ended in step k while step k+1 was already
//!    under way drops its token of k+1.
//! 5. [`Planner::take_events`] hands out what is to be sent: new ids per request and, exactly once per request, how it
//!    ended.
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
