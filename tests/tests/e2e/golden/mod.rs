//! Every exchange that was recorded from the reference, replayed on servers with the same flags and compared field by
//! field: on the same weights where the repository has them, and otherwise on random ones of the same shape.

mod count;
mod embedding;
mod harness;
mod plain;
mod random_weights;
mod special;
