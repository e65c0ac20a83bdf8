//! Packet filter that blocks an instance's forbidden addresses a second time, where packets leave
//! it. Routes alone are not enough: for a socket that a program binds to an interface
//! (SO_BINDTODEVICE), IPv4 assumes that the address is a neighbour's. It is a table of nf_tables in
//! the instance's own network namespace, set by netlink, because the child must not execute a
//! program between clone and exec. Private to the sandbox.

use super::plan::Inside;
use super::route::LOOPBACK_INDEX;
use nix::libc;
use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, recv, sendto, socket,
};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::AsRawFd;

/// The parts of linux/netfilter/nf_tables.h and nfnetlink.h that this file needs.
const SUBSYSTEM: u16 = 10;
const BATCH_BEGIN: u16 = 0x10;
const BATCH_END: u16 = 0x11;
const NEW_TABLE: u16 = SUBSYSTEM << 8;
const NEW_CHAIN: u16 = SUBSYSTEM << 8 | 3;
const NEW_RULE: u16 = SUBSYSTEM << 8 | 6;
/// Both versions of IP.
const FAMILY_INET: u8 = 1;
const HOOK_LOCAL_OUT: u32 = 3;
const POLICY_ACCEPT: u32 = 1;
const REGISTER: u32 = 1;
const REGISTER_VERDICT: u32 = 0;
const META_OUTPUT_INTERFACE: u32 = 5;
const META_PROTOCOL: u32 = 15;
const NETWORK_HEADER: u32 = 1;
const EQUAL: u32 = 0;
const NOT_EQUAL: u32 = 1;
const NF_DROP: u32 = 0;
const NESTED: u16 = 1 << 15;

const TABLE: &[u8] = b"firstbyte\0";
const CHAIN: &[u8] = b"never\0";
const HEADER_BYTES: usize = 16;
const REPLY_BYTES: usize = 4096;
const LOOPBACK: [(IpAddr, u8); 2] =
    [(IpAddr::V4(Ipv4Addr::new(127, 0, 0, 0)), 8), (IpAddr::V6(Ipv6Addr::LOCALHOST), 128)];

/// Installs the table: it blocks unreachable addresses on every interface, and this machine's own
/// addresses and loopback on every interface except loopback.
pub fn set(inside: &Inside) -> nix::Result<()> {
    let mut batch = Batch::default();
    batch.begin();
    batch.message(NEW_TABLE, libc::NLM_F_CREATE, &attribute(1, TABLE));
    let hook = [number(1, HOOK_LOCAL_OUT), number(2, 0)].concat();
    let chain = [
        attribute(1, TABLE),
        attribute(3, CHAIN),
        nested(4, &hook),
        number(5, POLICY_ACCEPT),
        attribute(7, b"filter\0"),
    ];
    batch.message(NEW_CHAIN, libc::NLM_F_CREATE, &chain.concat());
    let whole = |address: &IpAddr| (*address, if address.is_ipv4() { 32 } else { 128 });
    let of_loopback = inside.local.iter().map(whole).chain(LOOPBACK);
    let never = inside.unreachable.iter().map(|(address, bits)| (*address, *bits, false));
    for (address, bits, but_loopback) in
        never.chain(of_loopback.map(|(address, bits)| (address, bits, true)))
    {
        let rule = [
            attribute(1, TABLE),
            attribute(2, CHAIN),
            nested(4, &drops(address, bits, but_loopback)),
        ];
        batch.message(NEW_RULE, libc::NLM_F_CREATE | libc::NLM_F_APPEND, &rule.concat());
    }
    batch.end();
    batch.send()
}

/// The expressions of a rule.
fn drops(address: IpAddr, bits: u8, but_loopback: bool) -> Vec<u8> {
    let (octets, protocol, at) = match address {
        IpAddr::V4(v4) => (v4.octets().to_vec(), libc::AF_INET as u8, 16),
        IpAddr::V6(v6) => (v6.octets().to_vec(), libc::AF_INET6 as u8, 24),
    };
    let size = octets.len() as u32;
    let mask: Vec<u8> = (0..size as u8)
        .map(|at| 255u8.checked_shl(u32::from(8 - bits.saturating_sub(at * 8).min(8))).unwrap_or(0))
        .collect();
    let mut rule = Vec::new();
    if but_loopback {
        rule.extend(meta(META_OUTPUT_INTERFACE));
        rule.extend(compare(NOT_EQUAL, &LOOPBACK_INDEX.to_ne_bytes()));
    }
    rule.extend(meta(META_PROTOCOL));
    rule.extend(compare(EQUAL, &[protocol]));
    let destination =
        [number(1, REGISTER), number(2, NETWORK_HEADER), number(3, at), number(4, size)];
    rule.extend(expression(b"payload\0", &destination.concat()));
    let prefix = [
        number(1, REGISTER),
        number(2, REGISTER),
        number(3, size),
        nested(4, &attribute(1, &mask)),
        nested(5, &attribute(1, &vec![0; octets.len()])),
    ];
    rule.extend(expression(b"bitwise\0", &prefix.concat()));
    let masked: Vec<u8> = octets.iter().zip(&mask).map(|(octet, mask)| octet & mask).collect();
    rule.extend(compare(EQUAL, &masked));
    let verdict = nested(2, &number(1, NF_DROP));
    let immediate = [number(1, REGISTER_VERDICT), nested(2, &verdict)];
    rule.extend(expression(b"immediate\0", &immediate.concat()));
    rule
}

