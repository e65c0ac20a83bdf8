//! Section 2, minimum rates: who is slower than they allow, and who makes room at the cap, with the
//! limits that everybody gets.

use outside::peer::{Peer, get, post};
use outside::server::Server;
use outside::{eventually, process};
use std::io::Read;
use std::net::SocketAddr;
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

/// What is begun and never goes on: heads, bodies and their trailers, and readers that do not read.
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

/// Whether the server has ended the connection, with or without a word: what has come is read.
fn is_over(peer: &mut Peer) -> bool {
    peer.stream.set_nonblocking(true).expect("a socket can be told not to block");
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
fn who_sends_below_the_minimum_rate_is_told_after_the_grace() {
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
            assert!(!slow.has_input(), "within the grace nothing is said: {begun:?}");
            slow.reply().assert_is_error(408);
            slow.assert_closed();
        }
    }
}

#[test]
fn at_the_cap_the_slowest_make_room_and_the_quick_ones_stay() {
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
            assert_eq!(reply.json()["body_bytes"], 40_000, "{begun:?}: a quick one never goes");
            let over = slow.iter_mut().map(is_over).collect::<Vec<bool>>();
            let ended = over.iter().filter(|over| **over).count();
            assert!(ended > 0, "{begun:?}: somebody has made room");
            assert!(over[0], "{begun:?}: who has been slow longest goes first: {ended} went");
        });
    }
}

#[test]
fn refused_peers_that_stay_hold_no_place() {
    let mut server = Server::echo().at_rest();
    let mut kept = Peer::to(server.address);
    let mut refused = Vec::new();
    for round in 0..CAP + 200 {
        let mut peer = Peer::to(server.address);
        peer.send("X\r\n\r\n");
        peer.reply().assert_is_error(400);
        refused.push(peer);
        if round % 50 == 0 {
            assert_eq!(kept.ask(get("/")).status, 200, "an idle connection is not sent away");
        }
    }
    let limits = firstbyte::Limits::default();
    eventually("only so many linger", || process::descriptors(server.id()) < limits.lingering + 30);
    // The end of each reply came with the reply; only those that linger are open still.
    for peer in &mut refused {
        peer.assert_closed();
    }
    server.assert_alive();
    assert_eq!(kept.ask(post("/", "b")).json()["body_bytes"], 1);
}

#[test]
fn a_slow_peer_that_others_do_not_wait_for_keeps_its_place() {
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
