//! The scheduler behind a real model: whatever batches, chunks and caches it makes, answers stay the same.

mod control;
mod environment;
mod equality;
mod harness;
mod limits;
mod pressure;
mod priority;
mod ranges;
mod sampling;
