//! Returns memory to the system after loading.
#![allow(unsafe_code)]

/// Returns the allocator's free pages to the system. Loading frees many megabytes that the allocator would otherwise
/// keep, although the process never needs them again.
pub(crate) fn free_pages() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: malloc_trim only returns free heap pages; it takes no pointer and may be called at any time.
    unsafe {
        libc::malloc_trim(0);
    }
}
