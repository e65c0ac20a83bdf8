//! Relay from a function to named ports of this machine: it listens inside the instance's network
//! namespace and connects outside of it. The instance's own set-up code creates the listeners, so
//! the relay enters no namespace. TCP for the ports that the user named; TCP and UDP for name
//! servers on this machine. Private to the sandbox.

use super::plan::{Port, PortKind};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::collections::BTreeSet;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// Largest number of connections of one instance at once, over all ports; the relay closes further
/// ones at once.
const MAX_CONNECTIONS: usize = 512;
/// Largest number of open questions to one name server; the relay drops further ones, as a full
/// queue does.
const MAX_QUESTIONS: usize = 256;
/// Time until the relay forgets a question; resolvers ask again after 5 s.
const QUESTION_LIMIT: Duration = Duration::from_secs(5);
/// Time limit for an answer of this machine.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);
/// RFC 1035, section 4.1.1, RCODE.
const SERVER_FAILURE: u8 = 2;
/// The only error code at which musl's resolver stops; after other codes it asks again, for 5 s.
const NO_SUCH_NAME: u8 = 3;
/// Largest number of failed names that are stored.
const MAX_NAMES: usize = 16;
/// Largest datagram (RFC 768).
const DATAGRAM_BYTES: usize = 65_535;

/// The relays of one instance. Dropping it ends them and closes their connections.
pub struct Relays {
    /// Dropping this closes its other end.
    _open: OwnedFd,
    names: Names,
    unanswered: Unanswered,
}

/// Names that a program looked up without a network, each once.
type Names = Arc<Mutex<Vec<String>>>;
/// Ports of this machine that a program called and where no server listens.
type Unanswered = Arc<Mutex<BTreeSet<SocketAddr>>>;

