//! Ports of this machine that instances may reach (`--reach HOST:PORT`), and addresses that no
//! instance ever reaches. It parses names and addresses, and works on every system.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};

/// Addresses that no instance ever reaches, whatever the user allows: the metadata services where
/// clouds keep this machine's credentials, and link-local neighbours. Each has an address and the
/// length of its prefix.
pub(super) const NEVER: [(IpAddr, u8); 9] = [
    (IpAddr::V4(Ipv4Addr::new(169, 254, 0, 0)), 16), // RFC 3927; AWS, Azure, Google, Tencent
    (IpAddr::V4(Ipv4Addr::new(100, 100, 100, 200)), 32), // Alibaba Cloud
    (IpAddr::V4(Ipv4Addr::new(168, 63, 129, 16)), 32), // Azure's WireServer
    (IpAddr::V6(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0)), 10), // RFC 4291
    (IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0)), 64), // AWS
    (IpAddr::V6(Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0)), 64), // Google Cloud
    (IpAddr::V6(Ipv6Addr::new(0xfd00, 0x42, 0, 0, 0, 0, 0, 0)), 64), // Scaleway
    // IPv4 link-local addresses through a translator (RFC 6052) and through 6to4 (RFC 3056).
    (IpAddr::V6(Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, 0xa9fe, 0)), 112),
    (IpAddr::V6(Ipv6Addr::new(0x2002, 0xa9fe, 0, 0, 0, 0, 0, 0)), 32),
];
/// Most named ports of this machine: each is a listener in each instance.
pub const MAX_REACH: usize = 32;

/// A port of this machine that instances may reach: `HOST:PORT`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reach {
    text: String,
    port: u16,
    addresses: Vec<SocketAddr>,
}

/// Why a function cannot reach `HOST:PORT`.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReachError {
    /// The syntax is wrong.
    #[error("`{0}` is not HOST:PORT; write for example 127.0.0.1:6379")]
    Form(String),
    /// The host's name cannot be resolved.
    #[error("`{text}` cannot be reached: {why}; check the name, or write an address")]
    Unknown {
        /// The name as written.
        text: String,
        /// The resolver's error.
        why: String,
    },
    /// The address is a metadata service or a wildcard.
    #[error("`{0}` is refused: {1}")]
    Refused(String, &'static str),
}

impl Reach {
    /// Parses `HOST:PORT`; a name means all its addresses, as this machine resolves it.
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

    /// The addresses that belong to this machine: those in `own`, or its loopback.
    pub(super) fn local(&self, own: &[IpAddr]) -> impl Iterator<Item = SocketAddr> {
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

pub(super) fn is_never(ip: IpAddr) -> bool {
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
    fn blocked_ranges_are_exact() {
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
    fn parses_an_address_and_a_port_only() {
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
}
