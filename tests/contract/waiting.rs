//! Handlers that wait while the runtime runs: for every kind of wait, each request is answered in
//! its turn, and requests on other paths meanwhile. Regression: a handler that waited for a lock of
//! the standard library stopped its worker, and so the handler that held the lock: the instance
//! hung for ever, without a message. The function is programs/waiting.rs, built as functions are.

use outside::peer::{Peer, ask, get};
use outside::process;
use outside::server::Server;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

/// The function with this many workers, after its boot lane.
#[track_caller]
fn function(workers: usize) -> Server {
    let mut command = Command::new(outside::program::waiting());
    command.env("WORKERS", workers.to_string());
    Server::start(command).at_rest()
}

/// Requests all `targets` at once and other paths meanwhile; returns the answers and their numbers.
#[track_caller]
fn at_once(server: &Server, targets: &[String]) -> BTreeMap<String, usize> {
    let mut peers: Vec<Peer> = targets.iter().map(|_| Peer::to(server.address)).collect();
    for (peer, target) in peers.iter_mut().zip(targets) {
        peer.send(get(target));
    }
    for _ in 0..3 {
        let asked = Instant::now();
        assert_eq!(ask(server.address, get("/")).text(), "here");
        assert!(
            asked.elapsed() < Duration::from_secs(1),
            "{}: another path waited for {:?}",
            targets[0],
            asked.elapsed()
        );
    }
    let mut answers = BTreeMap::new();
    for peer in &mut peers {
        let reply = peer.reply();
        let text = if reply.status == 200 { reply.text().to_owned() } else { String::new() };
        *answers.entry(format!("{} {text}", reply.status)).or_default() += 1;
    }
    answers
}

/// The same for 8 and for 100 requests, with one worker and with two.
#[track_caller]
fn in_every_crowd(targets: impl Fn(usize) -> Vec<String>, expected: impl Fn(usize, &str) -> bool) {
    for workers in [1, 2] {
        for count in [8, 100] {
            let mut server = function(workers);
            let targets = targets(count);
            let answers = at_once(&server, &targets);
            assert_eq!(answers.values().sum::<usize>(), count);
            for (answer, times) in &answers {
                assert!(
                    expected(count, answer),
                    "{} with {workers} workers: {times} times `{answer}`",
                    targets[0]
                );
            }
            server.assert_alive();
        }
    }
}

fn all_of(target: &str) -> impl Fn(usize) -> Vec<String> {
    move |count| vec![target.to_owned(); count]
}

#[test]
fn first_uses_of_values_whose_initialisers_wait() {
    for how in ["blocking", "sleep", "join"] {
        in_every_crowd(
            |count| (0..count).map(|n| format!("/once/{how}?n={}", n % 4)).collect(),
            |_, answer| ["200 0", "200 1", "200 2", "200 3"].contains(&answer),
        );
    }
}

#[test]
fn locks_held_over_waits() {
    let numbered = |count: usize, answer: &str| {
        let number = answer.strip_prefix("200 ").and_then(|text| text.parse().ok());
        number.is_some_and(|number: usize| (1..=count).contains(&number))
    };
    for how in ["blocking", "sleep", "join"] {
        in_every_crowd(all_of(&format!("/mutex/{how}?ms=2")), numbered);
        in_every_crowd(all_of(&format!("/parking-lot/{how}?ms=2")), numbered);
        in_every_crowd(all_of(&format!("/rwlock/{how}?ms=2")), |_, answer| answer == "200 true");
    }
}

#[test]
fn conditions_channels_scopes_and_timed_waits() {
    in_every_crowd(
        |count| vec![format!("/turns?of={count}"); count],
        |_, answer| answer == "200 all",
    );
    in_every_crowd(all_of("/channel"), |_, answer| answer == "200 45");
    in_every_crowd(all_of("/scope"), |_, answer| answer == "200 3");
    in_every_crowd(all_of("/timed"), |_, answer| answer == "200 true");
    in_every_crowd(all_of("/print"), |_, answer| answer == "200 printed");
}

#[test]
fn a_lock_held_over_a_streams_writes() {
    for how in ["not", "sleep", "blocking"] {
        in_every_crowd(all_of(&format!("/stream/{how}?bytes=131072")), |_, answer| {
            answer == format!("200 {}", "x".repeat(131_072))
        });
    }
}

/// A handler with a reader that does not read holds a lock as long as its stream lasts. Requests on
/// other paths are served, and those that need the lock wait for it.
#[test]
fn an_unread_stream_holds_its_lock_and_delays_no_other() {
    let server = function(1);
    let mut slow = Peer::to(server.address);
    slow.send(get("/stream/not?bytes=16777216"));
    slow.wait_for_a_byte();
    let mut waits = Peer::to(server.address);
    waits.send(get("/mutex/not"));
    for _ in 0..20 {
        assert_eq!(ask(server.address, get("/")).text(), "here");
    }
    waits.assert_silent(Duration::from_millis(200));
    assert_eq!(slow.reply().text().len(), 16 << 20);
    assert_eq!(waits.reply().text(), "2");
}

