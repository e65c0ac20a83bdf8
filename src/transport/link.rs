//! One connected socket, read and written without blocking; the coroutine runtime does the waiting.
//!
//! The socket is added to epoll only when it first has to wait. A connection whose request is
//! already there and that closes after the reply never is.

#[cfg(feature = "websocket")]
use super::event_loop::Nudge;
use super::event_loop::{HANG_UP, Ready, Watched};
use super::handling::Blocks;
use super::home::home;
use super::lookout;
use super::waiting::is_lane;
use crate::sys::retry;
use std::io::{self, IoSlice};
use std::net::Shutdown;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::time::Duration;

/// A socket of ours.
pub(crate) struct Link {
    /// Set by its first wait on a coroutine. Dropped before the socket is closed.
    watched: Option<Watched>,
    socket: OwnedFd,
    /// The last read took everything: later bytes bring an event of their own (epoll(7),
    /// edge-triggered).
    drained: bool,
    /// The peer has closed its side: no further event will report it.
    hung_up: bool,
}

impl Link {
    /// Takes a connected socket that does not block.
    pub(crate) fn new(socket: OwnedFd) -> Link {
        Link { watched: None, socket, drained: false, hung_up: false }
    }

    pub(crate) fn fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }

    /// Whether a read can find anything before the next wait. If not, a system call is saved.
    pub(crate) fn may_have_input(&self) -> bool {
        !self.drained || self.hung_up
    }

    /// Appends what is there to `buffer`, at most its spare capacity. 0 is the peer's end of
    /// stream.
    ///
    /// # Errors
    /// `WouldBlock` if nothing is there.
    pub(crate) fn try_read(&mut self, buffer: &mut Vec<u8>) -> io::Result<usize> {
        let spare = buffer.spare_capacity_mut();
        debug_assert!(!spare.is_empty());
        // JUSTIFICATION: std reads into initialised bytes only, and would have them cleared first.
        // SAFETY: recv writes at most `spare.len()` bytes to `spare`, which is the vector's own
        // capacity; the length is raised by what it says it wrote.
        unsafe {
            let room = spare.len();
            let size = retry(|| {
                libc::recv(self.fd(), spare.as_mut_ptr().cast(), room, libc::MSG_DONTWAIT)
            })?;
            self.drained = size > 0 && size < room;
            buffer.set_len(buffer.len() + size);
            Ok(size)
        }
    }

    /// Reads and drops what is there, without copying it (tcp(7), MSG_TRUNC). 0 is the peer's end
    /// of stream.
    ///
    /// # Errors
    /// `WouldBlock` if nothing is there.
    pub(crate) fn try_discard(&mut self) -> io::Result<usize> {
        const MOST: usize = 1 << 20;
        const FLAGS: libc::c_int = libc::MSG_DONTWAIT | libc::MSG_TRUNC;
        // JUSTIFICATION: std reads into memory only.
        // SAFETY: with MSG_TRUNC a TCP socket writes to no memory; if a system did, the null
        // address would be an error and nothing else.
        let size = retry(|| unsafe { libc::recv(self.fd(), std::ptr::null_mut(), MOST, FLAGS) })?;
        self.drained = size > 0 && size < MOST;
        Ok(size)
    }

    /// Number of sent bytes that the peer's system has not taken yet.
    pub(crate) fn queued(&self) -> u64 {
        queued(self.fd())
    }

    /// Limits the kernel memory that a peer that does not read can hold. What is sent and on its
    /// way does not count, so no quick peer becomes slower (tcp(7) lacks it; Linux 3.12,
    /// Documentation/networking/ip-sysctl, tcp_notsent_lowat).
    pub(crate) fn limit_unsent(&self) {
        limit_unsent(self.fd());
    }

    /// Sends as much of `slices` as the peer accepts now.
    ///
    /// # Errors
    /// `WouldBlock` if it accepts nothing; otherwise the connection is over.
    pub(crate) fn try_write(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        const FLAGS: libc::c_int = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
        if let [whole] = slices {
            // The usual reply is one piece, and send costs the kernel less than sendmsg.
            // JUSTIFICATION: std's write on a socket raises SIGPIPE where it is not ignored.
            // SAFETY: the pointer and the length are the slice's own.
            return retry(|| unsafe {
                libc::send(self.fd(), whole.as_ptr().cast(), whole.len(), FLAGS)
            });
        }
        // JUSTIFICATION: std's write_vectored on a socket raises SIGPIPE where it is not ignored.
        // SAFETY: msghdr is plain data; IoSlice is documented to have the layout of iovec; the
        // slices outlive the call.
        unsafe {
            let mut message: libc::msghdr = std::mem::zeroed();
            message.msg_iov = slices.as_ptr().cast::<libc::iovec>().cast_mut();
            message.msg_iovlen = slices.len() as _;
            retry(|| libc::sendmsg(self.fd(), &raw const message, FLAGS))
        }
    }

    /// Waits until something happened on the socket since the last `WouldBlock`. May return early.
    /// A coroutine pauses, whatever `limit` is; a thread blocks for at most `limit`, while another
    /// one serves the others.
    ///
    /// # Errors
    /// If the runtime cannot watch the socket.
    pub(crate) fn wait(&mut self, until: Ready, limit: Option<Duration>) -> io::Result<()> {
        self.drained = false;
        let Some(home) = home() else {
            // In the lane the thread itself watches for others.
            let _blocks = (!is_lane()).then(Blocks::begin);
            let events = if until == Ready::ToRead { libc::POLLIN } else { libc::POLLOUT };
            lookout::wait_for(self.fd(), events, limit);
            return Ok(());
        };
        let watched = match &mut self.watched {
            Some(watched) => watched,
            none => none.insert(Watched::new(home, self.socket.as_raw_fd())?),
        };
        self.hung_up |= watched.wait(until)? & HANG_UP != 0;
        Ok(())
    }

    /// Returns a handle that ends a wait to read from elsewhere. Only on a coroutine.
    ///
    /// # Errors
    /// If the runtime cannot watch the socket.
    #[cfg(feature = "websocket")]
    pub(super) fn nudge(&mut self) -> io::Result<Nudge> {
        let home = home().ok_or(io::ErrorKind::Unsupported)?;
        let watched = match &mut self.watched {
            Some(watched) => watched,
            none => none.insert(Watched::new(home, self.socket.as_raw_fd())?),
        };
        Ok(watched.nudge())
    }

    /// From now on closing the socket resets the connection, so that the peer sees that the reply
    /// is incomplete.
    pub(crate) fn reset_on_close(&self) {
        let linger = libc::linger { l_onoff: 1, l_linger: 0 };
        // JUSTIFICATION: std's linger is not stable.
        // SAFETY: the pointer and the size are the value's own; an error leaves the close an
        // ordinary one.
        unsafe {
            let (at, size) =
                ((&raw const linger).cast(), size_of::<libc::linger>() as libc::socklen_t);
            libc::setsockopt(self.fd(), libc::SOL_SOCKET, libc::SO_LINGER, at, size);
        }
    }

    pub(crate) fn shutdown(&self, how: Shutdown) {
        shutdown(self.fd(), how);
    }
}

