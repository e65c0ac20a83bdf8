//! Section 2: initialisation before and with the first request.

use outside::peer::{Peer, get};
use outside::server::{Server, run_to_end};
use std::process::Command;

fn initialised(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_initialised"));
    command.args(arguments);
    command
}

#[test]
fn initialisation_before_listening_is_done_when_the_port_answers() {
    let server = Server::start(initialised(&["before"]));
    assert_eq!(Peer::to(server.address).ask(get("/")).text(), "initialised after 1 runs");
}

#[test]
fn initialisation_that_fails_before_listening_ends_the_process_with_its_message() {
    let mut command = initialised(&["before", "1"]);
    command.env("FIRSTBYTE_ADDR", "127.0.0.1:0");
    let (status, lines) = run_to_end(command);
    assert_eq!(status.code(), Some(1));
    assert_eq!(lines, ["firstbyte: no database, try 1"]);
}

#[test]
fn initialisation_with_the_first_request_runs_once_while_others_wait() {
    let server = Server::start(initialised(&["first"]));
    let mut peers: Vec<Peer> = (0..12).map(|_| Peer::to(server.address)).collect();
    for peer in &mut peers {
        peer.send(get("/"));
    }
    for peer in &mut peers {
        assert_eq!(peer.reply().text(), "initialised after 1 runs");
    }
}

#[test]
fn initialisation_that_fails_is_that_requests_reply_and_is_tried_again() {
    let server = Server::start(initialised(&["first", "2"]));
    let mut peer = Peer::to(server.address);
    for run in 1..=2 {
        let reply = peer.ask(get("/"));
        reply.assert_is_error(500);
        let told = format!("500 GET /: no database, try {run}");
        outside::eventually("the log has the reason", || {
            server.output().iter().filter(|line| line.ends_with(&told)).count() == 1
        });
    }
    assert_eq!(peer.ask(get("/")).text(), "initialised after 3 runs");
}

#[test]
fn the_boot_timeline_is_one_line_after_the_first_reply() {
    let mut command = crate::echo_command();
    command.env("FIRSTBYTE_BOOT_TRACE", "1").env("FIRSTBYTE_EXEC_NS", "1");
    let server = Server::start(command);
    assert_eq!(Peer::to(server.address).ask(get("/")).status, 200);
    let told =
        || server.output().into_iter().find(|line| line.contains("boot in µs since exec: main "));
    outside::eventually("the timeline is printed", || told().is_some());
    let line = told().unwrap_or_default();
    let order = ["main ", "listening ", "first request ", "first reply "];
    let at: Vec<_> = order.iter().map(|name| line.find(name)).collect();
    assert!(at.is_sorted() && at.iter().all(Option::is_some), "{line}");
}
