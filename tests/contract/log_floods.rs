//! Lines about what the server refuses: at most 20 a second, none while nobody reads the log, the
//! rest counted. A peer that was refused 700 times stopped a server whose log nobody read: each
//! refusal wrote a line, and a full pipe blocks its writer.

use outside::peer::{Peer, get};
use outside::refusals::accounted;
use outside::server::Server;
use outside::{eventually, program};
use rustix::pipe::fcntl_setpipe_size;
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::panic;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::Mutex;
use std::thread;

/// Of each status that the server itself answers with, one request.
const REFUSED: [(&str, u16); 5] = [
    ("X\r\n\r\n", 400),
    ("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 99999999\r\n\r\n", 413),
    ("GET / HTTP/1.1\r\nHost: h\r\nExpect: x\r\n\r\n", 417),
    ("GET / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: gzip\r\n\r\n", 501),
    ("GET / HTTP/3.0\r\nHost: h\r\n\r\n", 505),
];

#[track_caller]
fn be_refused(address: SocketAddr, times: usize) {
    for number in 0..times {
        let (request, status) = REFUSED[number % REFUSED.len()];
        Peer::to(address).ask(request).assert_is_error(status);
    }
}

#[test]
fn every_refusal_is_written_or_counted_and_every_failure_written() {
    for at_rest in [false, true] {
        let server = Server::echo();
        let server = if at_rest { server.at_rest() } else { server };
        for _ in 0..5 {
            be_refused(server.address, 100);
            for _ in 0..10 {
                Peer::to(server.address).ask(get("/panic")).assert_is_error(500);
                Peer::to(server.address).ask(get("/reply")).assert_is_error(400);
            }
        }
        // The count comes by itself: nothing else happens any more.
        eventually("each is accounted for", || {
            let lines = server.output();
            let (written, counted) = accounted(&lines);
            assert!(written + counted <= 550, "{lines:?}");
            written + counted == 550 && counted > 0
        });
        let lines = server.output();
        let of = |text: &str| lines.iter().filter(|line| line.contains(text)).count();
        assert_eq!((of("500 GET /panic"), of("400 GET /reply")), (50, 50), "handlers' own lines");
    }
}

/// An echo server of whose output only the readiness line is read.
struct Unread {
    child: Child,
    output: ChildStdout,
    address: SocketAddr,
}

impl Unread {
    fn start() -> Unread {
        let mut command = Command::new(program::echo());
        command.env("FIRSTBYTE_ADDR", "127.0.0.1:0").stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("it starts");
        let mut output = child.stdout.take().expect("piped");
        fcntl_setpipe_size(&output, 4096).expect("a pipe may be smaller");
        let (mut line, mut byte) = (String::new(), [0]);
        while !line.ends_with('\n') {
            assert_eq!(output.read(&mut byte).expect("it listens"), 1, "{line}");
            line.push(char::from(byte[0]));
        }
        let address = line.trim_end().rsplit(' ').next().and_then(|text| text.parse().ok());
        Unread { child, output, address: address.expect("the line names an address") }
    }
}

impl Drop for Unread {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn refusals_stop_no_server_whose_log_nobody_reads() {
    let mut server = Unread::start();
    let mut kept = Peer::to(server.address);
    for _ in 0..20 {
        be_refused(server.address, 100);
        assert_eq!(kept.ask(get("/")).status, 200);
    }
    assert_eq!(server.child.try_wait().expect("ours"), None);
    // Somebody reads again: the next refusal brings the count of all before it.
    let lines: Mutex<Vec<String>> = Mutex::default();
    let Unread { output, child, address } = &mut server;
    thread::scope(|scope| {
        scope.spawn(|| {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                lines.lock().expect("nobody panics").push(line);
            }
        });
        be_refused(*address, 1);
        let in_time = panic::catch_unwind(|| {
            eventually("each is accounted for", || {
                let (written, counted) = accounted(&lines.lock().expect("nobody panics"));
                written + counted == 2001 && written < 2 * 20 && counted > 0
            });
        });
        let _ = child.kill(); // ends the reader
        assert!(in_time.is_ok(), "{:?}", lines.lock());
    });
}
