//! System calls of an outgoing socket that only Linux has.

use super::check;
use crate::sys::monotonic_ns;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

/// Neither waits nor raises SIGPIPE.
pub(super) const SEND_FLAGS: libc::c_int = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;

/// A socket that does not block, closed at exec.
pub(super) fn open(family: libc::c_int, kind: libc::c_int) -> io::Result<OwnedFd> {
    let kind = kind | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
    // JUSTIFICATION: std connects while it makes a socket, and waits.
    // SAFETY: a plain call; the descriptor is ours as soon as it is valid.
    unsafe { Ok(OwnedFd::from_raw_fd(check(libc::socket(family, kind, 0))?)) }
}

/// The first two bytes of an address: its family.
pub(super) fn first_bytes(_size: u8, family: libc::c_int) -> [u8; 2] {
    (family as u16).to_ne_bytes()
}

/// A set of sockets to wait for together: an epoll, which is itself a descriptor.
pub(crate) struct Group(OwnedFd);

impl Group {
    pub(crate) fn new() -> io::Result<Group> {
        // JUSTIFICATION: std has no epoll.
        // SAFETY: a plain call; the descriptor is ours as soon as it is valid.
        unsafe { Ok(Group(OwnedFd::from_raw_fd(check(libc::epoll_create1(libc::EPOLL_CLOEXEC))?))) }
    }

    /// Watches `socket` too, until it is closed.
    pub(crate) fn add(&self, socket: &OwnedFd, events: libc::c_short) -> io::Result<()> {
        // The bits of poll(2) and epoll(7) are the same.
        let mut event = libc::epoll_event { events: events as u32, u64: 0 };
        let (epoll, fd) = (self.0.as_raw_fd(), socket.as_raw_fd());
        // JUSTIFICATION: std has no epoll.
        // SAFETY: the event outlives the call, which reads it.
        check(unsafe { libc::epoll_ctl(epoll, libc::EPOLL_CTL_ADD, fd, &raw mut event) }).map(drop)
    }

    pub(crate) fn fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

/// Bytes that a peer cannot predict.
pub(crate) fn random() -> [u8; 4] {
    let mut bytes = monotonic_ns().to_ne_bytes().map(|byte| byte ^ 0x5a);
    // JUSTIFICATION: std has no random bytes.
    // SAFETY: the pointer and the size are the array's own. A kernel without the call, or without
    // random bytes so early, leaves the clock's.
    unsafe { libc::getrandom(bytes.as_mut_ptr().cast(), bytes.len(), libc::GRND_NONBLOCK) };
    [bytes[0], bytes[1], bytes[2], bytes[3]]
}
