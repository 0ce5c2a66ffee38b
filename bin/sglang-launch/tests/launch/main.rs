//! `sglang-launch` as a process, with small scripts as the processes that it starts.
#![allow(clippy::expect_used, clippy::panic)]

mod child;
mod hangs;
mod lives;
mod plan;
mod restarts;
mod systemd;
