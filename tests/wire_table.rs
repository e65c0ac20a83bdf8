//! Tests of messages in raw bytes, valid and invalid, each with the expected statuses over a
//! socket, and of every prefix of valid requests. RFC 9112 and 9110; docs/CONTRACTS.md, section 2:
//! a peer's mistake never causes a silent close.

use outside::framing::BODY_LIMIT_BYTES;
use outside::peer::{Peer, get};
use outside::reply::NoReply;
use outside::server::Server;

/// Bytes, the statuses of all replies, and whether the connection is open afterwards.
type Row<'a> = (&'a str, &'a [u16], bool);
const OPEN: bool = true;
const CLOSED: bool = false;

const REQUEST_LINES: &[Row<'_>] = &[
    ("GET / HTTP/1.1\r\nHost: h\r\n\r\n", &[200], OPEN),
    ("OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n", &[200], OPEN),
    ("GET http://other/x?y HTTP/1.1\r\nHost: h\r\n\r\n", &[200], OPEN),
    // methods are case-sensitive: another method, not a mistake
    ("get / HTTP/1.1\r\nHost: h\r\n\r\n", &[200], OPEN),
    ("\r\n\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n", &[200], OPEN),
    ("GET / HTTP/1.0\r\n\r\n", &[200], CLOSED),
    ("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", &[200], OPEN),
    ("GET / HTTP/2.0\r\nHost: h\r\n\r\n", &[505], CLOSED),
    ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", &[505], CLOSED),
    ("GET / HTTP/1.2\r\nHost: h\r\n\r\n", &[505], CLOSED),
    ("GET / HTTP/0.9\r\n\r\n", &[505], CLOSED),
    ("GET / HTTP/11\r\nHost: h\r\n\r\n", &[400], CLOSED),
    ("GET / http/1.1\r\nHost: h\r\n\r\n", &[400], CLOSED),
    ("GET / HTTP/1.1 \r\nHost: h\r\n\r\n", &[400], CLOSED),
    ("GET /\r\n\r\n", &[400], CLOSED),
    ("GET\r\n\r\n", &[400], CLOSED),
    (" GET / HTTP/1.1\r\nHost: h\r\n\r\n", &[400], CLOSED),
    ("GET  / HTTP/1.1\r\nHost: h\r\n\r\n", &[400], CLOSED),
    ("GET /a b HTTP/1.1\r\nHost: h\r\n\r\n", &[400], CLOSED),
    ("GET /\t HTTP/1.1\r\nHost: h\r\n\r\n", &[400], CLOSED),
    ("GET /#f HTTP/1.1\r\nHost: h\r\n\r\n", &[400], CLOSED),
    ("GET /\u{e9} HTTP/1.1\r\nHost: h\r\n\r\n", &[400], CLOSED),
    ("GET x HTTP/1.1\r\nHost: h\r\n\r\n", &[400], CLOSED),
    ("G\0T / HTTP/1.1\r\nHost: h\r\n\r\n", &[400], CLOSED),
    ("CONNECT h:80 HTTP/1.1\r\nHost: h\r\n\r\n", &[501], CLOSED),
    ("\r\n\r\n\r\n\r\n\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n", &[400], CLOSED),
    ("\x16\x03\x01\x02\0\x01\0\x01\u{fc}\x03\x03\r\n\r\n", &[400], CLOSED), // a TLS handshake
    ("PROXY TCP4 1.2.3.4 5.6.7.8 9 10\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n", &[400], CLOSED),
];

const LINE_ENDS: &[Row<'_>] = &[
    ("GET / HTTP/1.1\nHost: h\n\n", &[400], CLOSED),
    ("GET / HTTP/1.1\r\nHost: h\n\r\n", &[400], CLOSED),
    ("GET / HTTP/1.1\r\nHost: h\r\n\n", &[400], CLOSED),
    ("GET / HTTP/1.1\r\nHost: h\r\rX: y\r\n\r\n", &[400], CLOSED),
    ("GET / HTTP/1.1\r\nX: a\rb\r\nHost: h\r\n\r\n", &[400], CLOSED),
    ("GET / HTTP/1.1\r\nX: a\nTransfer-Encoding: chunked\r\nHost: h\r\n\r\n", &[400], CLOSED),
    ("\nGET / HTTP/1.1\r\nHost: h\r\n\r\n", &[400], CLOSED),
];

