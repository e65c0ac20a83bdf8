//! Who gets in: the accepting coroutine, and what makes room for it. The first request of all does
//! not come through here but through the boot lane.

use super::connection::{Connection, LONGEST_STREAK, PAUSE};
use super::link::Link;
use super::server::Server;
use super::service::Service;
use super::sleep::sleep;
use super::stop;
use super::waiting::is_coroutine;
use crate::log;
use crate::sys::retry;
use may::coroutine;
use may::io::WaitIo;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

/// Accepts until the listener is shut down.
pub(super) fn run<S: Service>(server: &'static Server<S>, listener: &may::net::TcpListener) {
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
        if server.workers == 1 && is_coroutine() {
            builder.spawn_local(move || connection.run())
        } else {
            builder.id(number).spawn(move || connection.run())
        }
    }));
    if !matches!(started, Ok(Ok(_))) {
        log::announce(format_args!(
            "no memory for another connection's stack; the connection is closed"
        ));
    }
}
