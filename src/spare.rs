//! Per-thread buffer pool: request bytes and reply bytes are taken here and given back, so that a
//! connection that is idle holds none and a busy one allocates none. Big ones are not kept.

use std::cell::RefCell;
use std::mem::ManuallyDrop;

/// Capacity of a fresh buffer for what is read, in bytes: a platform request is one to two KiB.
const READ_BYTES: usize = 4 * 1024;
/// And for what is written, which grows where a reply is larger: three buffers of 4 KiB would be
/// two pages more of a first reply.
const WRITE_BYTES: usize = 512;
/// Largest buffer that is kept, in bytes.
pub(crate) const KEEP_BYTES: usize = 64 * 1024;
/// Buffers kept per thread.
const KEEP: usize = 16;

thread_local! {
    // Never dropped: the threads that serve live as long as the process, and a destructor would be
    // registered before the first reply at the price of five system calls.
    static SPARE: RefCell<ManuallyDrop<Vec<Vec<u8>>>> =
        const { RefCell::new(ManuallyDrop::new(Vec::new())) };
}

/// An empty buffer to read into.
///
/// Not inlined, like [`give_back`]: a coroutine may call them on different threads, and the address
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

/// Keeps the buffer for later, unless it is big or there are enough.
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
