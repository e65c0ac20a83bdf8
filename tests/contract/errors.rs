//! Section 2: every error of the server itself has a body of the same form; it never closes
//! silently.

use outside::peer::{Peer, ask, get, invoke, post};
use outside::server::Server;

/// A head with `fields` fields, Host among them.
fn with_fields(fields: usize) -> String {
    format!("GET / HTTP/1.1\r\nHost: h\r\n{}\r\n", "X-Scf-Field: value\r\n".repeat(fields - 1))
}

#[test]
fn up_to_128_fields_pass_and_129_do_not() {
    let server = Server::echo();
    for fields in [1, 16, 17, 25, 64, 65, 127, 128] {
        let reply = ask(server.address, with_fields(fields));
        assert_eq!(reply.json()["headers"].as_array().map(Vec::len), Some(fields));
    }
    let mut peer = Peer::to(server.address);
    peer.ask(with_fields(129)).assert_is_error(431);
    peer.assert_closed();
}

#[test]
fn the_request_line_ends_at_16_kib() {
    let server = Server::echo();
    let line =
        |bytes: usize| format!("GET /{} HTTP/1.1", "p".repeat(bytes - "GET / HTTP/1.1".len()));
    let longest = format!("{}\r\nHost: h\r\n\r\n", line(16 * 1024));
    assert_eq!(ask(server.address, longest).status, 200);
    let longer = format!("{}\r\nHost: h\r\n\r\n", line(16 * 1024 + 1));
    let reply = ask(server.address, longer);
    reply.assert_is_error(414);
    assert!(reply.closes());
    // it does not wait for the end
    ask(server.address, "x".repeat(16 * 1024 + 1)).assert_is_error(414);
}

#[test]
fn the_head_ends_at_64_kib() {
    let server = Server::echo();
    let head = |bytes: usize| {
        let frame = "GET / HTTP/1.1\r\nHost: h\r\nX: \r\n\r\n";
        format!("GET / HTTP/1.1\r\nHost: h\r\nX: {}\r\n\r\n", "v".repeat(bytes - frame.len()))
    };
    assert_eq!(ask(server.address, head(64 * 1024)).status, 200);
    ask(server.address, head(64 * 1024 + 1)).assert_is_error(431);
    ask(server.address, &head(65 * 1024)[..64 * 1024 + 1]).assert_is_error(431);
}

#[test]
fn a_body_that_is_not_json_is_the_peers_error() {
    let server = Server::echo();
    let mut peer = Peer::to(server.address);
    for event in ["", "  ", "{", "nul", "[1,]", "{\"a\":1}{", "\"\\ud800\"", "{'a':1}", "\u{feff}1"]
    {
        let reply = peer.ask(invoke(event));
        reply.assert_is_error(400);
        assert!(!reply.closes(), "the framing was correct: the connection is kept");
    }
    assert_eq!(peer.ask(invoke("1")).text(), "1");
}

#[test]
fn json_of_128_levels_passes_and_129_do_not() {
    let server = Server::echo();
    let mut peer = Peer::to(server.address);
    for (open, close) in [("[", "]"), ("{\"a\":", "}"), ("[{\"b\":[", "]}]")] {
        let levels = open.matches(['[', '{']).count();
        let nest = |repeat: usize, more: usize| {
            let (before, after) = ("[".repeat(more), "]".repeat(more));
            format!("{before}{}1{}{after}", open.repeat(repeat), close.repeat(repeat))
        };
        let deepest = nest(128 / levels, 128 % levels);
        assert_eq!(peer.ask(invoke(&deepest)).text(), deepest);
        peer.ask(invoke(nest(128 / levels, 128 % levels + 1))).assert_is_error(400);
    }
}

#[test]
fn an_error_carries_the_invocations_request_id() {
    let server = Server::echo();
    let request = "POST /event-invoke HTTP/1.1\r\nHost: h\r\nX-Scf-Request-Id: \
                   r-\"1\"\r\nContent-Length: 1\r\n\r\n!";
    let reply = ask(server.address, request);
    reply.assert_is_error(400);
    assert_eq!(reply.json()["requestId"], "r-\"1\"");
}

#[test]
fn a_method_that_a_path_does_not_have_is_405_with_the_paths_methods() {
    let server = Server::echo();
    let reply = ask(server.address, post("/reply?bytes=1", ""));
    reply.assert_is_error(405);
    assert_eq!(reply.header("allow"), Some("GET, HEAD"));
}

#[test]
fn a_handlers_error_has_the_status_that_the_function_chose() {
    let server = crate::server_with(&[]);
    ask(server.address, invoke("{")).assert_is_error(400);
    ask(server.address, get("/fails")).assert_is_error(502);
    ask(crate::bare().address, get("/fails")).assert_is_error(500);
    let echo = Server::echo();
    ask(echo.address, get("/reply")).assert_is_error(400);
    ask(echo.address, get("/reply?bytes=x")).assert_is_error(400);
}

#[test]
fn a_panic_is_a_500_with_one_line_and_other_connections_continue() {
    let mut server = Server::echo();
    let mut bystander = Peer::to(server.address);
    assert_eq!(bystander.ask(get("/")).status, 200);
    let mut sleeper = Peer::to(server.address);
    sleeper.send(get("/sleep?ms=300"));
    let mut peer = Peer::to(server.address);
    for round in 0..20 {
        let id = format!("panic-{round}");
        let request = format!("GET /panic HTTP/1.1\r\nHost: h\r\nX-Scf-Request-Id: {id}\r\n\r\n");
        let reply = peer.ask(request);
        reply.assert_is_error(500);
        assert_eq!(reply.json()["requestId"], id.as_str());
        outside::eventually("the panic is logged", || {
            server.output().iter().filter(|line| line.contains(&id)).count() == 1
        });
    }
    assert_eq!(bystander.ask(get("/")).status, 200);
    assert_eq!(sleeper.reply().status, 200);
    server.assert_alive();
}

#[test]
fn secrets_never_reach_a_log_line() {
    let server = Server::echo();
    let secrets = "X-Scf-Secret-Id: AKIDnever\r\nx-scf-secret-key: \
                   never-print\r\nX-SCF-SESSION-TOKEN: never-say\r\n";
    for request in [
        format!("GET /panic HTTP/1.1\r\nHost: h\r\nX-Scf-Request-Id: told\r\n{secrets}\r\n"),
        format!("POST /event-invoke HTTP/1.1\r\nHost: h\r\n{secrets}Content-Length: 1\r\n\r\n!"),
        format!("GET / HTTP/1.1\r\nHost: h\r\n{secrets}Transfer-Encoding: gzip\r\n\r\n"),
        format!("GET / HTTP/1.1\r\nHost: h\r\n{secrets}bad line\r\n\r\n"),
    ] {
        let reply = ask(server.address, request);
        assert!(!reply.text().contains("never"), "{}", reply.text());
    }
    outside::eventually("the panic is logged", || {
        server.output().iter().any(|line| line.contains("told"))
    });
    assert!(!server.output().join("\n").contains("never"), "{:?}", server.output());
}
