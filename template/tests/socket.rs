//! The program itself, over a socket: each event in events/ is posted as the platform posts it; without events, a GET.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::{env, fs};

/// A running function, ended when the test ends.
struct Function {
    process: Child,
    address: String,
}

impl Function {
    fn start() -> Function {
        let program = env::var(concat!("CARGO_BIN_EXE_", env!("CARGO_PKG_NAME"))).expect("cargo says where it is");
        let mut process = Command::new(program)
            .env("FIRSTBYTE_ADDR", "127.0.0.1:0") // any free port; the first line says which
            .stdout(Stdio::piped())
            .spawn()
            .expect("the function starts");
        let stdout = process.stdout.take().expect("it was asked for");
        let listening = BufReader::new(stdout)
            .lines()
            .map_while(Result::ok)
            .find_map(|line| line.strip_prefix("firstbyte: listening on ").map(str::to_owned));
        Function { process, address: listening.expect("the function listens") }
    }

    /// Sends a request, returns the whole reply.
    fn ask(&self, method: &str, path: &str, body: &str) -> String {
        let mut stream = TcpStream::connect(&self.address).expect("it listens");
        let length = body.len();
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nHost: localhost\r\nX-Scf-Request-Id: test\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
        )
        .expect("it reads");
        let mut reply = String::new();
        stream.read_to_string(&mut reply).expect("it answers");
        reply
    }
}

impl Drop for Function {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn answers_every_sample_over_a_socket() {
    let function = Function::start();
    let events = fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("events"));
    let mut events: Vec<_> = events.map(|all| all.map(|entry| entry.unwrap().path()).collect()).unwrap_or_default();
    events.sort();
    for event in &events {
        let reply = function.ask("POST", "/event-invoke", &fs::read_to_string(event).unwrap());
        assert!(reply.starts_with("HTTP/1.1 200 OK\r\n"), "{}: {reply}", event.display());
    }
    if events.is_empty() {
        let reply = function.ask("GET", "/", "");
        assert!(reply.starts_with("HTTP/1.1 200 OK\r\n"), "{reply}");
    }
}
