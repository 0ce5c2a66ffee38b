//! The scheduler process: runs the planner and a model.
//!
//! [`run`] runs the scheduler of rank 0 from start to end. Three threads work together:
//!
//! * the **loop** ([`event_loop`]) owns the planner: it handles messages, plans batches and sends outputs;
//! * the **model** thread ([`worker_thread`]) owns the [`ModelWorker`](sglang_proto::worker::ModelWorker) and runs one
//!   batch after the other, while the loop plans the next;
//! * the **ipc** thread ([`links`]) transfers messages and answers queries about the loop's state even while the loop
//!   waits for the model, so that health checks show the real state.
//!
//! The loop leaves everything but planning to components: adapters, sessions, grammars, weights and memory, flush,
//! profiler and outputs. Each handles its own messages; the documentation of its type says which of its state must
//! survive a restart.

mod adapters;
mod background;
mod environment;
mod error;
pub mod event_loop;
mod flush;
pub mod grammar;
mod incoming;
mod internal_state;
pub mod links;
mod model_calls;
mod monitor;
pub mod outputs;
pub mod profiler;
pub mod progress;
mod run;
mod seeds;
pub mod sessions;
mod settings;
mod step;
#[cfg(feature = "test-workers")]
pub mod test_workers;
mod weights;
pub mod worker_thread;

pub use error::SchedulerError;
pub use run::run;
pub use settings::SchedulerSettings;
