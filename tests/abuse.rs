//! Tests of hostile crowds, bounded in time. Required in each: no crash, memory and descriptors
//! return to normal, and well-behaved peers are answered meanwhile. contract/ tests single rules.

use fastrand::Rng;
use outside::cgroup::MemoryGroup;
use outside::framing::BODY_LIMIT_BYTES;
use outside::peer::{Peer, get, invoke, post};
use outside::server::Server;
use outside::{eventually, process, program, refusals};
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// A server at rest, with its memory and descriptors.
struct Watched {
    server: Server,
    descriptors: usize,
    rss_kib: u64,
}

impl Watched {
    fn new(server: Server) -> Watched {
        let server = server.at_rest();
        let (descriptors, rss_kib) =
            (process::descriptors(server.id()), process::rss_kib(server.id()));
        Watched { server, descriptors, rss_kib }
    }

    fn address(&self) -> SocketAddr {
        self.server.address
    }

    /// Checks that the log accounts for this many refusals: in a line each, or in a count.
    #[track_caller]
    fn assert_accounts_for(&self, refused: usize) {
        eventually(&format!("the log tells of {refused} refusals"), || {
            let (written, counted) = refusals::accounted(&self.server.output());
            written + counted >= refused
        });
    }

    /// Checks that it lives, answers, has no connection left, and has at most `grown_mib` more
    /// memory than before.
    #[track_caller]
    fn assert_recovers(mut self, grown_mib: u64) {
        self.server.assert_alive();
        assert_eq!(Peer::to(self.address()).ask(get("/")).status, 200);
        eventually("the descriptors are back", || {
            process::descriptors(self.server.id()) == self.descriptors
        });
        let most_kib = self.rss_kib + grown_mib * 1024;
        let back = || process::rss_kib(self.server.id()) < most_kib;
        let what = format!("at most {most_kib} KiB again, from {} at rest", self.rss_kib);
        eventually(&what, back);
        let logged: Vec<String> = self
            .server
            .output()
            .into_iter()
            .filter(|line| !line.contains("listening on"))
            .filter(|line| !refusals::is_of_one(line) && refusals::counted(line).is_none())
            .take(5)
            .collect();
        assert!(logged.is_empty(), "a peer causes warnings at most: {logged:?}");
    }
}

/// Sends valid requests, on one connection and on new ones, until stopped; every answer must be
/// correct.
fn good_client(address: SocketAddr, stop: &AtomicBool, answered: &AtomicUsize) {
    let mut kept = Peer::to(address);
    let mut round = 0u32;
    while !stop.load(Ordering::Relaxed) {
        round += 1;
        let event = format!("{{\"round\":{round}}}");
        // At the cap idle connections are closed, and this one was idle for a moment: use a new
        // one.
        let reply =
            kept.stream.write_all(&invoke(&event)).ok().and_then(|()| kept.try_reply("POST").ok());
        match reply {
            Some(reply) => assert_eq!(reply.text(), event),
            None => kept = Peer::to(address),
        }
        // A new one may be closed too, between its connect and its request on a busy machine: try
        // again, as any client does.
        let fresh = || {
            let mut peer = Peer::to(address);
            peer.try_send(invoke(&event));
            peer.try_reply("POST").ok()
        };
        let reply = (0..10).find_map(|_| fresh()).expect("a client is served");
        assert_eq!(reply.text(), event);
        answered.fetch_add(1, Ordering::Relaxed);
    }
}

/// Runs `abuse` beside two good clients; each must have been answered at least `at_least` times.
#[track_caller]
fn beside_good_clients(address: SocketAddr, at_least: usize, abuse: impl FnOnce()) {
    let stop = AtomicBool::new(false);
    let answered = [AtomicUsize::new(0), AtomicUsize::new(0)];
    thread::scope(|scope| {
        for answered in &answered {
            scope.spawn(|| good_client(address, &stop, answered));
        }
        let _stop = Stop(&stop);
        abuse();
        eventually("the good clients are served", || {
            answered.iter().all(|answered| answered.load(Ordering::Relaxed) >= at_least)
        });
    });
}

