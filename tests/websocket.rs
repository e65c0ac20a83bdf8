//! Tests of docs/CONTRACTS.md, "WebSocket", over a real socket, with raw frames.

use outside::cgroup::MemoryGroup;
use outside::peer::Peer;
use outside::server::Server;
use outside::{eventually, process};
use rustix::process::Signal;
use std::io::Read;
use std::path::Path;
use std::process::Command;

fn server() -> Server {
    Server::start(Command::new(env!("CARGO_BIN_EXE_websocket")))
}

const HANDSHAKE: &str = "Host: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
     Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

/// A connection after its handshake.
struct Client(Peer);

const TEXT: u8 = 0x81;
const BINARY: u8 = 0x82;
const CLOSE: u8 = 0x88;
const PING: u8 = 0x89;
const PONG: u8 = 0x8a;

/// A client's frame; `first` is its first byte.
fn frame(first: u8, content: &[u8]) -> Vec<u8> {
    let mut out = vec![first];
    match content.len() {
        size @ 0..=125 => out.push(0x80 | size as u8),
        size @ 126..=0xffff => {
            out.push(0x80 | 126);
            out.extend((size as u16).to_be_bytes());
        }
        size => {
            out.push(0x80 | 127);
            out.extend((size as u64).to_be_bytes());
        }
    }
    let mask = [0x37, 0xfa, 0x21, 0x3d];
    out.extend(mask);
    out.extend(content.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    out
}

impl Client {
    #[track_caller]
    fn open(server: &Server, path: &str) -> Client {
        let mut peer = Peer::to(server.address);
        peer.send(format!("GET {path} HTTP/1.1\r\n{HANDSHAKE}\r\n"));
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            peer.stream.read_exact(&mut byte).expect("a reply to the handshake");
            head.push(byte[0]);
        }
        let head = String::from_utf8(head).unwrap();
        assert!(head.starts_with("HTTP/1.1 101 Switching Protocols\r\n"), "{head}");
        assert!(head.contains("sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"), "{head}");
        Client(peer)
    }

    /// The next frame: its first byte and its content.
    #[track_caller]
    fn receive(&mut self) -> (u8, Vec<u8>) {
        let mut head = [0; 2];
        self.0.stream.read_exact(&mut head).expect("a frame");
        assert_eq!(head[1] & 0x80, 0, "a server's frame is not masked");
        let size = match head[1] {
            126 => {
                let mut size = [0; 2];
                self.0.stream.read_exact(&mut size).unwrap();
                u16::from_be_bytes(size).into()
            }
            127 => {
                let mut size = [0; 8];
                self.0.stream.read_exact(&mut size).unwrap();
                u64::from_be_bytes(size) as usize
            }
            size => size.into(),
        };
        let mut content = vec![0; size];
        self.0.stream.read_exact(&mut content).expect("all of a frame");
        (head[0], content)
    }

    #[track_caller]
    fn assert_closes_with(&mut self, code: u16) {
        let (first, content) = self.receive();
        let said = content.first_chunk().map(|code| u16::from_be_bytes(*code));
        let reason = String::from_utf8_lossy(content.get(2..).unwrap_or_default()).into_owned();
        assert_eq!((first, said), (CLOSE, Some(code)), "{reason}");
        self.0.assert_closed();
    }
}

/// Fields of a handshake as clients and proxies write them, and what is none.
#[test]
fn a_handshake_is_read_in_every_spelling() {
    let server = server();
    let key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    let version = "Sec-WebSocket-Version: 13\r\n";
    let usual = "Connection: Upgrade\r\nUpgrade: websocket\r\n";
    let kept = "connection: keep-alive, Upgrade\r\nupgrade: WebSocket\r\n";
    let several = "Connection: keep-alive\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\
                   Upgrade: websocket\r\n";
    let (own, other) = ("Origin: https://h\r\n", "Origin: https://other.example\r\n");
    for (line, fields, status) in [
        ("GET /echo HTTP/1.1", [usual, version, key], 101),
        ("GET /echo HTTP/1.1", [kept, version, key], 101),
        ("GET /echo HTTP/1.1", [several, version, key], 101),
        ("GET /echo HTTP/1.1", [usual, &[version, own].concat(), key], 101),
        ("GET /echo HTTP/1.1", [usual, &[version, other].concat(), key], 403),
        ("GET /echo HTTP/1.1", [usual, &[version, own, other].concat(), key], 403),
        ("GET /echo HTTP/1.1", [usual, &[version, "Origin:\r\n"].concat(), key], 403),
        ("GET /echo HTTP/1.1", [usual, version, ""], 400),
        ("GET /echo HTTP/1.1", [usual, version, "Sec-WebSocket-Key: c2hvcnQ=\r\n"], 400),
        ("GET /echo HTTP/1.1", [usual, version, &key.repeat(2)], 400),
        ("GET /echo HTTP/1.1", [usual, "", key], 426),
        ("GET /echo HTTP/1.1", [usual, "Sec-WebSocket-Version: 13, 8\r\n", key], 426),
        ("GET /echo HTTP/1.1", [usual, &version.repeat(2), key], 426),
        ("GET /echo HTTP/1.1", ["Upgrade: websocket\r\n", version, key], 426),
        ("GET /echo HTTP/1.1", ["Connection: upgrade\r\n", version, key], 426),
        ("GET /echo HTTP/1.0", [usual, version, key], 426),
        ("HEAD /echo HTTP/1.1", [usual, version, key], 405),
        ("POST /echo HTTP/1.1", [usual, version, key], 405),
    ] {
        let fields = fields.concat();
        let mut peer = Peer::to(server.address);
        peer.send(format!("{line}\r\nHost: h:443\r\n{fields}\r\n"));
        let mut bytes = [0; 12];
        peer.stream.read_exact(&mut bytes).expect("a reply");
        let expected = format!("HTTP/1.1 {status}");
        assert_eq!(String::from_utf8_lossy(&bytes), expected, "{line}\n{fields}");
    }
}

