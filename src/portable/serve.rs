//! Life of the server: one thread per connection, from a listening socket to the last reply.

use super::background;
use super::connection::Connection;
use super::early;
use super::limits::{Limits, time_after};
use super::panics;
use super::server::Server;
use super::service::Service;
use super::stop;
use super::stopper::BACKGROUND;
use super::threads::STACK_BYTES;
use super::waiting::poll;
use crate::log;
use crate::stopping::stopping;
use ::log::Level;
use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::sync::PoisonError;
use std::thread;
use std::time::Duration;

/// Binds and listens. The backlog is the standard library's.
///
/// # Errors
/// An error of the system: the address is in use, not permitted or does not exist.
pub(crate) fn listen(address: SocketAddr, _backlog: u32) -> io::Result<TcpListener> {
    TcpListener::bind(address)
}

/// Serves until SIGTERM or SIGINT, then waits for the requests in flight and runs the service's
/// last step. Returns false if it cut a request off or a step failed.
pub(crate) fn serve<S: Service>(
    listener: TcpListener,
    service: S,
    limits: Limits,
    _workers: usize,
    ready: fn(&TcpListener),
    settle: fn(),
) -> bool {
    let server: &'static Server<S> = Box::leak(Box::new(Server::new(service, limits)));
    panics::install();
    background::at_most(limits.background);
    let bell = stop::on_signal();
    let accepting = bell.and_then(|bell| {
        listener.set_nonblocking(true)?;
        settle();
        go_on_early();
        ready(&listener);
        server.accept(&listener, &bell)
    });
    drop(listener);
    if let Err(error) = &accepting {
        log::announce(format_args!("accepting has failed ({error}); the server stops"));
    }
    let drain = match server.service.has_last_work() {
        true => limits.drain_timeout - limits.drain_timeout / 4,
        false => limits.drain_timeout,
    };
    let end = time_after(drain);
    let cut = server.drain(end);
    log::mistakes_at_the_end();
    if cut > 0 {
        let ms = limits.drain_timeout.as_millis();
        let line = format_args!("{cut} requests are cut off: the drain time-out of {ms} ms");
        log::failure(Level::Error, "", line);
    }
    let left = BACKGROUND.get().map_or(0, |background| {
        background.drain(end);
        background.log_left()
    });
    let ended = server.service.stop();
    accepting.is_ok() && ended && cut == 0 && left == 0
}

/// Runs the work that starts before the first request, on its own thread.
fn go_on_early() {
    let Some(steps) = early::steps() else { return };
    let run = move || {
        let mut polled = Vec::new();
        loop {
            polled.clear();
            let until_ns = steps.go_on(&mut polled);
            if polled.is_empty() {
                return;
            }
            poll(&mut polled, until_ns);
        }
    };
    if let Err(error) = thread::Builder::new().name("early".into()).spawn(run) {
        log::announce(format_args!("cannot start a thread for early connections: {error}"));
    }
}

impl<S: Service> Server<S> {
    fn accept(&'static self, listener: &TcpListener, bell: &OwnedFd) -> io::Result<()> {
        while !stopping() {
            self.wait_for_a_place();
            match listener.accept() {
                Ok((stream, _)) => self.admit(stream),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    let fd = listener.as_raw_fd();
                    let listening = libc::pollfd { fd, events: libc::POLLIN, revents: 0 };
                    poll(&mut [listening, stop::polled(bell)], u64::MAX);
                }
                Err(error) => match error.raw_os_error() {
                    // The connection no longer exists.
                    Some(libc::ECONNABORTED | libc::EINTR) => {}
                    // No descriptor or memory is available until one of our connections ends.
                    Some(libc::EMFILE | libc::ENFILE | libc::ENOBUFS | libc::ENOMEM) => {
                        let counts = self.lock();
                        let wait = Duration::from_millis(20);
                        drop(self.changed.wait_timeout(counts, wait));
                    }
                    _ => return Err(error),
                },
            }
        }
        Ok(())
    }

    /// At the cap, waits until a connection ends; the backlog holds the others.
    fn wait_for_a_place(&self) {
        let mut counts = self.lock();
        while counts.open >= self.limits.connections && !stopping() {
            // The signal does not wake this wait, so the loop checks for it regularly.
            let wait = Duration::from_millis(100);
            counts =
                self.changed.wait_timeout(counts, wait).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn admit(&'static self, stream: TcpStream) {
        // On some systems the new socket inherits the listener's non-blocking mode.
        if stream.set_nonblocking(false).and_then(|()| stream.set_nodelay(true)).is_err() {
            return;
        }
        self.lock().open += 1;
        let run = move || {
            // The hook logs a panic in the server's own code; it costs one connection.
            let _ = panics::catch(|| Connection::new(self, stream).run());
            self.lock().open -= 1;
            self.changed.notify_all();
        };
        let thread = thread::Builder::new().name("connection".into()).stack_size(STACK_BYTES);
        if let Err(error) = thread.spawn(run) {
            self.lock().open -= 1;
            log::announce(format_args!("no thread for a connection ({error}); it is closed"));
        }
    }
}