/// Ends the good clients on drop, even after a panic: the test would otherwise wait for them for
/// ever.
struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn short_limits(limits: &[&str]) -> Server {
    let mut command = Command::new(env!("CARGO_BIN_EXE_short_limits"));
    command.args(limits);
    Server::start(command)
}

#[test]
fn ten_thousand_slow_connections_do_not_lock_others_out() {
    let watched =
        Watched::new(short_limits(&["head_timeout=500", "body_timeout=500", "write_timeout=500"]));
    let address = watched.address();
    beside_good_clients(address, 20, || {
        // In waves: the kernel's backlog holds 4096, and this process's descriptors are limited
        // too.
        for wave in 0..5 {
            let mut slow = Vec::new();
            for number in 0..2000 {
                let Ok(mut stream) = TcpStream::connect(address) else { continue };
                let begun: &[u8] = match (wave + number) % 4 {
                    0 => b"",
                    1 => b"GET / HT",
                    2 => b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\n",
                    _ => b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",
                };
                let _ = stream.write_all(begun); // the server may have closed it to make room
                slow.push(stream);
            }
            // One more byte on each connection that is still open.
            for stream in &mut slow {
                let _ = stream.write_all(b"G");
            }
        }
    });
    watched.assert_recovers(16);
}

#[test]
fn nesting_bombs_are_refused_and_leave_nothing() {
    let watched = Watched::new(Server::echo());
    let address = watched.address();
    beside_good_clients(address, 20, || {
        for bomb in ["[", "{\"a\":", "[{\"a\":", "[[[[[[[[{\"", "[1,[2,"] {
            let mut peer = Peer::to(address);
            for bytes in [300, 100_000, BODY_LIMIT_BYTES as usize] {
                let bomb = bomb.repeat(bytes / bomb.len());
                peer.ask(invoke(&bomb)).assert_is_error(400);
            }
        }
    });
    watched.assert_accounts_for(15);
    watched.assert_recovers(40);
}

#[test]
fn a_million_pipelined_requests_are_all_answered_in_order() {
    const REQUESTS: usize = 1_000_000;
    let watched = Watched::new(Server::echo());
    let mut sender = Peer::to(watched.address());
    let mut receiver = sender.stream.try_clone().expect("a socket can be shared");
    thread::scope(|scope| {
        scope.spawn(move || {
            // A body of one digit, 0 to 9 in turn, so that the order is visible.
            let ten: Vec<u8> = (0..10).flat_map(|digit| invoke(format!("{digit}"))).collect();
            for _ in 0..REQUESTS / 1000 {
                sender.send(ten.repeat(100));
            }
            sender.half_close();
        });
        let mut all = Vec::new();
        let mut answered = 0;
        let mut piece = vec![0; 256 * 1024];
        loop {
            let size = receiver.read(&mut piece).expect("the replies keep coming");
            all.extend_from_slice(&piece[..size]);
            let mut at = 0;
            while let Some(found) =
                all[at..].windows(5).position(|window| &window[..4] == b"\r\n\r\n")
            {
                let digit = all[at + found + 4];
                assert_eq!(usize::from(digit - b'0'), answered % 10, "reply {answered}");
                answered += 1;
                at += found + 5;
            }
            all.drain(..at);
            if size == 0 {
                break;
            }
        }
        assert_eq!(answered, REQUESTS);
        assert!(all.is_empty());
    });
    watched.assert_recovers(8);
}

#[test]
fn unread_replies_cost_only_their_own_connections() {
    let watched = Watched::new(Server::echo());
    let address = watched.address();
    let mut stuck = Vec::new();
    beside_good_clients(address, 50, || {
        for _ in 0..50 {
            let mut peer = Peer::to(address);
            peer.send(get("/reply?bytes=1000000").repeat(20));
            stuck.push(peer);
        }
        let most = watched.rss_kib + 50 * 2 * 1024;
        for _ in 0..100 {
            assert!(
                process::rss_kib(watched.server.id()) < most,
                "one reply per connection at a time"
            );
            assert_eq!(Peer::to(address).ask(get("/")).status, 200);
        }
    });
    drop(stuck);
    watched.assert_recovers(32);
}

