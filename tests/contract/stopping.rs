//! Section 2: SIGTERM and SIGINT. Requests in flight finish, then the process ends with status 0,
//! as PID 1 too; with 1 if they do not finish.

use outside::peer::{Peer, get};
use outside::server::{Server, signal_to};
use outside::{PATIENCE, process, program};
use rustix::process::Signal;
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

#[test]
fn a_signal_ends_an_idle_server_at_once_with_status_0() {
    for signal in [Signal::TERM, Signal::INT] {
        let mut server = Server::echo();
        let mut peers: Vec<Peer> = (0..10).map(|_| Peer::to(server.address)).collect();
        for peer in &mut peers {
            assert_eq!(peer.ask(get("/")).status, 200);
        }
        let start = Instant::now();
        server.signal(signal);
        assert_eq!(server.wait().code(), Some(0));
        assert!(start.elapsed() < Duration::from_secs(2), "it took {:?}", start.elapsed());
        for peer in &mut peers {
            peer.assert_closed();
        }
    }
}

#[test]
fn a_signal_before_the_first_connection_ends_the_server() {
    let mut server = Server::echo();
    server.signal(Signal::TERM);
    assert_eq!(server.wait().code(), Some(0));
}

/// The end of the drain time was a sum that no clock holds: a panic at SIGTERM, exit code 101.
#[test]
fn times_without_end_are_no_panic() {
    let longest = u64::MAX.to_string();
    let times = ["head_timeout", "body_timeout", "write_timeout", "drain_timeout"];
    let limits: Vec<String> = times.iter().map(|name| format!("{name}={longest}")).collect();
    let limits: Vec<&str> = limits.iter().map(String::as_str).collect();
    for at_rest in [false, true] {
        let server = crate::server_with(&limits);
        let mut server = if at_rest { server.at_rest() } else { server };
        let mut peer = Peer::to(server.address);
        peer.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\na");
        std::thread::sleep(Duration::from_millis(50));
        assert_eq!(peer.ask("b").text(), "POST / 2");
        peer.send(get("/reply?bytes=20000000"));
        std::thread::sleep(Duration::from_millis(50));
        assert_eq!(peer.reply().body.len(), 20_000_000);
        peer.send(get("/sleep?ms=200"));
        std::thread::sleep(Duration::from_millis(50));
        server.signal(Signal::TERM);
        assert_eq!(peer.reply().text(), "slept");
        drop(peer);
        assert_eq!(server.wait().code(), Some(0), "{:?}", server.output());
    }
}

#[test]
fn requests_in_flight_finish() {
    let mut server = Server::echo();
    let mut sleeper = Peer::to(server.address);
    sleeper.send(get("/sleep?ms=1500"));
    let mut uploader = Peer::to(server.address);
    uploader.send("POST /up HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nbo");
    assert_eq!(Peer::to(server.address).ask(get("/")).status, 200); // both are in flight by now
    server.signal(Signal::TERM);
    outside::eventually("no connection is accepted any more", || {
        TcpStream::connect(server.address).is_err()
    });
    let uploaded = uploader.ask("dy");
    assert_eq!((&uploaded.json()["body_bytes"], uploaded.closes()), (&4.into(), true));
    let slept = sleeper.reply();
    assert_eq!((slept.status, slept.closes()), (200, true));
    drop((uploader, sleeper));
    assert_eq!(server.wait().code(), Some(0));
}

#[test]
fn a_request_that_does_not_finish_is_aborted_after_the_drain_time() {
    let mut server = crate::server_with(&["drain_timeout=300"]).at_rest();
    let mut sleeper = Peer::to(server.address);
    sleeper.send(get("/sleep?ms=60000"));
    assert_eq!(Peer::to(server.address).ask(get("/")).status, 200);
    let start = Instant::now();
    server.signal(Signal::TERM);
    assert_eq!(server.wait().code(), Some(1));
    assert!(start.elapsed() >= Duration::from_millis(300));
    sleeper.assert_closed();
}

#[test]
fn a_second_signal_changes_nothing() {
    let mut server = Server::echo();
    let mut sleeper = Peer::to(server.address);
    sleeper.send(get("/sleep?ms=1500"));
    assert_eq!(Peer::to(server.address).ask(get("/")).status, 200);
    server.signal(Signal::TERM);
    server.signal(Signal::INT);
    server.signal(Signal::TERM);
    assert_eq!(sleeper.reply().status, 200);
    drop(sleeper);
    assert_eq!(server.wait().code(), Some(0));
}

/// To PID 1 the kernel delivers only signals that have a handler, and a scratch image has no shell
/// that would forward them.
#[test]
fn sigterm_ends_the_server_as_pid_1() {
    let namespace: &[&str] =
        if rustix::process::geteuid().is_root() { &["-p", "-f"] } else { &["-r", "-p", "-f"] };
    let allowed = Command::new("unshare")
        .args(namespace)
        .arg("true")
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|it| it.success());
    if !allowed {
        eprintln!(
            "skipped: `unshare {}` is not permitted here (it makes a PID namespace)",
            namespace.join(" ")
        );
        return;
    }
    let mut command = Command::new("unshare");
    command.args(namespace).arg("--kill-child").arg("--").arg(program::echo());
    let mut server = Server::start(command);
    let mut sleeper = Peer::to(server.address);
    sleeper.send(get("/sleep?ms=1500"));
    assert_eq!(Peer::to(server.address).ask(get("/")).status, 200);
    let init = process::children(server.id());
    assert_eq!(init.len(), 1, "unshare has one child: the server");
    signal_to(init[0], Signal::TERM);
    assert_eq!(sleeper.reply().status, 200);
    drop(sleeper);
    let start = Instant::now();
    assert_eq!(server.wait().code(), Some(0));
    assert!(start.elapsed() < PATIENCE);
}
