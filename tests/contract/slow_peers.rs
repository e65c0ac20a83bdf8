//! Section 2, minimum rates: which peers are too slow, and which lose their slot at the cap, with
//! the default limits.

use outside::cgroup::MemoryGroup;
use outside::peer::{Peer, get, post};
use outside::server::Server;
use outside::{eventually, process, program};
use std::io::Read;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

/// Connections open at once (docs/CONTRACTS.md, section 2).
const CAP: usize = 900;

#[test]
fn the_defaults_are_those_of_the_contract() {
    let limits = firstbyte::Limits::default();
    for rate in [limits.head_rate, limits.body_rate, limits.reply_rate] {
        assert_eq!((rate.bytes_per_second, rate.grace), (240, Duration::from_secs(5)));
    }
    assert_eq!(limits.lingering, 64);
}

/// Requests that begin and never continue: heads, bodies and their trailers, and readers that do
/// not read.
const BEGUN: [&str; 5] = [
    "GET / HT",
    "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 100000\r\n\r\nb",
    "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5;ext=",
    "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nb\r\n0\r\nTrailer: ",
    "GET /reply?bytes=5000000 HTTP/1.1\r\nHost: h\r\n\r\n",
];

fn begin(address: SocketAddr, begun: &str) -> Peer {
    let mut peer = Peer::to(address);
    peer.send(begun);
    peer
}

/// Whether the server has ended the connection, with or without a reply. It reads what has arrived.
fn is_over(peer: &mut Peer) -> bool {
    peer.stream.set_nonblocking(true).expect("a socket can be non-blocking");
    let mut buffer = [0; 64 * 1024];
    loop {
        match peer.stream.read(&mut buffer) {
            Ok(0) => return true,
            Ok(_) => {}
            Err(error) => return error.kind() != std::io::ErrorKind::WouldBlock,
        }
    }
}

#[test]
fn a_sender_below_the_minimum_rate_gets_408_after_the_grace() {
    // The first is served in the boot lane, the second peer brings the runtime up.
    for at_rest in [false, true] {
        for begun in &BEGUN[..4] {
            let server = Server::echo();
            let server = if at_rest { server.at_rest() } else { server };
            let mut slow = begin(server.address, begun);
            for _ in 0..12 {
                thread::sleep(Duration::from_millis(250));
                slow.try_send("a");
            }
            assert!(!slow.has_input(), "within the grace time there is no reply: {begun:?}");
            slow.reply().assert_is_error(408);
            slow.assert_closed();
        }
    }
}

#[test]
fn at_the_cap_the_slowest_are_closed_and_the_quick_ones_kept() {
    for begun in BEGUN {
        let server = Server::echo().at_rest();
        let address = server.address;
        let uploading = AtomicBool::new(true);
        thread::scope(|scope| {
            // Two quick peers: a body of ten pieces a second, and a reader.
            let upload = scope.spawn(|| {
                let mut peer = Peer::to(address);
                peer.send("POST /up HTTP/1.1\r\nHost: h\r\nContent-Length: 40000\r\n\r\n");
                for _ in 0..40 {
                    peer.send([b'u'; 1000]);
                    thread::sleep(Duration::from_millis(50));
                }
                let reply = peer.reply();
                uploading.store(false, Ordering::Relaxed);
                reply
            });
            let mut slow: Vec<Peer> = (0..CAP - 1).map(|_| begin(address, begun)).collect();
            let mut asked = 0;
            while uploading.load(Ordering::Relaxed) || asked < 20 {
                let mut kept = Vec::new();
                for _ in 0..10 {
                    let mut newcomer = Peer::to(address);
                    assert_eq!(newcomer.ask(get("/")).status, 200);
                    kept.push(begin(address, begun));
                }
                slow.append(&mut kept);
                asked += 1;
            }
            let reply = upload.join().expect("the quick body arrives");
            assert_eq!(
                reply.json()["body_bytes"],
                40_000,
                "{begun:?}: a quick one is never closed"
            );
            let over = slow.iter_mut().map(is_over).collect::<Vec<bool>>();
            let ended = over.iter().filter(|over| **over).count();
            assert!(ended > 0, "{begun:?}: a slow one was closed");
            assert!(
                over[0],
                "{begun:?}: the longest slow one is closed first: {ended} were closed"
            );
        });
    }
}

