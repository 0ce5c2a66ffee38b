//! Takes over file descriptors that the launcher left open for this process.
#![allow(unsafe_code)]

use std::os::fd::{BorrowedFd, FromRawFd, OwnedFd, RawFd};

use nix::fcntl::{FcntlArg, FdFlag, fcntl};

/// The descriptor whose number is in the environment variable `name`. `None` if the variable is absent or not a number,
/// or if the descriptor is not open. From then on, the descriptor is closed on exec.
///
/// Call it at most once per variable and process.
pub(crate) fn take(name: &str) -> Option<OwnedFd> {
    let number: RawFd = std::env::var(name).ok()?.parse().ok()?;
    // The Rust runtime owns standard input, output and error.
    if number <= 2 {
        return None;
    }
    // SAFETY: the borrow lasts for one fcntl call, which fails with EBADF when the descriptor is not open.
    let borrowed = unsafe { BorrowedFd::borrow_raw(number) };
    fcntl(borrowed, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC)).ok()?;
    // SAFETY: fcntl has shown that the descriptor is open. The launcher opened it for this process alone, and no other
    // code here reads the variable, so nothing else owns it.
    Some(unsafe { OwnedFd::from_raw_fd(number) })
}
