//! What reaches the loop.

use sglang_proto::messages::AnyMessage;

use crate::adapters::AdapterRead;
use crate::grammar::GrammarNews;
use crate::weights::WeightsRead;

/// What reaches the scheduler loop, in order.
#[derive(Debug)]
pub enum Incoming {
    /// A message of the tokenizer manager.
    Message(AnyMessage),
    /// A tokenizer manager has come up.
    TokenizerManager {
        /// Whether an earlier one was known, whose requests have no client left.
        restarted: bool,
    },
    /// From the threads that compile grammars.
    Grammar(GrammarNews),
    /// From a thread that reads a LoRA adapter.
    Adapter(Box<AdapterRead>),
    /// From the thread that reads new weights.
    Weights(WeightsRead),
    /// The process is to end.
    Shutdown,
}
