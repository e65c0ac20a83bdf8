//! Stack limit of the boot lane: a handler on the main thread has as much stack as one on a
//! coroutine, so that an overflow shows at the first request and not only under load.
//!
//! Pages without access are mapped that far below the frame that places them. The kernel lets the
//! main thread's stack grow until it meets them.

use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// Larger than the largest frame that could skip a page without touching it, in bytes.
pub(super) const GUARD_BYTES: usize = 64 * 1024;
const PAGE_BYTES: usize = 4096;

/// Address of the guard; 0: there is none.
static PLACED: AtomicUsize = AtomicUsize::new(0);
/// Whether it is removed for a while.
static LIFTED: AtomicBool = AtomicBool::new(false);

/// Whether an address is in the guard. Async-signal-safe.
pub(super) fn is_guard(address: usize) -> bool {
    let placed = PLACED.load(Ordering::SeqCst);
    placed != 0 && address.wrapping_sub(placed) < GUARD_BYTES
}

/// Whether work runs that may use the whole stack. Async-signal-safe.
pub(super) fn is_lifted() -> bool {
    LIFTED.load(Ordering::SeqCst)
}

/// Limits the stack to `stack_bytes` below the caller's frame, until [`remove`]. Does nothing if
/// that range is in use: by another thread's stack, or by this one's, which was deeper before.
#[inline(never)]
pub(super) fn place(stack_bytes: usize) {
    let here = 0u8;
    let below = (&raw const here).addr().saturating_sub(stack_bytes) / PAGE_BYTES * PAGE_BYTES;
    map(below.saturating_sub(GUARD_BYTES));
}

/// Removes the limit.
pub(super) fn remove() {
    let start = PLACED.swap(0, Ordering::SeqCst);
    if start != 0 {
        // JUSTIFICATION: std unmaps no memory.
        // SAFETY: the range is the guard's own mapping, and nothing of it was ever used.
        unsafe { libc::munmap(ptr::without_provenance_mut(start), GUARD_BYTES) };
    }
}

/// While it exists, the guard is removed.
#[must_use]
pub(super) struct Lifted(usize);

/// Removes the guard for work that may use the whole stack.
pub(super) fn lift() -> Lifted {
    let start = PLACED.load(Ordering::SeqCst);
    remove();
    LIFTED.store(true, Ordering::SeqCst);
    Lifted(start)
}

impl Drop for Lifted {
    fn drop(&mut self) {
        LIFTED.store(false, Ordering::SeqCst);
        if self.0 != 0 {
            map(self.0); // does nothing if the work came as deep as this
        }
    }
}

fn map(start: usize) {
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED_NOREPLACE;
    let at = ptr::without_provenance_mut(start);
    // JUSTIFICATION: std maps no memory.
    // SAFETY: if anything is mapped in that range, the call fails and changes nothing.
    let mapped = unsafe { libc::mmap(at, GUARD_BYTES, libc::PROT_NONE, flags, -1, 0) };
    if mapped == at {
        PLACED.store(start, Ordering::SeqCst);
    } else if mapped != libc::MAP_FAILED {
        // JUSTIFICATION: as above.
        // SAFETY: kernels before 4.17 take the address as a hint: the mapping is ours, and unused.
        unsafe { libc::munmap(mapped, GUARD_BYTES) };
    }
}
