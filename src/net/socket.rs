//! System calls of outgoing sockets; none of them blocks.

#[cfg_attr(not(target_os = "linux"), path = "socket/elsewhere.rs")]
mod system;

pub(super) use system::{Group, random};

use crate::sys::retry;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, OwnedFd};

/// Turns a failed system call into an error. std has these calls only for sockets that block, or
/// with SIGPIPE.
fn check(result: libc::c_int) -> io::Result<libc::c_int> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

/// Makes a non-blocking socket of that kind for the address's family.
pub(super) fn open(address: &SocketAddr, kind: libc::c_int) -> io::Result<OwnedFd> {
    let family = if address.is_ipv4() { libc::AF_INET } else { libc::AF_INET6 };
    system::open(family, kind)
}

/// Begins to connect, or checks a connect in progress; `Ok(false)` while it is not complete.
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

/// A socket address as the kernel has it; size or family come first, in two bytes.
#[repr(C, align(4))]
#[derive(Clone, Copy, Default)]
pub(super) struct RawAddress([u8; 28]);

impl RawAddress {
    /// Stores the address; returns its size in bytes.
    pub(super) fn set(&mut self, address: &SocketAddr) -> libc::socklen_t {
        let bytes = &mut self.0;
        bytes[2..4].copy_from_slice(&address.port().to_be_bytes());
        match address {
            SocketAddr::V4(address) => {
                bytes[..2].copy_from_slice(&system::first_bytes(16, libc::AF_INET));
                bytes[4..8].copy_from_slice(&address.ip().octets());
                16
            }
            SocketAddr::V6(address) => {
                bytes[..2].copy_from_slice(&system::first_bytes(28, libc::AF_INET6));
                bytes[4..8].copy_from_slice(&address.flowinfo().to_ne_bytes());
                bytes[8..24].copy_from_slice(&address.ip().octets());
                bytes[24..28].copy_from_slice(&address.scope_id().to_ne_bytes());
                28
            }
        }
    }
}

/// Makes the kernel send small pieces at once (TCP_NODELAY). An error is ignored: the kernel then
/// delays them.
pub(super) fn no_delay(socket: &OwnedFd) {
    let on: libc::c_int = 1;
    // JUSTIFICATION: std sets it on its own sockets only.
    // SAFETY: the value outlives the call, its address and size are its own.
    unsafe {
        let (value, size) = ((&raw const on).cast(), size_of::<libc::c_int>() as libc::socklen_t);
        libc::setsockopt(socket.as_raw_fd(), libc::IPPROTO_TCP, libc::TCP_NODELAY, value, size)
    };
}

/// Receives what has arrived; 0 bytes mean the peer's end. `WouldBlock` if nothing has arrived.
pub(super) fn receive(
    socket: &OwnedFd,
    buffer: &mut [u8],
    flags: libc::c_int,
) -> io::Result<usize> {
    let (at, size) = (buffer.as_mut_ptr().cast(), buffer.len());
    let flags = flags | libc::MSG_DONTWAIT;
    // JUSTIFICATION: std has no call that neither waits nor removes the bytes.
    // SAFETY: the kernel writes at most `size` bytes to the buffer, which is all its own.
    retry(|| unsafe { libc::recv(socket.as_raw_fd(), at, size, flags) })
}

/// Sends as much as it can without waiting; `WouldBlock` if that is nothing.
pub(super) fn send(socket: &OwnedFd, slices: &[IoSlice<'_>]) -> io::Result<usize> {
    /// Largest number of slices that the kernel takes at once (UIO_MAXIOV).
    const MOST: usize = 1024;
    // JUSTIFICATION: std's write raises SIGPIPE where it is not ignored.
    // SAFETY: msghdr is plain data; IoSlice is documented to have the layout of iovec; the slices
    // outlive the call.
    unsafe {
        let mut message: libc::msghdr = std::mem::zeroed();
        message.msg_iov = slices.as_ptr().cast::<libc::iovec>().cast_mut();
        message.msg_iovlen = slices.len().min(MOST) as _;
        retry(|| libc::sendmsg(socket.as_raw_fd(), &raw const message, system::SEND_FLAGS))
    }
}
