//! A model of the recovery protocol: state machines, and a checker that visits every reachable state.
//!
//! The section "Recovery" of `docs/architecture.md` describes the protocol in words. A *life* is one run of a role's
//! process. The model has three layers:
//!
//! * **Roles**: [`tokenizer_manager`], [`scheduler`], [`detokenizer`], and what the [`launcher`] keeps for them. Each
//!   is plain data with methods that take one input (a frame, or a client's action) and return a list of effects. A
//!   role knows nothing of links, other roles or failures.
//! * **The world**: a [`state::State`] connects the roles by [`link`]s and adds [`clients`]. [`actions`] lists what can
//!   happen next: ordinary events in any order, and a limited number of failures (deaths, cuts, duplicated frames,
//!   aborts). [`world`] and `death` define the effect of each.
//! * **The checks**: [`promise`] names what must hold and [`properties`] checks it; [`checker`] explores everything
//!   that a [`setup::Setup`] allows. [`faults`] can be planted to test that the checker finds them.
//!
//! # What the model abstracts
//!
//! Instead of sequence numbers, frames carry the conclusion that a receiver would draw from them ([`frames::Mark`]).
//! Time is replaced by events that may happen at any moment, and tokens by their positions. A control operation is an
//! index in a log. A death and the start of the next life are one event, because what others send in between waits in
//! the link as if it were sent afterwards; but a sender may keep sending into the old connection until it notices. Any
//! prefix of what a dead process had sent can still arrive, at any later time.
//!
//! # Testing the real processes against the model
//!
//! A property test of the product can drive real components over simulated links with the same events, and keep a role
//! of this crate beside each component. For every input of a component it builds the model's input
//! ([`frames::Envelope`], with the mark from the real sequence numbers) and calls the role's method; every output it
//! converts to an effect and compares. So [`tokenizer_manager::TokenizerManager::receive_text`] checks the real ledger,
//! [`scheduler::Scheduler::receive`] and [`scheduler::Scheduler::step`] check the real event loop with an echoing
//! worker, and [`detokenizer::Detokenizer::receive`] checks the real decoder. The mapping is small: ids become numbers
//! by order of arrival, a batch becomes its rows, token positions become frame positions, and text becomes the
//! [`frames::Piece`]s that it was made from. The order within a list of effects matters only per link. The next events
//! are drawn from [`actions::enabled`] on the model's own state, so a test can be steered to rare situations, shrinks
//! to few events, and ends with [`properties::at_rest`]. A counterexample of the checker is a list of such events and
//! can be replayed on the product.

pub mod actions;
pub mod canonical;
pub mod checker;
pub mod clients;
mod death;
pub mod detokenizer;
pub mod faults;
pub mod frames;
pub mod launcher;
pub mod link;
pub mod projection;
pub mod promise;
pub mod properties;
pub mod scheduler;
pub mod setup;
pub mod state;
pub mod tokenizer_manager;
pub mod world;
