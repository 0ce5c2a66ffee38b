//! `/start_profile` and `/stop_profile`: traces of the scheduler's loop and the model's thread, step by step
//! (reference: `managers/scheduler_components/profiler_manager.py`, which records with torch's profiler).

mod component;
mod recorder;
#[cfg(test)]
mod tests;
mod trace;

pub use component::Profiler;
pub use recorder::{Finished, ProfileError, Recorder};