/// Handlers that block or compute without the library are detected: others wait for some
/// milliseconds.
#[test]
fn handlers_that_block_without_the_library_delay_others_for_less_than_a_second() {
    for how in ["std-sleep", "join"] {
        in_every_crowd(all_of(&format!("/wait/{how}?ms=1500")), |_, answer| answer == "200 waited");
    }
    let server = function(1);
    let mut computes = Peer::to(server.address);
    computes.send(get("/wait/computing?ms=1000"));
    let asked = Instant::now();
    assert_eq!(ask(server.address, get("/")).text(), "here");
    assert!(asked.elapsed() < Duration::from_millis(500), "{:?}", asked.elapsed());
    assert!(!computes.has_input());
    assert_eq!(computes.reply().text(), "waited");
}

#[test]
fn a_handler_that_holds_its_worker_for_over_a_second_is_logged_once_with_its_request() {
    let server = function(1);
    let mut holds = Peer::to(server.address);
    holds.send(
        "GET /wait/std-sleep?ms=2500 HTTP/1.1\r\nHost: h\r\nX-Scf-Request-Id: holds-1\r\n\r\n",
    );
    let told = || {
        let says = |line: &&String| line.contains("holds-1") && line.contains("over a second");
        server.output().iter().filter(says).count()
    };
    let end = Instant::now() + Duration::from_secs(2);
    while Instant::now() < end && told() == 0 {
        assert_eq!(ask(server.address, get("/")).text(), "here");
        thread::sleep(Duration::from_millis(10)); // others come now and then
    }
    assert_eq!(told(), 1, "{:?}", server.output());
    assert_eq!(holds.reply().text(), "waited");
    assert_eq!(told(), 1, "{:?}", server.output());
}

/// Regression: with safe code a reference count became wrong and the process died, because a
/// coroutine continued on another thread, or two coroutines of one thread interleaved in the use of
/// a variable.
#[test]
fn thread_local_values_belong_to_one_handler() {
    for how in ["sleep", "blocking", "std-sleep", "not"] {
        for workers in [1, 2, 4] {
            let server = function(workers);
            for _ in 0..3 {
                let counted = at_once(&server, &vec![format!("/rc/{how}?clones=200&ms=3"); 64]);
                assert_eq!(counted, BTreeMap::from([("200 true 200 2".to_owned(), 64)]), "{how}");
                let lazy = at_once(&server, &vec![format!("/lazy/{how}?ms=3"); 64]);
                assert_eq!(lazy, BTreeMap::from([("200 true".to_owned(), 64)]), "{how}");
            }
        }
    }
}

/// Regression: a panic that waits while it unwinds poisoned the locks of other handlers, which saw
/// that the thread was panicking.
#[test]
fn a_panic_that_waits_poisons_no_other_lock() {
    let server = function(1);
    for how in ["sleep", "blocking", "std-sleep"] {
        let targets: Vec<String> = (0..64)
            .map(|n| match n % 2 {
                0 => format!("/unwind/{how}?ms=3"),
                _ => format!("/mutex/{how}?ms=1"),
            })
            .collect();
        let answers = at_once(&server, &targets);
        assert_eq!(answers.get("500 "), Some(&32), "{answers:?}");
        assert_eq!(answers.len(), 33, "each lock had its turn: {answers:?}");
    }
}

/// A waiting handler costs only its thread, which ends soon after. No thread wakes up without a
/// reason, during the wait and after it.
#[test]
fn threads_end_and_nothing_wakes_up_idly() {
    let server = function(2);
    let at_rest = process::threads(server.id());
    at_once(&server, &vec!["/wait/sleep?ms=20".to_owned(); 100]);
    assert!(process::threads(server.id()) > 50, "each of the handlers has had a thread");
    outside::eventually("spare threads end", || process::threads(server.id()) <= at_rest + 2);
    let before = process::voluntary_switches_at_rest(server.id());
    thread::sleep(Duration::from_secs(2)); // checks that nothing happens, which sends no signal
    assert_eq!(process::voluntary_switches(server.id()), before);
}

/// Many waits of all kinds at once, repeatedly: every request is answered.
#[test]
fn every_request_is_answered_in_a_crowd_of_all_kinds() {
    let kinds = [
        "/mutex/sleep?ms=0",
        "/mutex/not",
        "/rwlock/blocking?ms=0",
        "/parking-lot/not",
        "/channel?ms=0",
        "/scope?ms=0",
        "/timed?ms=1",
        "/rc/blocking?ms=0",
        "/wait/blocking?ms=0",
        "/wait/sleep?ms=0",
        "/stream/blocking?bytes=65536&ms=0",
        "/",
    ];
    for workers in [1, 2] {
        let server = function(workers);
        let address: SocketAddr = server.address;
        thread::scope(|scope| {
            for caller in 0..24 {
                scope.spawn(move || {
                    let mut peer = Peer::to(address);
                    let mut random = fastrand::Rng::with_seed(caller);
                    for _ in 0..100 {
                        let target = kinds[random.usize(..kinds.len())];
                        assert_eq!(peer.ask(get(target)).status, 200, "{target}");
                    }
                });
            }
        });
    }
}