#[test]
fn messages_come_back_whole() {
    let server = server();
    let mut client = Client::open(&server, "/echo");
    for size in [0, 1, 125, 126, 65_535, 65_536, 256 * 1024] {
        let content = vec![b'x'; size];
        client.0.send(frame(TEXT, &content));
        assert_eq!(client.receive(), (TEXT, content.clone()));
        client.0.send(frame(BINARY, &content));
        assert_eq!(client.receive(), (BINARY, content));
    }
    // In pieces, with a ping between two of them, split within a character, and byte by byte.
    let word = "w\u{f6}rter".as_bytes();
    let pieces = [
        frame(0x01, &word[..2]),
        frame(PING, b"still there?"),
        frame(0x00, b""),
        frame(0x80, &word[2..]),
    ]
    .concat();
    for byte in pieces {
        client.0.send([byte]);
    }
    assert_eq!(client.receive(), (PONG, b"still there?".to_vec()));
    assert_eq!(client.receive(), (TEXT, word.to_vec()));
    client.0.send(frame(CLOSE, &[&1000u16.to_be_bytes()[..], b"bye"].concat()));
    client.assert_closes_with(1000);
    // Others are served meanwhile and after it.
    assert_eq!(Peer::to(server.address).ask(outside::peer::get("/")).status, 200);
}

#[test]
fn frames_that_arrive_with_the_handshake_are_read() {
    let server = server();
    let mut peer = Peer::to(server.address);
    let mut bytes = format!("GET /echo HTTP/1.1\r\n{HANDSHAKE}\r\n").into_bytes();
    bytes.extend(frame(TEXT, b"early"));
    peer.send(bytes);
    let mut all = Vec::new();
    while !all.ends_with(b"early") {
        let mut byte = [0];
        peer.stream.read_exact(&mut byte).expect("an echo");
        all.push(byte[0]);
    }
}

#[test]
fn invalid_frames_end_with_their_code() {
    let server = server();
    let unmasked = vec![TEXT, 2, b'h', b'i'];
    let mut reserved = frame(TEXT, b"hi");
    reserved[0] |= 0x40;
    let long_ping = {
        let mut bytes = frame(BINARY, &[0; 126]);
        bytes[0] = PING;
        bytes
    };
    for (bytes, code) in [
        (unmasked, 1002),
        (reserved, 1002),
        (long_ping, 1002),
        (frame(0x83, b"an opcode"), 1002),
        (frame(0x09, b"a ping in pieces"), 1002),
        (frame(0x80, b"nothing to go on with"), 1002),
        ([frame(0x01, b"one"), frame(0x01, b"another")].concat(), 1002),
        (frame(CLOSE, b"x"), 1002),
        (frame(CLOSE, &999u16.to_be_bytes()), 1002),
        (frame(CLOSE, &1004u16.to_be_bytes()), 1002),
        (frame(CLOSE, &1005u16.to_be_bytes()), 1002),
        (frame(CLOSE, &1006u16.to_be_bytes()), 1002),
        (frame(CLOSE, &1015u16.to_be_bytes()), 1002),
        (frame(CLOSE, &2999u16.to_be_bytes()), 1002),
        (frame(CLOSE, &5000u16.to_be_bytes()), 1002),
        (frame(CLOSE, b"\x03\xe8\xff"), 1007),
        (frame(TEXT, b"\xed\xa0\x80"), 1007),
        (frame(TEXT, b"\xe2\x82"), 1007),
        (b"GET / HTTP/1.1\r\n\r\n".to_vec(), 1002),
        (vec![TEXT, 0xfe, 0, 5, 0, 0, 0, 0], 1002),
        (frame(TEXT, b"\xff\xfe"), 1007),
        ([frame(0x01, b"\xc3"), frame(0x80, b"(")].concat(), 1007),
        (frame(TEXT, &vec![b'x'; 256 * 1024 + 1]), 1009),
        // the length alone is sufficient
        (vec![BINARY, 0xff, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0], 1009),
        ([frame(0x02, &[0; 200_000]), frame(0x80, &[0; 100_000])].concat(), 1009),
        (frame(PING, b"").repeat(51), 1008),
        (frame(PONG, b"").repeat(51), 1008),
        ([frame(0x01, b""), frame(0x00, b"").repeat(50)].concat(), 1008),
    ] {
        let mut client = Client::open(&server, "/echo");
        client.0.try_send(&bytes);
        let (first, content) = loop {
            let (first, content) = client.receive();
            if first != PONG {
                break (first, content);
            }
        };
        let said = content.first_chunk().map(|code| u16::from_be_bytes(*code));
        assert_eq!((first, said), (CLOSE, Some(code)), "{:?}", &bytes[..bytes.len().min(20)]);
    }
    let mut client = Client::open(&server, "/short");
    client.0.send(frame(BINARY, b"bytes"));
    client.assert_closes_with(1003);
}

