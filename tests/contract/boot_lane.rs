//! The boot lane: the first request of a process is answered without a runtime. No peer may see a
//! difference, so these tests apply the rules of all other connections to the first one.

use outside::framing::BODY_LIMIT_BYTES;
use outside::peer::{Peer, get, invoke};
use outside::process;
use outside::server::Server;
use rustix::process::Signal;
use std::time::Duration;

#[test]
fn a_silent_first_peer_delays_no_other() {
    let server = Server::echo();
    let mut probes: Vec<Peer> = Vec::new();
    for round in 0..20 {
        probes.push(Peer::to(server.address));
        if round % 5 == 4 {
            assert_eq!(
                Peer::to(server.address).ask(get("/")).status,
                200,
                "behind {round} silent peers"
            );
        }
    }
    for probe in &mut probes {
        assert_eq!(probe.ask(get("/")).status, 200, "silent peers are not forgotten");
    }
}

#[test]
fn a_first_peer_that_sends_half_a_request_delays_no_other() {
    for half in [
        "G",
        "GET / HTTP/1.1\r\nHost: h\r\n",
        "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nha",
        "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nha",
    ] {
        let server = Server::echo();
        let mut slow = Peer::to(server.address);
        slow.send(half);
        assert_eq!(Peer::to(server.address).ask(get("/")).status, 200, "{half:?}");
        slow.half_close();
        slow.reply().assert_is_error(400);
    }
}

#[test]
fn a_first_request_that_sleeps_delays_no_other() {
    let server = Server::echo();
    let mut sleeper = Peer::to(server.address);
    sleeper.send(get("/sleep?ms=1500"));
    for _ in 0..20 {
        assert_eq!(Peer::to(server.address).ask(get("/")).status, 200);
    }
    assert!(!sleeper.has_input(), "the others were answered before it");
    assert_eq!(sleeper.reply().status, 200);
    assert_eq!(sleeper.ask(get("/")).status, 200);
}

#[test]
fn an_unread_first_reply_delays_no_other() {
    let server = Server::echo();
    let mut stuck = Peer::to(server.address);
    stuck.send(get("/reply?bytes=30000000"));
    stuck.wait_for_a_byte();
    assert_eq!(Peer::to(server.address).ask(get("/")).status, 200);
    assert_eq!(stuck.reply().body.len(), 30_000_000);
}

#[test]
fn a_first_connection_is_kept_with_all_of_its_bytes() {
    let server = Server::echo();
    let mut peer = Peer::to(server.address);
    peer.send([invoke("[1]"), invoke("[2]"), get("/3"), b"GET /4 HT".to_vec()].concat());
    assert_eq!(peer.reply().text(), "[1]");
    assert_eq!(peer.reply().text(), "[2]");
    assert_eq!(peer.reply().json()["path"], "/3");
    assert_eq!(peer.ask("TP/1.1\r\nHost: h\r\n\r\n").json()["path"], "/4");
}

#[test]
fn a_first_request_in_pieces_is_answered() {
    let server = Server::echo();
    let mut peer = Peer::to(server.address);
    for byte in invoke("{\"in\":\"pieces\"}") {
        peer.send([byte]);
    }
    assert_eq!(peer.reply().text(), "{\"in\":\"pieces\"}");
}

#[test]
fn a_first_body_of_6_mib_is_answered() {
    let server = Server::echo();
    let body = format!("\"{}\"", "a".repeat(BODY_LIMIT_BYTES as usize - 2));
    assert_eq!(Peer::to(server.address).ask(invoke(&body)).text(), body);
}

#[test]
fn an_invalid_first_request_gets_its_error() {
    let too_large =
        format!("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: {}\r\n\r\n", BODY_LIMIT_BYTES + 1);
    for (request, status) in
        [("nonsense\r\n\r\n", 400), ("GET / HTTP/3.0\r\nHost: h\r\n\r\n", 505), (&*too_large, 413)]
    {
        let mut server = Server::echo();
        Peer::to(server.address).ask(request).assert_is_error(status);
        assert_eq!(Peer::to(server.address).ask(get("/")).status, 200);
        server.assert_alive();
    }
}

