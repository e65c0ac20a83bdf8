//! /etc/resolv.conf and /etc/hosts as text. Pure. resolv.conf(5), hosts(5).

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// Name servers that are used (resolv.conf(5): MAXNS).
const MOST_SERVERS: usize = 3;
/// Search domains that are used.
const MOST_DOMAINS: usize = 16;

/// Where name servers listen.
const PORT: u16 = 53;

/// What /etc/resolv.conf says.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Config {
    /// With the zone of a link-local IPv6 address left out. Written as `[address]:port` it has
    /// another port than 53, as OpenBSD's page has it.
    pub servers: Vec<SocketAddr>,
    pub search: Vec<String>,
    /// So many dots make a name that is asked for as it is first.
    pub ndots: usize,
    /// How long one round of questions to all servers takes at most, in seconds.
    pub timeout_s: u64,
    /// How many rounds.
    pub attempts: u64,
}

impl Config {
    pub(super) fn parse(text: &str) -> Config {
        let mut config =
            Config { servers: Vec::new(), search: Vec::new(), ndots: 1, timeout_s: 5, attempts: 2 };
        for line in text.lines() {
            if line.starts_with(['#', ';']) {
                continue;
            }
            let mut words = line.split_ascii_whitespace();
            match words.next() {
                Some("nameserver") if config.servers.len() < MOST_SERVERS => {
                    config.servers.extend(words.next().and_then(server));
                }
                // The last of them counts.
                Some("search") => {
                    config.search = words.take(MOST_DOMAINS).map(str::to_owned).collect();
                }
                Some("domain") => config.search = words.take(1).map(str::to_owned).collect(),
                Some("options") => words.for_each(|word| config.option(word)),
                _ => {}
            }
        }
        if config.servers.is_empty() {
            // as resolv.conf(5) says
            config.servers.push(SocketAddr::new(Ipv4Addr::LOCALHOST.into(), PORT));
        }
        config
    }

    fn option(&mut self, word: &str) {
        let Some((name, value)) = word.split_once(':') else { return };
        let Ok(number) = value.parse::<u64>() else { return };
        match name {
            "ndots" => self.ndots = number.min(15) as usize,
            "timeout" => self.timeout_s = number.clamp(1, 30),
            "attempts" => self.attempts = number.clamp(1, 5),
            _ => {}
        }
    }

    /// The names that are asked for, in their order, where `name` is wanted.
    pub(super) fn candidates(&self, name: &str) -> Vec<String> {
        if name.ends_with('.') {
            return vec![name.to_owned()];
        }
        let as_it_is = name.to_owned();
        let mut names: Vec<String> = Vec::new();
        for domain in &self.search {
            let domain = domain.trim_end_matches('.');
            if !domain.is_empty() {
                names.push([name, ".", domain].concat());
            }
        }
        let dots = name.bytes().filter(|byte| *byte == b'.').count();
        let place = if dots >= self.ndots { 0 } else { names.len() };
        names.insert(place, as_it_is);
        names
    }
}

fn server(word: &str) -> Option<SocketAddr> {
    if let Some((address, port)) = word.strip_prefix('[').and_then(|word| word.split_once("]:")) {
        return Some(SocketAddr::new(address.parse().ok()?, port.parse().ok()?));
    }
    let address = word.split('%').next().unwrap_or_default();
    Some(SocketAddr::new(address.parse().ok()?, PORT))
}

/// The addresses that a file like /etc/hosts gives `name`.
pub(super) fn in_hosts(hosts: &str, name: &str) -> Vec<IpAddr> {
    let name = name.strip_suffix('.').unwrap_or(name);
    let mut addresses = Vec::new();
    for line in hosts.lines() {
        let line = line.split('#').next().unwrap_or_default();
        let mut words = line.split_ascii_whitespace();
        let Some(address) = words.next().and_then(|word| word.parse::<IpAddr>().ok()) else {
            continue;
        };
        if words.any(|word| word.eq_ignore_ascii_case(name)) && !addresses.contains(&address) {
            addresses.push(address);
        }
    }
    addresses
}

/// Whether the name is the machine itself, whatever files or servers say nothing about it (RFC
/// 6761, section 6.3).
pub(super) fn is_localhost(name: &str) -> bool {
    let name = name.strip_suffix('.').unwrap_or(name);
    let last = name.rsplit('.').next().unwrap_or_default();
    last.eq_ignore_ascii_case("localhost")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_the_page_names() {
        let config = Config::parse(
            "# a comment\n; another\nnameserver 10.0.0.1\nnameserver fe80::1%eth0\n\
             nameserver nonsense\nnameserver [10.0.0.3]:5353\nnameserver 10.0.0.4\ndomain a.example\n\
             search b.example c.example\noptions ndots:5 timeout:2 attempts:9 rotate nonsense:x\n",
        );
        let servers: Vec<String> = config.servers.iter().map(ToString::to_string).collect();
        assert_eq!(servers, ["10.0.0.1:53", "[fe80::1]:53", "10.0.0.3:5353"]);
        assert_eq!(config.search, ["b.example", "c.example"]);
        assert_eq!((config.ndots, config.timeout_s, config.attempts), (5, 2, 5));
        let empty = Config::parse("");
        assert_eq!(empty.servers, [SocketAddr::from(([127, 0, 0, 1], 53))]);
        assert_eq!((empty.ndots, empty.timeout_s, empty.attempts), (1, 5, 2));
    }

    #[test]
    fn asks_for_names_in_the_order_of_the_page() {
        let config = Config::parse("search a.example b.example.\noptions ndots:2\n");
        for (name, expected) in [
            ("db", &["db.a.example", "db.b.example", "db"][..]),
            ("db.x", &["db.x.a.example", "db.x.b.example", "db.x"]),
            ("db.x.y", &["db.x.y", "db.x.y.a.example", "db.x.y.b.example"]),
            ("db.", &["db."]),
        ] {
            assert_eq!(config.candidates(name), expected, "{name}");
        }
        assert_eq!(Config::parse("search .\n").candidates("db"), ["db"]);
    }

    #[test]
    fn finds_names_in_hosts() {
        let hosts = "127.0.0.1 localhost me\n10.0.0.7\tredis Redis.internal # 1.1.1.1 redis\n\
                     ::7 redis\nnonsense redis\n10.0.0.7 redis\n#10.0.0.9 redis\n";
        let found = |name| {
            let addresses = in_hosts(hosts, name);
            addresses.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert_eq!(found("REDIS"), ["10.0.0.7", "::7"]);
        assert_eq!(found("redis.internal."), ["10.0.0.7"]);
        assert!(found("1.1.1.1").is_empty() && found("redis.").len() == 2);
    }

    #[test]
    fn knows_the_machine_itself() {
        for name in ["localhost", "LocalHost.", "db.localhost", "a.b.localhost."] {
            assert!(is_localhost(name), "{name}");
        }
        for name in ["localhost.example", "notlocalhost", "", "."] {
            assert!(!is_localhost(name), "{name}");
        }
    }
}
