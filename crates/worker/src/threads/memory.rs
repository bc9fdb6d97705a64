//! Memory that was freed.

/// Gives freed memory back to the system, which may take milliseconds. The allocator of glibc keeps what lies below a
/// single block that is still in use: after an outage that would be most of the results that had waited (measured: 110
/// of 150 MiB). Other allocators give memory back by themselves.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[expect(unsafe_code, reason = "no safe crate has this function")]
pub(crate) fn give_back() {
    // SAFETY: the function takes no pointer, may be called by any thread at any time, and changes only free memory. If
    // the program has another allocator, the heap of glibc is small, and nothing happens.
    unsafe {
        libc::malloc_trim(0);
    }
}

/// Does nothing: other allocators give memory back by themselves.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub(crate) fn give_back() {}
