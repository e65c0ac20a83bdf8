//! Names in an image from scratch, with `firstbyte::dns!()` and with `net::resolve`: files,
//! dnsmasq, and a name server with every kind of fault. The function is programs/calling.rs, in its
//! own root folder.

use super::upstream::{Upstream, program};
use outside::peer::{Peer, ask, get};
use outside::server::Server;
use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// A running function and its root folder.
struct Function {
    server: Server,
    _root: TempDir,
}

/// Starts the function in a root folder that has only these files.
#[track_caller]
fn function(files: &[(&str, &str)]) -> Function {
    let (root, command) = outside::program::in_scratch(outside::program::calling(), files);
    Function { server: Server::start(command), _root: root }
}

impl Function {
    /// Result of a look-up with our own function and with std's, which must be equal; and the time
    /// of the slower one.
    #[track_caller]
    fn both(&self, name: &str, ms: u64) -> (String, Duration) {
        let own = self.ask("/resolve", name, ms);
        let std = self.ask("/getaddrinfo", name, ms);
        let of_std = std.0.trim_start_matches("failed to lookup address information: ");
        assert_eq!(own.0, of_std, "{name}");
        (own.0, own.1.max(std.1))
    }

    #[track_caller]
    fn ask(&self, path: &str, name: &str, ms: u64) -> (String, Duration) {
        let reply = ask(self.server.address, get(&format!("{path}?name={name}&ms={ms}")));
        let (text, took) = reply.text().rsplit_once(" | ").expect("text and time");
        (text.to_owned(), Duration::from_millis(took.parse().expect("a number")))
    }

    #[track_caller]
    fn assert(&self, name: &str, expected: &str, within_ms: u64) {
        let (text, took) = self.both(name, 20_000);
        assert_eq!(text, expected, "{name}");
        assert!(took < Duration::from_millis(within_ms), "{name} took {took:?}");
    }
}

#[test]
fn without_any_file_only_localhost_is_known_and_others_fail_at_once() {
    let function = function(&[]);
    for name in ["localhost", "LOCALHOST", "localhost.", "db.localhost"] {
        function.assert(name, "127.0.0.1 ::1", 500);
    }
    for name in ["127.0.0.1", "::1", "10.1.2.3"] {
        function.assert(name, name, 500);
    }
    let (text, took) = function.both("redis.internal", 20_000);
    assert!(took < Duration::from_millis(500), "{took:?}");
    assert!(text.starts_with("cannot find `redis.internal`: no name server:  /etc/resolv.conf"));
    for name in ["a..b", ".", "a%20b", &"x".repeat(64)] {
        let (text, took) = function.both(name, 20_000);
        assert!(text.ends_with("this is not a host name"), "{name}: {text}");
        assert!(took < Duration::from_millis(500), "{took:?}");
    }
}

#[test]
fn hosts_come_first() {
    let hosts = "10.0.0.7 redis redis.internal\nfd00::7 redis\n10.0.0.8 localhost\n";
    let function = function(&[("hosts", hosts)]);
    function.assert("redis", "10.0.0.7 fd00::7", 500);
    function.assert("REDIS.internal.", "10.0.0.7", 500);
    function.assert("localhost", "10.0.0.8", 500);
}

/// Both addresses of `localhost`: no server listens on the first.
#[test]
fn the_next_address_is_tried_if_the_first_refuses() {
    let upstream = Upstream::echoes_on("[::1]:0");
    let function = function(&[]);
    let target = format!("/ask?to=localhost:{}&ms=5000", upstream.address.port());
    assert_eq!(ask(function.server.address, get(&target)).text(), "hello");
}

/// A refused question fails at once.
#[test]
fn a_name_server_that_does_not_run_fails_at_once() {
    let function = function(&[("resolv.conf", "nameserver [127.0.0.1]:1\n")]);
    let failed = "cannot find `a.test`: no name server knows (asked 127.0.0.1)";
    function.assert("a.test", failed, 500);
}

