//! The life of the server: from a listening socket to the last reply after SIGTERM.

use super::lane;
use super::limits::Limits;
use super::panics;
use super::server::{AcceptState, Server};
use super::service::Service;
use super::stop;
use crate::log;
use std::net::TcpListener;
use std::os::fd::AsRawFd;

/// Serves until SIGTERM or SIGINT, then lets what is in flight finish.
///
/// `settle` does what a first reply need not wait for. It is called once: in the first pause after
/// a reply, or when the boot lane ends.
pub(crate) fn serve<S: Service>(
    listener: TcpListener,
    service: S,
    limits: Limits,
    workers: usize,
    settle: fn(),
) {
    let server: &'static Server<S> =
        Box::leak(Box::new(Server::new(service, limits, workers, settle)));
    stop::on_signal(listener.as_raw_fd(), limits.drain_timeout);
    stop::end_on_stack_overflow(limits.stack_bytes);
    panics::install();
    lane::run(server, listener);
    if server.accepting.end() == AcceptState::Failed {
        log::announce(format_args!("accepting has failed; the server stops"));
    }
    server.slots.drain(limits.drain_timeout);
    stop::drained();
}