const FIELDS: &[Row<'_>] = &[
    ("GET / HTTP/1.1\r\n\r\n", &[400], CLOSED),
    ("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", &[400], CLOSED),
    ("GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n", &[400], CLOSED),
    ("GET / HTTP/1.1\r\nHost: a b\r\n\r\n", &[400], CLOSED),
    ("GET / HTTP/1.1\r\nHost: a,b\r\n\r\n", &[400], CLOSED),
    ("GET / HTTP/1.1\r\nHost: u@a\r\n\r\n", &[400], CLOSED),
    ("GET / HTTP/1.1\r\nHost: a/\r\n\r\n", &[400], CLOSED),
    ("GET / HTTP/1.1\r\nHost: [::1\r\n\r\n", &[400], CLOSED),
    ("GET / HTTP/1.1\r\nHost: [::1]x\r\n\r\n", &[400], CLOSED),
    ("GET / HTTP/1.1\r\nHost: ::1\r\n\r\n", &[400], CLOSED),
    ("GET / HTTP/1.1\r\nHost:\r\n\r\n", &[200], OPEN),
    ("GET / HTTP/1.1\r\nHost: [::1]:9000\r\n\r\n", &[200], OPEN),
    ("GET / HTTP/1.1\r\nHost: [v1.fe:80]\r\n\r\n", &[200], OPEN),
    ("GET / HTTP/1.1\r\nHost: []\r\n\r\n", &[400], CLOSED),
    ("GET / HTTP/1.1\r\nHost: [::g]\r\n\r\n", &[400], CLOSED),
    ("GET http://[::1]:80/x HTTP/1.1\r\nHost: h\r\n\r\n", &[200], OPEN),
    ("GET http://:80/x HTTP/1.1\r\nHost: h\r\n\r\n", &[400], CLOSED),
    ("GET http:///x HTTP/1.1\r\nHost: h\r\n\r\n", &[400], CLOSED),
    ("GET http://u:p@h/x HTTP/1.1\r\nHost: h\r\n\r\n", &[400], CLOSED),
    ("GET / HTTP/1.1\r\nHost : h\r\n\r\n", &[400], CLOSED),
    ("GET / HTTP/1.1\r\nHost: h\r\nX : y\r\n\r\n", &[400], CLOSED),
    ("GET / HTTP/1.1\r\nHost: h\r\nX\t: y\r\n\r\n", &[400], CLOSED),
    ("GET / HTTP/1.1\r\n Host: h\r\n\r\n", &[400], CLOSED),
    ("GET / HTTP/1.1\r\nHost: h\r\nX: a\r\n b\r\n\r\n", &[400], CLOSED), // obs-fold
    ("GET / HTTP/1.1\r\nHost: h\r\nX: a\r\n\tb\r\n\r\n", &[400], CLOSED),
    ("GET / HTTP/1.1\r\nHost: h\r\n: y\r\n\r\n", &[400], CLOSED),
    ("GET / HTTP/1.1\r\nHost: h\r\nno colon\r\n\r\n", &[400], CLOSED),
    ("GET / HTTP/1.1\r\nHost: h\r\nX\u{e9}: y\r\n\r\n", &[400], CLOSED),
    ("GET / HTTP/1.1\r\nHost: h\r\nX(y): z\r\n\r\n", &[400], CLOSED),
    ("GET / HTTP/1.1\r\nHost: h\r\nX: a\0b\r\n\r\n", &[400], CLOSED),
    ("GET / HTTP/1.1\r\nHost: h\r\nX: a\x7fb\r\n\r\n", &[400], CLOSED),
    ("GET / HTTP/1.1\r\nHost: h\r\nX: a\x01b\r\n\r\n", &[400], CLOSED),
    ("GET / HTTP/1.1\r\nHost: h\r\nX:\u{e9} \t\"x\"\t \r\nY:\r\n\r\n", &[200], OPEN),
    ("GET / HTTP/1.1\r\nHost: h\r\n!#$%&'*+-.^_`|~09aZ: token\r\n\r\n", &[200], OPEN),
    ("GET / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\n\r\n", &[200], OPEN),
    ("GET / HTTP/1.1\r\nHost: h\r\nExpect: more\r\n\r\n", &[417], CLOSED),
    (
        "GET / HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n",
        &[200],
        OPEN,
    ),
];

