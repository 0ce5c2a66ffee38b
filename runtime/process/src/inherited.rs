//! Taking over a file descriptor that the launcher left open for this process.
#![allow(unsafe_code)]

use std::os::fd::{BorrowedFd, FromRawFd, OwnedFd, RawFd};

use nix::fcntl::{FcntlArg, FdFlag, fcntl};

/// The descriptor whose number is in the environment variable `name`. `None` when the variable is absent, not a
/// number, or names a descriptor that is not open. The descriptor is closed on exec from then on.
///
/// Each variable is to be taken at most once per process.
pub(crate) fn take(name: &str) -> Option<OwnedFd> {
    let number: RawFd = std::env::var(name).ok()?.parse().ok()?;
    // Standard input, output and error belong to the runtime.
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
