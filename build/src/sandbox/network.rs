//! Network of instances that may call out: what they reach, by which means, and how that is
//! reported. An instance always has a network namespace of its own. It gets this machine's
//! resolv.conf and hosts; an uplink (uplink.rs) carries packets that leave this machine; routes
//! (route.rs) block metadata services and this machine's own addresses; relays (relay.rs) carry
//! traffic to named ports of this machine, and to its name servers.

use super::refusals::Refusals;
use super::relay::{self, Relays};
use super::uplink::{Uplink, Uplinks};
use nix::ifaddrs::getifaddrs;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fmt;
use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::os::fd::OwnedFd;
use std::path::Path;

/// Addresses that no instance ever reaches: where clouds keep the credentials of this
/// machine, and neighbours by link-local addresses. Address and length of the prefix.
const NEVER: [(IpAddr, u8); 9] = [
    (IpAddr::V4(Ipv4Addr::new(169, 254, 0, 0)), 16), // RFC 3927; AWS, Azure, Google, Tencent
    (IpAddr::V4(Ipv4Addr::new(100, 100, 100, 200)), 32), // Alibaba Cloud
    (IpAddr::V4(Ipv4Addr::new(168, 63, 129, 16)), 32), // Azure's WireServer
    (IpAddr::V6(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0)), 10), // RFC 4291
    (IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0)), 64), // AWS
    (IpAddr::V6(Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0)), 64), // Google Cloud
    (IpAddr::V6(Ipv6Addr::new(0xfd00, 0x42, 0, 0, 0, 0, 0, 0)), 64), // Scaleway
    // The first of all, by way of a translator to IPv4 (RFC 6052), and of 6to4 (RFC 3056).
    (IpAddr::V6(Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, 0xa9fe, 0)), 112),
    (IpAddr::V6(Ipv6Addr::new(0x2002, 0xa9fe, 0, 0, 0, 0, 0, 0)), 32),
];
/// Name servers that are asked, at most (resolv.conf(5), MAXNS).
const MAX_NAME_SERVERS: usize = 3;
const DNS_PORT: u16 = 53;
/// Named ports of this machine, at most: each is a listener in each instance.
pub const MAX_REACH: usize = 32;

/// A port of this machine that instances reach: `HOST:PORT`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reach {
    text: String,
    port: u16,
    addresses: Vec<SocketAddr>,
}

/// Why `HOST:PORT` cannot be reached.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReachError {
    /// It is not written as one.
    #[error("`{0}` is not HOST:PORT; write for example 127.0.0.1:6379")]
    Form(String),
    /// The host's name is not known.
    #[error("`{text}` cannot be reached: {why}; check the name, or write an address")]
    Unknown {
        /// As it was written.
        text: String,
        /// The resolver's word.
        why: String,
    },
    /// A metadata service, or everything.
    #[error("`{0}` is refused: {1}")]
    Refused(String, &'static str),
}

impl Reach {
    /// Reads `HOST:PORT`; a name means all its addresses, as this machine resolves it.
    ///
    /// # Errors
    /// [`ReachError`].
    pub fn parse(text: &str) -> Result<Reach, ReachError> {
        let form = || ReachError::Form(text.to_owned());
        let (host, port) = text.rsplit_once(':').ok_or_else(form)?;
        let port: u16 = port.parse().ok().filter(|port| *port != 0).ok_or_else(form)?;
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        if bare.is_empty() || (bare.contains(':') && bare == host) {
            return Err(form());
        }
        let found: Vec<SocketAddr> = (bare, port)
            .to_socket_addrs()
            .map_err(|why| ReachError::Unknown { text: text.to_owned(), why: why.to_string() })?
            .collect();
        for address in &found {
            if address.ip().is_unspecified() {
                let why = "it names every address; name one, for example 127.0.0.1";
                return Err(ReachError::Refused(text.to_owned(), why));
            }
            if is_never(address.ip()) {
                let why = "metadata services and link-local addresses are never reached";
                return Err(ReachError::Refused(text.to_owned(), why));
            }
        }
        Ok(Reach { text: text.to_owned(), port, addresses: found })
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The addresses that are this machine's: `own`, or its loopback.
    fn local(&self, own: &[IpAddr]) -> impl Iterator<Item = SocketAddr> {
        let is_own = |ip: IpAddr| ip.is_loopback() || own.contains(&ip);
        self.addresses.iter().copied().filter(move |address| is_own(address.ip()))
    }
}

impl std::str::FromStr for Reach {
    type Err = ReachError;