#[test]
fn random_resets_at_every_stage_leave_nothing() {
    random_resets(Server::echo());
}

#[test]
fn random_resets_leave_nothing_with_two_workers() {
    random_resets(short_limits(&["workers=2"]));
}

fn random_resets(server: Server) {
    let watched = Watched::new(server);
    let address = watched.address();
    beside_good_clients(address, 50, || {
        let mut rng = Rng::with_seed(9112);
        let large = post("/", vec![b'x'; 100_000]);
        for _ in 0..3000 {
            let mut peer = Peer::to(address);
            match rng.u8(..7) {
                0 => {}
                1 => peer.try_send(&b"GET /x HTTP/1.1\r\nHost: h\r\nX: y"[..rng.usize(..30)]),
                2 => peer.try_send(&large[..rng.usize(..large.len())]),
                3 => peer.try_send(get("/reply?bytes=3000000")),
                4 => peer.try_send(get("/sleep?ms=20")),
                5 => peer.try_send(get("/").repeat(50)),
                _ => {
                    peer.try_send(get("/reply?bytes=3000000"));
                    peer.wait_for_a_byte();
                }
            }
            if rng.bool() { peer.reset() } else { drop(peer) }
        }
    });
    watched.assert_recovers(40);
}

#[test]
fn garbage_is_answered_or_dropped_and_never_accepted() {
    let watched = Watched::new(Server::echo());
    let address = watched.address();
    let mut refused = 0;
    beside_good_clients(address, 20, || {
        for seed in 0..3000 {
            let mut peer = Peer::to(address);
            let bytes = if seed % 2 == 0 {
                let mut rng = Rng::with_seed(seed);
                (0..rng.usize(1..300)).map(|_| rng.u8(..)).collect()
            } else {
                outside::corpus::connection(seed)
            };
            peer.try_send(&bytes);
            peer.half_close();
            // For any bytes: only replies in HTTP, then the end. differential.rs tests where each
            // request begins.
            let mut replies = Vec::new();
            let end = peer.stream.read_to_end(&mut replies);
            let timed_out = end.is_err_and(|error| {
                matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
            });
            assert!(
                !timed_out,
                "the connection neither continues nor ends: {}",
                replies.escape_ascii()
            );
            assert!(
                replies.is_empty() || replies.starts_with(b"HTTP/1.1 "),
                "{}",
                replies.escape_ascii()
            );
            refused += refusals_in(&replies);
        }
    });
    assert!(refused > 1000, "{refused} of 3000 were refused");
    watched.assert_accounts_for(refused);
    watched.assert_recovers(8);
}

/// The number of replies with a refusal's status in a series of replies.
fn refusals_in(replies: &[u8]) -> usize {
    let starts = replies.windows(12).filter(|start| start.starts_with(b"HTTP/1.1 "));
    let status = |start: &[u8]| std::str::from_utf8(&start[9..]).ok()?.parse::<u16>().ok();
    starts.filter_map(status).filter(|status| matches!(status, 400..=499 | 501 | 505)).count()
}

/// Regression: simd-json's buffer for strings is as large as the document, and was kept if the
/// document had few structural characters.
#[test]
fn a_large_string_with_escapes_leaves_nothing() {
    let watched = Watched::new(Server::echo());
    let mut peer = Peer::to(watched.address());
    let event = format!("\"{}\"", "\\n".repeat(3 * 1024 * 1024 - 1));
    for _ in 0..3 {
        assert_eq!(peer.ask(invoke(&event)).text(), event);
    }
    drop(peer);
    watched.assert_recovers(3);
}

