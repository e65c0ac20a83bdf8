//! Handlers that block in `blocking`, panic there, or recurse deeply. The function has
//! `firstbyte::main!`, like the template's, so std's start-up code does not run.

use outside::peer::{Peer, ask, get, invoke};
use outside::server::Server;
use rustix::process::Signal;
use std::os::unix::process::ExitStatusExt;

#[test]
fn any_amount_of_blocking_work_delays_no_other_request() {
    let server = crate::bare().at_rest();
    // More than the pool's threads: the last ones wait for a thread, and other requests do not.
    let mut blocked: Vec<Peer> = (0..20).map(|_| Peer::to(server.address)).collect();
    for peer in &mut blocked {
        peer.send(get("/blocking?ms=1000"));
    }
    let mut other = Peer::to(server.address);
    for _ in 0..50 {
        assert_eq!(other.ask(get("/")).text(), "bare");
    }
    let answered = blocked.iter_mut().map(Peer::has_input).filter(|answered| *answered).count();
    assert!(answered < blocked.len(), "the others were served while these waited");
    for peer in &mut blocked {
        assert_eq!(peer.reply().text(), "slept");
    }
}

#[test]
fn a_panic_in_blocking_work_is_the_requests_500() {
    let mut server = crate::bare().at_rest();
    for round in 0..20 {
        let id = format!("blocked-{round}");
        let reply = ask(
            server.address,
            format!("GET /blocking-panic HTTP/1.1\r\nHost: h\r\nX-Scf-Request-Id: {id}\r\n\r\n"),
        );
        reply.assert_is_error(500);
        assert_eq!(reply.json()["requestId"], id.as_str());
        let told = || server.output().iter().filter(|line| line.contains(&id)).count();
        outside::eventually("the panic is logged", || told() > 0);
        assert_eq!(told(), 1, "in one line: {:?}", server.output());
    }
    server.assert_alive();
}

#[test]
fn a_stack_overflow_is_reported_on_each_kind_of_stack() {
    let overflow = |server: &mut Server, target: &str, advice: &str| {
        Peer::to(server.address).send(get(target));
        let status = server.wait();
        assert_eq!(status.signal(), Some(Signal::SEGV.as_raw()), "{target}: {status:?}");
        let says = |line: &String| line.contains("overflowed its stack") && line.contains(advice);
        outside::eventually(&format!("{target}: a line with `{advice}`"), || {
            server.output().iter().any(says)
        });
    };
    // In the boot lane the limit is that of a coroutine; `blocking` has the thread's own stack.
    overflow(&mut crate::bare(), "/overflow", "of 256 KiB; set Limits::stack_bytes");
    overflow(&mut crate::bare(), "/blocking-overflow", "in `blocking`");
    overflow(&mut crate::bare().at_rest(), "/overflow", "of 256 KiB; set Limits::stack_bytes");
    overflow(&mut crate::bare().at_rest(), "/blocking-overflow", "in `blocking`");
}

#[test]
fn types_of_128_levels_fit_the_default_stack() {
    let mut server = crate::bare().at_rest();
    let mut peer = Peer::to(server.address);
    let chain =
        |levels: usize| format!("{}null{}", "{\"node\":".repeat(levels), "}".repeat(levels));
    // Each value of an enum is a level of its own, behind the name of its variant.
    let (open, close) = ("{\"Struct\":{\"deep\":{\"Map\":{\"k\":{\"List\":[", "]}}}}}");
    let mixed = |levels: usize| {
        let (whole, rest) = ((levels - 3) / 6, (levels - 3) % 6);
        assert_eq!(rest, levels - 3 - whole * 6);
        let (open, close) = (open.repeat(whole), close.repeat(whole));
        let (more, less) = ("{\"List\":[".repeat(rest / 2), "]}".repeat(rest / 2));
        format!("{{\"deep\":{open}{more}{{\"Map\":{{}}}}{less}{close}}}")
    };
    for event in [chain(128), mixed(127)] {
        assert_eq!(peer.ask(invoke(&event)).text(), "deep", "{}", &event[..40]);
    }
    for event in [chain(129), mixed(129)] {
        peer.ask(invoke(&event)).assert_is_error(400);
    }
    server.assert_alive();
}