#[test]
fn a_first_peer_that_is_reset_is_not_an_error() {
    let mut server = Server::echo();
    for round in 0..10 {
        let mut peer = Peer::to(server.address);
        if round % 2 == 0 {
            peer.send(invoke("[1"));
        }
        peer.reset();
    }
    assert_eq!(Peer::to(server.address).ask(get("/")).status, 200);
    server.assert_alive();
}

#[test]
fn a_first_slow_head_is_408() {
    let server = crate::server_with(&["head_timeout=200", "body_timeout=200"]);
    let mut peer = Peer::to(server.address);
    peer.ask("GET / HT").assert_is_error(408);
    let server = crate::server_with(&["head_timeout=200", "body_timeout=200"]);
    let mut peer = Peer::to(server.address);
    peer.ask("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nab").assert_is_error(408);
}

#[test]
fn sigterm_during_the_first_request_lets_it_finish() {
    let mut server = Server::echo();
    let mut peer = Peer::to(server.address);
    peer.send(get("/sleep?ms=1500"));
    assert_eq!(Peer::to(server.address).ask(get("/")).status, 200); // so the first has begun
    server.signal(Signal::TERM);
    let reply = peer.reply();
    assert_eq!((reply.status, reply.closes()), (200, true));
    drop(peer);
    assert_eq!(server.wait().code(), Some(0));
}

#[test]
fn sigterm_with_silent_peers_only_ends_the_server() {
    let mut server = Server::echo();
    let mut peers: Vec<Peer> = (0..3).map(|_| Peer::to(server.address)).collect();
    // the streams, the peers, and the listener
    outside::eventually("they are in", || process::descriptors(server.id()) > 3 + 3);
    server.signal(Signal::TERM);
    assert_eq!(server.wait().code(), Some(0));
    for peer in &mut peers {
        peer.assert_closed();
    }
}

#[test]
fn a_first_request_that_does_not_end_is_aborted_after_the_drain_time() {
    let mut server = crate::server_with(&["drain_timeout=300"]);
    let mut sleeper = Peer::to(server.address);
    sleeper.send(get("/sleep?ms=60000"));
    assert_eq!(Peer::to(server.address).ask(get("/")).status, 200);
    server.signal(Signal::TERM);
    assert_eq!(server.wait().code(), Some(1));
}

#[test]
fn a_stack_overflow_in_the_first_request_ends_the_process_with_a_message() {
    let mut server = crate::server_with(&[]);
    let mut peer = Peer::to(server.address);
    peer.send(get("/overflow"));
    assert!(!server.wait().success());
    outside::eventually("a line reports it", || {
        server
            .output()
            .iter()
            .any(|line| line.contains("firstbyte") && line.contains("overflowed its stack"))
    });
}

#[test]
fn an_idle_process_before_its_first_request_does_not_wake_up() {
    let server = Server::echo();
    let _silent = Peer::to(server.address);
    let before = process::voluntary_switches_at_rest(server.id());
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(process::voluntary_switches(server.id()) - before, 0);
}

/// Regression: the unwinder's exception object came from the boot arena, which aligned it to 8
/// bytes, but the unwinder's C code stores 16 bytes at once. The process died or not, depending on
/// the sizes of all earlier allocations.
#[test]
fn a_first_request_that_panics_is_a_500_after_any_allocations() {
    for id_bytes in 0..17 {
        let mut server = Server::echo();
        let id = "i".repeat(id_bytes);
        let request = format!("GET /panic HTTP/1.1\r\nHost: h\r\nX-Scf-Request-Id: {id}\r\n\r\n");
        let reply = Peer::to(server.address).ask(request);
        reply.assert_is_error(500);
        server.assert_alive();
    }
}
