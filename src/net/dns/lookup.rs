//! One DNS look-up, in steps that never block: first the files, then name servers by UDP, then by
//! TCP if a reply was truncated.
//!
//! It asks for both address families at once. If one family has an answer, the look-up waits 50 ms
//! more for the other (RFC 8305, section 3), or not at all for AAAA if there is no IPv6 route. It
//! asks the next server as soon as one fails or does not answer for 300 ms.

use super::config::{Config, in_hosts, is_localhost};
use super::message::{Answer, Kind, read_reply, write_question};
use crate::net::dial::{Find, earlier};
use crate::net::socket::{self, Group};
use crate::net::until::Until;
use crate::sys::monotonic_ns;
use crate::transport::early::Wait;
use crate::transport::wait_for;
use std::fmt;
use std::fs;
use std::io::{self, ErrorKind, IoSlice};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};

const RESOLV_CONF: &str = "/etc/resolv.conf";
const HOSTS: &str = "/etc/hosts";

const SECOND_NS: u64 = 1_000_000_000;
/// How long to wait for the other family's answer.
const GRACE_NS: u64 = 50_000_000;
/// After this time without an answer, the look-up also asks the next server.
const PATIENCE_NS: u64 = 300_000_000;
/// After this time the look-up asks a failed server again.
const AGAIN_NS: u64 = 100_000_000;
/// How long to wait for the complete reply by TCP, if the truncated one has addresses.
const TCP_NS: u64 = 2 * SECOND_NS;
/// Largest number of datagrams that one look-up reads, so that a flood cannot delay it for ever.
const MOST_DATAGRAMS: u32 = 4096;

/// The address families to ask for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Want {
    V4,
    V6,
    Both,
}

impl Want {
    pub(super) fn takes(self, address: &IpAddr) -> bool {
        match self {
            Want::V4 => address.is_ipv4(),
            Want::V6 => address.is_ipv6(),
            Want::Both => true,
        }
    }
}

/// Why a look-up found no addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    /// The name does not exist.
    NoName,
    /// The name exists, but has no address of the requested family.
    NoAddress,
    /// Every server failed.
    Servers,
    /// No server answered in time.
    Silence,
    /// No name server is configured.
    NoServer,
}

#[derive(Debug)]
pub(crate) struct Failure {
    pub reason: Reason,
    pub text: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl From<Failure> for io::Error {
    fn from(failure: Failure) -> io::Error {
        let kind = match failure.reason {
            Reason::NoName | Reason::NoAddress => ErrorKind::NotFound,
            Reason::Silence => ErrorKind::TimedOut,
            Reason::Servers | Reason::NoServer => ErrorKind::Other,
        };
        io::Error::new(kind, failure.text)
    }
}

/// The addresses, IPv4 first: without an IPv4 route a connection fails at once, but over a broken
/// IPv6 route it gets no answer.
pub(crate) struct Found {
    pub addresses: Vec<IpAddr>,
    pub canonical: String,
}

pub(crate) struct Lookup {
    name: String,
    want: Want,
    /// The result, if the files already contain it.
    known: Option<Result<Found, Failure>>,
    config: Config,
    /// Names to try, in reverse order.
    candidates: Vec<String>,
    servers: Vec<Server>,
    /// A descriptor for the sockets of all servers, if there is more than one.
    group: Option<Group>,
    /// When to ask which server, in time of the monotonic clock; a few entries, unsorted.
    plan: Vec<(u64, usize)>,
    end_ns: u64,
    questions: Vec<Question>,
    datagrams: u32,
    /// The result of the names before this one.
    before: Reason,
}

struct Server {
    address: SocketAddr,
    socket: OwnedFd,
}

struct Question {
    kind: Kind,
    bytes: Vec<u8>,
    /// How often each server failed.
    failures: Vec<u64>,
    answer: Option<Answer>,
    answered_ns: u64,
    /// The TCP query that fetches a truncated reply again.
    tcp: Option<Tcp>,
}

struct Tcp {
    server: usize,
    socket: OwnedFd,
    is_connected: bool,
    until_ns: u64,
    /// The truncated answer of the datagram.
    cut: Answer,
    /// Bytes that are not sent yet.
    out: Vec<u8>,
    input: Vec<u8>,
}

impl Lookup {
    pub(crate) fn new(name: &str, want: Want) -> Lookup {
        let mut lookup = Lookup {
            name: name.to_owned(),
            want,
            known: None,
            config: Config::parse(b""),
            candidates: Vec::new(),
            servers: Vec::new(),
            group: None,
            plan: Vec::new(),
            end_ns: 0,
            questions: Vec::new(),
            datagrams: 0,
            before: Reason::NoName,
        };
        lookup.known = lookup.in_files();
        lookup
    }

