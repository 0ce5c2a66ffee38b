//! Exchanges recorded from the reference, and their comparison with our answers.
//!
//! `tests/fixtures/golden` has one file per recorded server; `scripts/fixtures.d/golden.py` writes them. A test replays
//! an exchange and passes the answer to [`differences`], which names every place that differs. Intended differences are
//! listed in [`INTENDED`], each with the row of docs/api.md that gives the reason.

mod compare;
mod events;
mod exchange;
mod intended;

pub use compare::differences;
pub use exchange::{Answer, Exchange, SETS, exchange, exchanges};
pub use intended::{FREE, INTENDED, Intended, MOVED, Moved, NOT_REPLAYED, intended};
