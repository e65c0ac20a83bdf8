//! What net/socket.rs is on Linux, on a Mac: the system calls of outgoing sockets, none of which
//! blocks.

use crate::sys::{monotonic_ns, retry};
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

/// What a system call of this file ends in. std has none of them without blocking sockets, or
/// without SIGPIPE.
fn check(result: libc::c_int) -> io::Result<libc::c_int> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

/// A socket for that family of addresses, of that kind, that does not block.
pub(super) fn open(address: &SocketAddr, kind: libc::c_int) -> io::Result<OwnedFd> {
    let family = if address.is_ipv4() { libc::AF_INET } else { libc::AF_INET6 };
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

/// Begins to connect, or asks how far that has come: `Ok(false)` while it goes on.
pub(super) fn connect(socket: &OwnedFd, address: &SocketAddr) -> io::Result<bool> {
    let mut raw = RawAddress::default();
    let size = raw.set(address);
    // JUSTIFICATION: std's connect waits.
    // SAFETY: the address outlives the call, and its size is its own.
    let result = unsafe { libc::connect(socket.as_raw_fd(), (&raw const raw).cast(), size) };
    match check(result).map_err(|error| (error.raw_os_error(), error)) {
        Ok(_) | Err((Some(libc::EISCONN), _)) => Ok(true),
        Err((Some(libc::EINPROGRESS | libc::EALREADY | libc::EINTR), _)) => Ok(false),
        Err((_, error)) => Err(error),
    }
}

/// A socket address as the kernel has it; size and family come first, a byte each.
#[repr(C, align(4))]
#[derive(Clone, Copy, Default)]
pub(super) struct RawAddress([u8; 28]);

impl RawAddress {
    /// Its size in bytes.
    pub(super) fn set(&mut self, address: &SocketAddr) -> libc::socklen_t {
        let bytes = &mut self.0;
        bytes[2..4].copy_from_slice(&address.port().to_be_bytes());
        match address {
            SocketAddr::V4(address) => {
                bytes[..2].copy_from_slice(&[16, libc::AF_INET as u8]);
                bytes[4..8].copy_from_slice(&address.ip().octets());
                16
            }
            SocketAddr::V6(address) => {
                bytes[..2].copy_from_slice(&[28, libc::AF_INET6 as u8]);
                bytes[4..8].copy_from_slice(&address.flowinfo().to_ne_bytes());
                bytes[8..24].copy_from_slice(&address.ip().octets());
                bytes[24..28].copy_from_slice(&address.scope_id().to_ne_bytes());
                28
            }
        }
    }
}

/// Sends at once what is small. An error leaves it to the kernel.
pub(super) fn no_delay(socket: &OwnedFd) {
    let on: libc::c_int = 1;
    // JUSTIFICATION: std sets it on its own sockets only.
    // SAFETY: the value outlives the call, its address and size are its own.
    unsafe {
        let (value, size) = ((&raw const on).cast(), size_of::<libc::c_int>() as libc::socklen_t);
        libc::setsockopt(socket.as_raw_fd(), libc::IPPROTO_TCP, libc::TCP_NODELAY, value, size)
    };
}

/// Takes what is there; 0 is the peer's end. `WouldBlock` if nothing is.
pub(super) fn receive(
    socket: &OwnedFd,
    buffer: &mut [u8],
    flags: libc::c_int,
) -> io::Result<usize> {
    let (at, size) = (buffer.as_mut_ptr().cast(), buffer.len());
    let flags = flags | libc::MSG_DONTWAIT;
    // JUSTIFICATION: std has no call for it that neither waits nor takes.
    // SAFETY: the kernel writes at most `size` bytes to the buffer, which is all its own.
    retry(|| unsafe { libc::recv(socket.as_raw_fd(), at, size, flags) })
}

/// Sends as much as goes without waiting; `WouldBlock` if nothing does.
pub(super) fn send(socket: &OwnedFd, slices: &[IoSlice<'_>]) -> io::Result<usize> {
    const FLAGS: libc::c_int = libc::MSG_DONTWAIT;
    /// The kernel takes no more at a time (UIO_MAXIOV).
    const MOST: usize = 1024;
    // JUSTIFICATION: std's write raises SIGPIPE where it is not ignored.
    // SAFETY: msghdr is plain data; IoSlice is documented to have the layout of iovec; the slices
    // outlive the call.
    unsafe {
        let mut message: libc::msghdr = std::mem::zeroed();
        message.msg_iov = slices.as_ptr().cast::<libc::iovec>().cast_mut();
        message.msg_iovlen = slices.len().min(MOST) as _;
        retry(|| libc::sendmsg(socket.as_raw_fd(), &raw const message, FLAGS))
    }
}

/// Several sockets that are waited for at once: a kqueue, which is a descriptor itself.
pub(super) struct Group(OwnedFd);

impl Group {
    pub(super) fn new() -> io::Result<Group> {
        // JUSTIFICATION: std has no kqueue.
        // SAFETY: a plain call; the descriptor is ours as soon as it is valid.
        unsafe { Ok(Group(OwnedFd::from_raw_fd(check(libc::kqueue())?))) }
    }

    /// Watches `socket` too, until it is closed.
    pub(super) fn add(&self, socket: &OwnedFd, events: libc::c_short) -> io::Result<()> {
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

    pub(super) fn fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

/// Bytes that nobody can guess.
pub(super) fn random() -> [u8; 4] {
    let mut bytes = monotonic_ns().to_ne_bytes().map(|byte| byte ^ 0x5a);
    // JUSTIFICATION: std has no random bytes.
    // SAFETY: the pointer and the size are the array's own.
    unsafe { libc::getentropy(bytes.as_mut_ptr().cast(), bytes.len()) };
    [bytes[0], bytes[1], bytes[2], bytes[3]]
}
