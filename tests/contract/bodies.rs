//! Section 2: bodies, their limit, and bodies that do not arrive.

use outside::framing::BODY_LIMIT_BYTES;
use outside::peer::{Peer, ask, invoke, post};
use outside::process;
use outside::server::Server;
use std::time::Duration;

const LIMIT: usize = BODY_LIMIT_BYTES as usize;

/// A JSON string of exactly `bytes` bytes, quotes included.
fn json_of(bytes: usize) -> Vec<u8> {
    let mut text = vec![b'a'; bytes];
    text[0] = b'"';
    text[bytes - 1] = b'"';
    text
}

#[test]
fn a_body_of_6_mib_passes_and_one_byte_more_is_413() {
    let server = Server::echo();
    let body = json_of(LIMIT);
    assert_eq!(ask(server.address, invoke(&body)).body, body);
    assert_eq!(ask(server.address, post("/web", &body)).json()["body_bytes"], LIMIT);
    ask(server.address, invoke(json_of(LIMIT + 1))).assert_is_error(413);
}

#[test]
fn a_body_over_the_limit_is_refused_before_it_is_read() {
    let server = Server::echo();
    for length in [(LIMIT + 1).to_string(), u64::MAX.to_string(), "9".repeat(40)] {
        let mut peer = Peer::to(server.address);
        peer.ask(format!("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: {length}\r\n\r\n"))
            .assert_is_error(413);
        peer.half_close();
        peer.assert_closed();
    }
}

#[test]
fn a_chunked_body_has_the_same_limit() {
    let server = Server::echo();
    let chunked = |bytes: usize, piece: usize| {
        let mut request =
            b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
        let body = vec![b'c'; bytes];
        for chunk in body.chunks(piece) {
            request.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
            request.extend_from_slice(chunk);
            request.extend_from_slice(b"\r\n");
        }
        request.extend_from_slice(b"0\r\n\r\n");
        request
    };
    for piece in [LIMIT, 65_536, 1_000] {
        assert_eq!(
            ask(server.address, chunked(LIMIT, piece)).json()["body_bytes"],
            LIMIT,
            "chunks of {piece}"
        );
        ask(server.address, chunked(LIMIT + 1, piece)).assert_is_error(413);
    }
    assert_eq!(ask(server.address, chunked(20_000, 1)).json()["body_bytes"], 20_000);
    // The largest size that a size line can state: the limit applies to received bytes.
    let mut endless =
        b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n"
            .to_vec();
    endless.resize(endless.len() + LIMIT + 1, b'c');
    ask(server.address, endless).assert_is_error(413);
}

#[test]
fn a_peer_that_expects_100_continue_gets_it_once() {
    let server = Server::echo();
    for framing in ["Content-Length: 5", "Transfer-Encoding: chunked"] {
        let mut peer = Peer::to(server.address);
        let invitation = peer.ask(format!(
            "POST / HTTP/1.1\r\nHost: h\r\n{framing}\r\nExpect: 100-continue\r\n\r\n"
        ));
        assert_eq!((invitation.status, invitation.headers.len()), (100, 0));
        peer.assert_silent(Duration::from_millis(50));
        let chunked = framing.contains("chunked");
        let reply = peer.ask(if chunked { "2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n" } else { "hello" });
        assert_eq!(reply.json()["body_bytes"], 5);
    }
}

#[test]
fn no_100_continue_for_a_body_that_has_arrived_is_refused_or_absent() {
    let server = Server::echo();
    let expecting = |line: &str| {
        format!("POST / HTTP/1.1\r\nHost: h\r\n{line}\r\nExpect: 100-continue\r\n\r\n")
    };
    assert_eq!(ask(server.address, expecting("Content-Length: 5") + "hello").status, 200);
    assert_eq!(ask(server.address, expecting("X: no body")).status, 200);
    ask(server.address, expecting(&format!("Content-Length: {}", LIMIT + 1))).assert_is_error(413);
    let old = "POST / HTTP/1.0\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n";
    let mut peer = Peer::to(server.address);
    peer.send(old);
    peer.assert_silent(Duration::from_millis(50)); // HTTP/1.0 has no interim responses
    assert_eq!(peer.ask("hello").status, 200);
    ask(server.address, "GET / HTTP/1.1\r\nHost: h\r\nExpect: a-miracle\r\n\r\n")
        .assert_is_error(417);
}

#[test]
fn a_truncated_body_is_400_and_leaves_no_descriptor() {
    let server = Server::echo().at_rest();
    let before = process::descriptors(server.id());
    for round in 0..100 {
        let mut peer = Peer::to(server.address);
        peer.send(match round % 3 {
            0 => "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\nhello",
            1 => "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\na\r\nhello",
            _ => "GET / HTTP/1.1\r\nHost: h\r\nX: trunc",
        });
        peer.half_close();
        peer.reply().assert_is_error(400);
        peer.assert_closed();
    }
    outside::eventually("the descriptors are back", || process::descriptors(server.id()) == before);
}

#[test]
fn a_half_closed_request_is_answered_and_its_connection_closed() {
    let server = Server::echo().at_rest();
    let before = process::descriptors(server.id());
    for _ in 0..100 {
        let mut peer = Peer::to(server.address);
        peer.send(invoke("{\"half\":true}"));
        peer.half_close();
        assert_eq!(peer.reply().text(), "{\"half\":true}");
        peer.assert_closed();
    }
    outside::eventually("the descriptors are back", || process::descriptors(server.id()) == before);
}

#[test]
fn a_connection_keeps_no_memory_of_an_earlier_large_body() {
    let server = Server::echo().at_rest();
    let at_rest = process::rss_kib(server.id());
    let mut peers: Vec<Peer> = (0..10).map(|_| Peer::to(server.address)).collect();
    for peer in &mut peers {
        assert_eq!(peer.ask(invoke(json_of(LIMIT))).status, 200);
    }
    // Ten idle connections have each transferred 6 MiB in both directions, and the process has
    // released all of it.
    outside::eventually("the memory is back", || {
        process::rss_kib(server.id()) < at_rest + 4 * 1024
    });
}
