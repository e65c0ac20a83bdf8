//! Tests of the front over a socket, with the bytes that clients send.

mod common;

use common::{PATIENCE, Stage, config};
use emulator::config::{Config, Mode};
use emulator::fields::OUTCOME;
use emulator::front::{Front, InvocationReport};
use emulator::wire::{MAX_BODY_BYTES, Reply, field};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

fn open(mode: Mode) -> (Stage, Front) {
    let stage = Stage::new(Config { mode, ..config() }, true);
    let front = Front::open("127.0.0.1:0".parse().unwrap(), stage.platform.clone()).unwrap();
    (stage, front)
}

struct Client(BufReader<TcpStream>);

impl Client {
    fn new(front: &Front) -> Client {
        let stream = TcpStream::connect(front.address()).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Client(BufReader::new(stream))
    }

    fn send(&mut self, bytes: &str) -> &mut Client {
        self.0.get_mut().write_all(bytes.as_bytes()).unwrap();
        self
    }

    #[track_caller]
    fn reply(&mut self, method: &str) -> Reply {
        Reply::read(&mut self.0, method).expect("a reply").0
    }
}

fn report(reply: &Reply) -> InvocationReport {
    serde_json::from_str(field(&reply.headers, OUTCOME).expect("the report's field")).unwrap()
}

#[test]
fn a_callers_connection_is_kept_and_each_reply_has_a_report() {
    let (_stage, front) = open(Mode::Event);
    let mut client = Client::new(&front);
    let event =
        "POST /any/path HTTP/1.1\r\nHost: x\r\nContent-Length: 15\r\n\r\n{\"do\":\"count\"}\n";
    let first = client.send(event).reply("POST");
    let second = client.send(event).reply("POST");
    assert_eq!((first.body, second.body.as_slice()), (b"1".to_vec(), &b"2"[..]));
    let report = report(&second);
    assert_eq!((report.status, report.message, report.cold), (200, None, None));
    assert!(
        report.duration_us > 0 && report.memory_bytes > 0 && report.memory_limit_bytes == 64 << 20
    );
}

