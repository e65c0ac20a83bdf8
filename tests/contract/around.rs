//! Section 2: hooks of an App apply to every reply, even to those of the server itself.

use outside::peer::{Peer, ask};
use outside::reply::Reply;
use outside::server::Server;
use std::process::Command;

fn surrounded() -> Server {
    Server::start(Command::new(env!("CARGO_BIN_EXE_surrounded")))
}

const PAGE: &str = "Host: h\r\nOrigin: https://app.example\r\n";

#[track_caller]
fn assert_marked(reply: &Reply, cors: bool) {
    assert_eq!(reply.header("x-marked"), Some("yes"), "{reply:?}");
    let allowed = cors.then_some("https://app.example");
    assert_eq!(reply.header("access-control-allow-origin"), allowed, "{reply:?}");
    assert_eq!(reply.header("vary"), Some("origin"), "{reply:?}");
}

/// Regression: no hook could add a field to all replies, so a browser could not read any 404, 413
/// or 500.
#[test]
fn every_reply_of_every_kind_has_the_fields() {
    for server in [surrounded(), surrounded().at_rest()] {
        for (request, status) in [
            (format!("GET / HTTP/1.1\r\n{PAGE}\r\n"), 200),
            (format!("GET /stream HTTP/1.1\r\n{PAGE}\r\n"), 200),
            (format!("GET /missing HTTP/1.1\r\n{PAGE}\r\n"), 404),
            (format!("PUT /orders HTTP/1.1\r\n{PAGE}\r\n"), 405),
            (format!("GET /driver HTTP/1.1\r\n{PAGE}\r\n"), 500),
            (format!("GET /panic HTTP/1.1\r\n{PAGE}\r\n"), 500),
            (format!("POST /orders HTTP/1.1\r\n{PAGE}Content-Length: 2000\r\n\r\n"), 413),
            (format!("POST /orders HTTP/1.1\r\n{PAGE}Transfer-Encoding: chunked\r\n\r\nz"), 400),
        ] {
            let reply = ask(server.address, &request);
            assert_eq!(reply.status, status, "{request}");
            assert_marked(&reply, true);
        }
        for (request, status) in [
            ("GET / HTTP/1.1\r\n\r\n".to_owned(), 400),
            ("X\r\n\r\n".to_owned(), 400),
            ("GET / HTTP/2.0\r\nHost: h\r\n\r\n".to_owned(), 505),
            (format!("GET /{} HTTP/1.1\r\n", "x".repeat(20_000)), 414),
            ("GET / HTTP/1.1\r\nHost: h\r\n".to_owned(), 408),
        ] {
            let reply = ask(server.address, &request);
            assert_eq!(reply.status, status, "{}", &request[..20.min(request.len())]);
            assert_marked(&reply, false);
        }
        let mut peer = Peer::to(server.address);
        peer.send(format!("HEAD /missing HTTP/1.1\r\n{PAGE}\r\n"));
        let reply = peer.try_reply("HEAD").expect("a reply");
        assert_marked(&reply, true);
        let preflight = format!(
            "OPTIONS /missing HTTP/1.1\r\n{PAGE}Access-Control-Request-Method: PUT\r\n\r\n"
        );
        let reply = peer.ask(preflight);
        assert_eq!((reply.status, reply.header("x-marked")), (204, Some("yes")));
        assert_eq!(reply.header("access-control-allow-credentials"), Some("true"));
    }
}

#[test]
fn the_access_log_has_one_line_per_request() {
    for server in [surrounded(), surrounded().at_rest()] {
        for (number, (request, told)) in [
            ("GET /?key=hidden", "GET / 200 4 bytes"),
            ("HEAD /", "HEAD / 200 0 bytes"),
            ("GET /stream", "GET /stream 200 8 bytes"),
            ("GET /stream-fails", "GET /stream-fails 200 4 bytes, cut off"),
            ("GET /missing", "GET /missing 404 "),
            ("GET /panic", "GET /panic 500 "),
        ]
        .into_iter()
        .enumerate()
        {
            let id = format!("access-{number}-");
            let mut peer = Peer::to(server.address);
            peer.send(format!(
                "{request} HTTP/1.1\r\nHost: h\r\nX-Scf-Request-Id: {id}\r\n\
                 Connection: close\r\n\r\n"
            ));
            let method = request.split(' ').next().unwrap_or_default();
            let _ = peer.try_reply(method); // one of them is cut off
            let start = format!("firstbyte: RequestId:{id} {told}");
            let lines = || -> Vec<String> {
                server.output().into_iter().filter(|line| line.starts_with(&start)).collect()
            };
            outside::eventually(told, || lines().len() == 1);
            assert!(lines()[0].ends_with(" us") && !lines()[0].contains("hidden"), "{:?}", lines());
        }
        ask(server.address, "X\r\n\r\n").assert_is_error(400);
        outside::eventually("the refusal", || {
            server.output().iter().any(|line| line.starts_with("firstbyte: - - 400 "))
        });
    }
}