impl Relays {
    /// The failed names so far, in order.
    pub fn names(&self) -> Vec<String> {
        self.names.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Named ports of this machine that were called and where no server listens.
    pub fn unanswered(&self) -> BTreeSet<SocketAddr> {
        self.unanswered.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Starts the relays; listeners and ports have the same order.
pub fn start(listeners: Vec<OwnedFd>, ports: &[Port]) -> io::Result<Relays> {
    let (open, ends) = super::wire::pair()?;
    let ends = Arc::new(ends);
    let carried = Arc::new(AtomicUsize::new(0));
    let (names, unanswered) = (Names::default(), Unanswered::default());
    for (listener, port) in listeners.into_iter().zip(ports.iter().copied()) {
        let (ends, carried, names) = (ends.clone(), carried.clone(), names.clone());
        let unanswered = unanswered.clone();
        let named = thread::Builder::new().name("relay".into());
        match port.kind {
            PortKind::Udp => {
                named.spawn(move || questions(&UdpSocket::from(listener), port.address, &ends))
            }
            PortKind::NoNames => {
                named.spawn(move || no_names(&UdpSocket::from(listener), &ends, &names))
            }
            PortKind::Tcp => named.spawn(move || {
                let listener = TcpListener::from(listener);
                connections(&listener, port.address, &ends, &carried, &unanswered)
            }),
        }?;
    }
    Ok(Relays { _open: open, names, unanswered })
}

/// Waits for the first descriptor; `None` if `ends` is ready, which ends the relay.
fn wait(of: &impl AsFd, ends: &OwnedFd) -> Option<()> {
    loop {
        let mut fds = [
            PollFd::new(of.as_fd(), PollFlags::POLLIN),
            PollFd::new(ends.as_fd(), PollFlags::POLLIN),
        ];
        match poll(&mut fds, PollTimeout::NONE) {
            Err(nix::Error::EINTR) => {}
            Err(_) => return None,
            Ok(_) if fds[1].any().unwrap_or(true) => return None,
            Ok(_) => return Some(()),
        }
    }
}

fn connections(
    listener: &TcpListener,
    to: SocketAddr,
    ends: &Arc<OwnedFd>,
    carried: &Arc<AtomicUsize>,
    unanswered: &Unanswered,
) {
    while wait(listener, ends).is_some() {
        let Ok((inner, _)) = listener.accept() else { continue };
        if carried.fetch_add(1, Ordering::Relaxed) >= MAX_CONNECTIONS {
            carried.fetch_sub(1, Ordering::Relaxed);
            continue;
        }
        let (ends, counted, unanswered) = (ends.clone(), carried.clone(), unanswered.clone());
        let spawned = thread::Builder::new().name("relay".into()).spawn(move || {
            carry(inner, to, &ends, &unanswered);
            counted.fetch_sub(1, Ordering::Relaxed);
        });
        if spawned.is_err() {
            carried.fetch_sub(1, Ordering::Relaxed); // after its connection is closed
        }
    }
}

/// Copies both directions until each ends. If the outside is unreachable, the relay closes the
/// inside with a reset, so that the program sees the failure.
fn carry(inner: TcpStream, to: SocketAddr, ends: &OwnedFd, unanswered: &Unanswered) {
    let Ok(outer) = TcpStream::connect_timeout(&to, CONNECT_LIMIT) else {
        // Stored before the reset, so that a caller that has seen the reset finds the port.
        unanswered.lock().unwrap_or_else(PoisonError::into_inner).insert(to);
        reset(inner);
        return;
    };
    let _ = (inner.set_nodelay(true), outer.set_nodelay(true));
    let copied = |from: &TcpStream, to: &TcpStream| {
        let done = io::copy(&mut &*from, &mut &*to);
        let _ = to.shutdown(Shutdown::Write);
        done.is_ok()
    };
    let cut = || {
        let _ = (inner.shutdown(Shutdown::Both), outer.shutdown(Shutdown::Both));
    };
    let (done, at_end) = match super::wire::pair() {
        Ok(pair) => pair,
        Err(_) => return,
    };
    thread::scope(|scope| {
        // The end of the instance cuts open connections; the end of the connection ends this
        // thread.
        scope.spawn(|| {
            if wait(&at_end, ends).is_none() {
                cut();
            }
        });
        let back = scope.spawn(|| copied(&outer, &inner));
        let there = copied(&inner, &outer);
        let back = back.join().unwrap_or(false);
        if !(there && back) {
            cut();
        }
        drop(done);
    });
}

/// Closes with a reset (socket(7), SO_LINGER of 0).
fn reset(stream: TcpStream) {
    let linger = nix::libc::linger { l_onoff: 1, l_linger: 0 };
    let _ = nix::sys::socket::setsockopt(&stream, nix::sys::socket::sockopt::Linger, &linger);
}

/// A question without an answer yet.
struct Asked {
    bytes: Vec<u8>,
    outer: UdpSocket,
    from: SocketAddr,
    until: Instant,
}

fn questions(inner: &UdpSocket, to: SocketAddr, ends: &OwnedFd) {
    let mut asked: Vec<Asked> = Vec::new();
    let mut datagram = vec![0u8; DATAGRAM_BYTES];
    loop {
        let now = Instant::now();
        asked.retain(|question| question.until > now);
        let timeout = asked.iter().map(|question| question.until - now).min();
        let timeout = timeout.map_or(PollTimeout::NONE, |t| {
            PollTimeout::try_from(t + Duration::from_millis(1)).unwrap_or(PollTimeout::MAX)
        });
        let ready: Vec<bool> = {
            let mut fds = vec![
                PollFd::new(ends.as_fd(), PollFlags::POLLIN),
                PollFd::new(inner.as_fd(), PollFlags::POLLIN),
            ];
            fds.extend(asked.iter().map(|q| PollFd::new(q.outer.as_fd(), PollFlags::POLLIN)));
            match poll(&mut fds, timeout) {
                Ok(_) => fds.iter().map(|fd| fd.any().unwrap_or(true)).collect(),
                Err(nix::Error::EINTR) => continue,
                Err(_) => return,
            }
        };
        if ready[0] {
            return;
        }
        let mut answered = ready[2..].iter();
        asked.retain(|question| {
            if answered.next() != Some(&true) {
                return true;
            }
            match question.outer.recv(&mut datagram) {
                Ok(length) => {
                    let _ = inner.send_to(&datagram[..length], question.from);
                }
                // No server listens: the relay answers at once with an error code of the protocol.
                Err(_) => {
                    if let Some(failure) = without_answer(&question.bytes, SERVER_FAILURE) {
                        let _ = inner.send_to(&failure, question.from);
                    }
                }
            }
            false
        });
        if ready[1]
            && let Ok((length, from)) = inner.recv_from(&mut datagram)
            && asked.len() < MAX_QUESTIONS
            && let Ok(outer) = ask(to, &datagram[..length])
        {
            let bytes = datagram[..length].to_vec();
            asked.push(Asked { bytes, outer, from, until: Instant::now() + QUESTION_LIMIT });
        }
    }
}

/// Answers each question with "no such name" and remembers the name: the program fails at once and
/// not after 5 s.
fn no_names(inner: &UdpSocket, ends: &OwnedFd, names: &Names) {
    let mut datagram = vec![0u8; DATAGRAM_BYTES];
    while wait(inner, ends).is_some() {
        let Ok((length, from)) = inner.recv_from(&mut datagram) else { continue };
        let Some(reply) = without_answer(&datagram[..length], NO_SUCH_NAME) else { continue };
        let name = name_of(&reply);
        let mut names = names.lock().unwrap_or_else(PoisonError::into_inner);
        if names.len() < MAX_NAMES && !names.contains(&name) {
            names.push(name);
        }
        drop(names); // before the answer is sent
        let _ = inner.send_to(&reply, from);
    }
}

/// Opens one socket for each question: an answer finds its question without parsing, and ports are
/// as hard to guess as the kernel makes them (RFC 5452).
fn ask(to: SocketAddr, question: &[u8]) -> io::Result<UdpSocket> {
    let any: SocketAddr = match to {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let outer = UdpSocket::bind(any)?;
    outer.connect(to)?;
    outer.send(question)?;
    Ok(outer)
}

/// The reply to a question without an answer: its header and question, with an error code and no
/// records (RFC 1035, section 4.1). `None` if it is not a question.
fn without_answer(question: &[u8], code: u8) -> Option<Vec<u8>> {
    const HEADER_BYTES: usize = 12;
    const RESPONSE: u8 = 0x80;
    const RECURSION_AVAILABLE: u8 = 0x80;
    let end = HEADER_BYTES + name_bytes(question.get(HEADER_BYTES..)?)? + 4; // type and class
    let mut reply = question.get(..end)?.to_vec();
    let asks = reply[2] & RESPONSE == 0 && reply[4..6] == [0, 1];
    reply[2] |= RESPONSE;
    reply[3] = RECURSION_AVAILABLE | code;
    reply[6..HEADER_BYTES].fill(0);
    asks.then_some(reply)
}

/// The name of a question that [`without_answer`] has accepted, for messages.
fn name_of(question: &[u8]) -> String {
    let (mut name, mut at) = (String::new(), 12);
    while let Some(length @ 1..) = question.get(at).copied() {
        let end = at + 1 + usize::from(length);
        let label = question.get(at + 1..end).unwrap_or_default();
        let plain = |b: &u8| if b.is_ascii_graphic() { char::from(*b) } else { '?' };
        name.extend((!name.is_empty()).then_some('.'));
        name.extend(label.iter().map(plain));
        at = end;
    }
    name
}

/// Length of the name at the start, in bytes: its labels, including the empty one.
fn name_bytes(bytes: &[u8]) -> Option<usize> {
    const LONGEST_LABEL: u8 = 63;
    let mut at = 0;
    loop {
        match *bytes.get(at)? {
            0 => return Some(at + 1),
            length @ 1..=LONGEST_LABEL => at += 1 + usize::from(length),
            _ => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `a.bc IN A`, followed by an OPT record.
    const QUESTION: &[u8] =
        b"\x12\x34\x01\x00\0\x01\0\0\0\0\0\x01\x01a\x02bc\0\0\x01\0\x01\0\0\x29";

    #[test]
    fn a_failure_reply_has_only_the_question() {
        let reply = without_answer(QUESTION, SERVER_FAILURE).expect("a question");
        assert_eq!(reply, b"\x12\x34\x81\x82\0\x01\0\0\0\0\0\0\x01a\x02bc\0\0\x01\0\x01");
        assert_eq!(without_answer(&reply, SERVER_FAILURE), None, "an answer is not a question");
        assert_eq!(name_of(&reply), "a.bc");
    }

    #[test]
    fn every_prefix_of_a_question_is_read_without_a_panic() {
        for length in 0..QUESTION.len() - 3 {
            assert_eq!(without_answer(&QUESTION[..length], SERVER_FAILURE), None, "{length}");
        }
    }
}
