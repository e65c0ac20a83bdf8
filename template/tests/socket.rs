//! Test of the program itself, over a socket: each event in events/ is posted as the platform posts
//! it; without events, a GET is sent.

use firstbyte::test::Served;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::{env, fs};

/// Sends a request; returns the whole reply.
fn ask(function: &Served, method: &str, path: &str, body: &str) -> String {
    let mut stream = TcpStream::connect(function.address()).expect("it listens");
    let length = body.len();
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nHost: localhost\r\nX-Scf-Request-Id: test\r\nContent-Length: \
         {length}\r\nConnection: close\r\n\r\n{body}"
    )
    .expect("it reads");
    let mut reply = String::new();
    stream.read_to_string(&mut reply).expect("it answers");
    reply
}

#[test]
fn answers_every_sample_over_a_socket() {
    let program = env::var(concat!("CARGO_BIN_EXE_", env!("CARGO_PKG_NAME")))
        .expect("cargo says where it is");
    let function = Served::start(program).expect("the function listens");
    let events = fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("events"));
    let mut events: Vec<_> =
        events.map(|all| all.map(|entry| entry.unwrap().path()).collect()).unwrap_or_default();
    events.sort();
    if env!("CARGO_PKG_NAME") == "function-template" {
        // The repository has a sample of each kind here, and this function is for a timer.
        events.retain(|event| event.ends_with("timer.json"));
    }
    for event in &events {
        let reply = ask(&function, "POST", "/event-invoke", &fs::read_to_string(event).unwrap());
        assert!(reply.starts_with("HTTP/1.1 200 OK\r\n"), "{}: {reply}", event.display());
    }
    if events.is_empty() {
        let reply = ask(&function, "GET", "/", "");
        assert!(reply.starts_with("HTTP/1.1 200 OK\r\n"), "{reply}");
    }
}
