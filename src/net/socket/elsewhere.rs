//! System calls of an outgoing socket on macOS, in place of those that only Linux has.

use super::check;
use crate::sys::monotonic_ns;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

/// Does not wait; SO_NOSIGPIPE is set on the socket.
pub(super) const SEND_FLAGS: libc::c_int = libc::MSG_DONTWAIT;

/// A socket that does not block, closed at exec.
pub(super) fn open(family: libc::c_int, kind: libc::c_int) -> io::Result<OwnedFd> {
    // JUSTIFICATION: std connects while it makes a socket, and waits.
    // SAFETY: plain calls; the descriptor is ours as soon as it is valid; the value outlives the
    // call, its address and size are its own.
    unsafe {
        let socket = OwnedFd::from_raw_fd(check(libc::socket(family, kind, 0))?);
        let (fd, on): (RawFd, libc::c_int) = (socket.as_raw_fd(), 1);
        check(libc::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC))?;
        check(libc::fcntl(fd, libc::F_SETFL, libc::O_NONBLOCK))?;
        let (value, size) = ((&raw const on).cast(), size_of::<libc::c_int>() as libc::socklen_t);
        check(libc::setsockopt(fd, libc::SOL_SOCKET, libc::SO_NOSIGPIPE, value, size))?;
        Ok(socket)
    }
}

/// The first two bytes of an address: its size, and its family.
pub(super) fn first_bytes(size: u8, family: libc::c_int) -> [u8; 2] {
    [size, family as u8]
}

/// A set of sockets to wait for together: a kqueue, which is itself a descriptor.
pub(crate) struct Group(OwnedFd);

impl Group {
    pub(crate) fn new() -> io::Result<Group> {
        // JUSTIFICATION: std has no kqueue.
        // SAFETY: a plain call; the descriptor is ours as soon as it is valid.
        unsafe { Ok(Group(OwnedFd::from_raw_fd(check(libc::kqueue())?))) }
    }

    /// Watches `socket` too, until it is closed.
    pub(crate) fn add(&self, socket: &OwnedFd, events: libc::c_short) -> io::Result<()> {
        let filter = |event| match event {
            libc::POLLOUT => libc::EVFILT_WRITE,
            _ => libc::EVFILT_READ,
        };
        for event in [libc::POLLIN, libc::POLLOUT] {
            if events & event == 0 {
                continue;
            }
            // JUSTIFICATION: std has no kqueue.
            // SAFETY: kevent is plain data; the change outlives the call, which reads one and
            // writes none.
            unsafe {
                let mut change: libc::kevent = std::mem::zeroed();
                change.ident = socket.as_raw_fd() as libc::uintptr_t;
                change.filter = filter(event);
                change.flags = libc::EV_ADD;
                let (none, at_once) = (std::ptr::null_mut(), std::ptr::null());
                check(libc::kevent(self.fd(), &raw const change, 1, none, 0, at_once))?;
            }
        }
        Ok(())
    }

    pub(crate) fn fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

/// Bytes that a peer cannot predict.
pub(crate) fn random() -> [u8; 4] {
    let mut bytes = monotonic_ns().to_ne_bytes().map(|byte| byte ^ 0x5a);
    // JUSTIFICATION: std has no random bytes.
    // SAFETY: the pointer and the size are the array's own.
    unsafe { libc::getentropy(bytes.as_mut_ptr().cast(), bytes.len()) };
    [bytes[0], bytes[1], bytes[2], bytes[3]]
}