#[test]
fn refused_peers_that_stay_connected_occupy_no_slot() {
    let mut server = Server::echo().at_rest();
    let mut kept = Peer::to(server.address);
    let mut refused = Vec::new();
    for round in 0..CAP + 200 {
        let mut peer = Peer::to(server.address);
        peer.send("X\r\n\r\n");
        peer.reply().assert_is_error(400);
        refused.push(peer);
        if round % 50 == 0 {
            assert_eq!(kept.ask(get("/")).status, 200, "an idle connection is not closed");
        }
    }
    let limits = firstbyte::Limits::default();
    eventually("only so many linger", || process::descriptors(server.id()) < limits.lingering + 30);
    // Each reply had its end with it; only lingering connections are still open.
    for peer in &mut refused {
        peer.assert_closed();
    }
    server.assert_alive();
    assert_eq!(kept.ask(post("/", "b")).json()["body_bytes"], 1);
}

/// Regression: a peer requests a large reply, sends one more CRLF, as old clients do after a body,
/// and reads late. The server closed with unread bytes, and the reset destroyed the reply.
#[test]
fn a_last_reply_is_whole_although_the_peer_still_sends() {
    for at_rest in [false, true] {
        for (request, stray) in [
            ("GET /reply?bytes=1000000 HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n", 2),
            ("GET /reply?bytes=1000000 HTTP/1.0\r\n\r\n", 2),
            ("GET /reply?bytes=10 HTTP/1.0\r\n\r\n", 100_000),
            ("GET /reply?bytes=3000000 HTTP/1.0\r\n\r\n", 3_000_000),
        ] {
            let server = Server::echo();
            let server = if at_rest { server.at_rest() } else { server };
            let mut peer = begin(server.address, request);
            thread::sleep(Duration::from_millis(5));
            peer.send(vec![b'\n'; stray]);
            thread::sleep(Duration::from_millis(150));
            let reply = peer.reply();
            assert_eq!(reply.header("content-length"), Some(&*reply.body.len().to_string()));
            assert_eq!(reply.body.len(), number_in(request), "{request}");
            let end = peer.stream.read(&mut [0]);
            assert!(matches!(end, Ok(0)), "an end, and no reset: {end:?}");
        }
    }
}

fn number_in(request: &str) -> usize {
    let digits = request.split("bytes=").nth(1).and_then(|rest| rest.split(' ').next());
    digits.expect("it asks for bytes").parse().expect("a number")
}

/// An upload of many times the limit: the client sends all of it before it reads.
#[test]
fn a_413_reaches_a_peer_that_sends_80_mb_before_it_reads() {
    let server = Server::echo().at_rest();
    for _ in 0..3 {
        let mut peer = Peer::to(server.address);
        let piece = vec![b'u'; 1_000_000];
        peer.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 80000000\r\n\r\n");
        for _ in 0..80 {
            peer.send(&piece);
        }
        peer.reply().assert_is_error(413);
        peer.assert_closed();
    }
}

