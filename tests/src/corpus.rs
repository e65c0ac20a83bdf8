//! Generator of connections: mostly well-formed requests, pipelined, with mistakes on which parsers
//! disagree. The same seed gives the same bytes on every machine.

use fastrand::Rng;

/// Bytes to insert at any place.
#[rustfmt::skip] // a table, not a list of lines
const TOKENS: &[&str] = &[
    "\r", "\n", "\r\n", "\r\n\r\n", "\n\n", " ", "\t", ":", ",", ";", "\0", "0", "5", "+", "-",
    "0x", "\x0b", "\x0c", "\x7f", "\u{e9}", "chunked", "Content-Length: 5\r\n",
    "Content-Length: 6\r\n", "Transfer-Encoding: chunked\r\n", "Transfer-Encoding: identity\r\n",
    "Host: b\r\n", " HTTP/1.1", "HTTP/1.0", "0\r\n\r\n", "5\r\nhello\r\n",
    "GET / HTTP/1.1\r\nHost: h\r\n\r\n", "http://h", "#", "\"", "{", "Connection: close\r\n",
    "Expect: 100-continue\r\n", "ffffffffffffffff", ";a=b", "\r\n x",
];
const METHODS: &[&str] = &[
    "GET", "POST", "PUT", "HEAD", "OPTIONS", "DELETE", "get", "M-SEARCH", "CONNECT", "PRI", "",
    "G T",
];
#[rustfmt::skip] // a table, not a list of lines
const TARGETS: &[&str] = &[
    "/", "/a/b?c=d", "/event-invoke", "http://h/p?q", "http://h", "HTTP://h:80?x", "//e", "*",
    "/%00%zz", "/a#b", "/<>\"{}|\\^`", "", "h:80", "/a?b?c", "/;,=!$&'()*+", "/\u{e9}",
    "https://[::1]:9/x", "http://u@h/", "ftp://h/", "?q",
];
const VERSIONS: &[&str] = &[
    "HTTP/1.1",
    "HTTP/1.1",
    "HTTP/1.1",
    "HTTP/1.0",
    "HTTP/2.0",
    "HTTP/1.2",
    "http/1.1",
    "HTTP/1.1 ",
    "HTTP/11",
];
const HOSTS: &[&str] = &[
    "Host: h",
    "Host: h",
    "Host: h",
    "Host:",
    "host: h:80",
    "Host: [::1]",
    "Host: a b",
    "Host: a,b",
    "X: y",
];
#[rustfmt::skip] // a table, not a list of lines
const FIELDS: &[&str] = &[
    "X-Scf-Request-Id: r", "A:b", "A: \t b \t ", "A:", "A: \u{e9}", "A : b", "A\t: b", " A: b",
    "A: b\r\n c", "Connection: close", "Connection: keep-alive", "Connection: keep-alive, close",
    "Expect: 100-continue", "Expect: x", "TE: trailers", "Upgrade: h2c",
    "Content-Type: a/b; c=\"d\"", "A\u{e9}: b", "(A): b", "A", "Host: again",
    "X_y~!#$%&'*+-.^`|: z", "A: \"b\\\"", "A: \x01", "A: b\x7f",
];

/// One generated connection.
pub fn connection(seed: u64) -> Vec<u8> {
    let mut rng = Rng::with_seed(seed);
    let mut bytes = Vec::new();
    for _ in 0..rng.usize(1..4) {
        request(&mut rng, &mut bytes);
    }
    for _ in 0..[0, 0, 0, 1, 1, 2, 3][rng.usize(..7)] {
        mutate(&mut rng, &mut bytes);
    }
    bytes
}

/// One of the first `usual` choices in 19 of 20 cases, so that a request with one mistake is mostly
/// well-formed.
fn pick<'c>(rng: &mut Rng, choices: &[&'c str], usual: usize) -> &'c str {
    let among = if rng.u8(..20) < 19 { usual } else { choices.len() };
    choices[rng.usize(..among)]
}

