//! The boot lane continues while there is one request at a time: one thread answers and waits, and
//! requests that arrive meanwhile are served. The function is programs/waiting.rs, built as
//! functions are.

use outside::peer::{Peer, ask, get};
use outside::process;
use outside::server::Server;
use rustix::process::Signal;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

fn function(workers: usize) -> Server {
    let mut command = Command::new(outside::program::waiting());
    command.env("WORKERS", workers.to_string());
    Server::start(command)
}

fn alone(server: &Server) {
    outside::eventually("one thread is left", || process::threads(server.id()) == 1);
}

#[test]
fn requests_after_each_other_need_one_thread() {
    let server = function(1);
    let mut kept = Peer::to(server.address);
    for how in ["sleep", "blocking", "std-sleep"] {
        for ms in [0, 5] {
            assert_eq!(kept.ask(get(&format!("/wait/{how}?ms={ms}"))).status, 200);
            assert_eq!(ask(server.address, get("/")).text(), "here");
            alone(&server);
        }
    }
    for _ in 0..200 {
        assert_eq!(kept.ask(get("/")).text(), "here");
    }
    alone(&server);
}

#[test]
fn an_instance_at_rest_in_its_lane_does_not_wake_up() {
    let server = function(1);
    let mut kept = Peer::to(server.address);
    assert_eq!(kept.ask(get("/wait/blocking?ms=60")).status, 200);
    alone(&server);
    let before = process::voluntary_switches_at_rest(server.id());
    thread::sleep(Duration::from_secs(1)); // checks that nothing happens, which sends no signal
    assert_eq!(process::voluntary_switches(server.id()), before);
    assert_eq!(kept.ask(get("/")).text(), "here");
}

/// Regression: a first handler that blocked without the library blocked others for its whole time.
/// One that used the library's waits started the runtime before each wait, even without another
/// peer.
#[test]
fn others_are_served_while_a_handler_waits_in_the_lane() {
    for how in ["sleep", "blocking", "std-sleep"] {
        let mut server = function(1);
        let mut waits = Peer::to(server.address);
        let mut silent = Peer::to(server.address);
        waits.send(get(&format!("/wait/{how}?ms=2000")));
        let asked = Instant::now();
        assert_eq!(ask(server.address, get("/")).text(), "here", "{how}");
        assert!(asked.elapsed() < Duration::from_secs(1), "{how}: {:?}", asked.elapsed());
        assert!(!waits.has_input(), "{how}: the other one was answered before it");
        assert_eq!(silent.ask(get("/")).text(), "here", "{how}");
        assert_eq!(waits.reply().status, 200, "{how}");
        assert_eq!(waits.ask(get("/")).text(), "here", "{how}: its connection was handed over");
        server.assert_alive();
    }
}

#[test]
fn silent_peers_do_not_end_the_lane_while_a_handler_waits() {
    let server = function(1);
    let mut waits = Peer::to(server.address);
    waits.send(get("/wait/sleep?ms=400"));
    let mut silent: Vec<Peer> = (0..3).map(|_| Peer::to(server.address)).collect();
    assert_eq!(waits.reply().status, 200);
    alone(&server);
    for peer in &mut silent {
        assert_eq!(peer.ask(get("/")).text(), "here");
    }
    alone(&server);
}

#[test]
fn pipelined_requests_are_answered_in_their_order_beside_others() {
    let server = function(1);
    let mut greedy = Peer::to(server.address);
    greedy.send(get("/wait/sleep?ms=1").repeat(300));
    assert_eq!(ask(server.address, get("/")).text(), "here");
    for _ in 0..300 {
        assert_eq!(greedy.reply().status, 200);
    }
}

#[test]
fn several_workers_start_after_the_first_reply() {
    let server = function(4);
    assert_eq!(ask(server.address, get("/")).text(), "here");
    outside::eventually("each worker has a thread", || process::threads(server.id()) >= 5);
}

#[test]
fn a_kept_connection_in_the_lane_does_not_delay_the_end() {
    let mut server = function(1);
    let mut kept = Peer::to(server.address);
    assert_eq!(kept.ask(get("/")).text(), "here");
    server.signal(Signal::TERM);
    let asked = Instant::now();
    assert!(server.wait().success());
    assert!(asked.elapsed() < Duration::from_secs(5));
    kept.assert_closed();
}