    /// Tries what needs no server, and reads the configuration.
    #[inline(never)]
    fn in_files(&mut self) -> Option<Result<Found, Failure>> {
        let mut question = Vec::new();
        if !write_question(&mut question, 0, &self.name, Kind::A) {
            return Some(Err(self.failure(Reason::NoName, "this is not a host name")));
        }
        let mut addresses = match fs::read(HOSTS) {
            Ok(hosts) => in_hosts(&hosts, &self.name),
            Err(error) if error.kind() == ErrorKind::NotFound => Vec::new(),
            Err(error) => {
                let text = format!("{HOSTS}: {error}");
                return Some(Err(self.failure(Reason::NoServer, &text)));
            }
        };
        if addresses.is_empty() && is_localhost(&self.name) {
            addresses = vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
        }
        if !addresses.is_empty() {
            return Some(self.found(addresses, self.name.clone()));
        }
        match fs::read(RESOLV_CONF) {
            Ok(text) => self.config = Config::parse(&text),
            Err(error) => {
                let missing = format!(
                    "no name server:  {RESOLV_CONF}: {error}; an image from scratch has none \
                     unless the platform mounts it: give the address instead of the name, or a \
                     line in {HOSTS}"
                );
                return Some(Err(self.failure(Reason::NoServer, &missing)));
            }
        }
        self.candidates = self.config.candidates(&self.name);
        self.candidates.reverse();
        None
    }

    /// Continues as far as it can without blocking. Returns the result, or `None` if the caller
    /// must call again after [`Lookup::waits_for`].
    pub(crate) fn go_on(&mut self) -> Result<Option<Found>, Failure> {
        if let Some(known) = self.known.take() {
            return known.map(Some);
        }
        loop {
            if self.questions.is_empty() {
                let Some(name) = self.candidates.pop() else {
                    return Err(self.none());
                };
                self.begin(&name);
            }
            self.receive();
            self.go_on_with_tcp();
            let now = monotonic_ns();
            match self.outcome(now) {
                Some(Ok(found)) => return Ok(Some(found)),
                Some(Err(Reason::Silence)) => {
                    let text = self.silence();
                    return Err(self.failure(Reason::Silence, &text));
                }
                Some(Err(reason)) => {
                    self.questions.clear();
                    // A server's failure, or a name without addresses, takes precedence over a
                    // missing name.
                    if self.before != Reason::Servers && reason != Reason::NoName {
                        self.before = reason;
                    }
                    continue;
                }
                None => {}
            }
            if !self.ask(now) {
                return Ok(None);
            }
        }
    }

    /// Starts to ask for `name`.
    #[inline(never)]
    fn begin(&mut self, name: &str) {
        let now = monotonic_ns();
        let kinds: &[Kind] = match self.want {
            Want::V4 => &[Kind::A],
            Want::V6 => &[Kind::Aaaa],
            Want::Both => &[Kind::A, Kind::Aaaa],
        };
        let ids = socket::random();
        for (at, kind) in kinds.iter().enumerate() {
            let mut bytes = Vec::with_capacity(64);
            let id = u16::from_ne_bytes([ids[2 * at], ids[2 * at + 1]]);
            if write_question(&mut bytes, id, name, *kind) {
                let failures = vec![0; self.config.servers.len()];
                let question = Question {
                    kind: *kind,
                    bytes,
                    failures,
                    answer: None,
                    answered_ns: 0,
                    tcp: None,
                };
                self.questions.push(question);
            }
        }
        let (count, round_ns) =
            (self.config.servers.len() as u64, self.config.timeout_s * SECOND_NS);
        let between_ns = PATIENCE_NS.min(round_ns / count.max(1));
        let mut plan = Vec::new();
        for round in 0..self.config.attempts {
            for server in 0..count {
                let at_ns = now + round * round_ns + server * between_ns;
                plan.push((at_ns, server as usize));
                if round_ns > 2 * SECOND_NS {
                    plan.push((at_ns + SECOND_NS, server as usize)); // a datagram may get lost
                }
            }
        }
        self.plan = plan;
        self.end_ns = now + self.config.attempts * round_ns;
    }

