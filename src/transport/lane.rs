//! The boot lane: the first request is answered on the main thread, before there is a coroutine
//! runtime.
//!
//! Threads, epoll and a coroutine's stack cost more than a small program's whole start. The lane
//! needs none of them: it accepts, waits with poll(2), and answers the first request that arrives,
//! with the same [`Connection`] code that runs on coroutines later. Then the runtime comes up and
//! takes over the listener, the connection with every byte it has read, and any others that were
//! accepted and have said nothing yet (a health probe holds nobody up).
//!
//! The lane never waits for one peer while others could be served: whoever has to wait in it (for a
//! slow body, in `sleep`, in `blocking`) calls [`leave`] first, and the runtime starts there and
//! then.

use super::Service;
use super::accept::{self, Server};
use super::connection::{Connection, First};
use super::timeline::{self, Mark};
use std::cell::Cell;
use std::mem::ManuallyDrop;
use std::net::TcpListener;
use std::os::fd::{AsRawFd, RawFd};

/// Silent connections that the lane holds; one more starts the runtime.
const MOST_SILENT: usize = 8;

thread_local! {
    /// Whether this is the main thread, in the lane.
    static HERE: Cell<bool> = const { Cell::new(false) };
    /// How the main thread leaves the lane: there while it answers a request in it. Never dropped
    /// but by being called; registering a destructor costs five system calls.
    static LEAVE: Cell<Option<StartRuntime>> = const { Cell::new(None) };
}

type StartRuntime = ManuallyDrop<Box<dyn FnOnce()>>;

/// Whether a coroutine is running here. The library's own question sets a thread up first, which
/// the lane need not pay.
pub(super) fn is_coroutine() -> bool {
    !HERE.get() && may::coroutine::is_coroutine()
}

/// To be called before a thread that runs no coroutines waits. In the lane this starts the runtime;
/// elsewhere it does nothing.
pub(super) fn leave() {
    HERE.set(false);
    if let Some(start_runtime) = LEAVE.take() {
        ManuallyDrop::into_inner(start_runtime)();
    }
}

/// Answers the first request, then starts the runtime. Returns early, without one, if the listener
/// was shut down.
pub(super) fn run<S: Service>(server: &'static Server<S>, listener: TcpListener) {
    HERE.set(true);
    let mut silent = Vec::new();
    let first = match wait_for_request(server, &listener, &mut silent) {
        Waited::Request(connection) => connection,
        Waited::Overflow => {
            HERE.set(false);
            accept::start_runtime(server, listener, silent);
            return timeline::tell();
        }
        Waited::Stopped => return,
    };
    let start_runtime: Box<dyn FnOnce()> =
        Box::new(move || accept::start_runtime(server, listener, silent));
    LEAVE.set(Some(ManuallyDrop::new(start_runtime)));
    timeline::mark(Mark::FirstRequest);
    let kept = first.exchange_once();
    timeline::mark(Mark::FirstReply);
    leave();
    timeline::tell();
    if let Some(connection) = kept {
        accept::spawn(server, connection);
    }
}

enum Waited<S: 'static> {
    Request(Connection<S>),
    /// More peers, or more trouble, than the lane is made for.
    Overflow,
    Stopped,
}

fn wait_for_request<S: Service>(
    server: &'static Server<S>,
    listener: &TcpListener,
    silent: &mut Vec<Connection<S>>,
) -> Waited<S> {
    // With nobody there yet, accept itself is the wait: one system call less than asking first.
    let mut listener_ready = true;
    loop {
        if listener_ready {
            match accept::accept_one(listener.as_raw_fd()) {
                Ok(fd) => silent.push(accept::admit(server, fd)),
                Err(_) if super::stop::stopped() => return Waited::Stopped,
                Err(_) => return Waited::Overflow,
            }
            // Most peers have sent their request by now.
            if let Some(newest) = silent.pop() {
                match take(newest, silent) {
                    Some(request) => return Waited::Request(request),
                    None if silent.len() > MOST_SILENT => return Waited::Overflow,
                    None if silent.is_empty() => continue,
                    None => {}
                }
            }
        }
        let ready = poll(listener.as_raw_fd(), silent);
        for index in (0..silent.len()).rev() {
            if ready.get(index + 1).is_some_and(|ready| *ready) {
                let speaker = silent.swap_remove(index);
                if let Some(request) = take(speaker, silent) {
                    return Waited::Request(request);
                }
            }
        }
        listener_ready = ready.first().is_some_and(|ready| *ready) || silent.is_empty();
    }
}

/// The connection if it has sent something; if it is silent it goes (back) to the others, if it is
/// gone it is dropped.
fn take<S: Service>(
    mut connection: Connection<S>,
    silent: &mut Vec<Connection<S>>,
) -> Option<Connection<S>> {
    match connection.receive() {
        First::Bytes => return Some(connection),
        First::Nothing => silent.push(connection),
        First::End => {}
    }
    None
}

/// Waits until the listener (the first answer) or a connection (the others, in order) is ready.
fn poll<S: Service>(listener: RawFd, silent: &[Connection<S>]) -> Vec<bool> {
    let fds = std::iter::once(listener).chain(silent.iter().map(Connection::fd));
    let mut polled: Vec<libc::pollfd> =
        fds.map(|fd| libc::pollfd { fd, events: libc::POLLIN, revents: 0 }).collect();
    wait_on(&mut polled);
    polled.iter().map(|polled| polled.revents != 0).collect()
}

/// Blocks the thread until one of the descriptors is ready; a signal ends the wait early.
pub(super) fn wait_on(polled: &mut [libc::pollfd]) {
    // JUSTIFICATION: std has no way to wait for more than one descriptor, or for one without
    // reading from it.
    // SAFETY: the pointer and the count are the slice's own.
    unsafe { libc::poll(polled.as_mut_ptr(), polled.len() as libc::nfds_t, -1) };
}