    fn from_str(text: &str) -> Result<Reach, ReachError> {
        Reach::parse(text)
    }
}

impl fmt::Display for Reach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// What a fresh instance sets up inside its own network namespace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inside {
    /// This machine's own addresses: they are the instance's loopback, where only [`Self::ports`]
    /// answer.
    pub local: Vec<IpAddr>,
    /// What has no route: address and length of the prefix.
    pub unreachable: Vec<(IpAddr, u8)>,
    /// This machine's resolv.conf and hosts in place of the image's.
    pub etc: bool,
    /// Listeners to make, and hand out behind the probe's sockets.
    pub ports: Vec<Port>,
    /// What is refused on its loopback is to be known ([`super::Instance::called_in_vain_here`]): a
    /// socket more, behind the listeners.
    pub hears_refusals: bool,
}

/// A port of this machine, at the same address inside an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Port {
    /// Where.
    pub address: SocketAddr,
    /// What is carried.
    pub kind: PortKind,
}

/// What becomes of what is sent to a [`Port`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum PortKind {
    /// Connections are carried to this machine.
    Tcp,
    /// Questions are carried to this machine, and answers back.
    Udp,
    /// Nothing is carried: every name gets the answer that it does not exist, at once.
    NoNames,
}

/// The network that instances of one run are given.
#[derive(Debug)]
pub struct Network {
    /// With an uplink.
    inside: Inside,
    /// Where names are looked up.
    servers: Vec<IpAddr>,
    reached: Vec<String>,
    /// None, as configured.
    uplinks: Option<Uplinks>,
}

/// What an instance has of it while it runs.
pub struct Connected {
    relays: Relays,
    uplink: Option<Uplink>,
    refusals: Option<Refusals>,
    /// Of the instance.
    pid: i32,
}

impl Connected {
    /// What the program tried to call and could not: names, and addresses without a route.
    pub fn in_vain(&self) -> Vec<String> {
        let mut tried: Vec<String> =
            self.relays.names().iter().map(|name| format!("it looked up `{name}`")).collect();
        // Where an uplink has no IPv6, the C library itself tries every address of a name.
        if unrouted(self.pid, self.uplink.is_none()) > 0 {
            tried.push("it called an address to which there is no route".into());
        }
        tried
    }

    /// Named ports of this machine that it called, and where nobody listens.
    pub fn unanswered(&self) -> Vec<SocketAddr> {
        self.relays.unanswered().into_iter().collect()
    }

    /// Where it was refused on its own loopback.
    pub fn refused(&self) -> Vec<SocketAddr> {
        self.refusals.as_ref().map(Refusals::heard).unwrap_or_default()
    }
}

/// How often a namespace had no route for what its processes sent (RFC 4293,
/// ipSystemStatsOutNoRoutes, as in /proc/net/snmp and snmp6).
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
    /// Looks at this machine: its addresses, its name servers, and what can carry packets. `helper`
    /// is the executable that [`super::Launcher::start`] is given.
    ///
    /// # Errors
    /// The machine's addresses cannot be listed.
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
            // All others are reached as any address is.
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

    /// Loopback alone, and a name server that knows no name: a program that calls out learns at
    /// once that it cannot, and who watches it learns that it did.
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

    /// What an instance sets up by itself.
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

    /// Connects the network namespace of process `pid`, which has set up `inside` and whose
    /// listeners these are.
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

    /// For who measures: nothing listens to an instance's packets, and nobody learns what it was
    /// refused.
    #[must_use]
    pub fn unheard(mut self) -> Network {
        self.inside.hears_refusals = false;
        self
    }

    /// What the instances so far were connected by, and how many of them.
    pub fn used(&self) -> Vec<(String, usize)> {
        self.uplinks.as_ref().map(Uplinks::used).unwrap_or_default()
    }

    /// Whether what leaves this machine is carried.
    pub fn has_uplink(&self) -> bool {
        self.uplinks.as_ref().is_some_and(|uplinks| uplinks.current().is_some())
    }

    /// Whether it is more than [`Network::none`], whatever became of its uplink.
    pub fn is_wanted(&self) -> bool {
        self.uplinks.is_some()
    }
}

