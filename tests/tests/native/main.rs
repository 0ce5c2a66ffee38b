//! The native routes besides `/generate`, on the real model.
#![allow(clippy::unwrap_used, clippy::panic)]

mod operations;
mod sessions;
mod times;
