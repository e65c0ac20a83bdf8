//! The coroutine runtime: how it is set up, and what is handed over to it when the boot lane ends.

use super::accept;
use super::connection::Connection;
use super::server::Server;
use super::service::Service;
use super::stop;
use super::timeline::{self, Mark};
use may::coroutine;
use std::net::TcpListener;
use std::os::fd::{FromRawFd, IntoRawFd};
use std::sync::PoisonError;

/// Coroutines that are made before the first connection: each costs two system calls and two page
/// faults.
const POOL_AT_START: usize = 1;
/// Coroutines that are kept for the next connection once the server runs.
const POOL_LATER: usize = 64;

/// Starts the coroutine runtime, which takes over the listener and the connections that were
/// accepted without it.
pub(super) fn start<S: Service>(
    server: &'static Server<S>,
    listener: TcpListener,
    accepted: Vec<Connection<S>>,
) {
    (server.settle)();
    let config = may::config();
    config.set_workers(server.workers);
    config.set_pool_capacity(POOL_AT_START).set_stack_size(stack_words(server.limits.stack_bytes));
    config.set_worker_pin(false); // an instance shares its cores with others
    // JUSTIFICATION: may's own bind sets SO_REUSEPORT; its listener has no safe way to take a
    // socket.
    // SAFETY: the descriptor is a listening socket and is given up here. This starts the runtime.
    let listener = unsafe { may::net::TcpListener::from_raw_fd(listener.into_raw_fd()) };
    // JUSTIFICATION: may's spawn is unsafe because coroutines move between threads.
    // SAFETY: the coroutine keeps nothing thread-local over a wait; its frames are bounded.
    let acceptor = unsafe { coroutine::spawn(move || accept::run(server, &listener)) };
    stop::end_on_stack_overflow(server.limits.stack_bytes);
    config.set_pool_capacity(POOL_LATER);
    give_stack_back();
    timeline::mark(Mark::Runtime);
    *server.acceptor.lock().unwrap_or_else(PoisonError::into_inner) = Some(acceptor);
    for connection in accepted {
        accept::spawn(server, connection);
    }
}

/// Gives back the pages of the main thread's stack that starting the runtime has left behind: may's
/// scheduler is a value of 140 KiB before it is boxed, and the main thread never goes that deep
/// again.
// a frame of its own, the lowest: within its caller's, what is below `here` would be the caller's
#[inline(never)]
fn give_stack_back() {
    /// Deeper than the scheduler, and far from the end of the smallest stack that a platform gives
    /// (8 MiB).
    const DEPTH_BYTES: usize = 256 * 1024;
    const PAGE_BYTES: usize = 4096;
    // JUSTIFICATION: std does not say which thread is the main one.
    // SAFETY: two questions without arguments.
    if unsafe { libc::getpid() != libc::gettid() } {
        // a test's server: its thread's stack may be small, and what lies below is somebody else's
        return;
    }
    let here = 0u8;
    // A page of distance: the frame of this function, and those of the call below it.
    let end = ((&raw const here).addr() - PAGE_BYTES) / PAGE_BYTES * PAGE_BYTES;
    let start = std::ptr::without_provenance_mut(end - DEPTH_BYTES);
    // JUSTIFICATION: std cannot give memory back.
    // SAFETY: bytes below the stack pointer are nobody's: frames that were there have returned, and
    // the next ones write before they read. Below the main thread's stack the kernel maps nothing
    // for many times the depth (at least 128 MiB: its mmap_base). Where the stack has not grown so
    // deep nothing is mapped, which the kernel reports and we need not know.
    unsafe { libc::madvise(start, DEPTH_BYTES, libc::MADV_DONTNEED) };
}

/// may counts stacks in words and recycles only multiples of 512 of them.
pub(super) fn stack_words(bytes: usize) -> usize {
    (bytes / size_of::<usize>()).next_multiple_of(512).max(512)
}
