//! A state of the whole system: processes, links, clients, and the remaining failures.

use crate::clients::Client;
use crate::detokenizer::Detokenizer;
use crate::frames::{Output, REQUESTS, Reply, Text, ToScheduler};
use crate::launcher::Launcher;
use crate::link::Link;
use crate::scheduler::Scheduler;
use crate::setup::Setup;
use crate::tokenizer_manager::TokenizerManager;

/// The failures that may still happen.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Budget {
    /// Deaths of each role.
    pub deaths: [u8; 3],
    /// Cuts of links.
    pub cuts: u8,
    /// Doubled frames.
    pub repeats: u8,
    /// Aborts by clients.
    pub aborts: u8,
}

/// The whole system.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct State {
    /// Outlives all roles.
    pub launcher: Launcher,
    /// The roles.
    pub tokenizer_manager: TokenizerManager,
    /// The roles.
    pub scheduler: Scheduler,
    /// The roles.
    pub detokenizer: Detokenizer,
    /// Tokenizer manager to scheduler.
    pub to_scheduler: Link<ToScheduler>,
    /// Scheduler to detokenizer.
    pub to_detokenizer: Link<Output>,
    /// Detokenizer to tokenizer manager.
    pub texts: Link<Text>,
    /// Scheduler to tokenizer manager.
    pub replies: Link<Reply>,
    /// Clients by request.
    pub clients: [Client; REQUESTS],
    /// Number of control operations that were answered.
    pub answered: u8,
    /// Number of schedulers that the poison request has killed.
    pub poisoned: u8,
    /// The failures that may still happen.
    pub budget: Budget,
}

impl State {
    /// All processes have just started.
    pub fn initial(setup: &Setup) -> Self {
        let mut state = Self {
            launcher: Launcher::default(),
            tokenizer_manager: TokenizerManager::new(1, 0),
            scheduler: Scheduler::new(1, [None; REQUESTS]),
            detokenizer: Detokenizer::new(1, setup.faults),
            to_scheduler: Link::new(),
            to_detokenizer: Link::new(),
            texts: Link::new(),
            replies: Link::new(),
            clients: [Client::default(); REQUESTS],
            answered: 0,
            poisoned: 0,
            budget: Budget {
                deaths: setup.deaths,
                cuts: setup.cuts,
                repeats: setup.repeats,
                aborts: setup.aborts,
            },
        };
        state.to_scheduler.send(1, ToScheduler::Hello);
        state.to_detokenizer.send(1, Output::Hello);
        if let Some(hello) = state.detokenizer.hello() {
            state.texts.send(1, hello);
        }
        state
    }

    /// Whether nothing is in transit on any link.
    pub fn links_are_quiet(&self) -> bool {
        self.to_scheduler.is_quiet()
            && self.to_detokenizer.is_quiet()
            && self.texts.is_quiet()
            && self.replies.is_quiet()
    }
}