#[test]
fn dnsmasq_is_understood() {
    let dnsmasq = program(
        |address| {
            let mut command = Command::new("dnsmasq");
            command.args(["--keep-in-foreground", "--conf-file=/dev/null", "--pid-file="]);
            command.args(["--no-resolv", "--no-hosts", "--listen-address=127.0.0.1"]);
            command.args(["--bind-interfaces", "--local=/test/", "--local=/example/"]);
            command.args(["--host-record=both.test,10.0.0.1,fd00::1"]);
            command.args(["--host-record=v4.test,10.0.0.2", "--host-record=v6.test,fd00::2"]);
            command.args(["--host-record=db.prod.example,10.0.0.3"]);
            command.args(["--cname=alias.test,other.test", "--cname=other.test,both.test"]);
            for number in 1..=60 {
                command.arg(format!("--host-record=many.test,10.0.1.{number}"));
            }
            command.arg(format!("--port={}", address.port()));
            command
        },
        |address| std::net::TcpStream::connect(address).is_ok(),
    );
    let port = dnsmasq.address.port();
    let conf = format!("nameserver [127.0.0.1]:{port}\nsearch prod.example\n");
    let function = function(&[("resolv.conf", &conf)]);
    for (name, expected) in [
        ("both.test", "10.0.0.1 fd00::1"),
        ("BOTH.test.", "10.0.0.1 fd00::1"),
        ("v4.test", "10.0.0.2"),
        ("v6.test", "fd00::2"),
        ("alias.test", "10.0.0.1 fd00::1"),
        ("db", "10.0.0.3"),
        ("none.test", "cannot find `none.test`: there is no such name (asked 127.0.0.1)"),
    ] {
        function.assert(name, expected, 1000);
    }
    // More than fits into a datagram.
    for path in ["/resolve", "/getaddrinfo"] {
        let (text, _) = function.ask(path, "many.test", 20_000);
        assert_eq!(text.split(' ').count(), 60, "{text}");
    }
}

/// A name server that answers each kind of name in its own way, and counts the questions.
struct Stumbling {
    port: u16,
    asked: Arc<Mutex<HashMap<String, u32>>>,
}

impl Stumbling {
    fn start() -> Stumbling {
        let (udp, tcp) = bind_both();
        let port = udp.local_addr().expect("it is bound").port();
        let asked: Arc<Mutex<HashMap<String, u32>>> = Arc::default();
        let counted = asked.clone();
        thread::spawn(move || {
            let mut bytes = [0; 2048];
            while let Ok((size, from)) = udp.recv_from(&mut bytes) {
                let question = &bytes[..size];
                let (name, is_v4) = read_question(question);
                let nth = {
                    let mut counted = counted.lock().expect("no user panics");
                    let count = counted.entry(format!("{name}/{is_v4}")).or_default();
                    *count += 1;
                    *count
                };
                for reply in replies(&name, is_v4, nth, question) {
                    let _ = udp.send_to(&reply, from);
                }
            }
        });
        thread::spawn(move || {
            for mut peer in tcp.incoming().map_while(Result::ok) {
                let mut size = [0; 2];
                if peer.read_exact(&mut size).is_err() {
                    continue;
                }
                let mut question = vec![0; usize::from(u16::from_be_bytes(size))];
                if peer.read_exact(&mut question).is_err() {
                    continue;
                }
                let (name, is_v4) = read_question(&question);
                if name == "cut-without-tcp.test" {
                    continue;
                }
                let reply = answer(&question, 0x8180, &[address(&name, is_v4)]);
                let mut out = (reply.len() as u16).to_be_bytes().to_vec();
                out.extend(reply);
                for piece in out.chunks(7) {
                    let _ = peer.write_all(piece);
                }
            }
        });
        Stumbling { port, asked }
    }

    fn asked(&self, name: &str, is_v4: bool) -> u32 {
        let asked = self.asked.lock().expect("no user panics");
        asked.get(&format!("{name}/{is_v4}")).copied().unwrap_or(0)
    }
}

/// The same port for both.
fn bind_both() -> (UdpSocket, TcpListener) {
    for _ in 0..20 {
        let udp = UdpSocket::bind("127.0.0.1:0").expect("a port is free");
        if let Ok(tcp) = TcpListener::bind(udp.local_addr().expect("it is bound")) {
            return (udp, tcp);
        }
    }
    panic!("no port is free for both");
}

fn read_question(bytes: &[u8]) -> (String, bool) {
    let (mut at, mut labels) = (12, Vec::new());
    while bytes[at] != 0 {
        let end = at + 1 + usize::from(bytes[at]);
        labels.push(String::from_utf8_lossy(&bytes[at + 1..end]).into_owned());
        at = end;
    }
    (labels.join("."), bytes[at + 2] == 1)
}

/// A record: its name as bytes, its type, its data.
type Record = (Vec<u8>, u16, Vec<u8>);

