//! Workers without a model, for tests.

mod echo;
mod faulty;

pub use echo::EchoWorker;
pub use faulty::{Fault, FaultyWorker};
