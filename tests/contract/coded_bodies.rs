//! Section 2: bodies with a content coding. Without the feature `gzip` (the echo example) all are
//! refused; with it (programs/short_limits.rs) gzip is inflated within the limits of other bodies.

use super::server_with;
use flate2::Compression;
use flate2::write::GzEncoder;
use outside::peer::{Peer, ask, get};
use outside::server::Server;
use std::io::Write;

fn packed(content: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(content).expect("memory takes it");
    encoder.finish().expect("memory takes it")
}

fn coded(coding: &str, body: &[u8]) -> Vec<u8> {
    let head = format!(
        "POST /p HTTP/1.1\r\nHost: h\r\nContent-Encoding: {coding}\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

fn chunked(body: &[u8]) -> Vec<u8> {
    let head = b"POST /p HTTP/1.1\r\nHost: h\r\nContent-Encoding: GZIP\r\n\
                 Transfer-Encoding: chunked\r\n\r\n";
    let chunk =
        |piece: &[u8]| [format!("{:x}\r\n", piece.len()).as_bytes(), piece, b"\r\n"].concat();
    let chunks: Vec<u8> = body.chunks(1000).flat_map(chunk).collect();
    [&head[..], &chunks, b"0\r\n\r\n"].concat()
}

#[test]
fn an_unsupported_coding_is_415_before_the_body_arrives() {
    let server = Server::echo();
    for coding in ["gzip", "br", "x-unknown", "identity, gzip"] {
        let mut peer = Peer::to(server.address);
        let reply = peer.ask(format!(
            "POST / HTTP/1.1\r\nHost: h\r\nContent-Encoding: {coding}\r\nContent-Length: 9\r\n\r\n"
        ));
        reply.assert_is_error(415);
        assert_eq!(reply.header("accept-encoding"), Some("identity"), "{coding}");
    }
    assert_eq!(ask(server.address, coded("identity", b"x")).status, 200);
}

#[test]
fn gzip_is_inflated_and_everything_else_is_415() {
    let server = server_with(&[]);
    for content in
        [&b"{\"a\":1}"[..], b"", &[b'z'; 16 * 1024], &[b'z'; 16 * 1024 + 1], &[7; 3_000_000]]
    {
        let body = packed(content);
        let expected = format!("POST /p {}", content.len());
        assert_eq!(ask(server.address, coded("gzip", &body)).text(), expected);
        assert_eq!(ask(server.address, coded("x-gzip", &body)).text(), expected);
        assert_eq!(ask(server.address, chunked(&body)).text(), expected);
    }
    let random: Vec<u8> = std::iter::repeat_with(|| fastrand::u8(..)).take(2_000_000).collect();
    assert_eq!(ask(server.address, coded("gzip", &packed(&random))).text(), "POST /p 2000000");
    assert_eq!(ask(server.address, coded("gzip", b"")).text(), "POST /p 0");
    for coding in ["br", "gzip, gzip", "deflate", "gzip, br"] {
        let reply = ask(server.address, coded(coding, b"x"));
        reply.assert_is_error(415);
        assert_eq!(reply.header("accept-encoding"), Some("gzip, identity"), "{coding}");
    }
}

#[test]
fn the_bytes_after_an_inflated_body_are_the_next_request() {
    let server = server_with(&[]);
    let members = [packed(b"one"), packed(b"four")].concat();
    let two = [coded("gzip", &members), coded("gzip", &packed(&[b'z'; 100_000])), get("/next")];
    let mut peer = Peer::to(server.address);
    peer.send(two.concat());
    for expected in ["POST /p 7", "POST /p 100000", "GET /next 0"] {
        assert_eq!(peer.reply().text(), expected);
    }
}

#[test]
fn a_gzip_bomb_is_413_and_a_broken_body_400() {
    let server = server_with(&["body_bytes=100000"]);
    assert_eq!(ask(server.address, coded("gzip", &packed(&[0; 100_000]))).text(), "POST /p 100000");
    for content in [100_001, 1 << 20, 64 << 20] {
        let bomb = packed(&vec![0; content]);
        ask(server.address, coded("gzip", &bomb)).assert_is_error(413);
        ask(server.address, chunked(&bomb)).assert_is_error(413);
    }
    let whole = packed(b"content");
    let mut wrong_sum = whole.clone();
    let sum = wrong_sum.len() - 8;
    wrong_sum[sum] ^= 1;
    let garbage = [&whole[..], b"garbage"].concat();
    for body in [&whole[..whole.len() - 1], &wrong_sum, &garbage, b"plain"] {
        ask(server.address, coded("gzip", body)).assert_is_error(400);
    }
    assert_eq!(ask(server.address, get("/after")).status, 200);
}

/// A client that sends a target as a user typed it gets an error that states how to write it.
#[test]
fn a_target_in_raw_utf_8_gets_an_error_with_the_remedy() {
    let server = Server::echo();
    let reply = ask(server.address, "GET /\u{641c}\u{7d22}?q=\u{e9} HTTP/1.1\r\nHost: h\r\n\r\n");
    reply.assert_is_error(400);
    assert!(reply.text().contains("send `/%E6%90%9C%E7%B4%A2?q=%C3%A9`"), "{}", reply.text());
}