/// The address that a good answer has.
fn address(_: &str, is_v4: bool) -> Record {
    let asked_name = vec![0xc0, 12];
    match is_v4 {
        true => (asked_name, 1, vec![10, 9, 8, 7]),
        false => (asked_name, 28, [&[0xfd, 9][..], &[0; 13], &[7]].concat()),
    }
}

fn answer(question: &[u8], flags: u16, records: &[Record]) -> Vec<u8> {
    let mut out = question[..2].to_vec();
    out.extend(flags.to_be_bytes());
    out.extend([0, 1]);
    out.extend((records.len() as u16).to_be_bytes());
    out.extend([0; 4]);
    out.extend(&question[12..]);
    for (name, kind, data) in records {
        out.extend(name);
        out.extend(kind.to_be_bytes());
        out.extend([0, 1, 0, 0, 0, 60]);
        out.extend((data.len() as u16).to_be_bytes());
        out.extend(data);
    }
    out
}

fn name(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    for label in text.split('.') {
        out.push(label.len() as u8);
        out.extend(label.as_bytes());
    }
    out.push(0);
    out
}

/// The replies, in this order.
fn replies(asked: &str, is_v4: bool, nth: u32, question: &[u8]) -> Vec<Vec<u8>> {
    let good = answer(question, 0x8180, &[address(asked, is_v4)]);
    let fails = |code: u16| answer(question, 0x8180 | code, &[]);
    let evil = |question: &[u8]| answer(question, 0x8180, &[(vec![0xc0, 12], 1, vec![6; 4])]);
    match (asked, is_v4) {
        ("silent.test", _) => vec![],
        ("aaaa-dropped.test", false) | ("a-dropped.test", true) => vec![],
        ("aaaa-refused.test", false) => vec![fails(5)],
        ("aaaa-servfail.test", false) => vec![fails(2)],
        ("aaaa-notimp.test", false) => vec![fails(4)],
        ("aaaa-nothing.test", false) => vec![answer(question, 0x8180, &[])],
        ("servfail.test", _) => vec![fails(2)],
        ("servfail-once.test", _) if nth == 1 => vec![fails(2)],
        ("lost-once.test", _) if nth == 1 => vec![],
        ("nothing.test", _) => vec![answer(question, 0x8180, &[])],
        ("nxdomain.test", _) | ("nxdomain.test.search.test", _) => vec![fails(3)],
        ("short.search.test", _) => vec![good],
        ("short", _) => vec![fails(3)],
        ("cut.test" | "cut-without-tcp.test", _) => {
            vec![answer(question, 0x8380, &[address(asked, is_v4)])]
        }
        ("spoofed.test", _) => {
            let mut other_id = evil(question);
            other_id[0] ^= 1;
            let mut other_name = evil(question);
            other_name[13] ^= 1;
            let mut no_reply = evil(question);
            no_reply[2] &= 0x7f;
            let owner = (name("other.test"), 1, vec![6; 4]);
            let other_owner = [owner, address(asked, is_v4)];
            vec![other_id, other_name, no_reply, answer(question, 0x8180, &other_owner)]
        }
        ("garbage.test", _) => {
            let mut all: Vec<Vec<u8>> = (0..good.len()).map(|size| good[..size].to_vec()).collect();
            // A reply that is cut after the header is a reply without records.
            all.retain(|bytes| bytes.len() < question.len());
            all.push(good);
            all
        }
        ("alias.test", _) => {
            let (_, kind, data) = address(asked, is_v4);
            vec![answer(
                question,
                0x8180,
                &[
                    (name("b.test"), kind, data),
                    (name("a.test"), 5, name("b.test")),
                    (vec![0xc0, 12], 5, name("a.test")),
                ],
            )]
        }
        ("alias-loop.test", _) => vec![answer(
            question,
            0x8180,
            &[(vec![0xc0, 12], 5, name("a.test")), (name("a.test"), 5, name("alias-loop.test"))],
        )],
        ("pointer-loop.test", _) => {
            let at = question.len() as u8;
            vec![answer(question, 0x8180, &[(vec![0xc0, at], 1, vec![6; 4])])]
        }
        _ => vec![good],
    }
}

#[test]
fn an_answer_for_one_address_family_is_sufficient() {
    let server = Stumbling::start();
    let conf = format!("nameserver [127.0.0.1]:{}\n", server.port);
    let function = function(&[("resolv.conf", &conf)]);
    function.assert("good.test", "10.9.8.7 fd09::7", 500);
    for name in ["aaaa-dropped", "aaaa-refused", "aaaa-servfail", "aaaa-notimp", "aaaa-nothing"] {
        function.assert(&format!("{name}.test"), "10.9.8.7", 500);
    }
    function.assert("a-dropped.test", "fd09::7", 500);
}

