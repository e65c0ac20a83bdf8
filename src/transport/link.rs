//! One connected socket, read and written without blocking, with the wait left to the coroutine runtime.
//!
//! The socket meets epoll only when it first has to wait: a connection whose request is already there and that is
//! closed after the reply never does.

use super::lane;
use super::lane::is_coroutine;
use may::io::WaitIo;
use may::net::TcpStream;
use std::io::{self, IoSlice};
use std::net::Shutdown;
use std::os::fd::{AsRawFd, FromRawFd, IntoRawFd, OwnedFd, RawFd};
use std::panic::catch_unwind;

/// A socket that is ours alone.
pub(crate) struct Link {
    socket: Socket,
}

/// What a wait is for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ready {
    ToRead,
    ToWrite,
}

enum Socket {
    Fresh(OwnedFd),
    Registered(TcpStream),
    /// Between the two, or after a registration that failed: every call fails.
    Gone,
}

impl Link {
    /// Takes a connected socket that does not block.
    pub(crate) fn new(fd: OwnedFd) -> Link {
        Link { socket: Socket::Fresh(fd) }
    }

    pub(crate) fn fd(&self) -> RawFd {
        match &self.socket {
            Socket::Fresh(fd) => fd.as_raw_fd(),
            Socket::Registered(stream) => stream.as_raw_fd(),
            Socket::Gone => -1,
        }
    }

    /// Appends what is there to `buffer`, at most its spare capacity. 0 is the peer's end of stream.
    ///
    /// # Errors
    /// `WouldBlock` if nothing is there.
    pub(crate) fn try_read(&mut self, buffer: &mut Vec<u8>) -> io::Result<usize> {
        let spare = buffer.spare_capacity_mut();
        debug_assert!(!spare.is_empty());
        // JUSTIFICATION: std reads into initialised bytes only, and would have them cleared first.
        // SAFETY: recv writes at most `spare.len()` bytes to `spare`, which is the vector's own capacity; the length
        // is raised by what it says it wrote.
        unsafe {
            let size = retry(|| libc::recv(self.fd(), spare.as_mut_ptr().cast(), spare.len(), libc::MSG_DONTWAIT))?;
            buffer.set_len(buffer.len() + size);
            Ok(size)
        }
    }

    /// Sends as much of `slices` as the peer takes now.
    ///
    /// # Errors
    /// `WouldBlock` if it takes nothing; otherwise the connection is over.
    pub(crate) fn try_write(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        // JUSTIFICATION: std's write_vectored on a socket raises SIGPIPE where it is not ignored.
        // SAFETY: msghdr is plain data; IoSlice is documented to have the layout of iovec; the slices outlive the call.
        unsafe {
            let mut message: libc::msghdr = std::mem::zeroed();
            message.msg_iov = slices.as_ptr().cast::<libc::iovec>().cast_mut();
            message.msg_iovlen = slices.len() as _;
            retry(|| libc::sendmsg(self.fd(), &raw const message, libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL))
        }
    }

    /// Waits until something happened on the socket since it last said `WouldBlock`. May return early. A coroutine
    /// yields; a thread blocks, once it has left the boot lane.
    ///
    /// # Errors
    /// If the runtime cannot watch the socket.
    pub(crate) fn wait(&mut self, until: Ready) -> io::Result<()> {
        if !is_coroutine() {
            lane::leave();
            let events = if until == Ready::ToRead { libc::POLLIN } else { libc::POLLOUT };
            lane::wait_on(&mut [libc::pollfd { fd: self.fd(), events, revents: 0 }]);
            return Ok(());
        }
        if let Socket::Fresh(_) = self.socket
            && let Socket::Fresh(fd) = std::mem::replace(&mut self.socket, Socket::Gone)
        {
            let fd = fd.into_raw_fd();
            // JUSTIFICATION: may has no safe way to take a socket, and panics (closing it) where epoll takes no more.
            // SAFETY: the descriptor is open, a stream socket, and given up by its owner here.
            let registered = catch_unwind(|| unsafe { TcpStream::from_raw_fd(fd) });
            self.socket = registered.map_or(Socket::Gone, Socket::Registered);
        }
        match &self.socket {
            Socket::Registered(stream) => {
                stream.wait_io();
                Ok(())
            }
            _ => Err(io::ErrorKind::NotConnected.into()),
        }
    }

    pub(crate) fn shutdown(&self, how: Shutdown) {
        shutdown(self.fd(), how);
    }
}

/// Ends one or both directions; whoever waits for the socket wakes up. Errors say that it is over already.
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

/// Repeats a call that a signal cut short.
pub(super) fn retry(mut call: impl FnMut() -> isize) -> io::Result<usize> {
    loop {
        match usize::try_from(call()) {
            Ok(size) => return Ok(size),
            Err(_) => {
                let error = io::Error::last_os_error();
                if error.kind() != io::ErrorKind::Interrupted {
                    return Err(error);
                }
            }
        }
    }
}
