//! The scheduler with a real model: whatever it batches, chunks and caches, answers stay the same.

mod control;
mod environment;
mod equality;
mod harness;
mod limits;
mod pressure;
mod priority;
mod ranges;
mod sampling;
