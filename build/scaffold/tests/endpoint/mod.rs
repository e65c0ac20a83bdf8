//! Endpoint of the cloud's API on the loopback: it records requests and sends configured answers.
//! It checks no signature.

use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

/// A recorded request.
#[derive(Debug)]
pub struct Sent {
    /// X-TC-Action.
    pub action: String,
    /// X-TC-Region.
    pub region: String,
    /// X-TC-Version.
    pub version: String,
    /// Its body.
    pub body: Value,
}

/// The endpoint, which runs until it is stopped.
pub struct Endpoint {
    address: String,
    done: Arc<AtomicBool>,
    thread: JoinHandle<Vec<Sent>>,
}

impl Endpoint {
    /// Starts it. `answers` gets an action and the number of earlier requests for it, and returns
    /// the Response's members.
    pub fn start(answers: impl Fn(&str, usize) -> Value + Send + 'static) -> Endpoint {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let address = listener.local_addr().expect("it is bound").to_string();
        let done = Arc::new(AtomicBool::new(false));
        let until = Arc::clone(&done);
        let thread = thread::spawn(move || {
            let mut all: Vec<Sent> = Vec::new();
            for stream in listener.incoming() {
                if until.load(Ordering::SeqCst) {
                    break;
                }
                let mut stream = stream.expect("a connection is accepted");
                let sent = read(&stream);
                let nth = all.iter().filter(|before| before.action == sent.action).count();
                let mut response = answers(&sent.action, nth);
                response["RequestId"] = json!("00000000-0000-0000-0000-000000000000");
                let body = json!({ "Response": response }).to_string();
                let head = format!(
                    "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: \
                     {}\r\nConnection: close\r\n\r\n",
                    body.len()
                );
                stream.write_all(format!("{head}{body}").as_bytes()).expect("the peer reads");
                all.push(sent);
            }
            all
        });
        Endpoint { address, done, thread }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Stops it; returns all requests.
    pub fn stop(self) -> Vec<Sent> {
        self.done.store(true, Ordering::SeqCst);
        drop(TcpStream::connect(&self.address)); // wakes it up
        self.thread.join().expect("the endpoint did not panic")
    }
}

fn read(stream: &TcpStream) -> Sent {
    let mut reader = BufReader::new(stream);
    let mut fields = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).expect("the peer writes");
        match line.trim_end().split_once(':') {
            Some((name, value)) => {
                fields.push((name.to_ascii_lowercase(), value.trim().to_owned()))
            }
            None if line.trim_end().is_empty() => break,
            None => {} // the request line
        }
    }
    let field = |name: &str| {
        let found = fields.iter().find(|(known, _)| known == name);
        found.unwrap_or_else(|| panic!("no {name} in {fields:?}")).1.clone()
    };
    let mut body = vec![0; field("content-length").parse().expect("a length is a number")];
    reader.read_exact(&mut body).expect("the body is whole");
    assert!(
        field("authorization").starts_with("TC3-HMAC-SHA256 Credential=AKIDEXAMPLE/"),
        "it is signed"
    );
    Sent {
        action: field("x-tc-action"),
        region: field("x-tc-region"),
        version: field("x-tc-version"),
        body: serde_json::from_slice(&body).expect("the body is JSON"),
    }
}