const LENGTHS: &[Row<'_>] = &[
    ("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n", &[200], OPEN),
    ("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nab", &[200], OPEN),
    ("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 0000002\r\n\r\nab", &[200], OPEN),
    (
        "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nab",
        &[200],
        OPEN,
    ),
    ("POST / HTTP/1.1\r\nHost: h\r\n\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n", &[200, 200], OPEN),
    (
        "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nab",
        &[400],
        CLOSED,
    ),
    ("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: abc\r\n\r\n", &[400], CLOSED),
    ("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: +5\r\n\r\nabcde", &[400], CLOSED),
    ("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: -1\r\n\r\n", &[400], CLOSED),
    ("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5, 5\r\n\r\nabcde", &[400], CLOSED),
    ("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 0x5\r\n\r\nabcde", &[400], CLOSED),
    ("POST / HTTP/1.1\r\nHost: h\r\nContent-Length:\r\n\r\n", &[400], CLOSED),
    ("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5 \x0b\r\n\r\nabcde", &[400], CLOSED),
    ("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 18446744073709551617\r\n\r\nx", &[413], CLOSED),
];

const CODINGS: &[Row<'_>] = &[
    (
        "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n",
        &[200],
        OPEN,
    ),
    (
        "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: CHUNKED\r\n\r\n02;a=b\r\nab\r\n00\r\nT: \
         1\r\n\r\n",
        &[200],
        OPEN,
    ),
    (
        "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET / \
         HTTP/1.1\r\nHost: h\r\n\r\n",
        &[200, 200],
        OPEN,
    ),
    (
        "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nContent-Length: \
         2\r\n\r\n0\r\n\r\n",
        &[400],
        CLOSED,
    ),
    (
        "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\nTransfer-Encoding: \
         chunked\r\n\r\n0\r\n\r\n",
        &[400],
        CLOSED,
    ),
    ("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: gzip\r\n\r\n", &[501], CLOSED),
    (
        "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        &[501],
        CLOSED,
    ),
    (
        "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n",
        &[501],
        CLOSED,
    ),
    ("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: identity\r\n\r\n", &[501], CLOSED),
    ("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", &[501], CLOSED),
    (
        "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: \
         chunked\r\n\r\n0\r\n\r\n",
        &[400],
        CLOSED,
    ),
    ("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding:\r\n\r\n", &[400], CLOSED),
    ("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", &[400], CLOSED),
    ("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n", &[400], CLOSED),
];

/// Each follows a head with `Transfer-Encoding: chunked`.
const CHUNKS: &[Row<'_>] = &[
    ("5\r\nhello\r\n0\r\n\r\n", &[200], OPEN),
    ("A\r\n0123456789\r\na\r\n0123456789\r\n0\r\n\r\n", &[200], OPEN),
    ("0000000000000005\r\nhello\r\n0\r\n\r\n", &[200], OPEN),
    ("5;ext;ext=v;ext=\"q;\\\"\"\r\nhello\r\n0;last\r\n\r\n", &[200], OPEN),
    ("0\r\nTrailer-A: 1\r\nTrailer-B:\r\n\r\n", &[200], OPEN),
    ("00000000000000005\r\nhello\r\n0\r\n\r\n", &[400], CLOSED),
    ("5\nhello\r\n0\r\n\r\n", &[400], CLOSED),
    ("5\r\nhello\n0\r\n\r\n", &[400], CLOSED),
    ("5\r\nhello!\r\n0\r\n\r\n", &[400], CLOSED),
    ("5\r\nhelloX0\r\n\r\n", &[400], CLOSED),
    ("0x5\r\nhello\r\n0\r\n\r\n", &[400], CLOSED),
    ("-5\r\nhello\r\n0\r\n\r\n", &[400], CLOSED),
    ("+5\r\nhello\r\n0\r\n\r\n", &[400], CLOSED),
    (" 5\r\nhello\r\n0\r\n\r\n", &[400], CLOSED),
    ("5 \r\nhello\r\n0\r\n\r\n", &[400], CLOSED),
    ("\r\nhello\r\n0\r\n\r\n", &[400], CLOSED),
    (";a=b\r\n0\r\n\r\n", &[400], CLOSED),
    ("g\r\n\r\n", &[400], CLOSED),
    ("5;a\0=b\r\nhello\r\n0\r\n\r\n", &[400], CLOSED),
    ("5;a\rb\r\nhello\r\n0\r\n\r\n", &[400], CLOSED),
    ("0\r\nno colon\r\n\r\n", &[400], CLOSED),
    ("0\r\nT : 1\r\n\r\n", &[400], CLOSED),
    ("0\r\n T: 1\r\n\r\n", &[400], CLOSED),
    ("0\r\nT: 1\n\r\n", &[400], CLOSED),
    ("0\n\n", &[400], CLOSED),
];

