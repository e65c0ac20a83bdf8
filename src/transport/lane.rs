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
//! slow body, in `sleep`, in `blocking`) calls [`waiting::leave`] first, and the runtime starts
//! there and then.

use super::accept;
use super::connection::{Connection, First};
use super::runtime;
use super::server::Server;
use super::service::Service;
use super::stop;
use super::timeline::{self, Mark};
use super::waiting;
use std::net::TcpListener;
use std::os::fd::{AsRawFd, RawFd};

/// Silent connections that the lane holds; one more starts the runtime.
const MOST_SILENT: usize = 8;

/// Answers the first request, then starts the runtime. Returns early, without one, if the listener
/// was shut down.
pub(super) fn run<S: Service>(server: &'static Server<S>, listener: TcpListener) {
    waiting::enter();
    let mut silent = Vec::new();
    let first = match wait_for_request(server, &listener, &mut silent) {
        Waited::Request(connection) => connection,
        Waited::Overflow => {
            waiting::leave();
            runtime::start(server, listener, silent);
            return timeline::tell();
        }
        Waited::Stopped => return,
    };
    waiting::leave_by(Box::new(move || runtime::start(server, listener, silent)));
    timeline::mark(Mark::FirstRequest);
    let kept = first.exchange_once();
    timeline::mark(Mark::FirstReply);
    waiting::leave();
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
                Err(_) if stop::stopped() => return Waited::Stopped,
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
    waiting::wait_on(&mut polled);
    polled.iter().map(|polled| polled.revents != 0).collect()
}
