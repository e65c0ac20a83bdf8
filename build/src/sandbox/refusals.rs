//! Observer of refused connections on an instance's own loopback. A program that means a server of
//! this machine sees only "connection refused". A packet socket (packet(7)) with a filter reports
//! these refusals. The instance's own set-up code creates the socket. Private to the sandbox.

use super::route::LOOPBACK_INDEX;
use nix::libc;
use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::sync::{Mutex, PoisonError};

/// Largest number of addresses that are stored.
const MAX_REFUSED: usize = 16;
/// Number of bytes read of a packet: both headers, with options.
const PACKET_BYTES: usize = 128;
/// Flags of the reply to a connection that no server accepts: RST and ACK (RFC 9293, 3.5.2).
const RST_ACK: u32 = 0x14;
const FLAGS: u32 = 0x3f;
const TCP: u32 = 6;
const IPV6_HEADER: u32 = 40;

/// Filter program that passes only arriving refusals: the reset of an established connection has a
/// sequence number other than 0.
const PROGRAM: [(u16, u8, u8, u32); 23] = [
    (LOAD, 0, 0, ancillary(libc::SKF_AD_PKTTYPE)),
    (IF_EQUAL, 0, 20, 0), // PACKET_HOST: not the same packet when it is sent
    (LOAD_BYTE, 0, 0, 0),
    (SHIFT_RIGHT, 0, 0, 4),
    (IF_EQUAL, 1, 0, 4),
    (IF_EQUAL, 8, 16, 6),
    // IPv4
    (LOAD_BYTE, 0, 0, 9),
    (IF_EQUAL, 0, 14, TCP),
    (LOAD_HEADER_LENGTH, 0, 0, 0),
    (LOAD_BYTE_FROM_X, 0, 0, 13),
    (AND, 0, 0, FLAGS),
    (IF_EQUAL, 0, 10, RST_ACK),
    (LOAD_FROM_X, 0, 0, 4),
    (IF_EQUAL, 7, 8, 0),
    // IPv6
    (LOAD_BYTE, 0, 0, 6),
    (IF_EQUAL, 0, 6, TCP),
    (LOAD_BYTE, 0, 0, IPV6_HEADER + 13),
    (AND, 0, 0, FLAGS),
    (IF_EQUAL, 0, 3, RST_ACK),
    (LOAD, 0, 0, IPV6_HEADER + 4),
    (IF_EQUAL, 0, 1, 0),
    (TAKE, 0, 0, PACKET_BYTES as u32),
    (DROP, 0, 0, 0),
];
const LOAD: u16 = (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16;
const LOAD_BYTE: u16 = (libc::BPF_LD | libc::BPF_B | libc::BPF_ABS) as u16;
const LOAD_FROM_X: u16 = (libc::BPF_LD | libc::BPF_W | libc::BPF_IND) as u16;
const LOAD_BYTE_FROM_X: u16 = (libc::BPF_LD | libc::BPF_B | libc::BPF_IND) as u16;
const LOAD_HEADER_LENGTH: u16 = (libc::BPF_LDX | libc::BPF_B | libc::BPF_MSH) as u16;
const SHIFT_RIGHT: u16 = (libc::BPF_ALU | libc::BPF_RSH | libc::BPF_K) as u16;
const AND: u16 = (libc::BPF_ALU | libc::BPF_AND | libc::BPF_K) as u16;
const IF_EQUAL: u16 = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16;
const TAKE: u16 = (libc::BPF_RET | libc::BPF_K) as u16;
const DROP: u16 = TAKE;

/// Offset of the kernel's data about a packet (linux/filter.h).
const fn ancillary(what: libc::c_int) -> u32 {
    (libc::SKF_AD_OFF + what).cast_unsigned()
}

/// Creates the socket in the namespace that it observes.
pub fn listen() -> nix::Result<OwnedFd> {
    let filter = PROGRAM.map(|(code, jt, jf, k)| libc::sock_filter { code, jt, jf, k });
    let kind = libc::SOCK_DGRAM | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
    // JUSTIFICATION: nix creates no socket of this family without a protocol, and attaches no
    // filter.
    // SAFETY: a plain call; the descriptor is ours as soon as it is valid.
    let socket = unsafe {
        OwnedFd::from_raw_fd(nix::Error::result(libc::socket(libc::AF_PACKET, kind, 0))?)
    };
    // JUSTIFICATION: as above.
    // SAFETY: the filter outlives the call, which copies it; its length is its own; the address is
    // plain data for which zero is valid, and its size is its own.
    unsafe {
        let program = libc::sock_fprog {
            len: filter.len() as libc::c_ushort,
            filter: filter.as_ptr().cast_mut(),
        };
        nix::Error::result(libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_ATTACH_FILTER,
            (&raw const program).cast(),
            size_of::<libc::sock_fprog>() as libc::socklen_t,
        ))?;
        let mut address: libc::sockaddr_ll = std::mem::zeroed();
        address.sll_family = libc::AF_PACKET as libc::c_ushort;
        address.sll_protocol = (libc::ETH_P_ALL as u16).to_be();
        address.sll_ifindex = LOOPBACK_INDEX.cast_signed();
        nix::Error::result(libc::bind(
            socket.as_raw_fd(),
            (&raw const address).cast(),
            size_of::<libc::sockaddr_ll>() as libc::socklen_t,
        ))?;
    }
    Ok(socket)
}

