//! Listening socket: bound without SO_REUSEPORT, so that a second server on the port gets an error.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

/// Binds and listens with the backlog asked for (std's is 128).
///
/// # Errors
/// The system's error: in use, not permitted, no such address.
pub(crate) fn listen(address: SocketAddr, backlog: u32) -> io::Result<TcpListener> {
    let family = if address.is_ipv4() { libc::AF_INET } else { libc::AF_INET6 };
    // JUSTIFICATION: std listens with a backlog of 128 and may sets SO_REUSEPORT; neither can be
    // changed.
    // SAFETY: plain system calls; the address structures live across the calls and their sizes are
    // their own; the descriptor is owned from the moment it is known to be valid.
    unsafe {
        let fd = check(libc::socket(family, libc::SOCK_STREAM | libc::SOCK_CLOEXEC, 0))?;
        let socket = OwnedFd::from_raw_fd(fd);
        set(fd, libc::SOL_SOCKET, libc::SO_REUSEADDR)?;
        // accepted sockets inherit it: one call less for each
        set(fd, libc::IPPROTO_TCP, libc::TCP_NODELAY)?;
        match address {
            SocketAddr::V4(address) => {
                let raw = libc::sockaddr_in {
                    sin_family: libc::AF_INET as libc::sa_family_t,
                    sin_port: address.port().to_be(),
                    sin_addr: libc::in_addr { s_addr: u32::from_ne_bytes(address.ip().octets()) },
                    sin_zero: [0; 8],
                };
                check(libc::bind(
                    fd,
                    (&raw const raw).cast(),
                    size_of_val(&raw) as libc::socklen_t,
                ))?;
            }
            SocketAddr::V6(address) => {
                let raw = libc::sockaddr_in6 {
                    sin6_family: libc::AF_INET6 as libc::sa_family_t,
                    sin6_port: address.port().to_be(),
                    sin6_flowinfo: address.flowinfo(),
                    sin6_addr: libc::in6_addr { s6_addr: address.ip().octets() },
                    sin6_scope_id: address.scope_id(),
                };
                check(libc::bind(
                    fd,
                    (&raw const raw).cast(),
                    size_of_val(&raw) as libc::socklen_t,
                ))?;
            }
        }
        check(libc::listen(
            socket.as_raw_fd(),
            libc::c_int::try_from(backlog).unwrap_or(libc::c_int::MAX),
        ))?;
        Ok(TcpListener::from(socket))
    }
}

/// Switches a socket option on.
///
/// A number that is no socket of ours is an error and nothing else.
fn set(fd: RawFd, level: libc::c_int, option: libc::c_int) -> io::Result<libc::c_int> {
    let on: libc::c_int = 1;
    // JUSTIFICATION: as in `listen`.
    // SAFETY: the value outlives the call, its address and size are its own.
    check(unsafe {
        libc::setsockopt(
            fd,
            level,
            option,
            (&raw const on).cast(),
            size_of::<libc::c_int>() as libc::socklen_t,
        )
    })
}

fn check(result: libc::c_int) -> io::Result<libc::c_int> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}