    /// Asks the servers that are due; returns whether it asked any.
    fn ask(&mut self, now: u64) -> bool {
        let mut asked = Vec::new();
        while let Some(at) = self.plan.iter().position(|(at_ns, _)| *at_ns <= now) {
            let (_, server) = self.plan.swap_remove(at);
            let attempts = self.attempts();
            if !asked.contains(&server)
                && self.questions.iter().any(|question| question.waits_for(server, attempts))
            {
                self.ask_server(server);
                asked.push(server);
            }
        }
        !asked.is_empty()
    }

    fn attempts(&self) -> u64 {
        self.config.attempts
    }

    #[inline(never)]
    fn ask_server(&mut self, server: usize) {
        let address = self.config.servers[server];
        let attempts = self.attempts();
        let place = self.servers.iter().position(|known| known.address == address);
        let sent = match place {
            Some(place) => Ok(place),
            None => self.open(address),
        }
        .and_then(|place| {
            let socket = &self.servers[place].socket;
            let open = self.questions.iter().filter(|open| open.waits_for(server, attempts));
            open.map(|question| socket::send(socket, &[IoSlice::new(&question.bytes)]))
                .try_fold((), |(), sent| sent.map(drop))
        });
        if sent.is_err() {
            self.has_failed(server, None);
        }
    }

    fn open(&mut self, address: SocketAddr) -> io::Result<usize> {
        let socket = socket::open(&address, libc::SOCK_DGRAM)?;
        socket::connect(&socket, &address)?; // what others send does not arrive
        if self.group.is_none() && !self.servers.is_empty() {
            let group = Group::new()?;
            for server in &self.servers {
                group.add(&server.socket, libc::POLLIN)?;
            }
            self.group = Some(group);
        }
        if let Some(group) = &self.group {
            group.add(&socket, libc::POLLIN)?;
        }
        self.servers.push(Server { address, socket });
        Ok(self.servers.len() - 1)
    }

    /// Reads all datagrams that have arrived.
    #[inline(never)]
    fn receive(&mut self) {
        let mut buffer = [0; 4096];
        for at in 0..self.servers.len() {
            let address = self.servers[at].address;
            let Some(server) = self.config.servers.iter().position(|known| *known == address)
            else {
                continue;
            };
            loop {
                if self.datagrams >= MOST_DATAGRAMS {
                    return self.has_failed(server, None);
                }
                match socket::receive(&self.servers[at].socket, &mut buffer, 0) {
                    Ok(size) => {
                        self.datagrams += 1;
                        self.take(server, &buffer[..size]);
                    }
                    Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                    // No server listens there, or there is no route (ICMP).
                    Err(_) => {
                        self.has_failed(server, None);
                        break;
                    }
                }
            }
        }
    }

    /// Matches a reply to its question.
    #[inline(never)]
    fn take(&mut self, server: usize, reply: &[u8]) {
        for at in 0..self.questions.len() {
            let question = &self.questions[at];
            if question.answer.is_some() {
                continue;
            }
            match read_reply(reply, &question.bytes) {
                None => {}
                Some(Answer::Failure(_)) => return self.has_failed(server, Some(at)),
                Some(cut @ Answer::Addresses { is_cut: true, .. }) => {
                    let bytes = &question.bytes;
                    let mut out = (bytes.len() as u16).to_be_bytes().to_vec();
                    out.extend_from_slice(bytes);
                    let address = self.config.servers[server];
                    let Ok(socket) = socket::open(&address, libc::SOCK_STREAM) else {
                        return self.questions[at].answered(cut);
                    };
                    let until_ns = monotonic_ns() + TCP_NS;
                    let (is_connected, input) = (false, Vec::new());
                    let tcp = Tcp { server, socket, is_connected, until_ns, cut, out, input };
                    self.questions[at].tcp.get_or_insert(tcp);
                    return;
                }
                Some(answer) => return self.questions[at].answered(answer),
            }
        }
    }

    fn go_on_with_tcp(&mut self) {
        for at in 0..self.questions.len() {
            let question = &mut self.questions[at];
            let Some(tcp) = &mut question.tcp else { continue };
            let reply = match tcp.go_on(self.config.servers[tcp.server]) {
                Ok(None) if monotonic_ns() < tcp.until_ns => continue,
                Ok(Some(reply)) => read_reply(&reply, &question.bytes),
                Ok(None) | Err(_) => None,
            };
            let Some(Tcp { server, cut, .. }) = question.tcp.take() else { continue };
            match (reply, &cut) {
                (Some(answer), _) if !matches!(answer, Answer::Failure(_)) => {
                    question.answered(answer);
                }
                // Some addresses are better than none.
                (_, Answer::Addresses { addresses, .. }) if !addresses.is_empty() => {
                    question.answered(cut);
                }
                _ => self.has_failed(server, Some(at)),
            }
        }
    }

