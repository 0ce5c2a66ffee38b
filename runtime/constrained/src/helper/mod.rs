//! Tries grammars in a helper process before the scheduler compiles them.
//!
//! Compiling can overflow the stack, take gigabytes or never end, and a thread cannot be stopped. A process can: the
//! helper compiles each new grammar first, with a smaller stack than the scheduler's threads and a memory limit, and is
//! killed when the time is up. The scheduler compiles only grammars that passed. So a hostile grammar costs one helper,
//! and the request that sent it gets an error.
//!
//! The compiler calls [`tryout`]; [`client`] starts a helper and talks to it; [`frame`] is the format of their messages
//! over the helper's stdin and stdout; [`server`] is the helper itself (the program `sglang-grammar-helper`).

mod client;
mod frame;
mod server;
mod tryout;

pub(crate) use client::Helper;
pub use server::{ServeError, serve};
pub(crate) use tryout::HelperSource;
