//! Replays every exchange that was recorded from the reference on servers with the same flags, and compares field by
//! field: on the same weights if the repository has them, otherwise on random ones of the same shape.

mod count;
mod embedding;
mod harness;
mod plain;
mod random_weights;
mod special;
