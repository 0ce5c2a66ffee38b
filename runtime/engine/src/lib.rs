//! The scheduler process around the pure scheduler and a model.
//!
//! [`run`] is the whole life of a scheduler of rank 0. Three threads work together:
//!
//! * the **loop** ([`event_loop`]) owns the scheduler: it takes messages, plans batches, and sends outputs;
//! * the **model** thread ([`worker_thread`]) owns the [`ModelWorker`](sglang_proto::worker::ModelWorker) and runs one
//!   batch after the other, so that the next batch is planned while one runs;
//! * the **ipc** thread ([`links`]) moves messages and answers questions about the loop's state even while the loop waits
//!   for the model, which is what makes health answers honest.

mod adapters;
mod batch_log;
mod environment;
mod error;
pub mod event_loop;
mod flush;
pub mod grammar;
mod handle;
mod hold_back;
mod internal_state;
pub mod links;
mod memory;
pub mod outputs;
pub mod profiler;
pub mod progress;
mod run;
pub mod sessions;
mod settings;
mod snapshot;
mod step_counters;
mod tail;
#[cfg(feature = "test-workers")]
pub mod test_workers;
mod weight_versions;
mod weights;
pub mod worker_thread;

pub use error::EngineError;
pub use run::run;
pub use settings::EngineSettings;
