//! Section 2: the end of a process. Requests in flight at SIGTERM and background work finish or are
//! named in the log; the function's stop hooks run; the exit code is 0 only if all of it succeeded.

use outside::peer::{Peer, get};
use outside::program;
use outside::server::Server;
use rustix::process::Signal;
use std::process::Command;
use std::time::{Duration, Instant};

fn with(variables: &[(&str, &str)]) -> Server {
    let mut command = Command::new(program::waiting());
    command.envs(variables.iter().copied());
    Server::start(command)
}

/// In the boot lane, and after it.
fn both(variables: &[(&str, &str)]) -> [Server; 2] {
    [with(variables), with(variables).at_rest()]
}

fn get_as(path: &str, id: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: h\r\nX-Scf-Request-Id: {id}\r\n\r\n")
}

fn lines(server: &Server, text: &str) -> usize {
    server.output().iter().filter(|line| line.contains(text)).count()
}

/// Checks that one line has the text: it may be read after the process has ended.
#[track_caller]
fn assert_logged(server: &Server, text: &str) {
    outside::eventually(&format!("one line with `{text}`"), || lines(server, text) == 1);
}

/// Waits until the request that was just sent is in its handler: its wait lends the loop, and
/// another request is answered. In the boot lane another request would end the lane, and nothing
/// shows the state from outside: there it sleeps for a moment.
fn in_handler(server: &Server, lane: bool) {
    if lane {
        std::thread::sleep(Duration::from_millis(100));
    } else {
        assert_eq!(Peer::to(server.address).ask(get("/")).text(), "here");
    }
}

/// Regression: code after `serve()` was skipped if a request of 15 s was in flight at SIGTERM. Its
/// client got nothing, no line was logged, and the exit code was 0.
#[test]
fn a_request_that_exceeds_the_drain_time_is_named_and_the_stop_hook_still_runs() {
    for how in ["sleep", "std-sleep", "blocking", "computing"] {
        for (server, lane) in
            both(&[("DRAIN_MS", "600"), ("STOP_HOOK", "quick")]).into_iter().zip([true, false])
        {
            let mut server = server;
            let mut peer = Peer::to(server.address);
            peer.send(get_as(&format!("/wait/{how}?ms=15000"), "long-1"));
            in_handler(&server, lane);
            let start = Instant::now();
            server.signal(Signal::TERM);
            assert_eq!(server.wait().code(), Some(1), "{how}, lane {lane}");
            let took = start.elapsed();
            assert!(
                took >= Duration::from_millis(450) && took < Duration::from_secs(5),
                "{took:?}"
            );
            assert_logged(&server, "RequestId:long-1 ");
            assert_logged(&server, "the stop hook has run");
            peer.assert_closed();
        }
    }
}

#[test]
fn a_stop_hook_runs_once_after_the_requests_in_flight() {
    for (server, lane) in both(&[("STOP_HOOK", "quick")]).into_iter().zip([true, false]) {
        let mut server = server;
        let mut peer = Peer::to(server.address);
        peer.send(get("/wait/sleep?ms=500"));
        in_handler(&server, lane);
        server.signal(Signal::TERM);
        assert_eq!(peer.reply().text(), "waited");
        assert_eq!(server.wait().code(), Some(0));
        assert_logged(&server, "the stop hook has run");
    }
    let mut idle = with(&[("STOP_HOOK", "quick")]);
    idle.signal(Signal::INT);
    assert_eq!(idle.wait().code(), Some(0));
    assert_logged(&idle, "the stop hook has run");
}

#[test]
fn a_stop_hook_that_fails_is_logged_and_sets_the_exit_code() {
    for how in ["fails", "panics"] {
        let mut server = with(&[("STOP_HOOK", how)]);
        assert_eq!(Peer::to(server.address).ask(get("/")).text(), "here");
        server.signal(Signal::TERM);
        assert_eq!(server.wait().code(), Some(1));
        assert_logged(&server, "a stop hook failed: ");
        assert_logged(&server, "nothing to flush");
    }
}