    /// Schedules a query to the server after this time.
    fn plan_in(&mut self, ns: u64, server: usize) {
        self.plan.push((monotonic_ns() + ns, server));
    }

    /// Records that the server failed: for `question`, or for every question if it is `None`.
    #[inline(never)]
    fn has_failed(&mut self, server: usize, question: Option<usize>) {
        let (now, attempts) = (monotonic_ns(), self.attempts());
        let mut again = false;
        for (at, open) in self.questions.iter_mut().enumerate() {
            match question {
                None => open.failures[server] = attempts,
                Some(asked) if asked == at => {
                    open.failures[server] += 1;
                    again |= open.failures[server] < attempts;
                }
                Some(_) => {}
            }
        }
        // Asks the next server at once.
        let others = self.plan.iter_mut().filter(|(_, other)| *other != server);
        if let Some(next) = others.min_by_key(|(at_ns, _)| *at_ns) {
            next.0 = now;
        }
        if again {
            self.plan_in(AGAIN_NS, server);
        }
    }

    /// Result for the current name; `None` if it is still open.
    #[inline(never)]
    fn outcome(&self, now: u64) -> Option<Result<Found, Reason>> {
        let mut addresses = Vec::new();
        let (mut canonical, mut no_name, mut open, mut failed) = (None, false, None, false);
        let mut answered_ns = 0;
        for question in &self.questions {
            match &question.answer {
                Some(Answer::Addresses { addresses: some, canonical: name, .. }) => {
                    addresses.extend_from_slice(some);
                    if !some.is_empty() {
                        answered_ns = question.answered_ns.max(answered_ns);
                        canonical.get_or_insert_with(|| name.clone());
                    }
                }
                Some(Answer::NoName) => no_name = true,
                Some(Answer::Failure(_)) => failed = true,
                None if question.is_lost(self.attempts()) => failed = true,
                None => open = Some(question),
            }
        }
        let is_over = now >= self.end_ns;
        if let (Some(canonical), false) = (canonical, addresses.is_empty()) {
            let waits = open.is_some_and(|open| {
                !is_over
                    && now < answered_ns.saturating_add(GRACE_NS)
                    && (open.kind == Kind::A || has_ipv6())
            });
            return (!waits).then_some(Ok(Found { addresses, canonical }));
        }
        if no_name {
            return Some(Err(Reason::NoName));
        }
        match open {
            Some(_) if is_over => Some(Err(Reason::Silence)),
            Some(_) => None,
            None if failed => Some(Err(Reason::Servers)),
            None => Some(Err(Reason::NoAddress)),
        }
    }

    pub(crate) fn waits_for(&self) -> Wait {
        let mut until_ns = self.plan.iter().map(|(at_ns, _)| *at_ns).min().unwrap_or(u64::MAX);
        until_ns = until_ns.min(self.end_ns);
        for question in &self.questions {
            if let Some(Answer::Addresses { addresses, .. }) = &question.answer
                && !addresses.is_empty()
            {
                until_ns = until_ns.min(question.answered_ns.saturating_add(GRACE_NS));
            }
        }
        let mut tcps = self.questions.iter().filter_map(|question| question.tcp.as_ref());
        let tcp = tcps.next();
        if let Some(tcp) = tcp {
            until_ns = until_ns.min(tcp.until_ns);
        }
        let (fd, events) = match (tcp, &self.group, self.servers.first()) {
            (Some(tcp), _, _) => tcp.waits_for(),
            (None, Some(group), _) => (group.fd(), libc::POLLIN),
            (None, None, Some(server)) => (server.socket.as_raw_fd(), libc::POLLIN),
            (None, None, None) => (-1, 0),
        };
        Wait { fd, events, until_ns }
    }

    fn found(&self, mut addresses: Vec<IpAddr>, canonical: String) -> Result<Found, Failure> {
        addresses.retain(|address| self.want.takes(address));
        let v6: Vec<IpAddr> =
            addresses.iter().filter(|address| address.is_ipv6()).copied().collect();
        addresses.retain(IpAddr::is_ipv4);
        addresses.extend(v6);
        if addresses.is_empty() {
            return Err(self.failure(Reason::NoAddress, "it has no address of that family"));
        }
        Ok(Found { addresses, canonical })
    }