fn meta(key: u32) -> Vec<u8> {
    expression(b"meta\0", &[number(1, REGISTER), number(2, key)].concat())
}

fn compare(how: u32, with: &[u8]) -> Vec<u8> {
    let parts = [number(1, REGISTER), number(2, how), nested(3, &attribute(1, with))];
    expression(b"cmp\0", &parts.concat())
}

/// An element of a rule's list: a name and its contents.
fn expression(name: &[u8], parts: &[u8]) -> Vec<u8> {
    nested(1, &[attribute(1, name), nested(2, parts)].concat())
}

fn number(kind: u16, value: u32) -> Vec<u8> {
    attribute(kind, &value.to_be_bytes())
}

fn nested(kind: u16, parts: &[u8]) -> Vec<u8> {
    attribute(kind | NESTED, parts)
}

/// struct nlattr: length, type, value, and zeroes up to a multiple of four bytes.
fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
    let mut bytes = (4 + value.len() as u16).to_ne_bytes().to_vec();
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(value);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

/// Messages that take effect together or not at all.
#[derive(Default)]
struct Batch {
    bytes: Vec<u8>,
    messages: u32,
}

impl Batch {
    fn begin(&mut self) {
        self.add(BATCH_BEGIN, 0, 0, SUBSYSTEM, &[]);
    }

    fn end(&mut self) {
        self.add(BATCH_END, 0, 0, SUBSYSTEM, &[]);
    }

    /// Adds a message that the kernel acknowledges.
    fn message(&mut self, kind: u16, flags: libc::c_int, attributes: &[u8]) {
        self.messages += 1;
        self.add(kind, flags | libc::NLM_F_ACK, FAMILY_INET, 0, attributes);
    }

    /// struct nlmsghdr and struct nfgenmsg.
    fn add(&mut self, kind: u16, flags: libc::c_int, family: u8, resource: u16, rest: &[u8]) {
        let size = HEADER_BYTES + 4 + rest.len();
        self.bytes.extend((size as u32).to_ne_bytes());
        self.bytes.extend(kind.to_ne_bytes());
        self.bytes.extend(((flags | libc::NLM_F_REQUEST) as u16).to_ne_bytes());
        self.bytes.extend(self.messages.to_ne_bytes()); // its sequence
        self.bytes.extend([0; 4]); // its sender: the kernel knows
        self.bytes.extend([family, 0]);
        self.bytes.extend(resource.to_be_bytes());
        self.bytes.extend(rest);
    }

    /// Sends all messages and reads one acknowledgement for each.
    fn send(&self) -> nix::Result<()> {
        let kernel = socket(
            AddressFamily::Netlink,
            SockType::Raw,
            SockFlag::SOCK_CLOEXEC,
            SockProtocol::NetlinkNetFilter,
        )?;
        sendto(kernel.as_raw_fd(), &self.bytes, &NetlinkAddr::new(0, 0), MsgFlags::empty())?;
        let mut left = self.messages;
        while left > 0 {
            let mut reply = [0u8; REPLY_BYTES];
            // If nothing arrives, the kernel has no more replies: do not wait for ever.
            let size = recv(kernel.as_raw_fd(), &mut reply, MsgFlags::MSG_DONTWAIT)?;
            let mut rest = reply.get(..size).unwrap_or_default();
            while !rest.is_empty() {
                let length = word(rest, 0)? as usize;
                let errno = word(rest, HEADER_BYTES)?.cast_signed();
                if errno != 0 {
                    return Err(nix::Error::from_raw(-errno));
                }
                left = left.saturating_sub(1);
                let next = length.max(HEADER_BYTES).next_multiple_of(4);
                rest = rest.get(next..).unwrap_or_default();
            }
        }
        Ok(())
    }
}

fn word(bytes: &[u8], at: usize) -> nix::Result<u32> {
    let word = bytes.get(at..at + 4).ok_or(nix::Error::EBADMSG)?;
    Ok(u32::from_ne_bytes(word.try_into().map_err(|_| nix::Error::EBADMSG)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_have_the_kernels_layout() {
        assert_eq!(attribute(1, b"ab\0"), [7, 0, 1, 0, b'a', b'b', 0, 0]);
        assert_eq!(number(2, 3), [8, 0, 2, 0, 0, 0, 0, 3]);
        assert_eq!(nested(4, &number(1, 0)), [12, 0, 4, 128, 8, 0, 1, 0, 0, 0, 0, 0]);
    }

    #[test]
    fn a_prefix_is_masked_to_its_length() {
        let contains = |rule: &[u8], part: &[u8]| rule.windows(part.len()).any(|at| at == part);
        let rule = drops("169.254.7.7".parse().unwrap(), 16, false);
        assert!(contains(&rule, &[255, 255, 0, 0]) && contains(&rule, &[169, 254, 0, 0]));
        let rule = drops("fe80::1".parse().unwrap(), 10, false);
        assert!(contains(&rule, &[&[255, 192][..], &[0; 14]].concat()));
        assert!(contains(&rule, &[&[0xfe, 0x80][..], &[0; 14]].concat()));
        assert!(contains(&drops(Ipv6Addr::LOCALHOST.into(), 128, true), &[255; 16]));
    }
}