/// Closes one or both directions; a wait for the socket ends. An error means that it is over
/// already.
pub(super) fn shutdown(fd: RawFd, how: Shutdown) {
    let how = match how {
        Shutdown::Read => libc::SHUT_RD,
        Shutdown::Write => libc::SHUT_WR,
        Shutdown::Both => libc::SHUT_RDWR,
    };
    // JUSTIFICATION: the caller may hold no more than the number.
    // SAFETY: shutdown takes no memory; a number that is no socket is an error and nothing else.
    unsafe { libc::shutdown(fd, how) };
}

/// Bytes in a socket's send queue: not sent yet, or not acknowledged; 0 if unknown.
pub(super) fn queued(fd: RawFd) -> u64 {
    let mut bytes: libc::c_int = 0;
    // JUSTIFICATION: the caller may hold no more than the number, and std does not ask.
    // SAFETY: the call writes one int, which is there (tcp(7), SIOCOUTQ, the same number as
    // TIOCOUTQ); a number that is no socket is an error.
    let asked = unsafe { libc::ioctl(fd, libc::TIOCOUTQ as _, &raw mut bytes) };
    if asked < 0 { 0 } else { u64::try_from(bytes).unwrap_or(0) }
}

/// Bytes that a socket keeps at most before they are sent.
static UNSENT_BYTES: libc::c_int = 64 * 1024;

/// See [`Link::limit_unsent`]. Sockets accepted from a listener inherit it.
pub(super) fn limit_unsent(fd: RawFd) {
    // JUSTIFICATION: std has no such option.
    // SAFETY: the pointer and the size are the value's own; an error leaves the kernel's own limit.
    unsafe {
        let size = size_of::<libc::c_int>() as libc::socklen_t;
        let value = (&raw const UNSENT_BYTES).cast();
        libc::setsockopt(fd, libc::IPPROTO_TCP, libc::TCP_NOTSENT_LOWAT, value, size);
    }
}

/// Whether bytes have arrived that were not read.
pub(super) fn has_input(fd: RawFd) -> bool {
    let mut byte = 0u8;
    // JUSTIFICATION: the caller may hold no more than the number.
    // SAFETY: recv writes at most the one byte that it is given, and nothing is taken from the
    // socket.
    unsafe { libc::recv(fd, (&raw mut byte).cast(), 1, libc::MSG_PEEK | libc::MSG_DONTWAIT) > 0 }
}