    /// The failure when no candidate name has addresses.
    #[inline(never)]
    fn none(&self) -> Failure {
        let text = match self.before {
            Reason::NoAddress => "the name has no address",
            Reason::Servers => "no name server knows",
            _ => "there is no such name",
        };
        let text = format!("{text} (asked {})", self.servers_text());
        self.failure(self.before, &text)
    }

    pub(crate) fn silence(&self) -> String {
        format!("no answer in time from {}", self.servers_text())
    }

    #[inline(never)]
    fn servers_text(&self) -> String {
        let mut text = String::new();
        for server in &self.config.servers {
            if !text.is_empty() {
                text.push_str(", ");
            }
            text.push_str(&server.ip().to_string());
        }
        text
    }

    pub(crate) fn failure(&self, reason: Reason, why: &str) -> Failure {
        let mut text = String::from("cannot find `");
        // Replaces control characters, so that a peer's name cannot break the log line.
        text.extend(self.name.chars().map(|one| if one < ' ' { '?' } else { one }));
        text.push_str("`: ");
        text.push_str(why);
        Failure { reason, text }
    }
}

impl Question {
    /// Whether to ask `server`.
    fn waits_for(&self, server: usize, attempts: u64) -> bool {
        self.answer.is_none() && self.failures[server] < attempts
    }

    /// Whether every server failed.
    fn is_lost(&self, attempts: u64) -> bool {
        self.failures.iter().all(|failures| *failures >= attempts)
    }

    fn answered(&mut self, answer: Answer) {
        self.answered_ns = monotonic_ns();
        self.answer = Some(answer);
    }
}

impl Tcp {
    /// Continues the query; returns the complete reply, or `None` if it has not arrived yet. RFC
    /// 1035, section 4.2.2: two bytes of length before each message.
    fn go_on(&mut self, address: SocketAddr) -> io::Result<Option<Vec<u8>>> {
        if !self.is_connected {
            self.is_connected = socket::connect(&self.socket, &address)?;
            if !self.is_connected {
                return Ok(None);
            }
        }
        if !self.out.is_empty() {
            match socket::send(&self.socket, &[IoSlice::new(&self.out)]) {
                Ok(size) => drop(self.out.drain(..size)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(None),
                Err(error) => return Err(error),
            }
        }
        loop {
            if let [high, low, reply @ ..] = self.input.as_slice()
                && let Some(reply) = reply.get(..usize::from(u16::from_be_bytes([*high, *low])))
            {
                return Ok(Some(reply.to_vec()));
            }
            let mut buffer = [0; 2048];
            match socket::receive(&self.socket, &mut buffer, 0) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(size) => self.input.extend_from_slice(&buffer[..size]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(None),
                Err(error) => return Err(error),
            }
        }
    }

    fn waits_for(&self) -> (RawFd, libc::c_short) {
        let is_out = !self.is_connected || !self.out.is_empty();
        (self.socket.as_raw_fd(), if is_out { libc::POLLOUT } else { libc::POLLIN })
    }
}

/// Runs a look-up to its end, and waits in between.
pub(crate) fn wait_until(mut lookup: Lookup, until: Until) -> Result<Found, Failure> {
    loop {
        if let Some(found) = lookup.go_on()? {
            return Ok(found);
        }
        if until.has_passed() {
            return Err(lookup.failure(Reason::Silence, &lookup.silence()));
        }
        wait_for(earlier(lookup.waits_for(), until));
    }
}

/// A look-up that yields socket addresses to connect to.
pub(crate) struct ByName {
    pub lookup: Lookup,
    pub port: u16,
}

impl Find for ByName {
    fn go_on(&mut self) -> io::Result<Option<Vec<SocketAddr>>> {
        let found = self.lookup.go_on()?;
        Ok(found.map(|found| {
            found.addresses.iter().map(|address| SocketAddr::new(*address, self.port)).collect()
        }))
    }

    fn waits_for(&self) -> Wait {
        self.lookup.waits_for()
    }

    fn unanswered(&self) -> String {
        self.lookup.silence()
    }
}

/// Whether there is a route to the IPv6 network; the check sends nothing.
fn has_ipv6() -> bool {
    let far = SocketAddr::new(Ipv6Addr::new(0x2000, 0, 0, 0, 0, 0, 0, 1).into(), 53);
    socket::open(&far, libc::SOCK_DGRAM).and_then(|socket| socket::connect(&socket, &far)).is_ok()
}