/// Requests can be smuggled if two servers read these differently: none may lead to a second
/// request.
const SMUGGLING: &[Row<'_>] = &[
    (
        "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 6\r\nTransfer-Encoding: \
         chunked\r\n\r\n0\r\n\r\nGET /s HTTP/1.1\r\nHost: h\r\n\r\n",
        &[400],
        CLOSED,
    ),
    (
        "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: xchunked\r\nContent-Length: \
         4\r\n\r\n5c\r\nGET /s HTTP/1.1\r\nHost: h\r\n\r\n",
        &[501],
        CLOSED,
    ),
    (
        "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: \
         x\r\n\r\n0\r\n\r\nGET /s HTTP/1.1\r\n\r\n",
        &[501],
        CLOSED,
    ),
    (
        "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding\x0b: chunked\r\n\r\n0\r\n\r\nGET /s \
         HTTP/1.1\r\n\r\n",
        &[400],
        CLOSED,
    ),
    (
        "POST / HTTP/1.1\r\nHost: h\r\nX: y\nContent-Length: 30\r\n\r\nGET /s HTTP/1.1\r\nHost: \
         h\r\n\r\n",
        &[400],
        CLOSED,
    ),
    (
        "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\nContent-Length: 30\r\n\r\nGET /s \
         HTTP/1.1\r\n\r\n",
        &[400],
        CLOSED,
    ),
    (
        "GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 1 1\r\n\r\nGET /s HTTP/1.1\r\n\r\n",
        &[400],
        CLOSED,
    ),
    (
        "GET / HTTP/1.1\r\nHost: h\r\nFoo: bar\r\n\r\n\rGET /s HTTP/1.1\r\nHost: h\r\n\r\n",
        &[200, 400],
        CLOSED,
    ),
];

