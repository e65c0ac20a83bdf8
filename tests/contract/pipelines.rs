//! Section 2: pipelined requests are answered in order, for any boundary between them.

use outside::peer::{Peer, get, invoke, post};
use outside::process;
use outside::server::Server;
use std::time::Duration;

#[test]
fn pipelined_requests_are_answered_in_order() {
    let server = Server::echo();
    let mut peer = Peer::to(server.address);
    let requests: Vec<u8> =
        (0..1000).flat_map(|round| post(&format!("/{round}"), "b".repeat(round % 7))).collect();
    peer.send(requests);
    for round in 0..1000 {
        let reply = peer.reply().json();
        assert_eq!(
            (&reply["path"], &reply["body_bytes"]),
            (&format!("/{round}").into(), &(round % 7).into())
        );
    }
}

/// may_minihttp 0.1.11 loses a request that follows a body which fills the read buffer to its last
/// byte.
#[test]
fn a_request_after_a_body_that_fills_a_buffer_is_answered() {
    let server = Server::echo();
    let sizes = [2047, 2048, 4095, 4096, 8192, 16_384, 32_725, 32_768, 65_535, 65_536, 131_072]
        .into_iter()
        .chain(32_700..32_730)
        .chain(4096 - 120..4096);
    for size in sizes {
        let mut peer = Peer::to(server.address);
        let head = format!("POST /first HTTP/1.1\r\nHost: h\r\nContent-Length: {size}\r\n\r\n");
        peer.send(head);
        peer.send([vec![b'b'; size], get("/second")].concat());
        assert_eq!(peer.reply().json()["body_bytes"], size);
        assert_eq!(peer.reply().json()["path"], "/second", "after {size} bytes");
    }
}

#[test]
fn an_unread_body_is_not_the_next_request() {
    let server = Server::echo();
    let mut peer = Peer::to(server.address);
    let smuggled = "GET /smuggled HTTP/1.1\r\nHost: h\r\n\r\n";
    let unread = format!(
        "GET /reply?bytes=1 HTTP/1.1\r\nHost: h\r\nContent-Length: {}\r\n\r\n{smuggled}",
        smuggled.len()
    );
    peer.send([unread.as_bytes(), &post("/reply", smuggled), &get("/after")].concat());
    assert_eq!(peer.reply().body, b"x");
    peer.reply().assert_is_error(405);
    assert_eq!(peer.reply().json()["path"], "/after");
}

#[test]
fn parsing_an_event_in_place_leaves_the_next_request_alone() {
    let server = Server::echo();
    for event in [
        "{\"a\":\"\\u00e4\\n\"}",
        "[",
        "{\"a\"",
        "\"\\ud800\"",
        "1",
        "tru",
        "\"unended",
        "[1,2",
        "[\"\\",
    ] {
        let mut peer = Peer::to(server.address);
        // The parser may read and write past the event, where the next request is.
        peer.send([invoke(event), invoke("[\"next\"]"), get("/last")].concat());
        let first = peer.reply();
        assert!(matches!(first.status, 200 | 400));
        assert_eq!(peer.reply().text(), "[\"next\"]", "after {event}");
        assert_eq!(peer.reply().json()["path"], "/last", "after {event}");
    }
}

#[test]
fn a_finished_reply_does_not_wait_for_the_next_request() {
    let server = Server::echo();
    let mut peer = Peer::to(server.address);
    peer.send([get("/"), get("/sleep?ms=1500"), get("/last")].concat());
    assert_eq!(peer.reply().status, 200);
    peer.assert_silent(Duration::from_millis(100));
    assert_eq!(peer.reply().status, 200);
    assert_eq!(peer.reply().json()["path"], "/last");
}

#[test]
fn nothing_is_read_after_a_request_that_ends_the_connection() {
    let server = Server::echo();
    for last in [
        "GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n",
        "GET / HTTP/1.0\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: h\r\nContent-Length: x\r\n\r\n",
    ] {
        let mut peer = Peer::to(server.address);
        peer.send([last.as_bytes(), &get("/never")].concat());
        assert!(peer.reply().closes());
        peer.assert_closed();
    }
}

#[test]
fn unread_replies_take_bounded_memory() {
    let server = Server::echo();
    let mut peer = Peer::to(server.address);
    assert_eq!(peer.ask(get("/")).status, 200);
    let before = process::rss_kib(server.id());
    peer.send(get("/reply?bytes=1000000").repeat(300));
    let mut other = Peer::to(server.address);
    for _ in 0..200 {
        assert_eq!(other.ask(get("/")).status, 200);
        let grown = process::rss_kib(server.id()).saturating_sub(before);
        assert!(grown < 16 * 1024, "{grown} KiB for one connection that does not read");
    }
    for _ in 0..300 {
        assert_eq!(peer.reply().body.len(), 1_000_000);
    }
}