#[test]
fn a_servers_error_is_reported_or_asked_again() {
    let server = Stumbling::start();
    let conf = format!("nameserver [127.0.0.1]:{}\nsearch search.test\n", server.port);
    let function = function(&[("resolv.conf", &conf)]);
    for (name, expected) in [
        ("servfail-once.test", "10.9.8.7 fd09::7"),
        ("cut.test", "10.9.8.7 fd09::7"),
        ("cut-without-tcp.test", "10.9.8.7 fd09::7"),
        ("spoofed.test", "10.9.8.7 fd09::7"),
        ("garbage.test", "10.9.8.7 fd09::7"),
        ("alias.test", "10.9.8.7 fd09::7"),
        ("short", "10.9.8.7 fd09::7"),
    ] {
        function.assert(name, expected, 1500);
    }
    for (name, why) in [
        ("servfail.test.", "no name server knows"),
        ("nothing.test.", "the name has no address"),
        ("alias-loop.test.", "the name has no address"),
        ("pointer-loop.test.", "no name server knows"),
        ("nxdomain.test", "there is no such name"),
    ] {
        let expected = format!("cannot find `{name}`: {why} (asked 127.0.0.1)");
        function.assert(name, &expected, 1500);
    }
    assert_eq!(server.asked("nxdomain.test", true), 2, "once a look-up");
    assert_eq!(server.asked("nxdomain.test.search.test", true), 2);
    assert_eq!(server.asked("servfail.test", true), 4, "`attempts` a look-up, at once");
}

#[test]
fn the_next_server_is_asked_if_one_is_silent_or_refuses() {
    let server = Stumbling::start();
    let silent = UdpSocket::bind("127.0.0.1:0").expect("a port is free");
    let silent = silent.local_addr().expect("it is bound").port();
    let _held = UdpSocket::bind(("127.0.0.1", 0)).expect("a port is free");
    for first in [silent, 1] {
        let conf =
            format!("nameserver [127.0.0.1]:{first}\nnameserver [127.0.0.1]:{}\n", server.port);
        let function = function(&[("resolv.conf", &conf)]);
        function.assert("good.test", "10.9.8.7 fd09::7", 1000);
    }
}

#[test]
fn the_files_options_and_a_deadline_limit_the_time() {
    let server = Stumbling::start();
    let silent = "no answer in time from 127.0.0.1";
    let of = |options: &str| {
        let conf = format!("nameserver [127.0.0.1]:{}\n{options}\n", server.port);
        function(&[("resolv.conf", &conf)])
    };
    let patient = of("options timeout:1 attempts:2");
    let (text, took) = patient.ask("/getaddrinfo", "silent.test", 60_000);
    assert!(text.ends_with(silent), "{text}");
    assert!((1900..3000).contains(&took.as_millis()), "{took:?}");
    assert_eq!(server.asked("silent.test", true), 2);
    let usual = of("");
    for path in ["/resolve", "/getaddrinfo"] {
        let (text, took) = usual.ask(path, "silent.test", 300);
        assert!(text.ends_with(silent), "{text}");
        assert!((300..1000).contains(&took.as_millis()), "{path}: {took:?}");
    }
    usual.assert("lost-once.test", "10.9.8.7 fd09::7", 1800);
    let asked = Instant::now();
    let target = "/ask?to=silent.test:80&ms=300";
    let reply = ask(usual.server.address, get(target));
    assert!(reply.text().contains("cannot connect to `silent.test:80`: no answer in time from"));
    assert!(asked.elapsed() < Duration::from_secs(1));
}

#[test]
fn others_are_served_while_a_name_is_looked_up() {
    let server = Stumbling::start();
    let conf = format!("nameserver [127.0.0.1]:{}\n", server.port);
    for path in ["/resolve", "/getaddrinfo"] {
        let function = function(&[("resolv.conf", &conf)]);
        let address: SocketAddr = function.server.address;
        let mut waits = Peer::to(address);
        waits.send(get(&format!("{path}?name=silent.test&ms=2000")));
        for _ in 0..3 {
            let asked = Instant::now();
            assert_eq!(ask(address, get("/")).text(), "here");
            assert!(asked.elapsed() < Duration::from_millis(500), "{:?}", asked.elapsed());
        }
        assert!(waits.reply().text().contains("no answer in time"));
    }
}
