//! Parsers of /etc/resolv.conf and /etc/hosts. Pure. resolv.conf(5), hosts(5).

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// Largest number of name servers that are used (resolv.conf(5): MAXNS).
const MOST_SERVERS: usize = 3;
/// Largest number of search domains that are used.
const MOST_DOMAINS: usize = 16;

/// Port of a name server.
const PORT: u16 = 53;

/// The settings of /etc/resolv.conf.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Config {
    /// The name servers, without the zone of a link-local IPv6 address. The form `[address]:port`
    /// sets a port other than 53, as in OpenBSD's resolv.conf(5).
    pub servers: Vec<SocketAddr>,
    pub search: Vec<String>,
    /// A name with at least this many dots is first tried as it is.
    pub ndots: usize,
    /// Longest time for one round of questions to all servers, in seconds.
    pub timeout_s: u64,
    /// Number of rounds.
    pub attempts: u64,
}

impl Config {
    pub(super) fn parse(text: &[u8]) -> Config {
        let mut config =
            Config { servers: Vec::new(), search: Vec::new(), ndots: 1, timeout_s: 5, attempts: 2 };
        for words in lines(text) {
            match words.split_first() {
                Some((&"nameserver", rest)) if config.servers.len() < MOST_SERVERS => {
                    config.servers.extend(rest.first().and_then(|word| server(word)));
                }
                // The last such line counts.
                Some((&word @ ("search" | "domain"), rest)) => {
                    let most = if word == "search" { MOST_DOMAINS } else { 1 };
                    config.search.clear();
                    for domain in rest.iter().take(most) {
                        config.search.push((*domain).to_owned());
                    }
                }
                Some((&"options", rest)) => rest.iter().for_each(|word| config.option(word)),
                _ => {}
            }
        }
        if config.servers.is_empty() {
            // resolv.conf(5): without a name server, the resolver asks the local host.
            config.servers.push(SocketAddr::new(Ipv4Addr::LOCALHOST.into(), PORT));
        }
        config
    }

    fn option(&mut self, word: &str) {
        let Some((name, value)) = cut(word, b':') else { return };
        let Ok(number) = value.parse::<u64>() else { return };
        match name {
            "ndots" => self.ndots = number.min(15) as usize,
            "timeout" => self.timeout_s = number.clamp(1, 30),
            "attempts" => self.attempts = number.clamp(1, 5),
            _ => {}
        }
    }

    /// The names to ask for when a caller looks up `name`, in order.
    pub(super) fn candidates(&self, name: &str) -> Vec<String> {
        if name.ends_with('.') {
            return vec![name.to_owned()];
        }
        let as_it_is = name.to_owned();
        let mut names: Vec<String> = Vec::new();
        for domain in &self.search {
            let domain = domain.strip_suffix('.').unwrap_or(domain);
            if !domain.is_empty() {
                let mut whole = name.to_owned();
                whole.push('.');
                whole.push_str(domain);
                names.push(whole);
            }
        }
        let dots = name.bytes().filter(|byte| *byte == b'.').count();
        let place = if dots >= self.ndots { 0 } else { names.len() };
        names.insert(place, as_it_is);
        names
    }
}

fn server(word: &str) -> Option<SocketAddr> {
    let (address, port) = match word.strip_prefix('[') {
        Some(word) => {
            let (address, port) = cut(word, b']')?;
            (address, port.strip_prefix(':')?.parse().ok()?)
        }
        None => (cut(word, b'%').map_or(word, |(address, _)| address), PORT),
    };
    Some(SocketAddr::new(address.parse().ok()?, port))
}

/// Splits the text at the first such byte.
fn cut(text: &str, byte: u8) -> Option<(&str, &str)> {
    let at = text.bytes().position(|other| other == byte)?;
    Some((text.get(..at)?, text.get(at + 1..)?))
}

