//! Giving memory back to the system after loading.
#![allow(unsafe_code)]

/// Returns the allocator's free pages to the system. Loading frees many megabytes of text that the allocator would
/// otherwise keep resident in a process that never needs them again.
pub(crate) fn free_pages() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: malloc_trim only hands free heap pages back; it takes no pointer and may be called at any time.
    unsafe {
        libc::malloc_trim(0);
    }
}