/// One line: by what means, and what is reached. Known for sure once an instance was started.
impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let reached = match self.reached.is_empty() {
            true => {
                "nothing on this machine itself (`--reach HOST:PORT` names a port of it)".into()
            }
            false => format!("of this machine itself {} only", self.reached.join(", ")),
        };
        let Some(uplinks) = &self.uplinks else {
            return f.write_str("network: none, its loopback alone; calls out fail at once");
        };
        match uplinks.current() {
            Some(means) => write!(
                f,
                "network: what this machine reaches, by {means}; {reached}; no metadata service"
            ),
            None => write!(
                f,
                "network: none, calls out fail at once ({}); {reached}",
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

/// The servers that resolv.conf(5) names; without one, the resolver asks this machine.
fn name_servers(resolv_conf: &str) -> Vec<IpAddr> {
    let found: Vec<IpAddr> = resolv_conf
        .lines()
        .filter_map(|line| line.strip_prefix("nameserver")?.split_whitespace().next()?.parse().ok())
        .take(MAX_NAME_SERVERS)
        .collect();
    if found.is_empty() { vec![Ipv4Addr::LOCALHOST.into()] } else { found }
}

fn is_never(ip: IpAddr) -> bool {
    let ip = ip.to_canonical();
    NEVER.iter().any(|(prefix, bits)| is_within(ip, *prefix, *bits))
}

fn is_within(ip: IpAddr, prefix: IpAddr, bits: u8) -> bool {
    let shift = |whole: u8| u32::from(whole - bits);
    match (ip, prefix) {
        (IpAddr::V4(ip), IpAddr::V4(prefix)) => {
            (ip.to_bits() ^ prefix.to_bits()).checked_shr(shift(32)).unwrap_or(0) == 0
        }
        (IpAddr::V6(ip), IpAddr::V6(prefix)) => {
            (ip.to_bits() ^ prefix.to_bits()).checked_shr(shift(128)).unwrap_or(0) == 0
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn never_means_the_whole_range_and_nothing_beside_it() {
        let table = [
            ("169.254.169.254", true),
            ("169.254.0.23", true),
            ("169.253.255.255", false),
            ("169.255.0.0", false),
            ("::ffff:169.254.169.254", true),
            ("64:ff9b::169.254.169.254", true),
            ("64:ff9b::192.0.2.1", false),
            ("fe80::1", true),
            ("fd00:ec2::254", true),
            ("fd00::2", false),
            ("100.100.100.200", true),
            ("100.100.100.201", false),
        ];
        for (ip, never) in table {
            assert_eq!(is_never(ip.parse().unwrap()), never, "{ip}");
        }
    }

    #[test]
    fn what_is_to_be_reached_is_an_address_and_a_port() {
        for text in ["6379", "127.0.0.1", "127.0.0.1:0", "127.0.0.1:x", ":6379", "::1:6379", ""] {
            assert_eq!(Reach::parse(text), Err(ReachError::Form(text.into())), "{text}");
        }
        for text in ["169.254.169.254:80", "[fe80::1]:80", "0.0.0.0:80", "[::]:80"] {
            let error = Reach::parse(text).unwrap_err();
            assert!(matches!(error, ReachError::Refused(..)), "{text}: {error}");
        }
        let own: IpAddr = "192.0.2.2".parse().unwrap();
        let of = |text: &str| Reach::parse(text).unwrap().local(&[own]).collect::<Vec<_>>();
        assert_eq!(of("127.0.0.1:6379"), ["127.0.0.1:6379".parse().unwrap()]);
        assert_eq!(of("[::1]:6379"), ["[::1]:6379".parse().unwrap()]);
        assert_eq!(of("192.0.2.2:80"), ["192.0.2.2:80".parse().unwrap()]);
        assert_eq!(of("192.0.2.3:80"), []);
    }

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
