//! Test of the limits of the published may_minihttp (cargo feature `minihttp`): it sends the same
//! bytes to the same function on both transports, and expects the differences that
//! src/transport/minihttp.rs lists. It fails if a difference has disappeared, so that an improved
//! release is noticed.

use outside::PATIENCE;
use outside::peer::Peer;
use outside::program;
use outside::server::Server;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command};
use std::time::Instant;

/// The result that a peer sees.
#[derive(Debug, PartialEq, Eq)]
enum Seen {
    Status(u16),
    /// The connection ends without a reply.
    Nothing,
}

/// The echo example on may_minihttp, in its own target folder: in the same folder the feature would
/// replace the other program.
fn build() -> PathBuf {
    let target = program::root().join("target/minihttp");
    let status = Command::new(env!("CARGO"))
        .current_dir(program::root())
        .args(["build", "--quiet", "--release", "--target", program::TARGET, "--example", "echo"])
        .args(["--features", "minihttp", "--config", "profile.release.lto=\"off\"", "--target-dir"])
        .arg(&target)
        .status()
        .expect("cargo runs: it is the one that built this test");
    assert!(status.success(), "the echo example does not build with the feature `minihttp`");
    target.join(program::TARGET).join("release/examples/echo")
}

/// A running echo on may_minihttp, ended by its id when it is dropped.
struct MiniHttp {
    child: Child,
    address: SocketAddr,
}

impl MiniHttp {
    fn start() -> MiniHttp {
        // It does not print its address, so it gets a port that was free a moment ago.
        let address = TcpListener::bind("127.0.0.1:0")
            .and_then(|free| free.local_addr())
            .expect("a free loopback port");
        let mut command = Command::new(build());
        let child =
            command.env("FIRSTBYTE_ADDR", address.to_string()).spawn().expect("the program starts");
        let began = Instant::now();
        while TcpStream::connect(address).is_err() {
            assert!(began.elapsed() < PATIENCE, "the server never listened on {address}");
            std::thread::yield_now();
        }
        MiniHttp { child, address }
    }
}

impl Drop for MiniHttp {
    fn drop(&mut self) {
        let _ = self.child.kill(); // it may have ended already
        let _ = self.child.wait();
    }
}

fn seen(address: SocketAddr, bytes: &[u8]) -> Seen {
    let mut peer = Peer::to(address);
    peer.try_send(bytes);
    peer.half_close();
    match peer.try_reply("GET") {
        Ok(reply) => Seen::Status(reply.status),
        Err(_) => Seen::Nothing,
    }
}

fn with_fields(count: usize) -> Vec<u8> {
    let fields: String = (1..count).map(|n| format!("X-F{n}: 1\r\n")).collect();
    format!("GET /x HTTP/1.1\r\nHost: a\r\n{fields}\r\n").into_bytes()
}

#[test]
fn differs_from_the_default_transport_as_its_page_lists() {
    use Seen::{Nothing, Status};
    let ours = Server::echo();
    let theirs = MiniHttp::start();
    let post = |fields: &str| {
        format!("POST /event-invoke HTTP/1.1\r\nHost: a\r\n{fields}\r\n[1]").into_bytes()
    };
    let cases: [(&str, Vec<u8>, Seen, &[Seen]); 9] = [
        ("a usual event", post("Content-Length: 3\r\n"), Status(200), &[Status(200)]),
        ("16 fields", with_fields(16), Status(200), &[Status(200)]),
        ("17 fields", with_fields(17), Status(200), &[Nothing]),
        ("a length that is no number", post("Content-Length: abc\r\n"), Status(400), &[Nothing]),
        ("a list of lengths", post("Content-Length: 3, 3\r\n"), Status(400), &[Nothing]),
        ("no Host", b"GET /x HTTP/1.1\r\n\r\n".to_vec(), Status(400), &[Status(200)]),
        ("a bare LF", b"GET /x HTTP/1.1\nHost: a\n\n".to_vec(), Status(400), &[Status(200)]),
        ("a malformed request line", b"GET\r\n\r\n".to_vec(), Status(400), &[Nothing]),
        // it depends on whether the end arrives with the head
        ("a body cut short", post("Content-Length: 10\r\n"), Status(400), &[Status(200), Nothing]),
    ];
    for (name, bytes, default, minihttp) in cases {
        assert_eq!(seen(ours.address, &bytes), default, "the default transport: {name}");
        // If the peer half-closes, it loses the reply to a request of the same read, so the peer
        // does not half-close there.
        let mut peer = Peer::to(theirs.address);
        peer.try_send(&bytes);
        if name == "a body cut short" {
            peer.half_close();
        }
        let reply = peer.try_reply("GET").map_or(Nothing, |reply| Status(reply.status));
        assert!(
            minihttp.contains(&reply),
            "may_minihttp: {name}: {reply:?} instead of {minihttp:?}"
        );
    }
}
