//! The formats IQ1_S to IQ4_XS: a group of numbers is an index into a fixed table, with scales and signs stored
//! separately.
//!
//! Layouts and table names follow ggml's `ggml-quants`.

pub(super) mod four;
mod grids;
mod one;
pub(super) mod three;
mod two;

pub(super) use four::{iq4_nl, iq4_xs};
pub(super) use one::{iq1_m, iq1_s};
pub(super) use three::{iq3_s, iq3_xxs};
pub(super) use two::{iq2_s, iq2_xs, iq2_xxs};
