//! Test of the program's WebSocket, over a socket: it sends each message in samples/ as a client
//! does.

use firstbyte::test::Served;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::{env, fs};

/// A connection after its handshake.
fn open(function: &Served) -> TcpStream {
    let mut stream = TcpStream::connect(function.address()).expect("it listens");
    let handshake = "GET /talk HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: \
                     websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: \
                     dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    stream.write_all(handshake.as_bytes()).expect("it reads");
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).expect("it answers");
        head.push(byte[0]);
    }
    let head = String::from_utf8_lossy(&head);
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    stream
}

/// Sends a short text, which is one frame; returns the answer's opcode and content.
fn ask(stream: &mut TcpStream, text: &str) -> (u8, Vec<u8>) {
    let length = u8::try_from(text.len()).ok().filter(|length| *length < 126);
    let length = length.expect("a sample is short");
    // A client's frame is masked; a mask of zeros leaves the text as it is (RFC 6455, section 5.2).
    let frame = [&[0x81, 0x80 | length, 0, 0, 0, 0], text.as_bytes()].concat();
    stream.write_all(&frame).expect("it reads");
    let mut head = [0; 2];
    stream.read_exact(&mut head).expect("it answers");
    assert!(head[1] < 126, "the answer is short");
    let mut content = vec![0; head[1].into()];
    stream.read_exact(&mut content).expect("the whole answer arrives");
    (head[0] & 0x0f, content)
}

#[test]
fn answers_every_message_and_refuses_invalid_ones() {
    let program = env::var(concat!("CARGO_BIN_EXE_", env!("CARGO_PKG_NAME")))
        .expect("cargo says where it is");
    let function = Served::start(program).expect("the function listens");
    let samples = Path::new(env!("CARGO_MANIFEST_DIR")).join("samples");
    let mut stream = open(&function);
    let mut count = 0;
    for sample in fs::read_dir(samples).expect("samples/ is there") {
        let text = fs::read_to_string(sample.unwrap().path()).expect("a text");
        let (opcode, answer) = ask(&mut stream, text.trim());
        let answer = String::from_utf8_lossy(&answer).into_owned();
        assert!(opcode == 1 && answer.starts_with('{'), "{opcode}: {answer}");
        count += 1;
    }
    assert!(count > 0, "there is no sample");
    let (opcode, closed) = ask(&mut stream, "no JSON");
    assert_eq!((opcode, &closed[..2]), (8, &1007_u16.to_be_bytes()[..]));
}
