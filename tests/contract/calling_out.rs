//! `firstbyte::net` in a function: streams that wait in the boot lane, in handlers, in streamed
//! replies and on threads; deadlines; early connections; a pool for a real Redis. The function is
//! programs/calling.rs, built as functions are.

use super::upstream::{Upstream, redis_server, relay};
use outside::peer::{Peer, ask, get};
use outside::process;
use outside::server::Server;
use std::io::Write;
use std::net::SocketAddr;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

fn function(variables: &[(&str, String)]) -> Server {
    let mut command = Command::new(outside::program::calling());
    command.envs(variables.iter().map(|(name, value)| (name, value)));
    Server::start(command)
}

/// The reply's text, which may be an error, and its time.
#[track_caller]
fn timed(server: &Server, target: &str) -> (u16, String, Duration) {
    let asked = Instant::now();
    let reply = ask(server.address, get(target));
    (reply.status, reply.text().to_owned(), asked.elapsed())
}

#[track_caller]
fn assert_failed_in_time(server: &Server, target: &str, ms: u64, words: &[&str]) {
    let (status, text, took) = timed(server, target);
    assert_eq!(status, 500, "{target}: {text}");
    for word in words {
        assert!(text.contains(word), "{target}: `{word}` is not in `{text}`");
    }
    let (least, most) = (Duration::from_millis(ms), Duration::from_millis(ms + 900));
    assert!(took + Duration::from_millis(5) >= least && took < most, "{target}: {took:?}");
}

#[test]
fn a_stream_is_the_same_in_the_lane_in_a_handler_in_a_stream_and_on_a_thread() {
    let upstream = Upstream::echoes(Duration::from_millis(5));
    for is_at_rest in [false, true] {
        let mut server = function(&[]);
        if is_at_rest {
            server = server.at_rest();
        }
        for path in ["/ask", "/ask-in-blocking", "/ask-on-a-thread"] {
            let (status, text, _) =
                timed(&server, &format!("{path}?to={}&ms=5000", upstream.address));
            assert_eq!((status, text.as_str()), (200, "hello"), "{path}");
        }
        let target = format!("/ask-while-streaming?to={}&ms=5000", upstream.address);
        assert_eq!(timed(&server, &target).1, "hello;hello;hello;");
        let by_name = format!("/ask?to=localhost:{}&ms=5000", upstream.address.port());
        assert_eq!(timed(&server, &by_name).1, "hello");
        if !is_at_rest {
            outside::eventually("the lane is still there", || process::threads(server.id()) == 1);
        }
        server.assert_alive();
    }
}

#[test]
fn a_silent_peer_is_a_named_error_after_the_deadline() {
    let silent = Upstream::silent();
    let full = Upstream::full();
    for is_at_rest in [false, true] {
        let mut server = function(&[]);
        if is_at_rest {
            server = server.at_rest();
        }
        for path in ["/ask", "/ask-in-blocking", "/ask-on-a-thread"] {
            let (to, ms) = (silent.address, 300);
            let words = [format!("`{to}` sent nothing in time")];
            let words = words.each_ref().map(String::as_str);
            assert_failed_in_time(&server, &format!("{path}?to={to}&ms={ms}"), ms, &words);
        }
        let to = full.address;
        let words = [format!("cannot connect to `{to}`: {to} does not answer")];
        let words = words.each_ref().map(String::as_str);
        assert_failed_in_time(&server, &format!("/ask?to={to}&ms=300"), 300, &words);
        let words = [format!("`{}` took nothing in time", silent.address)];
        let words = words.each_ref().map(String::as_str);
        assert_failed_in_time(
            &server,
            &format!("/flood?to={}&ms=5000", silent.address),
            200,
            &words,
        );
    }
}

#[test]
fn past_and_unreachable_deadlines_are_accepted() {
    let upstream = Upstream::echoes(Duration::from_millis(50));
    let server = function(&[]);
    let to = upstream.address;
    assert_failed_in_time(&server, &format!("/ask?to={to}&ms=0"), 0, &["in time"]);
    let (status, text, _) = timed(&server, &format!("/ask?to={to}&ms={}", u64::MAX));
    assert_eq!((status, text.as_str()), (200, "hello"));
}

