//! The formats IQ1_S to IQ4_XS: groups of numbers are entries of a fixed table, with scales and signs beside them.
//!
//! Layouts follow ggml's `ggml-quants`; names of the tables are ggml's.

pub(super) mod four;
mod grids;
mod one;
pub(super) mod three;
mod two;

pub(super) use four::{iq4_nl, iq4_xs};
pub(super) use one::{iq1_m, iq1_s};
pub(super) use three::{iq3_s, iq3_xxs};
pub(super) use two::{iq2_s, iq2_xs, iq2_xxs};
