//! examples/server_sent_events.rs over a socket: events arrive when they are sent, a reader
//! continues after its last event, and a silent stream has a heartbeat.

use outside::peer::{Peer, ask, post};
use outside::program;
use outside::server::Server;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::Command;
use std::time::Duration;

/// A reader of the stream's lines, with the chunked framing.
struct Reader(BufReader<TcpStream>);

impl Reader {
    fn begin(address: SocketAddr, last: &str) -> Reader {
        let mut stream = TcpStream::connect(address).expect("it listens");
        stream.set_read_timeout(Some(Duration::from_secs(20))).expect("it can be set");
        let fields = format!("Host: h\r\n{last}\r\n");
        stream.write_all(format!("GET /events HTTP/1.1\r\n{fields}").as_bytes()).expect("sent");
        let mut reader = Reader(BufReader::new(stream));
        reader.until("retry: 2000");
        reader
    }

    /// Reads up to the line, and returns those before it.
    fn until(&mut self, wanted: &str) -> Vec<String> {
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            let size = self.0.read_line(&mut line).expect("a line within the time-out");
            assert!(size > 0, "no `{wanted}` in {lines:?}");
            let line = line.trim_end().to_owned();
            if line == wanted {
                return lines;
            }
            lines.push(line);
        }
    }
}

#[test]
fn a_reader_continues_after_its_last_event() {
    let mut command = Command::new(program::example("server_sent_events"));
    command.env("HEARTBEAT_MS", "700");
    let server = Server::start(command);
    let say = |text: &str| {
        let reply = ask(server.address, post("/say", text));
        assert_eq!(reply.status, 202, "{reply:?}");
        reply.text().trim().to_owned()
    };
    let mut first = Reader::begin(server.address, "");
    first.until(": still here");
    assert_eq!(say("one"), "1");
    first.until("id: 1");
    first.until("data: one");
    drop(first);
    say("two\r\nin lines");
    say("three");
    let mut again = Reader::begin(server.address, "Last-Event-ID: 1\r\n");
    let before = again.until("id: 2");
    assert!(!before.iter().any(|line| line.starts_with("data")), "{before:?}");
    assert_eq!(again.until("data: in lines")[0], "data: two");
    again.until("id: 3");
    again.until("data: three");
    let mut other_life = Reader::begin(server.address, "Last-Event-ID: 900\r\n");
    other_life.until("id: 1");
    for number in 4..=1102 {
        assert_eq!(say("many"), number.to_string());
    }
    let mut late = Reader::begin(server.address, "Last-Event-ID: 1\r\n");
    late.until("event: lost");
    late.until("data: 101");
    late.until("id: 103");
    let mut peer = Peer::to(server.address);
    assert_eq!(peer.ask(post("/say", vec![b'x'; 5000])).status, 413);
}
