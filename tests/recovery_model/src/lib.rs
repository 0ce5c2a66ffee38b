//! The protocol of recovery as state machines, and a checker that visits every state they can reach.
//!
//! The protocol in words is the section "Recovery" of `docs/architecture.md`. Here it is in three layers.
//!
//! * **Roles**: [`tokenizer_manager`], [`scheduler`], [`detokenizer`], and what the [`launcher`] keeps for them. Each is plain
//!   data with methods that take one input (a frame, a wish of a client) and give back a list of effects. A role knows
//!   nothing of links, of other roles, or of what may go wrong.
//! * **The world**: a [`state::State`] joins the roles with [`link`]s and [`clients`]. [`actions`] says what can happen next:
//!   ordinary events in any order, and bounded misfortunes (deaths, cuts, doubled frames, aborts). [`world`] and `death` say
//!   what each does.
//! * **The judge**: [`promise`] names what must hold and [`properties`] looks whether it does; [`checker`] explores all that a
//!   [`setup::Setup`] allows. [`faults`] can be planted, to see that it would find them.
//!
//! # What stands for what
//!
//! Sequence numbers are replaced by the verdict that a receiver would reach with them ([`frames::Mark`]), time by
//! events that may happen at any moment, and tokens by their positions. A control operation is a place in a log. A death
//! and the next life's start are one event, because what others send in between waits in the link as if it were sent
//! afterwards; but a sender may go on sending into the old connection until it notices. Of what a dead process
//! had sent, any first part still arrives, at any later time.
//!
//! # As the oracle of a test of the real processes
//!
//! A property test of the product drives real components over simulated links, with the same events as here, and keeps a
//! role of this crate beside each. For every input that a component gets, it makes the model's input of it
//! ([`frames::Envelope`], with the mark from the real sequence numbers) and calls the role's method; for every output it makes an
//! effect and compares. So [`tokenizer_manager::TokenizerManager::receive_text`] judges the real ledger,
//! [`scheduler::Scheduler::receive`] and [`scheduler::Scheduler::step`] the real event loop with a worker that echoes, and
//! [`detokenizer::Detokenizer::receive`] the real decoder. The map between them is small: ids to numbers by their order of arrival,
//! a batch to its rows, positions in tokens to positions in frames, text to the [`frames::Piece`]s that it was made
//! from. Order within one list of effects counts per link only. Which events come next is drawn from [`actions::enabled`] on the
//! model's own state, so a test can be steered to rare places, shrinks to few events, and ends with
//! [`properties::at_rest`]. A counterexample of the checker is a list of such events, and can be replayed on the product as it is.

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
