//! Routes of an instance's own network namespace, set before its program starts: blocked addresses
//! are unreachable, and this machine's own addresses are the instance's loopback. It uses
//! rtnetlink(7), because the child must not execute a program between clone and exec. Private to
//! the sandbox.

use super::plan::Inside;
use nix::libc;
use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, recv, sendto, socket,
};
use std::net::IpAddr;
use std::os::fd::{AsRawFd, OwnedFd};

/// The loopback interface of every network namespace.
pub const LOOPBACK_INDEX: u32 = 1;
/// The table of local addresses (rtnetlink(7), RT_TABLE_LOCAL).
const TABLE_LOCAL: u8 = 255;
/// Priority directly after the rule for local addresses, before every other route.
const PRIORITY: u32 = 1;
/// linux/fib_rules.h.
const FRA_DST: u16 = 1;
const FRA_PRIORITY: u16 = 6;
const FR_ACT_UNREACHABLE: u8 = 7;
const REPLY_BYTES: usize = 4096;

/// Sets the routes. A namespace without IPv6 needs none of the IPv6 routes.
pub fn set(inside: &Inside) -> nix::Result<()> {
    let kernel = socket(
        AddressFamily::Netlink,
        SockType::Raw,
        SockFlag::SOCK_CLOEXEC,
        SockProtocol::NetlinkRoute,
    )?;
    for address in &inside.local {
        let bits = if address.is_ipv4() { 32 } else { 128 };
        // local ADDRESS dev lo table local; then a rule for the same address through another
        // interface
        accept(ask(&kernel, libc::RTM_NEWROUTE, &local(*address, bits)), *address)?;
        accept(ask(&kernel, libc::RTM_NEWRULE, &unreachable(*address, bits)), *address)?;
    }
    for (address, bits) in &inside.unreachable {
        accept(ask(&kernel, libc::RTM_NEWRULE, &unreachable(*address, *bits)), *address)?;
    }
    Ok(())
}

/// Accepts a route that already exists, and a refusal of IPv6 where it is switched off.
fn accept(done: nix::Result<()>, address: IpAddr) -> nix::Result<()> {
    match done {
        Err(nix::Error::EEXIST) => Ok(()),
        Err(
            nix::Error::EAFNOSUPPORT
            | nix::Error::EACCES
            | nix::Error::ENODEV
            | nix::Error::EOPNOTSUPP,
        ) if address.is_ipv6() => Ok(()),
        other => other,
    }
}

/// struct rtmsg and its attributes.
fn local(address: IpAddr, bits: u8) -> Vec<u8> {
    let mut message = vec![
        family(address),
        bits,
        0, // source
        0, // tos
        TABLE_LOCAL,
        libc::RTPROT_STATIC,
        libc::RT_SCOPE_HOST,
        libc::RTN_LOCAL,
    ];
    message.extend(0u32.to_ne_bytes()); // flags
    attribute(&mut message, libc::RTA_DST, &octets(address));
    attribute(&mut message, libc::RTA_OIF, &LOOPBACK_INDEX.to_ne_bytes());
    message
}

/// struct fib_rule_hdr and its attributes.
fn unreachable(address: IpAddr, bits: u8) -> Vec<u8> {
    let mut message = vec![family(address), bits, 0, 0, 0, 0, 0, FR_ACT_UNREACHABLE];
    message.extend(0u32.to_ne_bytes()); // flags
    attribute(&mut message, FRA_DST, &octets(address));
    attribute(&mut message, FRA_PRIORITY, &PRIORITY.to_ne_bytes());
    message
}

fn family(address: IpAddr) -> u8 {
    let family = if address.is_ipv4() { libc::AF_INET } else { libc::AF_INET6 };
    family as u8
}

fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(v4) => v4.octets().to_vec(),
        IpAddr::V6(v6) => v6.octets().to_vec(),
    }
}

/// struct rtattr: length, type, value. Our values are multiples of four bytes.
fn attribute(message: &mut Vec<u8>, kind: u16, value: &[u8]) {
    let length = 4 + value.len() as u16;
    message.extend(length.to_ne_bytes());
    message.extend(kind.to_ne_bytes());
    message.extend(value);
}

/// Sends one request and reads its acknowledgement (netlink(7), NLMSG_ERROR with 0).
fn ask(kernel: &OwnedFd, kind: u16, body: &[u8]) -> nix::Result<()> {
    const HEADER_BYTES: usize = 16;
    let flags = libc::NLM_F_REQUEST | libc::NLM_F_ACK | libc::NLM_F_CREATE | libc::NLM_F_EXCL;
    let mut message = Vec::with_capacity(HEADER_BYTES + body.len());
    message.extend(((HEADER_BYTES + body.len()) as u32).to_ne_bytes());
    message.extend(kind.to_ne_bytes());
    message.extend((flags as u16).to_ne_bytes());
    message.extend([0u8; 8]); // sequence, port: one request at a time
    message.extend(body);
    let to_kernel = NetlinkAddr::new(0, 0);
    sendto(kernel.as_raw_fd(), &message, &to_kernel, MsgFlags::empty())?;
    let mut reply = [0u8; REPLY_BYTES];
    let length = recv(kernel.as_raw_fd(), &mut reply, MsgFlags::empty())?;
    let errno = reply[..length].get(HEADER_BYTES..HEADER_BYTES + 4).ok_or(nix::Error::EBADMSG)?;
    let errno = i32::from_ne_bytes(errno.try_into().unwrap_or_default());
    if errno == 0 { Ok(()) } else { Err(nix::Error::from_raw(-errno)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_route_and_a_rule_have_the_kernels_layout() {
        let route = local("192.0.2.2".parse().unwrap(), 32);
        assert_eq!(&route[..8], &[2, 32, 0, 0, 255, 4, 254, 2]);
        assert_eq!(&route[12..20], &[8, 0, 1, 0, 192, 0, 2, 2]);
        assert_eq!(&route[20..], &[8, 0, 4, 0, 1, 0, 0, 0]);
        let rule = unreachable("fe80::".parse().unwrap(), 10);
        assert_eq!(&rule[..8], &[10, 10, 0, 0, 0, 0, 0, 7]);
        assert_eq!((rule.len(), &rule[12..16]), (12 + 20 + 8, &[20, 0, 1, 0][..]));
    }
}
