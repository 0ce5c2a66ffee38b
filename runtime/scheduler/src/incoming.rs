//! Inputs of the loop.

use sglang_proto::messages::SchedulerMessage;

use crate::adapters::AdapterRead;
use crate::grammar::GrammarNews;
use crate::weights::WeightsRead;

/// An input of the scheduler loop.
#[derive(Debug)]
pub enum Incoming {
    /// A message from the tokenizer manager.
    Message(SchedulerMessage),
    /// A tokenizer manager has said hello.
    TokenizerManager {
        /// Whether it replaces an earlier one, whose requests have no client left.
        restarted: bool,
    },
    /// A report of a thread that compiles grammars.
    Grammar(GrammarNews),
    /// A report of a thread that reads a LoRA adapter.
    Adapter(Box<AdapterRead>),
    /// A report of the thread that reads new weights.
    Weights(WeightsRead),
    /// The process must end.
    Shutdown,
}
