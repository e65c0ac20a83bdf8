//! System calls of outgoing sockets; none of them blocks.

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
    let kind = kind | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
    // JUSTIFICATION: std connects while it makes a socket, and waits.
    // SAFETY: a plain call; the descriptor is ours as soon as it is valid.
    unsafe { Ok(OwnedFd::from_raw_fd(check(libc::socket(family, kind, 0))?)) }
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

/// A socket address as the kernel has it; the C library's structures of both families begin alike.
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
                bytes[..2].copy_from_slice(&(libc::AF_INET as u16).to_ne_bytes());
                bytes[4..8].copy_from_slice(&address.ip().octets());
                16
            }
            SocketAddr::V6(address) => {
                bytes[..2].copy_from_slice(&(libc::AF_INET6 as u16).to_ne_bytes());
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
    const FLAGS: libc::c_int = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
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

/// Several sockets that are waited for at once: an epoll, which is a descriptor itself.
pub(super) struct Group(OwnedFd);

impl Group {
    pub(super) fn new() -> io::Result<Group> {
        // JUSTIFICATION: std has no epoll.
        // SAFETY: a plain call; the descriptor is ours as soon as it is valid.
        unsafe { Ok(Group(OwnedFd::from_raw_fd(check(libc::epoll_create1(libc::EPOLL_CLOEXEC))?))) }
    }

    /// Watches `socket` too, until it is closed.
    pub(super) fn add(&self, socket: &OwnedFd, events: libc::c_short) -> io::Result<()> {
        // The bits of poll(2) and epoll(7) are the same.
        let mut event = libc::epoll_event { events: events as u32, u64: 0 };
        let (epoll, fd) = (self.0.as_raw_fd(), socket.as_raw_fd());
        // JUSTIFICATION: std has no epoll.
        // SAFETY: the event outlives the call, which reads it.
        check(unsafe { libc::epoll_ctl(epoll, libc::EPOLL_CTL_ADD, fd, &raw mut event) }).map(drop)
    }

    pub(super) fn fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

/// Bytes that cannot be guessed.
pub(super) fn random() -> [u8; 4] {
    let mut bytes = monotonic_ns().to_ne_bytes().map(|byte| byte ^ 0x5a);
    // JUSTIFICATION: std has no random bytes.
    // SAFETY: the pointer and the size are the array's own. A kernel without the call, or without
    // random bytes so early, leaves the clock's.
    unsafe { libc::getrandom(bytes.as_mut_ptr().cast(), bytes.len(), libc::GRND_NONBLOCK) };
    [bytes[0], bytes[1], bytes[2], bytes[3]]
}
