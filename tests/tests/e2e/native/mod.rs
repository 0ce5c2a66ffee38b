//! The native routes besides `/generate`, on the real model.

mod operations;
mod sessions;
mod times;
