//! Log records of handlers: one line each on standard output, with the id of their own request.

use outside::peer::Peer;
use outside::server::Server;
use rustix::process::Signal;
use std::process::Command;

fn with(variables: &[(&str, &str)]) -> Server {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bare"));
    command.envs(variables.iter().copied());
    Server::start(command)
}

fn log(what: &str, id: &str) -> String {
    let id = if id.is_empty() { String::new() } else { format!("X-Scf-Request-Id: {id}\r\n") };
    format!("GET /log?what={what} HTTP/1.1\r\nHost: h\r\n{id}\r\n")
}

#[track_caller]
fn line_with(server: &Server, text: &str) -> String {
    let find = || server.output().into_iter().find(|line| line.contains(text));
    outside::eventually(&format!("a line with `{text}`"), || find().is_some());
    find().expect("it was there")
}

#[test]
fn a_record_has_the_id_of_its_request_also_from_a_blocking_thread() {
    let server = with(&[]).at_rest();
    let mut peers: Vec<Peer> = (0..8).map(|_| Peer::to(server.address)).collect();
    for round in 0..5 {
        for (number, peer) in peers.iter_mut().enumerate() {
            peer.send(log(&format!("{round}-{number}-"), &format!("id-{round}-{number}-")));
        }
        for peer in &mut peers {
            assert_eq!(peer.reply().text(), "logged");
        }
    }
    for round in 0..5 {
        for number in 0..peers.len() {
            for who in ["handler", "thread"] {
                let line = line_with(&server, &format!("{who} {round}-{number}-"));
                assert!(line.contains(&format!("RequestId:id-{round}-{number}- ")), "{line}");
            }
        }
    }
    assert!(
        server.output().iter().all(|line| !line.contains("details")),
        "debug is not the default"
    );
}

/// Regression: records of a request without an id had the id of the connection's previous request.
#[test]
fn a_request_without_an_id_has_none_in_its_records() {
    let server = with(&[]).at_rest();
    let mut peer = Peer::to(server.address);
    assert_eq!(peer.ask(log("first", "id-1")).text(), "logged");
    assert_eq!(peer.ask(log("second", "")).text(), "logged");
    for who in ["handler", "thread"] {
        assert!(line_with(&server, &format!("{who} first")).contains("RequestId:id-1 "));
        let second = line_with(&server, &format!("{who} second"));
        assert!(!second.contains("RequestId"), "{second}");
    }
}

#[test]
fn the_environment_sets_level_and_format() {
    let server = with(&[("FIRSTBYTE_LOG", "debug"), ("FIRSTBYTE_LOG_FORMAT", "json")]).at_rest();
    assert_eq!(Peer::to(server.address).ask(log("a%22b", "id-1")).text(), "logged");
    let record: serde_json::Value =
        serde_json::from_str(&line_with(&server, "details of")).expect("a JSON object");
    assert_eq!((&record["level"], &record["requestId"]), (&"DEBUG".into(), &"id-1".into()));
    assert_eq!(record["message"], "details of a\"b");
    let silent = with(&[("FIRSTBYTE_LOG", "off")]).at_rest();
    assert_eq!(Peer::to(silent.address).ask(log("x", "id-1")).text(), "logged");
    let told: Vec<String> =
        silent.output().into_iter().filter(|line| !line.contains("listening on")).collect();
    assert_eq!(told, Vec::<String>::new());
}

#[test]
fn records_before_sigterm_are_written() {
    let mut server = with(&[]).at_rest();
    for number in 0..100 {
        assert_eq!(Peer::to(server.address).ask(log(&format!("{number}-"), "")).status, 200);
    }
    server.signal(Signal::TERM);
    assert_eq!(server.wait().code(), Some(0));
    for number in 0..100 {
        line_with(&server, &format!("thread {number}-"));
    }
}
