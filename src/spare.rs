//! Per-thread buffer pool for request and reply bytes: an idle connection holds no buffer, and a
//! busy one allocates none. Large buffers are not kept.

use std::cell::RefCell;
use std::mem::ManuallyDrop;

/// Capacity of a new buffer to read into, in bytes: a platform's request is one to two KiB.
const READ_BYTES: usize = 4 * 1024;
/// Capacity of a new buffer to write into; it grows where a reply is larger. Three buffers of 4 KiB
/// would touch two more pages before a first reply.
const WRITE_BYTES: usize = 512;
/// Largest buffer that is kept, in bytes.
pub(crate) const KEEP_BYTES: usize = 64 * 1024;
/// Largest number of buffers kept per thread.
const KEEP: usize = 16;

thread_local! {
    // Never dropped: the threads that serve live as long as the process, and registering a
    // destructor costs five system calls before the first reply.
    static SPARE: RefCell<ManuallyDrop<Vec<Vec<u8>>>> =
        const { RefCell::new(ManuallyDrop::new(Vec::new())) };
}

/// An empty buffer to read into.
///
/// Not inlined, like [`give_back`]: a coroutine may call them on different threads, so the address
/// of a thread's slot must not be kept from one call to the next. No borrow outlives a call.
#[inline(never)]
pub(crate) fn take() -> Vec<u8> {
    SPARE.with_borrow_mut(|spare| spare.pop()).unwrap_or_else(|| Vec::with_capacity(READ_BYTES))
}

/// An empty buffer to write a reply or its head into.
#[inline(never)]
pub(crate) fn take_to_write() -> Vec<u8> {
    SPARE.with_borrow_mut(|spare| spare.pop()).unwrap_or_else(|| Vec::with_capacity(WRITE_BYTES))
}

/// Keeps the buffer for later, unless it is large or enough are kept.
#[inline(never)]
pub(crate) fn give_back(mut buffer: Vec<u8>) {
    if buffer.capacity() == 0 || buffer.capacity() > KEEP_BYTES {
        return;
    }
    buffer.clear();
    SPARE.with_borrow_mut(|spare| {
        if spare.len() < KEEP {
            spare.push(buffer);
        }
    });
}