/// The peer disconnects in the middle of a frame, at any place: other peers are not affected.
#[test]
fn every_prefix_of_a_frame_is_survived() {
    let mut server = server();
    let whole = [
        frame(0x01, b"w\xc3"),
        frame(PING, b"p"),
        frame(0x80, b"\xb6rter"),
        frame(BINARY, &[b'x'; 300]),
        frame(CLOSE, &1000u16.to_be_bytes()),
    ]
    .concat();
    for end in 0..=whole.len() {
        let mut client = Client::open(&server, "/echo");
        client.0.send(&whole[..end]);
        client.0.half_close();
        while client.0.stream.read(&mut [0; 1000]).is_ok_and(|size| size > 0) {}
    }
    server.assert_alive();
    let mut client = Client::open(&server, "/echo");
    client.0.send(frame(TEXT, b"here"));
    assert_eq!(client.receive(), (TEXT, b"here".to_vec()));
    eventually("each broken connection is one line", || {
        let lines = server.output();
        let ended = lines.iter().filter(|line| line.contains("the WebSocket ended with 1006"));
        ended.count() >= whole.len()
    });
}

#[test]
fn a_handlers_end_has_its_code_and_its_line() {
    let server = server();
    for (word, code) in [("error", 1011), ("panic", 1011), ("close", 4000)] {
        let mut client = Client::open(&server, "/fails");
        client.0.send(frame(TEXT, word.as_bytes()));
        let (first, content) = client.receive();
        assert_eq!((first, &content[..2]), (CLOSE, &u16::to_be_bytes(code)[..]));
        assert!(!String::from_utf8_lossy(&content).contains("secret"));
    }
    for words in ["the handler failed: a secret of the database", "the handler panicked: asked to"]
    {
        let start = "ERROR firstbyte: GET /fails: the WebSocket ended with 1011: ";
        eventually("a failure is one line, with its path and its cause", || {
            let output = server.output();
            let failures = output.iter().filter(|line| line.contains(words));
            failures.clone().count() == 1 && failures.clone().all(|line| line.starts_with(start))
        });
    }
}

#[test]
fn silent_and_slow_connections_end_by_time() {
    let server = server();
    let mut silent = Client::open(&server, "/short");
    silent.assert_closes_with(1000);
    let mut slow = Client::open(&server, "/echo");
    slow.0.send(&frame(TEXT, b"not all of it")[..5]);
    slow.assert_closes_with(1008);
    // A peer that answers pings is kept, one that does not is closed.
    let mut pinged = Client::open(&server, "/pings");
    for _ in 0..3 {
        assert_eq!(pinged.receive().0, PING);
        pinged.0.send(frame(PONG, b""));
    }
    assert_eq!(pinged.receive().0, PING);
    pinged.0.assert_closed();
}

#[test]
fn every_message_reaches_all_guests() {
    let server = server();
    let mut guests: Vec<_> = (0..5).map(|_| Client::open(&server, "/chat")).collect();
    for guest in &mut guests {
        assert_eq!(guest.receive(), (TEXT, b"welcome".to_vec()));
    }
    guests[0].0.send(frame(TEXT, b"hello"));
    for guest in &mut guests {
        assert_eq!(guest.receive(), (TEXT, b"hello".to_vec()));
    }
    drop(guests.pop());
    eventually("the server notices the guest that left", || {
        server.output().iter().any(|line| line.contains("a guest has left with 1006"))
    });
    guests[1].0.send(frame(TEXT, b"again"));
    for guest in &mut guests {
        assert_eq!(guest.receive(), (TEXT, b"again".to_vec()));
    }
}