fn request(rng: &mut Rng, bytes: &mut Vec<u8>) {
    for _ in 0..[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 5][rng.usize(..16)] {
        bytes.extend_from_slice(b"\r\n");
    }
    let (method, target, version) =
        (pick(rng, METHODS, 8), pick(rng, TARGETS, 7), pick(rng, VERSIONS, 4));
    bytes.extend_from_slice(format!("{method} {target} {version}\r\n").as_bytes());
    let mut lines: Vec<String> = vec![pick(rng, HOSTS, 6).to_owned()];
    for _ in 0..rng.usize(..4) {
        lines.push(pick(rng, FIELDS, 5).to_owned());
    }
    let content = framing(rng, &mut lines);
    rng.shuffle(&mut lines);
    for line in lines {
        bytes.extend_from_slice(line.as_bytes());
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(b"\r\n");
    bytes.extend_from_slice(&content);
}

/// The lines that state the body's framing, and the body.
fn framing(rng: &mut Rng, lines: &mut Vec<String>) -> Vec<u8> {
    let body: Vec<u8> = (0..rng.usize(..12)).map(|_| b"ab\r\n0 GET"[rng.usize(..9)]).collect();
    let length = body.len();
    match rng.u8(..16) {
        0..=2 => Vec::new(),
        3..=5 | 10..=14 => {
            lines.push(format!("Content-Length: {length}"));
            body
        }
        6 => {
            let spelling = [
                "{n}",
                "0{n}",
                "+{n}",
                "{n}, {n}",
                " {n} ",
                "{n} {n}",
                "0x{n}",
                "",
                "{n}a",
                "-1",
                "{n},",
                "18446744073709551616",
            ];
            lines.push(format!(
                "content-length: {}",
                pick(rng, &spelling, 2).replace("{n}", &length.to_string())
            ));
            if rng.bool() {
                lines.push(format!("Content-Length: {}", length + rng.usize(..2)));
            }
            body
        }
        7 | 8 => {
            lines.push("Transfer-Encoding: chunked".to_owned());
            chunked(rng, &body)
        }
        9 => {
            lines.push("Transfer-Encoding: chunked".to_owned());
            lines.push(format!("Content-Length: {length}"));
            chunked(rng, &body)
        }
        _ => {
            let spelling = [
                "Chunked",
                "chunked ",
                "gzip, chunked",
                "chunked, gzip",
                "identity",
                "chunked, chunked",
                "",
                ", chunked ,",
                "xchunked",
                "chunked;a=b",
                "\"chunked\"",
                "chunked,identity",
                "\x0bchunked",
            ];
            lines.push(format!("Transfer-Encoding: {}", pick(rng, &spelling, 8)));
            chunked(rng, &body)
        }
    }
}

fn chunked(rng: &mut Rng, body: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for chunk in body.chunks(rng.usize(1..6)) {
        let size = chunk.len();
        let line = match rng.u8(..24) {
            0 => format!("0{size:x}"),
            1 => format!("{size:X};a=b"),
            2 => format!("{size:x} ;a=\"b\\\"c\""),
            3 => format!("{size:x} "),
            4 => format!(" {size:x}"),
            5 => format!("0x{size:x}"),
            6 => format!("+{size:x}"),
            7 => format!("{:x}", size + 1),
            8 => format!("{size:017x}"),
            9 => format!("{size:x};"),
            _ => format!("{size:x}"),
        };
        bytes.extend_from_slice(line.as_bytes());
        bytes.extend_from_slice(b"\r\n");
        bytes.extend_from_slice(chunk);
        bytes.extend_from_slice(if rng.u8(..40) == 0 { b"\n" } else { b"\r\n" });
    }
    bytes.extend_from_slice(match rng.u8(..16) {
        0 => b"0\r\nT: 1\r\n\r\n".as_slice(),
        1 => b"0\r\nT: 1\r\nContent-Length: 3\r\n\r\n",
        2 => b"0;x\r\n\r\n",
        3 => b"000\r\n\r\n",
        4 => b"0\r\n",
        5 => b"0\n\n",
        6 => b"0\r\nbad line\r\n\r\n",
        7 => b"0\r\nT : 1\r\n\r\n",
        _ => b"0\r\n\r\n",
    });
    bytes
}

fn mutate(rng: &mut Rng, bytes: &mut Vec<u8>) {
    let at = rng.usize(..bytes.len().max(1)).min(bytes.len());
    match rng.u8(..5) {
        0 if at < bytes.len() => bytes[at] = rng.u8(..),
        1 if at < bytes.len() => {
            bytes.remove(at);
        }
        2 => bytes.truncate(at),
        3 if at < bytes.len() => {
            let byte = bytes[at];
            bytes.insert(at, byte);
        }
        _ => {
            let token = TOKENS[rng.usize(..TOKENS.len())];
            bytes.splice(at..at, token.bytes());
        }
    }
}