#[test]
fn a_peer_that_refuses_or_closes_is_an_error_at_once() {
    let closing = Upstream::closes();
    let server = function(&[]);
    let words = ["cannot connect to `127.0.0.1:1`: 127.0.0.1:1: Connection refused"];
    assert_failed_in_time(&server, "/ask?to=127.0.0.1:1&ms=5000", 0, &words);
    let target = format!("/ask?to={}&ms=5000", closing.address);
    let (status, text, took) = timed(&server, &target);
    assert_eq!(status, 500);
    assert!(text.contains("closed the connection") || text.contains("cannot"), "{text}");
    assert!(took < Duration::from_millis(900), "{took:?}");
    for to in ["nothing", "a:b", ":1", "host:99999", "http://host:1"] {
        let (status, text, _) = timed(&server, &format!("/ask?to={to}"));
        assert_eq!(status, 500, "{to}");
        assert!(text.contains("write it as host:port"), "{text}");
    }
}

/// A silent upstream never blocks other requests, with the default settings.
#[test]
fn others_are_served_while_a_handler_waits_for_its_peer() {
    let silent = Upstream::silent();
    for is_at_rest in [false, true] {
        for path in ["/ask", "/ask-in-blocking", "/ask-while-streaming"] {
            let mut server = function(&[]);
            if is_at_rest {
                server = server.at_rest();
            }
            let target = format!("{path}?to={}&ms=1500", silent.address);
            let mut waits: Vec<Peer> = (0..5).map(|_| Peer::to(server.address)).collect();
            for peer in &mut waits {
                peer.send(get(&target));
            }
            for _ in 0..3 {
                let (_, text, took) = timed(&server, "/");
                assert_eq!(text, "here");
                assert!(took < Duration::from_millis(500), "{path}: {took:?}");
            }
            if path != "/ask-while-streaming" {
                for peer in &mut waits {
                    let reply = peer.reply();
                    assert_eq!(reply.status, 500);
                    assert!(reply.text().contains("in time"), "{}", reply.text());
                }
            }
            server.assert_alive();
        }
    }
}

#[test]
fn an_early_connection_exists_before_the_request_and_is_used_once() {
    let upstream = Upstream::echoes(Duration::ZERO);
    let variables = [("EARLY", "1".to_owned()), ("UPSTREAM", upstream.address.to_string())];
    let mut server = function(&variables);
    outside::eventually("the upstream is connected to", || upstream.connections() == 1);
    assert_eq!(process::threads(server.id()), 1);
    assert_eq!(timed(&server, "/early?ms=5000").1, "hello");
    assert_eq!(upstream.connections(), 1, "the early one was used");
    assert_eq!(timed(&server, "/early?ms=5000").1, "hello");
    assert_eq!(upstream.connections(), 2, "and not used again");
    server.assert_alive();
}

#[test]
fn an_unused_early_connection_lets_the_instance_sleep() {
    let upstream = Upstream::silent();
    for to in [upstream.address, Upstream::full().address] {
        let server = function(&[("EARLY", "1".to_owned()), ("UPSTREAM", to.to_string())]);
        let before = process::voluntary_switches_at_rest(server.id());
        thread::sleep(Duration::from_secs(1)); // checks that nothing happens, which sends no signal
        assert_eq!(process::voluntary_switches(server.id()), before);
        assert_eq!(timed(&server, "/").1, "here");
    }
}

#[test]
fn a_silent_or_refusing_upstream_delays_no_listening_and_fails_the_first_use() {
    let full = Upstream::full();
    let server = function(&[("EARLY", "1".to_owned()), ("UPSTREAM", full.address.to_string())]);
    assert_eq!(timed(&server, "/").1, "here");
    assert_failed_in_time(&server, "/early?ms=300", 300, &["does not answer"]);
    let server = function(&[("EARLY", "1".to_owned()), ("UPSTREAM", "127.0.0.1:1".to_owned())]);
    assert_eq!(timed(&server, "/").1, "here");
    assert_failed_in_time(&server, "/early?ms=5000", 0, &["Connection refused"]);
    let server = function(&[("EARLY", "1".to_owned()), ("UPSTREAM", "nonsense".to_owned())]);
    assert_failed_in_time(&server, "/early?ms=5000", 0, &["write it as host:port"]);
}

#[test]
fn an_early_connection_continues_when_the_runtime_starts() {
    let upstream = Upstream::echoes(Duration::ZERO);
    let server = function(&[("EARLY", "1".to_owned()), ("UPSTREAM", upstream.address.to_string())])
        .at_rest();
    assert_eq!(timed(&server, "/early?ms=5000").1, "hello");
    assert_eq!(upstream.connections(), 1);
}

