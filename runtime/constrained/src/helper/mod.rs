//! Grammars are tried in a helper process before the scheduler compiles them.
//!
//! Compiling can overflow the stack, take gigabytes or never end, and a thread cannot be stopped. A process can: the
//! helper compiles each new grammar first, with less stack than the scheduler's threads have and a limit on its memory,
//! and is killed when the time is up. Only a grammar that passed is compiled in the scheduler. So a hostile grammar costs
//! one helper, and the request that sent it gets an error.
//!
//! [`tryout`] is what the compiler calls, [`client`] starts a helper and asks it, [`frame`] is what they exchange over the helper's stdin and stdout, and
//! [`server`] is the helper itself (the program `sglang-grammar-helper`).

mod client;
mod frame;
mod server;
mod tryout;

pub(crate) use client::Helper;
pub use server::{ServeError, serve};
pub(crate) use tryout::HelperSource;
