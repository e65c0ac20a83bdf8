//! Section 2: many connections. Descriptors run out, or the cap is reached; a connection with a
//! request in progress is never closed.

use outside::peer::{Peer, get};
use outside::process;
use outside::server::Server;
use rustix::process::{Pid, Resource, Rlimit, prlimit};
use std::time::Duration;

fn limit_descriptors(server: &Server, most: u64) {
    let pid = Pid::from_raw(server.id().cast_signed());
    let limit = Rlimit { current: Some(most), maximum: Some(most) };
    prlimit(pid, Resource::Nofile, limit).expect("a process may lower its child's limits");
}

#[test]
fn running_out_of_descriptors_with_one_worker_recovers() {
    let server = Server::echo().at_rest();
    let mut served = Peer::to(server.address);
    assert_eq!(served.ask(get("/")).status, 200);
    served.send("GET /alive");
    let mut sleeper = Peer::to(server.address);
    sleeper.send(get("/sleep?ms=1500"));
    limit_descriptors(&server, process::descriptors(server.id()) as u64 + 10);
    // Busy connections, which cannot be closed to make room: each has begun a request.
    let begin = |_| {
        let mut peer = Peer::to(server.address);
        peer.send("GET / HTTP/1.1\r\nHost: h\r\n");
        peer
    };
    let crowd: Vec<Peer> = (0..30).map(begin).collect();
    served.send(" HTTP/1.1\r\nHost: h\r\n\r\nGET /busy");
    assert_eq!(served.reply().json()["path"], "/alive", "accepted connections are still served");
    let before = process::cpu_ticks(server.id());
    std::thread::sleep(Duration::from_millis(500));
    let spent = process::cpu_ticks(server.id()) - before;
    assert!(spent <= 10, "{spent} ticks of 10 ms in half a second: it spins");
    assert_eq!(sleeper.reply().status, 200);
    // All finish in turn: waiting connections are accepted as the others close.
    for mut peer in crowd {
        peer.send("Connection: close\r\n\r\n");
        assert_eq!(peer.reply().status, 200);
    }
    served.send(" HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_eq!(served.reply().json()["path"], "/busy");
    assert_eq!(Peer::to(server.address).ask(get("/")).status, 200);
}

#[test]
fn if_descriptors_are_the_cap_the_longest_idle_connection_is_closed() {
    let server = Server::echo().at_rest();
    let mut peers: Vec<Peer> = (0..3).map(|_| Peer::to(server.address)).collect();
    for index in [1, 0, 2] {
        assert_eq!(peers[index].ask(get("/")).status, 200);
    }
    // The limit applies to descriptor numbers, and the lowest free one is used first: the peers
    // have all numbers below it.
    limit_descriptors(&server, process::lowest_free_descriptor(server.id()));
    let mut newcomer = Peer::to(server.address);
    assert_eq!(newcomer.ask(get("/")).status, 200);
    peers[1].assert_closed();
    peers.push(newcomer);
    let closed: Vec<usize> = (0..peers.len()).filter(|index| peers[*index].is_closed()).collect();
    assert_eq!(closed, [1], "the one that has been idle longest, and no other");
}

#[test]
fn at_the_cap_the_longest_idle_connection_is_closed() {
    let server = crate::server_with(&["connections=5"]).at_rest();
    let mut peers: Vec<Peer> = (0..5).map(|_| Peer::to(server.address)).collect();
    for index in [3, 1, 0, 4, 2] {
        assert_eq!(peers[index].ask(get("/")).status, 200); // so 3 has been idle longest, then 1
    }
    let mut sixth = Peer::to(server.address);
    assert_eq!(sixth.ask(get("/")).status, 200);
    peers[3].assert_closed();
    let mut seventh = Peer::to(server.address);
    assert_eq!(seventh.ask(get("/")).status, 200);
    peers[1].assert_closed();
    for index in [0, 4, 2] {
        assert_eq!(peers[index].ask(get("/")).status, 200);
    }
}

#[test]
fn at_the_cap_active_connections_are_kept_and_new_ones_wait() {
    let server = crate::server_with(&["connections=4"]).at_rest();
    let mut sleepers: Vec<Peer> = (0..4).map(|_| Peer::to(server.address)).collect();
    for peer in &mut sleepers {
        peer.send(get("/sleep?ms=2500"));
    }
    let mut begun = Peer::to(server.address);
    begun.send(get("/waits"));
    begun.assert_silent(Duration::from_millis(300));
    for peer in &mut sleepers {
        assert_eq!(peer.reply().status, 200);
    }
    assert_eq!(begun.reply().text(), "GET /waits 0");
}

#[test]
fn a_connection_without_a_request_is_closed_too() {
    let server = crate::server_with(&["connections=3"]).at_rest();
    let mut silent: Vec<Peer> = (0..3).map(|_| Peer::to(server.address)).collect();
    let mut fourth = Peer::to(server.address);
    assert_eq!(fourth.ask(get("/")).status, 200);
    silent[0].assert_closed();
    assert_eq!(silent[1].ask(get("/")).status, 200);
}

#[test]
fn nine_hundred_idle_connections_take_less_than_16_mib() {
    let server = Server::echo().at_rest();
    let mut peers: Vec<Peer> = (0..900).map(|_| Peer::to(server.address)).collect();
    for peer in &mut peers {
        assert_eq!(peer.ask(get("/")).status, 200);
    }
    let resident = process::rss_kib(server.id());
    assert!(resident < 16 * 1024, "{resident} KiB for 900 idle connections");
    for peer in &mut peers {
        assert_eq!(peer.ask(get("/")).status, 200, "all 900 are still open");
    }
    let mut one_more = Peer::to(server.address);
    assert_eq!(one_more.ask(get("/")).status, 200);
    peers[0].assert_closed();
    assert_eq!(peers[1].ask(get("/")).status, 200);
}

#[test]
fn a_storm_of_new_connections_at_the_cap_is_served_completely() {
    let server = crate::server_with(&["connections=8"]);
    for round in 0..40 {
        let mut peers: Vec<Peer> = (0..8).map(|_| Peer::to(server.address)).collect();
        for peer in &mut peers {
            let request = format!("GET /{round} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
            peer.send(request);
        }
        for peer in &mut peers {
            assert_eq!(peer.reply().status, 200);
        }
    }
}