#[test]
fn an_old_or_closed_early_connection_is_made_again() {
    let upstream = Upstream::echoes(Duration::ZERO);
    let early = [("EARLY", "1".to_owned()), ("UPSTREAM", upstream.address.to_string())];
    let server = function(&early);
    outside::eventually("the upstream is connected to", || upstream.connections() == 1);
    upstream.close_all();
    assert_eq!(timed(&server, "/early?ms=5000").1, "hello");
    assert_eq!(upstream.connections(), 2, "one that was closed");
    let server = function(&early);
    outside::eventually("the upstream is connected to", || upstream.connections() == 3);
    thread::sleep(Duration::from_millis(850)); // this tests its age
    assert_eq!(timed(&server, "/early?ms=5000").1, "hello");
    assert_eq!(upstream.connections(), 4, "one that is too old");
}

/// Regression: a session that the server had ended failed both following requests, because nothing
/// reconnected.
#[test]
fn a_session_that_redis_has_ended_is_noticed_before_it_is_used() {
    let redis = redis_server();
    let server = function(&[("REDIS", redis.address.to_string())]);
    for expected in 1..=5 {
        let (status, text, _) = timed(&server, "/redis?command=INCR&key=n&ms=5000");
        assert_eq!((status, text), (200, format!(":{expected}")));
        assert_eq!(redis.ask("CLIENT KILL TYPE normal SKIPME yes"), ":1");
    }
    assert_eq!(redis.ask("GET n"), "$1\r\n5");
}

/// A command that may have run is not sent again: INCR runs once, or its caller gets an error.
#[test]
fn a_command_is_sent_again_only_if_that_is_safe() {
    let redis = redis_server();
    // Without a probe, the client notices the end only after it has sent the command.
    let server = function(&[("REDIS", redis.address.to_string()), ("NO_PROBE", "1".to_owned())]);
    let incr = "/redis?command=INCR&key=n&ms=5000";
    assert_eq!(timed(&server, incr).1, ":1");
    assert_eq!(redis.ask("CLIENT KILL TYPE normal SKIPME yes"), ":1");
    assert_eq!(timed(&server, incr).0, 500, "it may have run");
    assert_eq!(redis.ask("GET n"), "$1\r\n1");
    assert_eq!(timed(&server, incr).1, ":2", "the connection was dropped");
    assert_eq!(redis.ask("CLIENT KILL TYPE normal SKIPME yes"), ":1");
    assert_eq!(timed(&server, "/redis?command=GET&key=n&ms=5000&repeat=1").1, "2");
    server_word_keeps_the_connection(&server, &redis);
}

fn server_word_keeps_the_connection(server: &Server, redis: &super::upstream::Redis) {
    redis.ask("SET text x");
    let before = redis.clients();
    let (status, text, _) = timed(server, "/redis?command=INCR&key=text&ms=5000");
    assert!(status == 500 && text.contains("not an integer"), "{text}");
    assert_eq!(redis.clients(), before);
}

/// The server has run the command, and its reply is lost.
#[test]
fn a_command_whose_reply_is_lost_has_run_once() {
    let redis = redis_server();
    let relay = relay(redis.address, 1);
    let server = function(&[("REDIS", relay.to_string())]);
    let incr = "/redis?command=INCR&key=n&ms=5000";
    assert_eq!(timed(&server, incr).1, ":1", "the first reply arrives");
    assert_eq!(timed(&server, incr).0, 500, "the second is cut");
    assert_eq!(redis.ask("GET n"), "$1\r\n2", "and has run once");
    assert_eq!(timed(&server, incr).1, ":3", "on a new connection");
}

#[test]
fn a_pool_stays_within_its_limit_of_connections() {
    let redis = redis_server();
    let server = function(&[("REDIS", redis.address.to_string())]).at_rest();
    let mut peers: Vec<Peer> = (0..20).map(|_| Peer::to(server.address)).collect();
    for peer in &mut peers {
        peer.send(get("/redis?command=INCR&key=n&ms=5000"));
    }
    let mut replies: Vec<String> =
        peers.iter_mut().map(|peer| peer.reply().text().to_owned()).collect();
    replies.sort_by_key(|reply| reply.trim_start_matches(':').parse::<u32>().unwrap_or(0));
    assert_eq!(replies, (1..=20).map(|n| format!(":{n}")).collect::<Vec<_>>());
    assert!(redis.clients() <= 2 + 1, "two of the pool, and the one of this test");
}

/// With all defaults: an upstream that answers late, in pieces.
#[test]
fn a_handler_waits_for_a_reply_in_pieces() {
    let upstream = Upstream::speaks(|mut peer| {
        for byte in b"hello\n" {
            thread::sleep(Duration::from_millis(10));
            let _ = peer.write_all(&[*byte]);
        }
    });
    let server = function(&[]);
    let to: SocketAddr = upstream.address;
    assert_eq!(timed(&server, &format!("/ask?to={to}&ms=5000")).1, "hello");
}
