//! Who gets in: the accepting coroutine, and the life of the server around it. The first request of
//! all does not come through here but through the boot lane.

use super::budget::Budget;
use super::connection::{Connection, LONGEST_STREAK, PAUSE};
use super::link::{Link, retry};
use super::sleep::sleep;
use super::slots::Slots;
use super::timeline::{self, Mark};
use super::{Limits, Service, lane, panics, stop};
use may::coroutine::{self, JoinHandle};
use may::io::WaitIo;
use std::io;
use std::net::TcpListener;
use std::os::fd::{AsRawFd, FromRawFd, IntoRawFd, OwnedFd, RawFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Everything that connections share. One per process, for as long as it lives.
pub(crate) struct Server<S> {
    pub service: S,
    pub limits: Limits,
    pub slots: Slots,
    pub budget: Budget,
    workers: usize,
    settle: fn(),
    /// The accepting coroutine, once there is one.
    acceptor: Mutex<Option<JoinHandle<()>>>,
}

/// Coroutines that are made before the first connection: each costs two system calls and two page
/// faults.
const POOL_AT_START: usize = 1;
/// Coroutines that are kept for the next connection once the server runs.
const POOL_LATER: usize = 64;

/// Serves until SIGTERM or SIGINT, then lets what is in flight finish.
///
/// `settle` is called once the first reply is out and before there is another thread: for whatever
/// was put off.
pub(crate) fn serve<S: Service>(
    listener: TcpListener,
    service: S,
    limits: Limits,
    workers: usize,
    settle: fn(),
) {
    let server: &'static Server<S> = Box::leak(Box::new(Server {
        service,
        limits,
        slots: Slots::new(limits.connections.max(1)),
        budget: Budget::new(limits.body_bytes, limits.json_factor),
        workers: workers.max(1),
        settle,
        acceptor: Mutex::new(None),
    }));
    stop::on_signal(listener.as_raw_fd(), limits.drain_timeout);
    stop::end_on_stack_overflow(0);
    panics::install();
    lane::run(server, listener);
    let acceptor = server.acceptor.lock().unwrap_or_else(PoisonError::into_inner).take();
    if acceptor.is_some_and(|acceptor| acceptor.join().is_err()) {
        crate::log::announce(format_args!("accepting has failed; the server stops"));
    }
    server.slots.drain(limits.drain_timeout);
    stop::drained();
}

/// Starts the coroutine runtime, which takes over the listener and the connections that were
/// accepted without it.
pub(super) fn start_runtime<S: Service>(
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
    let acceptor = unsafe { coroutine::spawn(move || accept(server, &listener)) };
    stop::end_on_stack_overflow(server.limits.stack_bytes);
    config.set_pool_capacity(POOL_LATER);
    give_stack_back();
    timeline::mark(Mark::Runtime);
    *server.acceptor.lock().unwrap_or_else(PoisonError::into_inner) = Some(acceptor);
    for connection in accepted {
        spawn(server, connection);
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

fn accept<S: Service>(server: &'static Server<S>, listener: &may::net::TcpListener) {
    let mut streak = 0;
    loop {
        streak += 1;
        if streak >= LONGEST_STREAK {
            streak = 0;
            sleep(PAUSE); // those that are in have a turn, however many knock
        }
        if server.slots.is_full() {
            make_room(server, listener);
        }
        let departures = server.slots.departures();
        match accept_one(listener.as_raw_fd()) {
            Ok(fd) => spawn(server, admit(server, fd)),
            Err(_) if stop::stopped() => break,
            Err(error) => match error.raw_os_error() {
                Some(libc::EAGAIN) => {
                    streak = 0;
                    listener.wait_io();
                }
                // The kernel looks for a descriptor before it looks who is there: nobody, and so
                // there is no need for one.
                Some(libc::EMFILE | libc::ENFILE) if !has_waiting_peer(listener) => {
                    listener.wait_io();
                }
                // Descriptors or memory have run out: an idle connection makes room, and the
                // backlog holds the rest.
                Some(libc::EMFILE | libc::ENFILE | libc::ENOBUFS | libc::ENOMEM) => {
                    server.slots.evict_longest_idle(departures);
                    server.slots.wait_for_room(departures, Duration::from_millis(20));
                }
                // The peer is gone again (accept(2) passes the network's errors on): take the next
                // one.
                _ => {}
            },
        }
    }
    stop::forget_listener();
}

/// At the cap: as soon as somebody waits to get in, the longest-idle connection goes, or the first
/// that finishes.
fn make_room<S: Service>(server: &'static Server<S>, listener: &may::net::TcpListener) {
    loop {
        let departures = server.slots.departures();
        if !server.slots.is_full() || stop::stopped() {
            return;
        }
        if !has_waiting_peer(listener) {
            listener.wait_io();
        } else {
            server.slots.evict_longest_idle(departures);
            // One that becomes idle in between has said so before this waits: the wait is bounded.
            server.slots.wait_for_room(departures, Duration::from_millis(50));
        }
    }
}

fn has_waiting_peer(listener: &may::net::TcpListener) -> bool {
    let mut poll = libc::pollfd { fd: listener.as_raw_fd(), events: libc::POLLIN, revents: 0 };
    // JUSTIFICATION: accepting would be too much and epoll reports changes only.
    // SAFETY: one pollfd, and the count says one.
    unsafe { libc::poll(&raw mut poll, 1, 0) > 0 }
}

/// Accepts one connection; waits for it if the listener blocks.
pub(super) fn accept_one(listener: RawFd) -> io::Result<OwnedFd> {
    let flags = libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;
    // JUSTIFICATION: std's accept leaves the socket blocking, which is one more system call to
    // change.
    // SAFETY: no address is asked for; the descriptor is ours as soon as it is valid.
    unsafe {
        let fd = retry(|| {
            libc::accept4(listener, std::ptr::null_mut(), std::ptr::null_mut(), flags) as isize
        })?;
        Ok(OwnedFd::from_raw_fd(fd as RawFd))
    }
}

pub(super) fn admit<S: Service>(server: &'static Server<S>, fd: OwnedFd) -> Connection<S> {
    let seat = server.slots.seat(fd.as_raw_fd());
    Connection::new(server, Link::new(fd), seat)
}

/// Gives the connection a coroutine. From within one, on a single worker, it runs at once: no
/// detour through the queue and its wake-up call. Otherwise it starts on the worker whose epoll
/// will watch its socket.
pub(super) fn spawn<S: Service>(server: &'static Server<S>, connection: Connection<S>) {
    let number = connection.fd() as usize;
    let builder = coroutine::Builder::new();
    // JUSTIFICATION: may's spawn is unsafe because coroutines move between threads.
    // SAFETY: the coroutine keeps nothing thread-local over a wait; a stack overflow ends the
    // process (stop.rs).
    let started = catch_unwind(AssertUnwindSafe(|| unsafe {
        if server.workers == 1 && lane::is_coroutine() {
            builder.spawn_local(move || connection.run())
        } else {
            builder.id(number).spawn(move || connection.run())
        }
    }));
    if !matches!(started, Ok(Ok(_))) {
        crate::log::announce(format_args!(
            "no memory for another connection's stack; the connection is closed"
        ));
    }
}