/// Regression: a connection kept the buffer of its last body while it waited within the next
/// request, and the budget did not count it.
#[test]
fn an_answered_body_is_released_before_the_next_request() {
    let watched = Watched::new(Server::echo());
    let body = vec![b'x'; 4 * 1024 * 1024];
    let mut peers: Vec<Peer> = (0..20).map(|_| Peer::to(watched.address())).collect();
    for (number, peer) in peers.iter_mut().enumerate() {
        assert_eq!(peer.ask(post("/", &body)).json()["body_bytes"], body.len());
        peer.send(if number % 2 == 0 { get("/sleep?ms=15000") } else { b"GET / HT".to_vec() });
    }
    let most_kib = watched.rss_kib + 8 * 1024;
    eventually("80 MiB of bodies are released", || {
        process::rss_kib(watched.server.id()) < most_kib
    });
    drop(peers);
    watched.assert_recovers(8);
}

/// Regression: one peer took the memory of all bodies with a large one that it sent byte by byte,
/// and the bodies of other peers were not read.
#[test]
fn a_trickling_body_does_not_block_others() {
    let group = match MemoryGroup::new("firstbyte-trickle", 128 * 1024 * 1024) {
        Ok(group) => group,
        Err(error) => return println!("skipped: no memory cgroup can be made here: {error}"),
    };
    let mut command = group.command(Path::new(env!("CARGO_BIN_EXE_short_limits")));
    command.arg("body_timeout=1500");
    let mut server = Server::start(command).at_rest();
    let address = server.address;
    let mut trickler = Peer::to(address);
    // The size of a chunked body is unknown: when it is not small any more, it reserves the limit
    // of a body.
    let begun = format!("{:x}\r\n{}\r\n", 20_000, "t".repeat(20_000));
    trickler
        .send(format!("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n{begun}"));
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) && trickler.stream.write_all(b"1\r\nt\r\n").is_ok()
            {
                thread::sleep(Duration::from_millis(100));
            }
        });
        let _stop = Stop(&stop);
        let mut peer = Peer::to(address);
        for _ in 0..50 {
            assert_eq!(
                peer.ask(post("/", "small")).text(),
                "POST / 5",
                "at once, because it has its own part of the budget"
            );
        }
        let start = Instant::now();
        assert_eq!(peer.ask(post("/", vec![b'l'; 1024 * 1024])).text(), "POST / 1048576");
        println!("a large body waited {:?} for the trickling one", start.elapsed());
    });
    trickler.reply().assert_is_error(408);
    server.assert_alive();
    drop(server);
}

/// JSON of the shape that takes the most memory for its size.
fn worst_json(bytes: usize) -> Vec<u8> {
    let mut text = b"[[]".to_vec();
    while text.len() + 4 <= bytes {
        text.extend_from_slice(b",[]");
    }
    text.push(b']');
    text
}

#[test]
fn the_largest_bodies_on_every_connection_at_once_stay_within_128_mib() {
    let group = match MemoryGroup::new("firstbyte-abuse", 128 * 1024 * 1024) {
        Ok(group) => group,
        Err(error) => {
            eprintln!("skipped: no memory cgroup can be made here: {error}");
            return;
        }
    };
    let mut server = Server::start(group.command(program::echo())).at_rest();
    // The largest body that this instance accepts: the limit follows from the group.
    let largest = (1..=24).rev().map(|quarters| quarters * 256 * 1024).find(|bytes| {
        let declared = format!(
            "POST /event-invoke HTTP/1.1\r\nHost: h\r\nContent-Length: {bytes}\r\nExpect: \
             100-continue\r\n\r\n"
        );
        Peer::to(server.address).ask(declared).status == 100
    });
    let largest = largest.expect("the server accepts some body");
    assert!(largest >= 1024 * 1024, "{largest} bytes are no useful limit");
    let body = worst_json(largest);
    let start = Instant::now();
    thread::scope(|scope| {
        for _ in 0..24 {
            scope.spawn(|| {
                for _ in 0..2 {
                    let mut peer = Peer::to(server.address);
                    peer.stream.set_read_timeout(Some(Duration::from_secs(60))).expect("not zero");
                    peer.stream.set_write_timeout(Some(Duration::from_secs(60))).expect("not zero");
                    let reply = peer.ask(invoke(&body));
                    assert_eq!((reply.status, reply.body.len()), (200, body.len()));
                }
            });
        }
    });
    server.assert_alive();
    println!("48 bodies of {largest} bytes in {:?}", start.elapsed());
    drop(server);
}
