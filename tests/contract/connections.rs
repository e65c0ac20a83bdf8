//! Section 2: which connections are kept, which are closed, and which reply announces it.

use outside::peer::{Peer, get};
use outside::process;
use outside::server::Server;
use rustix::process::Signal;
use std::os::unix::process::ExitStatusExt;
use std::time::Duration;

#[test]
fn a_connection_is_kept_unless_one_side_closes_it() {
    let server = Server::echo();
    for (version, option, kept) in [
        ("1.1", "", true),
        ("1.1", "Connection: keep-alive\r\n", true),
        ("1.1", "Connection: close\r\n", false),
        ("1.1", "Connection: foo, Close\r\n", false),
        ("1.0", "", false),
        ("1.0", "Connection: Keep-Alive\r\n", true),
        ("1.0", "Connection: close\r\n", false),
    ] {
        let mut peer = Peer::to(server.address);
        let request = format!("GET / HTTP/{version}\r\nHost: h\r\n{option}\r\n");
        let reply = peer.ask(&request);
        assert_eq!(reply.status, 200);
        assert_eq!(reply.closes(), !kept, "HTTP/{version} {option:?}");
        if kept {
            assert_eq!(version == "1.0", reply.header("connection") == Some("keep-alive"));
            assert_eq!(peer.ask(&request).status, 200);
        } else {
            peer.assert_closed();
        }
    }
}

#[test]
fn many_requests_on_one_connection_are_answered_in_order() {
    let server = Server::echo();
    let mut peer = Peer::to(server.address);
    for round in 0..500 {
        assert_eq!(peer.ask(get(&format!("/{round}"))).json()["path"], format!("/{round}"));
    }
}

#[test]
fn http_1_0_needs_no_host() {
    let server = Server::echo();
    let mut peer = Peer::to(server.address);
    assert_eq!(peer.ask("GET /old HTTP/1.0\r\n\r\n").json()["path"], "/old");
    peer.assert_closed();
}

#[test]
fn a_peer_that_connects_and_closes_silently_is_not_an_error() {
    let mut server = Server::echo();
    for round in 0..50 {
        let peer = Peer::to(server.address);
        if round % 2 == 0 { peer.reset() } else { drop(peer) }
    }
    let mut peer = Peer::to(server.address);
    peer.half_close();
    peer.assert_closed(); // no request, no reply
    assert_eq!(Peer::to(server.address).ask(get("/")).status, 200);
    server.assert_alive();
    assert_eq!(
        server.output().len(),
        1,
        "the readiness line and nothing else: {:?}",
        server.output()
    );
}

#[test]
fn an_empty_line_between_requests_is_not_the_start_of_one() {
    let server = crate::server_with(&["head_timeout=200"]);
    let mut peer = Peer::to(server.address);
    assert_eq!(peer.ask([&get("/a")[..], b"\r\n"].concat()).status, 200);
    // RFC 9112, section 2.2: old clients send CRLF after a body. It starts no time limit, and an
    // end after it is not an error.
    peer.assert_silent(Duration::from_millis(600));
    assert_eq!(peer.ask(get("/b")).status, 200);
    peer.send("\r\n");
    peer.half_close();
    peer.assert_closed();
}

#[test]
fn an_idle_server_does_not_wake_up() {
    let server = Server::echo();
    let mut peers: Vec<Peer> = (0..20).map(|_| Peer::to(server.address)).collect();
    for peer in &mut peers {
        assert_eq!(peer.ask(get("/")).status, 200);
        assert_eq!(peer.ask(get("/sleep?ms=1")).status, 200);
    }
    let before = process::voluntary_switches_at_rest(server.id());
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(
        process::voluntary_switches(server.id()) - before,
        0,
        "wake-ups in two idle seconds"
    );
    for peer in &mut peers {
        assert_eq!(peer.ask(get("/")).status, 200, "idle connections stay");
    }
}

#[test]
fn a_second_server_on_the_port_is_refused_in_one_line() {
    let server = Server::echo();
    let mut command = crate::echo_command();
    command.env("FIRSTBYTE_ADDR", server.address.to_string());
    let (status, lines) = outside::server::run_to_end(command);
    assert_eq!(status.code(), Some(1));
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(
        lines[0].contains(&server.address.port().to_string()) && lines[0].contains("in use"),
        "{lines:?}"
    );
}

#[test]
fn a_stack_overflow_in_a_handler_ends_the_process_with_a_message() {
    for _ in 0..3 {
        let mut server = crate::server_with(&[]).at_rest();
        let mut peer = Peer::to(server.address);
        peer.send(get("/overflow"));
        let status = server.wait();
        assert_eq!(status.signal(), Some(Signal::SEGV.as_raw()), "{status:?}");
        assert_says_overflow(&server);
        peer.assert_closed();
    }
}

#[track_caller]
fn assert_says_overflow(server: &Server) {
    outside::eventually("the line is there", || {
        server
            .output()
            .iter()
            .any(|line| line.contains("overflowed its stack") && line.contains("stack_bytes"))
    });
}

/// The host that a target in absolute form names was lost where the Host field had another.
#[test]
fn a_targets_authority_outranks_the_host_field() {
    let server = crate::server_with(&[]);
    for (target, host, authority) in [
        ("/authority", "Host: a.example:80\r\n", "a.example:80"),
        ("http://b.example/authority", "Host: a.example\r\n", "b.example"),
        ("http://b.example:8080/authority?q", "Host: a.example\r\n", "b.example:8080"),
        ("HTTPS://B.example:/authority", "Host:\r\n", "B.example:"),
        ("http://[::1]:9000/authority", "Host: a.example\r\n", "[::1]:9000"),
        ("http://[::ffff:192.0.2.1]/authority", "Host: a\r\n", "[::ffff:192.0.2.1]"),
        ("/authority", "Host: [fe80::1]\r\n", "[fe80::1]"),
        ("/authority", "Host:\r\n", ""),
    ] {
        let reply = Peer::to(server.address).ask(format!("GET {target} HTTP/1.1\r\n{host}\r\n"));
        assert_eq!((reply.status, reply.text()), (200, authority), "{target} {host}");
    }
    for (request, authority) in [
        ("GET http://b.example/authority HTTP/1.0\r\n\r\n", "b.example"),
        ("GET /authority HTTP/1.0\r\n\r\n", "none"),
    ] {
        assert_eq!(Peer::to(server.address).ask(request).text(), authority, "{request}");
    }
    for target in ["http://u@b/authority", "http://u:p@b/", "http://:80/", "http://[]/", "http://"]
    {
        Peer::to(server.address)
            .ask(format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n"))
            .assert_is_error(400);
    }
}