/// RFC 9110, section 9.3.2: even if the head was invalid.
#[test]
fn a_refused_head_request_gets_no_content() {
    let server = Server::echo();
    let long = "x".repeat(70_000);
    for (request, status) in [
        ("HEAD / HTTP/1.1\r\n\r\n".to_owned(), 400),
        ("\r\nHEAD / HTTP/1.1\r\nHost: a b\r\n\r\n".to_owned(), 400),
        ("HEAD / HTTP/2.0\r\nHost: h\r\n\r\n".to_owned(), 505),
        (format!("HEAD /{long} HTTP/1.1\r\nHost: h\r\n\r\n"), 414),
        (format!("HEAD / HTTP/1.1\r\nHost: h\r\nX: {long}\r\n\r\n"), 431),
        ("HEAD / HTTP/1.1\r\nHost: h\r\nContent-Length: 99999999999\r\n\r\n".to_owned(), 413),
        ("HEAD / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: gzip\r\n\r\n".to_owned(), 501),
        ("HEAD / HTTP/1.1\r\nHost: h\r\nExpect: x\r\n\r\n".to_owned(), 417),
        ("HEAD\t/ HTTP/1.1\r\nHost: h\r\n\r\n".to_owned(), 400),
        ("HEAD\r\n\r\n".to_owned(), 400),
        ("HEAD / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5;\r\n".to_owned(), 400),
        ("HEAD / HT".to_owned(), 408),
        ("HEAD / HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\n".to_owned(), 408),
    ] {
        let mut peer = Peer::to(server.address);
        peer.try_send(&request);
        let reply = peer.try_reply("HEAD").expect("a reply");
        assert_eq!(reply.status, status, "{}", request.get(..60).unwrap_or(&request));
        assert!(reply.header("content-length").is_some_and(|length| length != "0"));
        peer.half_close();
        peer.assert_closed();
    }
}

/// Regression: replies were not part of the memory budget, so the process was killed for readers
/// that did not read.
#[test]
fn unread_replies_stay_within_128_mib() {
    let group = match MemoryGroup::new("firstbyte-readers", 128 * 1024 * 1024) {
        Ok(group) => group,
        Err(error) => return println!("skipped: no memory cgroup can be made here: {error}"),
    };
    let mut server = Server::start(group.command(program::echo())).at_rest();
    let _stuck: Vec<Peer> = (0..60).map(|_| begin(server.address, LARGE_REPLY)).collect();
    for _ in 0..100 {
        let reply = Peer::to(server.address).ask(post("/", vec![b'g'; 20_000]));
        assert_eq!(reply.json()["body_bytes"], 20_000);
        server.assert_alive();
    }
    drop(server);
}

/// So did streams that write large pieces: only the kernel's part of them was counted.
#[test]
fn unread_streams_of_large_pieces_stay_within_128_mib() {
    let group = match MemoryGroup::new("firstbyte-streams", 128 * 1024 * 1024) {
        Ok(group) => group,
        Err(error) => return println!("skipped: no memory cgroup can be made here: {error}"),
    };
    let program = Path::new(env!("CARGO_BIN_EXE_short_limits")); // without arguments: the defaults
    let mut server = Server::start(group.command(program)).at_rest();
    let stream = "GET /stream?pieces=3&bytes=6000000 HTTP/1.1\r\nHost: h\r\n\r\n";
    let _stuck: Vec<Peer> = (0..48)
        .map(|number| begin(server.address, if number % 4 == 0 { LARGE_REPLY } else { stream }))
        .collect();
    for _ in 0..100 {
        let reply = Peer::to(server.address).ask(post("/", vec![b'g'; 20_000]));
        assert_eq!(reply.text(), "POST / 20000");
        server.assert_alive();
    }
    drop(server);
}

const LARGE_REPLY: &str = "GET /reply?bytes=6000000 HTTP/1.1\r\nHost: h\r\n\r\n";

#[test]
fn a_sleep_longer_than_any_clock_does_not_end_at_once() {
    for at_rest in [false, true] {
        let server = Server::echo();
        let server = if at_rest { server.at_rest() } else { server };
        for ms in [1 << 53, u64::MAX / 1_000_000, 1 << 63, u64::MAX] {
            let mut peer =
                begin(server.address, &format!("GET /sleep?ms={ms} HTTP/1.1\r\nHost: h\r\n\r\n"));
            peer.assert_silent(Duration::from_millis(100));
        }
    }
}

#[test]
fn a_slow_peer_keeps_its_slot_if_no_other_waits() {
    let server = Server::echo().at_rest();
    let mut slow = begin(server.address, BEGUN[1]);
    for _ in 0..30 {
        thread::sleep(Duration::from_millis(100));
        slow.send([b's'; 40]);
        assert_eq!(Peer::to(server.address).ask(get("/")).status, 200);
    }
    slow.send(vec![b's'; 100_000 - 1 - 30 * 40]);
    assert_eq!(slow.reply().json()["body_bytes"], 100_000);
}
