//! Connecting: looks the name up, then tries its addresses in turn, the next one whenever the last
//! has not answered for a while (RFC 8305, section 5). No step waits.

use super::socket::{self, Group};
use super::until::Until;
use crate::sys::monotonic_ns;
use crate::transport::early::Wait;
use std::collections::VecDeque;
use std::fmt::Write;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, OwnedFd};

/// Time after which the next address is tried beside an unanswered one, in nanoseconds (RFC 8305,
/// section 8: "Connection Attempt Delay").
const PATIENCE_NS: u64 = 250_000_000;
/// Largest number of addresses tried.
const MOST_ADDRESSES: usize = 16;

/// Look-up of the addresses.
pub(super) trait Find: Send {
    /// Continues as far as it can without waiting. Returns the addresses, or `None` if the caller
    /// must call again after [`Find::waits_for`].
    fn go_on(&mut self) -> io::Result<Option<Vec<SocketAddr>>>;
    fn waits_for(&self) -> Wait;
    /// The servers that have not answered, for messages.
    fn unanswered(&self) -> String;
}

pub(super) struct Dial {
    /// The name, until it is found.
    name: Option<Box<dyn Find>>,
    /// Addresses not tried yet.
    next: VecDeque<SocketAddr>,
    tried: Vec<(SocketAddr, OwnedFd)>,
    /// A descriptor for all attempts, if there is more than one.
    group: Option<Group>,
    /// When the next address is tried, by the monotonic clock.
    next_ns: u64,
    /// Why addresses have failed.
    failures: String,
    last_kind: io::ErrorKind,
}

impl Dial {
    pub(super) fn by_name(name: Box<dyn Find>) -> Dial {
        Dial { name: Some(name), ..Dial::to(&[]) }
    }

    pub(super) fn to(addresses: &[SocketAddr]) -> Dial {
        Dial {
            name: None,
            next: in_turn(addresses),
            tried: Vec::new(),
            group: None,
            next_ns: 0,
            failures: String::new(),
            last_kind: io::ErrorKind::InvalidInput,
        }
    }

    /// Continues as far as it can without waiting. Returns the connected socket, or `None` if the
    /// caller must call again after [`Dial::waits_for`].
    ///
    /// # Errors
    /// Why no address can be connected to.
    pub(super) fn go_on(&mut self) -> io::Result<Option<OwnedFd>> {
        if let Some(name) = &mut self.name {
            match name.go_on()? {
                Some(addresses) => self.next = in_turn(&addresses),
                None => return Ok(None),
            }
            self.name = None;
        }
        loop {
            let mut at = 0;
            while at < self.tried.len() {
                let (address, socket) = &self.tried[at];
                match socket::connect(socket, address) {
                    Ok(true) => return Ok(Some(self.tried.swap_remove(at).1)),
                    Ok(false) => at += 1,
                    Err(error) => {
                        let (address, _) = self.tried.remove(at);
                        self.failed(&address, &error);
                        self.next_ns = 0; // the next one is tried at once
                    }
                }
            }
            if !self.tried.is_empty() && monotonic_ns() < self.next_ns {
                return Ok(None);
            }
            let Some(address) = self.next.pop_front() else {
                self.next_ns = u64::MAX;
                return if self.tried.is_empty() { Err(self.failure()) } else { Ok(None) };
            };
            match self.begin(address) {
                Ok(Some(connected)) => return Ok(Some(connected)),
                Ok(None) if self.next.is_empty() => self.next_ns = u64::MAX,
                Ok(None) => self.next_ns = monotonic_ns().saturating_add(PATIENCE_NS),
                Err(error) => self.failed(&address, &error),
            }
        }
    }

    fn begin(&mut self, address: SocketAddr) -> io::Result<Option<OwnedFd>> {
        let socket = socket::open(&address, libc::SOCK_STREAM)?;
        socket::no_delay(&socket);
        if socket::connect(&socket, &address)? {
            return Ok(Some(socket));
        }
        if self.group.is_none() && !self.tried.is_empty() {
            let group = Group::new()?;
            for (_, socket) in &self.tried {
                group.add(socket, libc::POLLOUT)?;
            }
            self.group = Some(group);
        }
        if let Some(group) = &self.group {
            group.add(&socket, libc::POLLOUT)?;
        }
        self.tried.push((address, socket));
        Ok(None)
    }

    pub(super) fn waits_for(&self) -> Wait {
        match (&self.name, &self.group, self.tried.first()) {
            (Some(name), _, _) => name.waits_for(),
            (None, Some(group), _) => {
                Wait { fd: group.fd(), events: libc::POLLIN, until_ns: self.next_ns }
            }
            (None, None, Some((_, socket))) => {
                Wait { fd: socket.as_raw_fd(), events: libc::POLLOUT, until_ns: self.next_ns }
            }
            (None, None, None) => Wait { fd: -1, events: 0, until_ns: 0 },
        }
    }

    /// The servers or addresses that have not answered, for messages.
    pub(super) fn unanswered(&self) -> String {
        let mut text = String::new();
        if let Some(name) = &self.name {
            text.push_str(&name.unanswered());
        }
        for (address, _) in &self.tried {
            let comma = if text.is_empty() { "" } else { ", " };
            let _ = write!(text, "{comma}{address} does not answer");
        }
        if !self.failures.is_empty() {
            let _ = write!(text, ", {}", self.failures);
        }
        text
    }

    fn failed(&mut self, address: &SocketAddr, error: &io::Error) {
        let comma = if self.failures.is_empty() { "" } else { ", " };
        let _ = write!(self.failures, "{comma}{address}: {error}");
        self.last_kind = error.kind();
    }

    fn failure(&self) -> io::Error {
        if self.failures.is_empty() {
            return io::Error::new(io::ErrorKind::InvalidInput, "no address was given");
        }
        io::Error::new(self.last_kind, self.failures.clone())
    }
}

/// Interleaves the address families, each in its own order; the first address's family comes first
/// (RFC 8305, section 4).
fn in_turn(addresses: &[SocketAddr]) -> VecDeque<SocketAddr> {
    let first_is_v4 = addresses.first().is_some_and(SocketAddr::is_ipv4);
    let mut of_first = addresses.iter().filter(|address| address.is_ipv4() == first_is_v4);
    let mut of_other = addresses.iter().filter(|address| address.is_ipv4() != first_is_v4);
    let mut ordered = VecDeque::new();
    loop {
        let before = ordered.len();
        ordered.extend(of_first.next());
        ordered.extend(of_other.next());
        if ordered.len() == before || ordered.len() >= MOST_ADDRESSES {
            return ordered;
        }
    }
}

/// The wait, ended at `until` at the latest.
pub(super) fn earlier(mut wait: Wait, until: Until) -> Wait {
    wait.until_ns = wait.until_ns.min(until.ns());
    wait
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_the_families_in_turn() {
        let addresses: Vec<SocketAddr> =
            ["[::1]:1", "[::2]:1", "1.0.0.1:1", "1.0.0.2:1", "1.0.0.3:1"]
                .iter()
                .map(|text| text.parse().unwrap())
                .collect();
        let ordered: Vec<String> = in_turn(&addresses).iter().map(ToString::to_string).collect();
        assert_eq!(ordered, ["[::1]:1", "1.0.0.1:1", "[::2]:1", "1.0.0.2:1", "1.0.0.3:1"]);
        assert_eq!(in_turn(&vec![addresses[0]; 100]).len(), MOST_ADDRESSES);
        assert!(in_turn(&[]).is_empty());
    }
}