#[track_caller]
fn hold(rows: &[Row<'_>], prefix: &str) {
    let mut server = Server::echo();
    for (bytes, statuses, open) in rows {
        let bytes = format!("{prefix}{bytes}");
        let shown = bytes.escape_debug();
        let mut peer = Peer::to(server.address);
        // One byte a character: the rows write bytes above 0x7f as U+0080 to U+00FF.
        peer.try_send(bytes.chars().map(|c| u8::try_from(c).expect("a byte")).collect::<Vec<_>>());
        for status in *statuses {
            let reply = peer.try_reply("GET").unwrap_or_else(|why| panic!("{why:?} for `{shown}`"));
            assert_eq!(reply.status, *status, "`{shown}`: {}", reply.body.escape_ascii());
            if *status >= 400 {
                reply.assert_is_error(*status);
                assert!(reply.closes(), "`{shown}`");
            }
        }
        if *open {
            assert_eq!(peer.ask(get("/next")).json()["path"], "/next", "`{shown}`");
        } else {
            assert!(
                matches!(peer.try_reply("GET"), Err(NoReply::Closed)),
                "no further reply and no reset: `{shown}`"
            );
        }
    }
    server.assert_alive();
}

#[test]
fn request_lines() {
    hold(REQUEST_LINES, "");
}

#[test]
fn line_ends() {
    hold(LINE_ENDS, "");
}

#[test]
fn fields() {
    hold(FIELDS, "");
}

#[test]
fn content_lengths() {
    hold(LENGTHS, "");
    let length = BODY_LIMIT_BYTES + 1;
    let too_large = format!("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: {length}\r\n\r\n");
    hold(&[(&too_large, &[413], CLOSED)], "");
}

#[test]
fn transfer_codings() {
    hold(CODINGS, "");
}

#[test]
fn chunks() {
    hold(CHUNKS, "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n");
}

#[test]
fn ambiguous_requests_are_refused() {
    hold(SMUGGLING, "");
}

/// The same mistakes after a good request: its reply is not lost.
#[test]
fn a_mistake_does_not_lose_the_reply_before_it() {
    let server = Server::echo();
    let bad = [REQUEST_LINES, LINE_ENDS, FIELDS, LENGTHS, CODINGS, SMUGGLING].concat();
    for (bytes, statuses, open) in bad.into_iter().filter(|(_, _, open)| !open) {
        let mut peer = Peer::to(server.address);
        let mut all = get("/good");
        all.extend(bytes.chars().map(|c| u8::try_from(c).expect("a byte")));
        peer.try_send(all);
        assert_eq!(peer.reply().json()["path"], "/good");
        for status in statuses {
            assert_eq!(
                peer.reply().status,
                *status,
                "`{}` behind a good request",
                bytes.escape_debug()
            );
        }
        assert_eq!(open, CLOSED);
    }
}

const VALID: &[&str] = &[
    "GET /a?b HTTP/1.1\r\nHost: h\r\n\r\n",
    "\r\nPOST /event-invoke HTTP/1.1\r\nHost: 127.0.0.1:9000\r\nX-Scf-Request-Id: \
     r\r\nContent-Length: 7\r\n\r\n{\"a\":1}",
    "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: \
     chunked\r\n\r\n3;x=y\r\nabc\r\n0a\r\n0123456789\r\n0\r\nT: 1\r\n\r\n",
    "PUT http://h:1/p?q HTTP/1.0\r\nConnection: keep-alive\r\nContent-Length: 3\r\n\r\n\r\n\0",
];

#[test]
fn no_prefix_of_a_valid_request_is_answered_and_each_can_be_completed() {
    let mut server = Server::echo().at_rest();
    let mut clock = Peer::to(server.address);
    for request in VALID {
        for cut in 1..request.len() {
            let mut peer = Peer::to(server.address);
            peer.send(&request[..cut]);
            // The server has one worker: when it has answered this, it has read the prefix.
            assert_eq!(clock.ask(get("/clock")).status, 200);
            assert!(
                !peer.has_input(),
                "a reply to the first {cut} bytes of `{}`",
                request.escape_debug()
            );
            assert_eq!(
                peer.ask(&request[cut..]).status,
                200,
                "cut at {cut}: `{}`",
                request.escape_debug()
            );
            assert_eq!(peer.ask(get("/next")).json()["path"], "/next");
        }
    }
    server.assert_alive();
}

#[test]
fn every_prefix_whose_connection_ends_is_400_or_nothing() {
    let mut server = Server::echo().at_rest();
    for request in VALID {
        for cut in 1..request.len() {
            let mut peer = Peer::to(server.address);
            peer.send(&request[..cut]);
            peer.half_close();
            let only_empty_lines = request[..cut].bytes().all(|byte| b"\r\n".contains(&byte));
            match peer.try_reply("GET") {
                Ok(reply) => reply.assert_is_error(400),
                Err(NoReply::Closed) => {
                    assert!(
                        only_empty_lines,
                        "silence for {cut} bytes of `{}`",
                        request.escape_debug()
                    )
                }
                Err(other) => panic!("{other:?} for {cut} bytes of `{}`", request.escape_debug()),
            }
        }
    }
    server.assert_alive();
}

#[test]
fn a_valid_request_in_single_bytes_is_answered() {
    let server = Server::echo().at_rest();
    for request in VALID {
        let mut peer = Peer::to(server.address);
        for byte in request.bytes() {
            peer.send([byte]);
        }
        assert_eq!(peer.reply().status, 200);
    }
}
