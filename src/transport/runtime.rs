//! Start of the coroutine runtime, and what the boot lane hands over to it.

use super::accept;
use super::connection::Connection;
use super::link;
use super::loops;
use super::server::{AcceptState, Server};
use super::service::Service;
use super::stop;
use super::threads;
use super::timeline::{self, Mark};
use crate::log;
use std::net::TcpListener;
use std::os::fd::AsRawFd;

/// Starts the coroutine runtime, which takes over the listener and the connections accepted so far.
pub(super) fn start<S: Service>(
    server: &'static Server<S>,
    listener: TcpListener,
    accepted: Vec<Connection<S>>,
) {
    link::limit_unsent(listener.as_raw_fd());
    threads::at_most(server.limits.threads.max(server.workers));
    let started = listener
        .set_nonblocking(true)
        .and_then(|()| loops::start(server.workers, server.limits.stack_bytes));
    if let Err(error) = started {
        // Nothing could be served, and a panic would count as one handler's.
        log::announce(format_args!("the runtime does not start: {error}; the process ends"));
        std::process::exit(1);
    }
    server.accepting.is(AcceptState::Going);
    loops::spawn(0, move || accept::run(server, listener));
    stop::end_on_stack_overflow(server.limits.stack_bytes);
    timeline::mark(Mark::Runtime);
    for connection in accepted {
        accept::spawn(server, connection);
    }
}