#[test]
fn a_stop_closes_every_connection_with_its_code() {
    let mut server = server();
    let mut clients: Vec<_> = (0..20).map(|_| Client::open(&server, "/echo")).collect();
    for client in &mut clients {
        client.0.send(frame(TEXT, b"here"));
        assert_eq!(client.receive(), (TEXT, b"here".to_vec()));
    }
    server.signal(Signal::TERM);
    for client in &mut clients {
        client.assert_closes_with(1001);
    }
    drop(clients);
    assert!(server.wait().success());
}

/// If another peer needs a slot, a silent connection is closed with a reason; an active one is
/// kept.
#[test]
fn the_longest_silent_connection_is_closed_to_make_room() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_websocket"));
    command.env("CONNECTIONS", "4");
    let server = Server::start(command);
    let mut first = Client::open(&server, "/keen");
    let mut second = Client::open(&server, "/keen");
    let mut patient: Vec<_> = (0..2).map(|_| Client::open(&server, "/echo")).collect();
    second.0.send(frame(TEXT, b"still here"));
    assert_eq!(second.receive().0, TEXT);
    let mut newcomer = Client::open(&server, "/echo");
    first.assert_closes_with(1013);
    for client in patient.iter_mut().chain([&mut second, &mut newcomer]) {
        client.0.send(frame(TEXT, b"here"));
        assert_eq!(client.receive(), (TEXT, b"here".to_vec()));
    }
}

/// A thousand outboxes of 256 KiB each would be 256 MiB. If memory is short, readers below their
/// rate are closed, like those of any reply.
#[test]
fn messages_for_a_thousand_peers_that_do_not_read_stay_within_128_mib() {
    let group = match MemoryGroup::new("firstbyte-outboxes", 128 * 1024 * 1024) {
        Ok(group) => group,
        Err(error) => return println!("skipped: no memory cgroup can be made here: {error}"),
    };
    let program = Path::new(env!("CARGO_BIN_EXE_websocket"));
    let mut server = Server::start(group.command(program)).at_rest();
    let deaf: Vec<_> = (0..1000).map(|_| Client::open(&server, "/deaf")).collect();
    let flood = |bytes: usize| {
        let request =
            format!("POST /flood?bytes={bytes} HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n");
        let reply = Peer::to(server.address).ask(request);
        assert_eq!(reply.status, 200);
        reply.text().parse::<u64>().expect("a number")
    };
    for _ in 0..20 {
        println!("{} taken, {} KiB", flood(16 * 1024), process::own_kib(server.id()));
    }
    // Others are served meanwhile: requests, bodies and messages.
    let post = outside::peer::post("/flood?bytes=300000", vec![b'x'; 20_000]);
    assert_eq!(Peer::to(server.address).ask(post).status, 200);
    let mut talker = Client::open(&server, "/echo");
    talker.0.send(frame(TEXT, &vec![b'x'; 100_000]));
    assert_eq!(talker.receive().1.len(), 100_000);
    server.assert_alive();
    drop(deaf);
    drop(server);
}

/// Limit of the server's memory for a silent connection, in KiB: a coroutine's stack and its state,
/// without buffers.
const KIB_A_CONNECTION: u64 = 32; // 20.6 to 24.5 were measured

#[test]
fn a_thousand_silent_connections_take_little_memory_and_no_thread() {
    let server = server();
    let mut first = Client::open(&server, "/echo");
    first.0.send(frame(TEXT, &[b'x'; 200_000]));
    assert_eq!(first.receive().1.len(), 200_000);
    let before = process::own_kib(server.id());
    let mut clients: Vec<_> = (0..1000).map(|_| Client::open(&server, "/echo")).collect();
    let size = 100_000;
    let mut echo = |client: &mut Client| {
        client.0.send(frame(TEXT, &vec![b'x'; size]));
        assert_eq!(client.receive().1.len(), size);
    };
    // Each has sent something large once: its buffer is not kept.
    clients.iter_mut().for_each(&mut echo);
    let held = process::own_kib(server.id()).saturating_sub(before);
    let threads = process::threads(server.id());
    println!("{held} KiB for a thousand connections, {threads} threads");
    assert!(held <= 1000 * KIB_A_CONNECTION, "{held} KiB for a thousand connections");
    assert!(threads <= 8, "{threads} threads");
    clients.iter_mut().for_each(&mut echo);
}
