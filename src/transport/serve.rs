//! Life of the server: from a listening socket to the last reply after SIGTERM, and the function's
//! stop hooks.

use super::background;
use super::lane;
use super::limits::{Limits, time_after};
use super::panics;
use super::server::{AcceptState, Server};
use super::service::Service;
use super::stop;
use super::stopper::{self, BACKGROUND, Ending};
use super::worker;
use crate::log;
use ::log::Level;
use std::net::TcpListener;
use std::os::fd::AsRawFd;
use std::thread;
use std::time::Duration;

/// Serves until SIGTERM or SIGINT, then lets work in flight finish, and runs the service's last
/// work. False if something was cut off or has failed.
///
/// `ready` is called when signals are handled and connections would be accepted. `settle` does what
/// a first reply does not need. It is called once: in the first pause after a reply, or when the
/// boot lane ends.
pub(crate) fn serve<S: Service>(
    listener: TcpListener,
    service: S,
    limits: Limits,
    workers: usize,
    ready: fn(&TcpListener),
    settle: fn(),
) -> bool {
    let server: &'static Server<S> =
        Box::leak(Box::new(Server::new(service, limits, workers, settle)));
    let drain = server.drain_time();
    stop::on_signal(listener.as_raw_fd(), limits.drain_timeout);
    stopper::prepare(server, drain);
    ready(&listener);
    stop::end_on_stack_overflow(limits.stack_bytes);
    background::at_most(limits.background);
    panics::install();
    lane::run(server, listener);
    let accepting = server.accepting.end() != AcceptState::Failed;
    if !accepting {
        log::announce(format_args!("accepting has failed; the server stops"));
    }
    let end = time_after(drain);
    let left = server.slots.drain(drain);
    log::mistakes_at_the_end();
    if let Some(background) = BACKGROUND.get() {
        background.drain(end);
    }
    if !stopper::begin() {
        loop {
            // The stopper is already ending the process. Not `park`: that std code adds a KiB to
            // every function.
            thread::sleep(Duration::from_secs(3600));
        }
    }
    let cut = server.log_cut(left);
    let ended = server.service.stop();
    stop::drained();
    accepting && ended && !cut
}

impl<S: Service> Server<S> {
    /// Time for work in flight. If the service has last work, a quarter of the drain time is
    /// reserved for that.
    fn drain_time(&self) -> Duration {
        let all = self.limits.drain_timeout;
        if self.service.has_last_work() { all - all / 4 } else { all }
    }

    /// Logs what the drain time cuts off. Returns whether something is cut off. `left`: open
    /// connections.
    #[cold]
    #[inline(never)]
    fn log_cut(&self, left: usize) -> bool {
        if left == 0 && BACKGROUND.get().is_none() {
            return false;
        }
        let ms = self.limits.drain_timeout.as_millis() as u64; // writing 128 bits is a KiB of code
        let handlers = worker::in_handlers();
        for (worker, _) in &handlers {
            let line =
                format_args!("a request is cut off in its handler: the drain time-out of {ms} ms");
            log::failure(Level::Error, &worker.request_id(), line);
        }
        let others = left.saturating_sub(handlers.len());
        if others > 0 {
            let line = format_args!(
                "{others} connections are cut off while a request or its reply was on its way: the \
                 drain time-out of {ms} ms"
            );
            log::failure(Level::Error, "", line);
        }
        let background = BACKGROUND.get().map_or(0, |background| background.log_left());
        left > 0 || background > 0
    }
}

impl<S: Service> Ending for Server<S> {
    fn end(&self) -> ! {
        log::mistakes_at_the_end();
        self.log_cut(self.slots.count()); // the main thread is in a handler
        self.service.stop();
        stop::end_process()
    }
}