#[test]
fn a_stop_hook_that_does_not_end_is_aborted() {
    for server in both(&[("STOP_HOOK", "hangs"), ("DRAIN_MS", "400")]) {
        let mut server = server;
        assert_eq!(Peer::to(server.address).ask(get("/")).text(), "here");
        let start = Instant::now();
        server.signal(Signal::TERM);
        assert_eq!(server.wait().code(), Some(1));
        assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
        assert_logged(&server, "the stop hook runs");
        assert_logged(&server, "ends before it is done");
    }
}

#[test]
fn handlers_and_streams_can_see_the_stop() {
    for (server, lane) in both(&[]).into_iter().zip([true, false]) {
        let mut server = server;
        let mut peer = Peer::to(server.address);
        peer.send(get("/until-stopping"));
        in_handler(&server, lane);
        server.signal(Signal::TERM);
        assert_eq!(peer.reply().text(), "told");
        assert_eq!(server.wait().code(), Some(0));
    }
    for server in both(&[]) {
        let mut server = server;
        let mut peer = Peer::to(server.address);
        peer.send(get("/ticks"));
        peer.wait_for_a_byte();
        server.signal(Signal::TERM);
        assert!(peer.reply().text().ends_with("data: end\n\n"));
        assert_eq!(server.wait().code(), Some(0));
    }
}

/// Regression: work after the reply was neither tracked nor drained.
#[test]
fn the_end_waits_for_background_work_which_has_its_requests_id() {
    for server in both(&[("STOP_HOOK", "quick")]) {
        let mut server = server;
        let mut peer = Peer::to(server.address);
        assert_eq!(peer.ask(get_as("/background/ends?ms=500", "bg-1")).text(), "begun");
        assert_eq!(lines(&server, "has ended"), 0, "the reply does not wait");
        assert_eq!(peer.ask(get_as("/background/stops", "bg-2")).text(), "begun");
        server.signal(Signal::TERM);
        assert_eq!(server.wait().code(), Some(0));
        assert_logged(&server, "the stop hook has run");
        let output = server.output();
        let at = |text: &str| output.iter().position(|line| line.contains(text));
        assert!(at("RequestId:bg-1 background work has ended").is_some(), "{output:?}");
        assert!(at("RequestId:bg-2 background work has stopped").is_some(), "{output:?}");
        assert!(at("the stop hook runs") > at("bg-1"), "{output:?}");
    }
}

#[test]
fn aborted_background_work_is_named() {
    for server in both(&[("DRAIN_MS", "300")]) {
        let mut server = server;
        let ask = get_as("/background/ends?ms=15000", "bg-3");
        assert_eq!(Peer::to(server.address).ask(ask).text(), "begun");
        server.signal(Signal::TERM);
        assert_eq!(server.wait().code(), Some(1));
        let line_start =
            "ERROR firstbyte: RequestId:bg-3 background work of tests/programs/waiting.rs:";
        assert_logged(&server, line_start);
    }
}

#[test]
fn background_work_is_bounded_and_its_failures_are_logged() {
    let server = with(&[("DRAIN_MS", "300")]);
    let mut peer = Peer::to(server.address);
    for (path, line_start) in [
        ("/background/panics", "panicked: in the background (at tests/programs/waiting.rs:"),
        ("/background/fails", "failed: invalid digit found in string"),
    ] {
        assert_eq!(peer.ask(get_as(path, "bg-4")).text(), "begun");
        outside::eventually(line_start, || {
            server
                .output()
                .iter()
                .filter(|line| {
                    line.starts_with("ERROR firstbyte: RequestId:bg-4 background work of ")
                        && line.contains(line_start)
                })
                .count()
                == 1
        });
    }
    for _ in 0..3 {
        assert_eq!(peer.ask(get("/background/ends?ms=15000")).text(), "begun");
    }
    peer.ask(get_as("/background/ends?ms=15000", "bg-5")).assert_is_error(503);
    let line_start =
        "RequestId:bg-5 503 GET /background/ends: 3 pieces of background work are running";
    outside::eventually(line_start, || lines(&server, line_start) == 1);
    assert_eq!(peer.ask(get("/")).text(), "here", "handlers have threads of their own");
}
