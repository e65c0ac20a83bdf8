//! Section 2: time-outs. The limits are short here; a test of `Limits` below checks the defaults.

use outside::peer::{Peer, get};
use outside::process;
use std::time::{Duration, Instant};

#[test]
fn the_defaults_are_those_of_the_contract() {
    let limits = firstbyte::Limits::default();
    assert_eq!(limits.head_timeout, Duration::from_secs(10));
    assert_eq!(limits.body_timeout, Duration::from_secs(30));
    assert_eq!(limits.write_timeout, Duration::from_secs(30));
    assert_eq!(limits.drain_timeout, Duration::from_secs(10));
    assert_eq!((limits.connections, limits.backlog), (900, 4096));
}

#[test]
fn a_trickling_head_is_408() {
    let server = crate::server_with(&["head_timeout=300"]);
    let mut peer = Peer::to(server.address);
    assert_eq!(peer.ask(get("/")).status, 200);
    let start = Instant::now();
    // Further bytes do not move the deadline, which counts from the first one.
    for byte in get("/slow").into_iter().take(20) {
        peer.try_send([byte]);
        if start.elapsed() > Duration::from_millis(400) {
            break;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    peer.reply().assert_is_error(408);
    assert!(start.elapsed() >= Duration::from_millis(300));
    peer.assert_closed();
}

#[test]
fn a_stalled_body_is_408() {
    let server = crate::server_with(&["body_timeout=300"]);
    for framing in [
        "Content-Length: 10\r\n\r\nhello",
        "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n5\r\nwo",
    ] {
        let mut peer = Peer::to(server.address);
        let reply = peer.ask(format!("POST / HTTP/1.1\r\nHost: h\r\n{framing}"));
        reply.assert_is_error(408);
        peer.assert_closed();
    }
}

#[test]
fn a_body_that_keeps_arriving_may_take_longer_than_the_limit() {
    let server = crate::server_with(&["body_timeout=1500", "head_timeout=1500"]);
    let mut peer = Peer::to(server.address);
    peer.send("POST /slow HTTP/1.1\r\nHost: h\r\nContent-Length: 20\r\n\r\n");
    for _ in 0..20 {
        std::thread::sleep(Duration::from_millis(100));
        peer.send("b");
    }
    assert_eq!(peer.reply().text(), "POST /slow 20");
}

#[test]
fn an_idle_connection_is_not_a_slow_one() {
    let server = crate::server_with(&["head_timeout=100", "body_timeout=100", "write_timeout=100"]);
    let mut fresh = Peer::to(server.address);
    let mut used = Peer::to(server.address);
    assert_eq!(used.ask(get("/")).status, 200);
    used.assert_silent(Duration::from_millis(500));
    assert_eq!(used.ask(get("/")).status, 200);
    assert_eq!(fresh.ask(get("/")).status, 200);
}

#[test]
fn a_peer_that_stops_reading_is_cut_off_and_its_memory_freed() {
    let server = crate::server_with(&["write_timeout=300"]).at_rest();
    let before = process::descriptors(server.id());
    let mut peer = Peer::to(server.address);
    peer.send(get("/reply?bytes=60000000"));
    peer.wait_for_a_byte();
    outside::eventually("the connection is gone", || process::descriptors(server.id()) == before);
    let cut = peer.try_reply("GET");
    assert!(cut.is_err(), "a truncated reply does not look complete");
    let server = crate::server_with(&["write_timeout=10000"]);
    let mut slow = Peer::to(server.address);
    slow.send(get("/reply?bytes=60000000"));
    assert_eq!(slow.reply().body.len(), 60_000_000, "a peer that reads is not cut off");
}

#[test]
fn a_streamed_reply_is_complete_or_visibly_truncated() {
    let server = crate::server_with(&[]);
    let mut peer = Peer::to(server.address);
    let reply = peer.ask(get("/stream?pieces=100&bytes=5000"));
    assert_eq!((reply.header("transfer-encoding"), reply.body.len()), (Some("chunked"), 500_000));
    assert_eq!(peer.ask(get("/stream?pieces=0&bytes=0")).body, b"");
    assert_eq!(peer.ask(get("/empty")).status, 204);
    let mut old = Peer::to(server.address);
    let reply = old.ask("GET /stream?pieces=3&bytes=5 HTTP/1.0\r\n\r\n");
    assert_eq!((reply.header("transfer-encoding"), reply.body.len()), (None, 15));
    peer.send(get("/stream-fails"));
    assert!(peer.try_reply("GET").is_err(), "half a body does not look complete");
    let mut old = Peer::to(server.address);
    old.send("GET /stream-fails HTTP/1.0\r\n\r\n");
    assert!(old.try_reply("GET").is_err(), "nor does a body that ends with its connection");
}

#[test]
fn a_408_is_complete_even_on_a_connection_with_earlier_timed_waits() {
    let server = crate::server_with(&["head_timeout=200", "body_timeout=5000"]);
    let mut peer = Peer::to(server.address);
    peer.send("POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nb");
    std::thread::sleep(Duration::from_millis(50));
    assert_eq!(peer.ask("b").status, 200);
    peer.send("GET / HT");
    peer.reply().assert_is_error(408);
}

/// Regression: a deadline that had passed once counted as passed for ever, so the next wait of the
/// connection ended at once.
#[test]
fn a_408_reaches_a_peer_that_is_still_sending() {
    let server = crate::server_with(&["body_timeout=300"]);
    let mut peer = Peer::to(server.address);
    peer.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2000000\r\n\r\nb");
    peer.wait_for_a_byte();
    for _ in 0..100 {
        peer.try_send([b'b'; 10_000]);
    }
    peer.reply().assert_is_error(408);
}