/// The words of each line, without comments and without words that are not UTF-8. It does not use
/// std's pattern splitters, because they add KiB to a layer.
fn lines(text: &[u8]) -> impl Iterator<Item = Vec<&str>> {
    text.split(|byte| *byte == b'\n').map(words)
}

#[inline(never)]
fn words(line: &[u8]) -> Vec<&str> {
    let mut words = Vec::new();
    for word in line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty()) {
        if matches!(word[0], b'#' | b';') {
            break;
        }
        words.extend(std::str::from_utf8(word).ok());
    }
    words
}

/// The addresses of `name` in a file like /etc/hosts.
pub(super) fn in_hosts(hosts: &[u8], name: &str) -> Vec<IpAddr> {
    let name = name.strip_suffix('.').unwrap_or(name);
    let mut addresses = Vec::new();
    for words in lines(hosts) {
        let Some((address, names)) = words.split_first() else { continue };
        if names.iter().any(|word| word.eq_ignore_ascii_case(name))
            && let Ok(address) = address.parse::<IpAddr>()
            && !addresses.contains(&address)
        {
            addresses.push(address);
        }
    }
    addresses
}

/// Whether the name stands for this machine, even if no file or server lists it (RFC 6761, section
/// 6.3).
pub(super) fn is_localhost(name: &str) -> bool {
    const NAME: &[u8] = b"localhost";
    let name = name.strip_suffix('.').unwrap_or(name).as_bytes();
    let Some(begin) = name.len().checked_sub(NAME.len()) else { return false };
    name[begin..].eq_ignore_ascii_case(NAME) && (begin == 0 || name[begin - 1] == b'.')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_the_page_names() {
        let config = Config::parse(
            b"# a comment\n; another\nnameserver 10.0.0.1\nnameserver fe80::1%eth0\n\
             nameserver nonsense\nnameserver [10.0.0.3]:5353\nnameserver 10.0.0.4\n\
             domain a.example\nsearch b.example c.example\n\
             options ndots:5 timeout:2 attempts:9 rotate nonsense:x\n",
        );
        let servers: Vec<String> = config.servers.iter().map(ToString::to_string).collect();
        assert_eq!(servers, ["10.0.0.1:53", "[fe80::1]:53", "10.0.0.3:5353"]);
        assert_eq!(config.search, ["b.example", "c.example"]);
        assert_eq!((config.ndots, config.timeout_s, config.attempts), (5, 2, 5));
        let empty = Config::parse(b"");
        assert_eq!(empty.servers, [SocketAddr::from(([127, 0, 0, 1], 53))]);
        assert_eq!((empty.ndots, empty.timeout_s, empty.attempts), (1, 5, 2));
    }

    #[test]
    fn asks_for_names_in_the_order_of_the_page() {
        let config = Config::parse(b"search a.example b.example.\noptions ndots:2\n");
        for (name, expected) in [
            ("db", &["db.a.example", "db.b.example", "db"][..]),
            ("db.x", &["db.x.a.example", "db.x.b.example", "db.x"]),
            ("db.x.y", &["db.x.y", "db.x.y.a.example", "db.x.y.b.example"]),
            ("db.", &["db."]),
        ] {
            assert_eq!(config.candidates(name), expected, "{name}");
        }
        assert_eq!(Config::parse(b"search .\n").candidates("db"), ["db"]);
    }

    #[test]
    fn finds_names_in_hosts() {
        let hosts = b"127.0.0.1 localhost me\n\xff\xfe # \xe9\n10.0.0.8 caf\xe9 other\n\
                     10.0.0.7\tredis Redis.internal # 1.1.1.1 redis\n\
                     ::7 redis\nnonsense redis\n10.0.0.7 redis\n#10.0.0.9 redis\n";
        let found = |name| {
            let addresses = in_hosts(hosts, name);
            addresses.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert_eq!(found("REDIS"), ["10.0.0.7", "::7"]);
        assert_eq!(found("redis.internal."), ["10.0.0.7"]);
        assert_eq!(found("other"), ["10.0.0.8"], "what is not UTF-8 hides nothing else");
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
