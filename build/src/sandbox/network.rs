//! Network of instances that may call out: what they reach, by which method, and how the tool
//! reports it. An instance always has its own network namespace. It gets copies of this machine's
//! resolv.conf and hosts; an uplink (uplink.rs) carries packets that leave this machine; routes
//! (route.rs) block metadata services and this machine's own addresses; relays (relay.rs) carry
//! traffic to named ports of this machine and to its name servers.

use super::plan::{Inside, Port, PortKind};
use super::reach::{NEVER, Reach, is_never};
use super::refusals::Refusals;
use super::relay::{self, Relays};
use super::uplink::{Uplink, Uplinks};
use nix::ifaddrs::getifaddrs;
use std::collections::BTreeSet;
use std::fmt;
use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::fd::OwnedFd;
use std::path::Path;

/// Most name servers that the instance uses (resolv.conf(5), MAXNS).
const MAX_NAME_SERVERS: usize = 3;
const DNS_PORT: u16 = 53;
/// The network for the instances of one run.
#[derive(Debug)]
pub struct Network {
    /// Settings of an instance with an uplink.
    inside: Inside,
    /// This machine's name servers.
    servers: Vec<IpAddr>,
    reached: Vec<String>,
    /// `None` if the configuration has no network.
    uplinks: Option<Uplinks>,
}

/// An instance's part of the network while it runs.
pub struct Connected {
    relays: Relays,
    uplink: Option<Uplink>,
    refusals: Option<Refusals>,
    /// Process id of the instance.
    pid: i32,
}

impl Connected {
    /// The program's calls that failed: names, and addresses without a route.
    pub fn in_vain(&self) -> Vec<String> {
        let mut tried: Vec<String> =
            self.relays.names().iter().map(|name| format!("it looked up `{name}`")).collect();
        // If an uplink has no IPv6, the C library itself tries every address of a name.
        if unrouted(self.pid, self.uplink.is_none()) > 0 {
            tried.push("it called an address to which there is no route".into());
        }
        tried
    }

    /// Named ports of this machine that the program called and where no server listens.
    pub fn unanswered(&self) -> Vec<SocketAddr> {
        self.relays.unanswered().into_iter().collect()
    }

    /// Addresses of its own loopback that refused a connection.
    pub fn refused(&self) -> Vec<SocketAddr> {
        self.refusals.as_ref().map(Refusals::heard).unwrap_or_default()
    }
}

/// Number of packets for which a namespace had no route (RFC 4293, ipSystemStatsOutNoRoutes, as in
/// /proc/net/snmp and snmp6).
fn unrouted(pid: i32, v6_counts: bool) -> u64 {
    let read = |name| fs::read_to_string(format!("/proc/{pid}/net/{name}")).unwrap_or_default();
    let v4 = read("snmp");
    let mut lines = v4.lines().filter(|line| line.starts_with("Ip: "));
    let (names, values) = (lines.next().unwrap_or_default(), lines.next().unwrap_or_default());
    let mut pairs = names.split(' ').zip(values.split(' '));
    let v4 = pairs.find(|(name, _)| *name == "OutNoRoutes").map_or("0", |(_, value)| value);
    let v6 = read("snmp6");
    let v6 = v6.lines().find_map(|line| line.strip_prefix("Ip6OutNoRoutes"));
    let v6 = v6.filter(|_| v6_counts).unwrap_or("0");
    [v4, v6].iter().map(|text| text.trim().parse::<u64>().unwrap_or(0)).sum()
}

impl Network {
    /// Inspects this machine: its addresses, its name servers, and the methods that can carry
    /// packets. `helper` is the executable that [`super::Launcher::start`] receives.
    ///
    /// # Errors
    /// If the machine's addresses cannot be listed.
    pub fn new(reach: &[Reach], helper: &Path) -> io::Result<Network> {
        let own = own_addresses()?;
        let mut local: BTreeSet<IpAddr> = own.iter().copied().collect();
        let mut ports: BTreeSet<Port> = BTreeSet::new();
        for address in reach.iter().flat_map(|reach| reach.local(&own)) {
            ports.insert(Port { address, kind: PortKind::Tcp });
        }
        let resolv_conf = fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
        let servers = name_servers(&resolv_conf);
        for &server in &servers {
            // Other servers are ordinary addresses for the instance.
            if server.is_loopback() || own.contains(&server) || is_never(server) {
                let address = SocketAddr::new(server, DNS_PORT);
                ports.extend([PortKind::Udp, PortKind::Tcp].map(|kind| Port { address, kind }));
                if !server.is_loopback() {
                    local.insert(server);
                }
            }
        }
        let inside = Inside {
            local: local.into_iter().collect(),
            unreachable: NEVER.to_vec(),
            etc: true,
            ports: ports.into_iter().collect(),
            hears_refusals: true,
        };
        let reached = reach
            .iter()
            .filter(|reach| reach.local(&own).next().is_some())
            .map(Reach::to_string)
            .collect();
        Ok(Network { inside, servers, reached, uplinks: Some(Uplinks::find(helper)) })
    }

