//! Deadlocks. Regression: a handler that waited for itself, or two that waited for each other, kept
//! their connections and the instance for ever. A proven deadlock ends the process, with a line
//! that names the request. A wait that another request or a peer could end is never a deadlock.

use outside::peer::{Peer, ask, get};
use outside::server::Server;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

#[track_caller]
fn function() -> Server {
    Server::start(Command::new(outside::program::waiting()))
}

/// Checks that the process ends within five seconds, serves others until then, and names one of the
/// requests.
#[track_caller]
fn assert_ends(mut server: Server, how: &str, requests: usize) {
    let began = Instant::now();
    let _peers: Vec<Peer> = (0..requests)
        .map(|n| {
            let mut peer = Peer::to(server.address);
            peer.send(format!(
                "GET /deadlock/{how}?n={n} HTTP/1.1\r\nHost: h\r\n\
                 X-Scf-Request-Id: stuck-{n}\r\n\r\n"
            ));
            peer
        })
        .collect();
    for _ in 0..20 {
        assert_eq!(ask(server.address, get("/")).text(), "here", "{how}");
    }
    let status = server.wait();
    assert!(began.elapsed() < Duration::from_secs(5), "{how}: {:?}", began.elapsed());
    assert!(!status.success(), "{how}: {status:?}");
    let names = |line: &String| line.contains("stuck-") && line.contains("never released");
    outside::eventually("the line is read", || server.output().iter().any(names));
    assert_eq!(server.output().iter().filter(|line| names(line)).count(), 1, "{how}");
}

#[test]
fn a_handler_that_waits_for_itself_ends_the_process() {
    thread::scope(|scope| {
        for how in ["mutex", "rwlock-write", "rwlock-read", "lazy", "in-blocking"] {
            scope.spawn(move || {
                assert_ends(function().at_rest(), how, 1);
                assert_ends(function(), how, 1); // as the very first request
            });
        }
    });
}

#[test]
fn handlers_that_wait_for_each_other_end_the_process() {
    assert_ends(function().at_rest(), "each-other", 2);
}

/// A condition variable counts its notifications; a contended lock has the value 2. A handler that
/// waits for another request with that value is not a deadlock, even after a long time. Nor is one
/// that waits for a lock of a handler with a slow reader.
#[test]
fn a_wait_that_another_request_or_a_peer_can_end_is_not_a_deadlock() {
    let (mut by_request, mut by_peer) = (function().at_rest(), function().at_rest());
    let mut waiting: Vec<Peer> = (0..7).map(|_| Peer::to(by_request.address)).collect();
    for peer in &mut waiting {
        peer.send(get("/turns?of=8"));
        thread::sleep(Duration::from_millis(800)); // each of the values 1 to 7 is waited with
    }
    let mut slow = Peer::to(by_peer.address);
    slow.send(get("/stream/not?bytes=16777216"));
    slow.wait_for_a_byte();
    let mut locked = Peer::to(by_peer.address);
    locked.send(get("/mutex/not"));
    locked.assert_silent(Duration::from_secs(6));
    by_request.assert_alive();
    by_peer.assert_alive();
    assert_eq!(ask(by_request.address, get("/turns?of=8")).text(), "all");
    for peer in &mut waiting {
        assert_eq!(peer.reply().text(), "all");
    }
    assert_eq!(slow.reply().text().len(), 16 << 20);
    assert_eq!(locked.reply().text(), "2");
}
