//! The scheduler process around the planner and a model.
//!
//! [`run`] is the whole life of a scheduler of rank 0. Three threads work together:
//!
//! * the **loop** ([`event_loop`]) owns the planner: it takes messages, plans batches, and sends outputs;
//! * the **model** thread ([`worker_thread`]) owns the [`ModelWorker`](sglang_proto::worker::ModelWorker) and runs one
//!   batch after the other, so that the next batch is planned while one runs;
//! * the **ipc** thread ([`links`]) moves messages and answers questions about the loop's state even while the loop waits
//!   for the model, which is what makes health answers honest.
//!
//! What the loop does beside planning is the work of its components: adapters, sessions, grammars, weights with the
//! memory, flush, profiler and outputs. Each handles its own messages and says at its
//! type what of its state must survive a restart.

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
