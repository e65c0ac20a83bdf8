//! Accepting: the coroutine that accepts connections, and what frees a slot for them. The first
//! request of a process comes through the boot lane instead.

use super::connection::{Connection, LONGEST_STREAK};
use super::event_loop::{Ready, Watched};
use super::home::home;
use super::link::Link;
use super::loops;
use super::server::{AcceptState, Server};
use super::service::Service;
use super::slots::Need;
use super::stop;
use crate::log;
use crate::sys::retry;
use std::io;
use std::net::TcpListener;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

/// The listening socket, on a coroutine.
struct Listener {
    /// Dropped before the socket is closed.
    watched: Watched,
    socket: TcpListener,
}

impl Listener {
    /// Waits until a connection is there. May return early.
    fn wait(&mut self) {
        let _ = self.watched.wait(Ready::ToRead); // nothing is asked of epoll that it could refuse
    }
}

/// Accepts until the listener, a non-blocking socket, is shut down.
pub(super) fn run<S: Service>(server: &'static Server<S>, socket: TcpListener) {
    /// Reports the end to the waiting main thread, after a panic too.
    struct Ends<S: 'static>(&'static Server<S>, AcceptState);

    impl<S> Drop for Ends<S> {
        fn drop(&mut self) {
            self.0.accepting.is(self.1);
        }
    }

    let mut ends = Ends(server, AcceptState::Failed);
    let watched = home().and_then(|home| Watched::new(home, socket.as_raw_fd()).ok());
    if let Some(watched) = watched {
        accept(server, &mut Listener { watched, socket });
        ends.1 = AcceptState::Ended;
    }
}

fn accept<S: Service>(server: &'static Server<S>, listener: &mut Listener) {
    let mut streak = 0;
    loop {
        streak += 1;
        if streak >= LONGEST_STREAK {
            streak = 0;
            if let Some(home) = home() {
                home.give_way(); // accepted connections get a turn before more are accepted
            }
        }
        if server.slots.is_full() {
            make_room(server, listener);
        }
        let departures = server.slots.departures();
        match accept_one(listener.socket.as_raw_fd()) {
            Ok(fd) => spawn(server, admit(server, fd)),
            Err(_) if stop::stopped() => break,
            Err(error) => match error.raw_os_error() {
                Some(libc::EAGAIN) => {
                    streak = 0;
                    listener.wait();
                }
                // The kernel reserves a descriptor before it looks for a connection: there is none,
                // so no descriptor is needed.
                Some(libc::EMFILE | libc::ENFILE)
                    if !has_waiting_peer(listener.socket.as_raw_fd()) =>
                {
                    listener.wait();
                }
                // Descriptors or memory have run out: the connection that has been unused longest
                // is closed, and the backlog holds the rest.
                Some(libc::EMFILE | libc::ENFILE | libc::ENOBUFS | libc::ENOMEM) => {
                    server.slots.make_room(departures, Need::Descriptor);
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

/// Waits at the largest number of connections: as soon as a new one is there, ends the connection
/// that has been unused longest, or waits for the first that finishes.
fn make_room<S: Service>(server: &'static Server<S>, listener: &mut Listener) {
    loop {
        let departures = server.slots.departures();
        if !server.slots.is_full() || stop::stopped() {
            return;
        }
        if !has_waiting_peer(listener.socket.as_raw_fd()) {
            listener.wait();
        } else {
            server.slots.make_room(departures, Need::Place);
            // A connection that became idle meanwhile has reported it before this wait; that a peer
            // falls behind is not reported, so the wait is bounded.
            server.slots.wait_for_room(departures, Duration::from_millis(20));
        }
    }
}

pub(super) fn has_waiting_peer(listener: RawFd) -> bool {
    let mut poll = libc::pollfd { fd: listener, events: libc::POLLIN, revents: 0 };
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

/// Gives the connection a coroutine, on the loop that will watch its socket. If that is the
/// accepting coroutine's own loop, it runs at once.
pub(super) fn spawn<S: Service>(server: &'static Server<S>, connection: Connection<S>) {
    let number = connection.fd() as usize;
    let started = catch_unwind(AssertUnwindSafe(|| loops::spawn(number, move || connection.run())));
    if started.is_err() {
        log::announce(format_args!(
            "no memory for another connection's stack; the connection is closed"
        ));
    }
    if server.workers == 1
        && let Some(home) = home()
    {
        home.pass();
    }
}