    /// Only loopback, with a name server that answers "no such name". A program that calls out
    /// fails at once, and the tool reports the attempt.
    pub fn none() -> Network {
        let inside = Inside {
            local: Vec::new(),
            unreachable: Vec::new(),
            etc: false,
            ports: Vec::new(),
            hears_refusals: true,
        };
        let servers = vec![Ipv4Addr::LOCALHOST.into()];
        Network { inside, servers, reached: Vec::new(), uplinks: None }
    }

    /// The settings that an instance applies itself.
    pub fn inside(&self) -> Inside {
        let mut inside = self.inside.clone();
        if !self.has_uplink() {
            inside.ports.retain(|port| port.address.port() != DNS_PORT);
            for &server in &self.servers {
                let address = SocketAddr::new(server, DNS_PORT);
                inside.ports.push(Port { address, kind: PortKind::NoNames });
                if !server.is_loopback() && !inside.local.contains(&server) {
                    inside.local.push(server);
                }
            }
        }
        inside
    }

    /// Connects the network namespace of process `pid`, which has applied `inside`. `listeners` are
    /// those that it created.
    pub(super) fn connect(
        &self,
        pid: i32,
        inside: &Inside,
        mut listeners: Vec<OwnedFd>,
    ) -> io::Result<Connected> {
        let refusals = listeners.split_off(inside.ports.len().min(listeners.len())).pop();
        let refusals = refusals.map(Refusals::of);
        let uplink = self.uplinks.as_ref().and_then(|uplinks| uplinks.attach(pid));
        let relays = relay::start(listeners, &inside.ports)?;
        Ok(Connected { relays, uplink, refusals, pid })
    }

    /// Turns off the observation of an instance's packets, for measurements. Refused calls are then
    /// not reported.
    #[must_use]
    pub fn unheard(mut self) -> Network {
        self.inside.hears_refusals = false;
        self
    }

    /// The methods that connected the instances so far, and their number.
    pub fn used(&self) -> Vec<(String, usize)> {
        self.uplinks.as_ref().map(Uplinks::used).unwrap_or_default()
    }

    /// Whether an uplink carries packets that leave this machine.
    pub fn has_uplink(&self) -> bool {
        self.uplinks.as_ref().is_some_and(|uplinks| uplinks.current().is_some())
    }

    /// Whether a network was requested, even if its uplink has failed.
    pub fn is_wanted(&self) -> bool {
        self.uplinks.is_some()
    }
}

/// One line: the method, and what is reachable. It is final only after an instance has started.
impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let reached = match self.reached.is_empty() {
            true => {
                "nothing on this machine itself (`--reach HOST:PORT` names a port of it)".into()
            }
            false => format!("of this machine itself {} only", self.reached.join(", ")),
        };
        let Some(uplinks) = &self.uplinks else {
            return f.write_str("network: none, only its loopback; outgoing calls fail at once");
        };
        match uplinks.current() {
            Some(means) => write!(
                f,
                "network: what this machine reaches, by {means}; {reached}; no metadata service"
            ),
            None => write!(
                f,
                "network: none, outgoing calls fail at once ({}); {reached}",
                uplinks.why_none()
            ),
        }
    }
}

/// This machine's addresses on all interfaces, without loopback and link-local ones.
fn own_addresses() -> io::Result<Vec<IpAddr>> {
    let mut own = BTreeSet::new();
    for interface in getifaddrs()? {
        let Some(address) = interface.address else { continue };
        if let Some(v4) = address.as_sockaddr_in() {
            own.insert(IpAddr::V4(v4.ip()));
        } else if let Some(v6) = address.as_sockaddr_in6() {
            own.insert(IpAddr::V6(v6.ip()));
        }
    }
    Ok(own.into_iter().filter(|ip| !ip.is_loopback() && !is_never(*ip)).collect())
}

/// The name servers of resolv.conf(5); without any, the resolver asks this machine.
fn name_servers(resolv_conf: &str) -> Vec<IpAddr> {
    let found: Vec<IpAddr> = resolv_conf
        .lines()
        .filter_map(|line| line.strip_prefix("nameserver")?.split_whitespace().next()?.parse().ok())
        .take(MAX_NAME_SERVERS)
        .collect();
    if found.is_empty() { vec![Ipv4Addr::LOCALHOST.into()] } else { found }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_servers_are_read_as_resolvers_do() {
        let text = "# nameserver 1.1.1.1\nnameserver 127.0.0.53\nnameserver\t::1 # x\nsearch a\n";
        assert_eq!(
            name_servers(text),
            ["127.0.0.53".parse::<IpAddr>().unwrap(), "::1".parse().unwrap()]
        );
        assert_eq!(name_servers("search a\n"), [IpAddr::V4(Ipv4Addr::LOCALHOST)]);
    }
}
