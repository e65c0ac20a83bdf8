//! Section 3: the answers of the echo example.

use outside::peer::{Peer, ask, get, invoke, post};
use outside::server::Server;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

#[test]
fn an_event_comes_back_unchanged() {
    let server = Server::echo();
    let reply =
        ask(server.address, invoke(r#"{"b": [1, 2.5, -3], "a": {"": null, "ü": "\u00fc\n"}}"#));
    assert_eq!(reply.status, 200);
    assert_eq!(reply.header("content-type"), Some("application/json"));
    assert_eq!(reply.text(), "{\"b\":[1,2.5,-3],\"a\":{\"\":null,\"ü\":\"ü\\n\"}}");
}

#[test]
fn any_other_path_and_method_is_described() {
    let server = Server::echo();
    let body = b"a body \0 of any bytes \xff";
    for method in ["GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "QUERY", "x-custom"] {
        let mut request = format!(
            "{method} /a/%2e%2e/b?c=d&e?f HTTP/1.1\r\nHost: h:1\r\nX-One:  1 \
             \r\nx-two:\r\nContent-Length: {}\r\n\r\n",
            body.len()
        )
        .into_bytes();
        request.extend_from_slice(body);
        let reply = ask(server.address, request);
        assert_eq!((reply.status, reply.header("content-type")), (200, Some("application/json")));
        let length = body.len().to_string();
        let digest: String =
            Sha256::digest(body).iter().map(|byte| format!("{byte:02x}")).collect();
        let expected = json!({
            "method": method, "path": "/a/%2e%2e/b", "query": "c=d&e?f",
            "headers": [["Host", "h:1"], ["X-One", "1"], ["x-two", ""], ["Content-Length", length]],
            "body_bytes": body.len(), "body_sha256": digest,
        });
        assert_eq!(reply.json(), expected);
    }
}

#[test]
fn the_event_path_with_another_method_is_the_web_handlers() {
    let server = Server::echo();
    for request in [get("/event-invoke"), post("/event-invoke/", "x"), post("/Event-Invoke", "x")] {
        let reply = ask(server.address, request);
        assert_eq!(reply.status, 200);
        assert!(reply.json()["body_sha256"].is_string());
    }
    let with_query = ask(server.address, post("/event-invoke?a=b", "[1]"));
    assert_eq!(with_query.text(), "[1]", "a query does not make it another path");
}

#[test]
fn replies_of_any_size_arrive_whole() {
    let server = Server::echo();
    let mut peer = Peer::to(server.address);
    for bytes in [0, 1, 2047, 2048, 2049, 65_535, 1_000_000, 64 * 1024 * 1024] {
        let reply = peer.ask(get(&format!("/reply?bytes={bytes}")));
        assert_eq!((reply.status, reply.header("content-type")), (200, Some("text/plain")));
        assert_eq!(reply.body.len(), bytes);
        assert!(reply.body.iter().all(|byte| *byte == b'x'));
    }
}

#[test]
fn a_sleeping_request_does_not_block_others() {
    let server = Server::echo();
    let mut sleeper = Peer::to(server.address);
    sleeper.send(get("/sleep?ms=1500"));
    let mut other = Peer::to(server.address);
    for _ in 0..50 {
        assert_eq!(other.ask(get("/")).status, 200);
    }
    assert!(!sleeper.has_input(), "the others were answered before it");
    assert_eq!(sleeper.reply().status, 200);
}

#[test]
fn a_platform_request_with_thirteen_scf_headers_is_answered() {
    let server = Server::echo();
    let raw = include_bytes!("../data/events/event-invoke.request.http");
    let head_end =
        raw.windows(4).position(|window| window == b"\r\n\r\n").expect("a head ends") + 4;
    let scf = raw[..head_end]
        .split(|byte| *byte == b'\n')
        .filter(|line| line.starts_with(b"X-Scf-"))
        .count();
    assert_eq!(scf, 13);
    let reply = ask(server.address, raw);
    let sent: Value = serde_json::from_slice(&raw[head_end..]).expect("the sample is JSON");
    assert_eq!((reply.status, reply.json()), (200, sent));
}

#[test]
fn head_has_the_head_of_get_and_no_body() {
    let server = Server::echo();
    let mut peer = Peer::to(server.address);
    peer.send("HEAD /reply?bytes=5000 HTTP/1.1\r\nHost: h\r\n\r\n");
    let reply = peer.try_reply("HEAD").expect("a reply");
    assert_eq!((reply.status, reply.header("content-length")), (200, Some("5000")));
    let next = peer.ask(get("/reply?bytes=3"));
    assert_eq!(next.body, b"xxx", "no byte of the body came in between");
}