/// The reader of the socket: the refusals so far.
pub struct Refusals {
    socket: OwnedFd,
    heard: Mutex<BTreeSet<SocketAddr>>,
}

impl Refusals {
    pub fn of(socket: OwnedFd) -> Refusals {
        Refusals { socket, heard: Mutex::default() }
    }

    /// Addresses that refused connections so far. Loopback delivers a refusal to this socket before
    /// the caller sees it.
    pub fn heard(&self) -> Vec<SocketAddr> {
        let mut heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        let mut packet = [0; PACKET_BYTES];
        loop {
            match nix::unistd::read(&self.socket, &mut packet) {
                Ok(size) if heard.len() < MAX_REFUSED => heard.extend(sender(&packet[..size])),
                Ok(_) => {}
                Err(nix::Error::EINTR) => {}
                // EAGAIN: no packet is left. Another error of this socket must not fail the
                // invocation.
                Err(_) => return heard.iter().copied().collect(),
            }
        }
    }
}

/// The packet's sender: the address that refuses.
fn sender(packet: &[u8]) -> Option<SocketAddr> {
    let (ip, tcp): (IpAddr, usize) = match packet.first()? >> 4 {
        4 => {
            let ip: [u8; 4] = packet.get(12..16)?.try_into().ok()?;
            (Ipv4Addr::from(ip).into(), usize::from(packet[0] & 15) * 4)
        }
        6 => {
            let ip: [u8; 16] = packet.get(8..24)?.try_into().ok()?;
            (Ipv6Addr::from(ip).into(), IPV6_HEADER as usize)
        }
        _ => return None,
    };
    let port = packet.get(tcp..tcp + 2)?;
    Some(SocketAddr::new(ip, u16::from_be_bytes([port[0], port[1]])))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{self, Read, Write};
    use std::net::{TcpListener, TcpStream};

    /// Returns `None` if this process may not open a packet socket.
    fn refusals() -> Option<Refusals> {
        match listen() {
            Ok(socket) => Some(Refusals::of(socket)),
            Err(error) => {
                println!("skipped: no packet sockets here: {error}");
                None
            }
        }
    }

    /// Other programs' connections on this machine's loopback may fail at the same time, so the
    /// test counts only its own ports.
    #[test]
    fn reports_refused_connections_only() {
        let Some(refusals) = refusals() else { return };
        for host in ["127.0.0.1", "[::1]"] {
            let Ok(free) = TcpListener::bind(format!("{host}:0")) else { continue };
            let nobody = free.local_addr().unwrap();
            drop(free);
            assert_eq!(
                TcpStream::connect(nobody).unwrap_err().kind(),
                io::ErrorKind::ConnectionRefused
            );
            assert!(refusals.heard().contains(&nobody), "{nobody}: {:?}", refusals.heard());
        }
        // A reset of an established connection.
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let mut stream = TcpStream::connect(address).unwrap();
        stream.write_all(b"unread").unwrap();
        drop(listener.accept().unwrap());
        assert!(stream.read(&mut [0]).is_err(), "the connection is reset");
        assert!(!refusals.heard().contains(&address), "{:?}", refusals.heard());
    }

    #[test]
    fn every_prefix_of_a_packet_is_read_without_a_panic() {
        let mut packet = vec![0x45; 24];
        packet[12..16].copy_from_slice(&[127, 0, 0, 1]);
        packet[20..22].copy_from_slice(&6379u16.to_be_bytes());
        assert_eq!(sender(&packet), Some("127.0.0.1:6379".parse().unwrap()));
        for length in 0..22 {
            assert_eq!(sender(&packet[..length]), None, "{length}");
        }
    }
}
