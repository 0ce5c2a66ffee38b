//! Exchanges recorded from the reference, and the comparison of our answers with them.
//!
//! `tests/fixtures/golden` holds one file per recorded server; `scripts/fixtures.d/golden.py` writes them. Who replays an
//! exchange hands the answer to [`differences`], which names every place that is not alike. What differs on purpose
//! stands in [`INTENDED`], each entry with the row of docs/api.md that gives the reason.

mod compare;
mod events;
mod exchange;
mod intended;

pub use compare::differences;
pub use exchange::{Answer, Exchange, SETS, exchange, exchanges};
pub use intended::{FREE, INTENDED, Intended, MOVED, Moved, NOT_REPLAYED, intended};