#[test]
fn a_failure_has_the_platforms_number_and_body() {
    let (_stage, front) = open(Mode::Event);
    let reply = Client::new(&front)
        .send("POST / HTTP/1.1\r\nContent-Length: 15\r\n\r\n{\"do\":\"exit 5\"}")
        .reply("POST");
    assert_eq!(reply.status, 439);
    let message = "User process exit when running: it exited with code 5";
    let body = format!(r#"{{"errorCode":-1,"errorMessage":"{message}","statusCode":439}}"#);
    assert_eq!(String::from_utf8(reply.body).unwrap(), body);
}

#[test]
fn an_event_function_accepts_events_only() {
    let (stage, front) = open(Mode::Event);
    let mut client = Client::new(&front);
    assert_eq!(client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n").reply("GET").status, 405);
    assert_eq!(
        client
            .send("POST / HTTP/1.1\r\nFirstbyte-Mode: web\r\nContent-Length: 2\r\n\r\n{}")
            .reply("POST")
            .status,
        409
    );
    let big = format!("POST / HTTP/1.1\r\nContent-Length: {}\r\n\r\n", MAX_BODY_BYTES + 1);
    let refused = client.send(&big).reply("POST");
    assert_eq!((refused.status, report(&refused).status), (406, 406));
    let asked = big.replace("\r\n\r\n", "\r\nExpect: 100-continue\r\n\r\n");
    let refused = Client::new(&front).send(&asked).reply("POST");
    assert_eq!(refused.status, 406, "and gets no 100 Continue first");
    assert_eq!(Client::new(&front).send("no HTTP\r\n\r\n").reply("POST").status, 400);
    assert_eq!(stage.platform.pool().instances(), 0, "no instance was started for them");
}

#[test]
fn a_client_that_waits_before_its_body_gets_100_continue() {
    let (_stage, front) = open(Mode::Event);
    let mut client = Client::new(&front);
    client.send("POST / HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n");
    let mut line = String::new();
    client.0.read_line(&mut line).unwrap();
    assert_eq!(line, "HTTP/1.1 100 Continue\r\n");
    client.0.read_line(&mut line).unwrap();
    assert_eq!(client.send("{}").reply("POST").body, b"{}");
}

#[test]
fn a_web_functions_head_and_errors_reach_the_client_unchanged() {
    let (_stage, front) = open(Mode::Web);
    let mut client = Client::new(&front);
    let head = client.send("HEAD /bodiless/7 HTTP/1.1\r\nHost: x\r\n\r\n").reply("HEAD");
    assert_eq!((head.status, field(&head.headers, "content-length")), (200, Some("7")));
    let failed = client.send("GET /fail HTTP/1.1\r\nHost: x\r\n\r\n").reply("GET");
    assert_eq!((failed.status, report(&failed).status), (500, 200));
    let chunked = "PUT /request HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: \
                   chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
    let got = String::from_utf8(client.send(chunked).reply("PUT").body).unwrap();
    assert!(got.ends_with("Content-Length: 3\r\n\r\nabc") && !got.contains("chunked"), "{got}");
}

#[test]
fn a_closed_front_disconnects_idle_callers() {
    let (_stage, front) = open(Mode::Event);
    let mut client = Client::new(&front);
    assert_eq!(client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n").reply("GET").status, 405);
    drop(front);
    let mut rest = Vec::new();
    assert_eq!(client.0.read_to_end(&mut rest).unwrap(), 0);
}

/// Regression: a client that sent more than the limit was reset while it sent. It got "Broken pipe"
/// and no reply.
#[test]
fn a_client_that_sends_too_much_gets_a_reply_with_the_reason() {
    let (_stage, front) = open(Mode::Event);
    let body = "x".repeat(20 << 20);
    for head in [format!("Content-Length: {}", body.len()), "Transfer-Encoding: chunked".to_owned()]
    {
        let chunk =
            if head.starts_with('T') { format!("{:x}\r\n", body.len()) } else { String::new() };
        let mut client = Client::new(&front);
        let refused =
            client.send(&format!("POST / HTTP/1.1\r\n{head}\r\n\r\n{chunk}{body}")).reply("POST");
        assert_eq!((refused.status, report(&refused).status), (406, 406), "{head}");
    }
}

#[test]
fn a_reply_to_head_has_no_body_from_function_or_platform() {
    let (_stage, front) = open(Mode::Event);
    let mut client = Client::new(&front);
    client.send("HEAD / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    let mut all = String::new();
    client.0.read_to_string(&mut all).unwrap();
    assert!(all.starts_with("HTTP/1.1 405 ") && all.ends_with("\r\n\r\n"), "{all}");
    assert!(!all.contains("Content-Length: 0\r\n"), "{all}");
}

#[test]
fn a_web_function_gets_the_callers_address_which_clients_cannot_forge() {
    let (_stage, front) = open(Mode::Web);
    let got = Client::new(&front)
        .send("GET /request HTTP/1.1\r\nX-Scf-Remote-Addr: 9.9.9.9\r\n\r\n")
        .reply("GET");
    let got = String::from_utf8(got.body).unwrap();
    assert!(got.contains("X-Scf-Remote-Addr: 127.0.0.1\r\n") && !got.contains("9.9.9.9"), "{got}");
}

/// Regression: a connection that was reset has no peer address. Its entry was searched by peer
/// address, so entry and descriptor stayed. After 512 of them no connection was accepted.
#[test]
fn reset_connections_leave_nothing_behind() {
    let (_stage, front) = open(Mode::Event);
    for _ in 0..600 {
        let stream = TcpStream::connect(front.address()).unwrap();
        (&stream).write_all(b"POST / HTTP/1.1\r\n").unwrap();
        // dropping it sends a reset
        rustix::net::sockopt::set_socket_linger(&stream, Some(Duration::ZERO)).unwrap();
    }
    let reply = Client::new(&front).send("GET / HTTP/1.1\r\nHost: x\r\n\r\n").reply("GET");
    assert_eq!(reply.status, 405, "a later client is answered");
    let begun = Instant::now();
    while front.connections() > 0 {
        assert!(begun.elapsed() < PATIENCE, "{} of them are still there", front.connections());
        std::thread::sleep(Duration::from_millis(5));
    }
}
