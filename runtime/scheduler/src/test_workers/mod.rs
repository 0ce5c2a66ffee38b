//! Workers without a model, for tests of everything around one.

mod echo;
mod faulty;

pub use echo::EchoWorker;
pub use faulty::{Fault, FaultyWorker};
