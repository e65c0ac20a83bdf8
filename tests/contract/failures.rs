//! Section 2: every failure is one log line with the request's id, its status, its path and its
//! cause; and its caller gets only a message meant for callers.

use outside::peer::{Peer, ask};
use outside::server::Server;
use std::process::Command;

fn plain() -> Server {
    let mut command = Command::new(env!("CARGO_BIN_EXE_surrounded"));
    command.arg("plain");
    Server::start(command)
}

fn get(path: &str, id: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: h\r\nX-Scf-Request-Id: {id}\r\n\r\n")
}

/// The only line about the request with this id.
#[track_caller]
fn line_of(server: &Server, id: &str) -> String {
    let of = |line: &String| line.contains(&format!("RequestId:{id} "));
    outside::eventually("the failure is logged", || server.output().iter().any(of));
    // A later line would have arrived when the next request has been logged.
    let mark = format!("after-{id}");
    ask(server.address, get("/missing", &mark)).assert_is_error(404);
    outside::eventually("the next one is logged", || {
        server.output().iter().any(|line| line.contains(&mark))
    });
    let lines: Vec<String> = server.output().into_iter().filter(|line| of(line)).collect();
    assert_eq!(lines.len(), 1, "{lines:?}");
    lines.into_iter().next().unwrap_or_default()
}

const CAUSES: &str = "relation \"orders\" does not exist: connection refused: \
                      postgres://redacted@db.internal:5432/orders is gone";

/// Regression: a handler that returned an error caused no log line, and a driver's message reached
/// the caller.
#[test]
fn a_drivers_message_goes_to_the_log_and_not_to_the_caller() {
    for server in [plain(), plain().at_rest()] {
        let reply = ask(server.address, get("/driver", "r-1"));
        reply.assert_is_error(500);
        assert_eq!(reply.json()["requestId"], "r-1");
        for word in ["relation", "postgres", "refused", "hunter2"] {
            assert!(!reply.text().contains(word), "{}", reply.text());
        }
        let line = line_of(&server, "r-1");
        assert_eq!(line, format!("ERROR firstbyte: RequestId:r-1 500 GET /driver: {CAUSES}"));
    }
}

#[test]
fn the_platform_gets_the_reason_of_an_events_failure() {
    let server = plain();
    let event = "POST /event-invoke HTTP/1.1\r\nHost: h\r\nX-Scf-Request-Id: \
                 r-2\r\nContent-Length: 8\r\n\r\n\"driver\"";
    let reply = ask(server.address, event);
    reply.assert_is_error(500);
    assert_eq!(reply.json()["errorMessage"], "relation \"orders\" does not exist");
    let line = line_of(&server, "r-2");
    assert_eq!(line, format!("ERROR firstbyte: RequestId:r-2 500 POST /event-invoke: {CAUSES}"));
}

#[test]
fn a_public_error_reaches_the_caller() {
    let server = plain();
    let reply = ask(server.address, get("/public", "r-3"));
    reply.assert_is_error(503);
    assert_eq!(reply.json()["errorMessage"], "no seats left");
    let line = line_of(&server, "r-3");
    assert!(line.contains("503 GET /public: no seats left: connection refused: "), "{line}");
}

#[test]
fn a_panic_is_one_line_with_its_place() {
    for server in [plain(), plain().at_rest()] {
        let reply = ask(server.address, get("/panic", "r-4"));
        reply.assert_is_error(500);
        let line = line_of(&server, "r-4");
        let start = "ERROR firstbyte: RequestId:r-4 500 GET /panic: the handler panicked: a \
                     second line (at ";
        assert!(line.starts_with(start) && line.contains("surrounded.rs:"), "{line}");
        assert!(!server.output().iter().any(|line| line.contains("thread '")));
    }
}

#[test]
fn a_stream_that_fails_half_way_is_logged_with_the_bytes_sent() {
    for server in [plain(), plain().at_rest()] {
        for (path, id, words) in [
            ("/stream-fails", "r-5", "connection refused: postgres://redacted@db"),
            ("/stream-panics", "r-6", "within the stream (at "),
        ] {
            let mut peer = Peer::to(server.address);
            peer.send(get(path, id));
            assert!(peer.try_reply("GET").is_err(), "a truncated body is not a reply");
            let line = line_of(&server, id);
            let start =
                format!("ERROR firstbyte: RequestId:{id} 200 GET {path}: the reply's stream");
            assert!(line.starts_with(&start) && line.contains("after 4 bytes"), "{line}");
            assert!(line.contains(words), "{line}");
        }
    }
}

#[test]
fn a_reader_that_disconnects_is_not_an_error_of_the_function() {
    let server = plain().at_rest();
    let mut peer = Peer::to(server.address);
    peer.send(get("/endless", "r-7"));
    peer.wait_for_a_byte();
    peer.reset();
    let line = line_of(&server, "r-7");
    assert!(line.starts_with("firstbyte: RequestId:r-7 200 GET /endless: the reader"), "{line}");
}

#[test]
fn a_peers_own_mistake_is_a_warning() {
    let server = plain();
    for (request, line) in [
        (get("/missing", "r-8"), "404 GET /missing: this function has no handler"),
        (get("/orders", "r-9"), "405 GET /orders: this path has no such method"),
        (
            "POST /orders HTTP/1.1\r\nHost: h\r\nX-Scf-Request-Id: r-10\r\nContent-Length: \
             2000\r\n\r\n"
                .to_owned(),
            "413 POST /orders: the request body is larger than 1000 bytes",
        ),
        (
            "POST /orders HTTP/1.1\r\nHost: h\r\nbad line\r\n\r\n".to_owned(),
            "400 (no request line)",
        ),
        ("POST /orders HTTP/1.1\r\nHo".to_owned(), "408 (no request line)"),
    ] {
        let reply = ask(server.address, request);
        assert!((400..500).contains(&reply.status));
        outside::eventually(line, || {
            let warned =
                |told: &&String| told.starts_with("WARN firstbyte:") && told.contains(line);
            server.output().iter().filter(warned).count() == 1
        });
    }
    assert!(!server.output().iter().any(|line| line.starts_with("ERROR")));
}

#[test]
fn the_level_silences_failures_too() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_surrounded"));
    command.arg("plain").env("FIRSTBYTE_LOG", "error");
    let server = Server::start(command);
    ask(server.address, get("/missing", "quiet")).assert_is_error(404);
    ask(server.address, get("/panic", "loud")).assert_is_error(500);
    outside::eventually("the error is logged", || {
        server.output().iter().any(|line| line.contains("loud"))
    });
    assert!(!server.output().iter().any(|line| line.contains("quiet")));
}

#[test]
fn a_failure_is_json_if_the_log_is() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_surrounded"));
    command.arg("plain").env("FIRSTBYTE_LOG_FORMAT", "json");
    let server = Server::start(command);
    ask(server.address, get("/driver", "r-11")).assert_is_error(500);
    let line = || server.output().into_iter().find(|line| line.contains("r-11"));
    outside::eventually("the error is logged", || line().is_some());
    let record: serde_json::Value =
        serde_json::from_str(&line().unwrap_or_default()).expect("a JSON object");
    assert_eq!((&record["level"], &record["requestId"]), (&"ERROR".into(), &"r-11".into()));
    let message = record["message"].as_str().unwrap_or_default();
    assert!(message.starts_with("500 GET /driver: relation \"orders\""), "{message}");
}

/// What a panic carries may be any value, whose drop may panic too; an error may be its own cause,
/// have a text that cannot be written, or one with line ends of every kind.
#[test]
fn whatever_a_handler_throws_is_one_line_and_a_reply() {
    for server in [plain(), plain().at_rest()] {
        for (path, id, words) in [
            ("/panic-any", "any", "500 GET /panic-any: the handler panicked: no message (at "),
            ("/panic-bomb", "bomb", "500 GET /panic-bomb: the handler panicked: no message (at "),
            ("/circle", "circle", "500 GET /circle: round"),
            ("/huge", "huge", "500 GET /huge: xxxxxxxx"),
            ("/lines", "lines", "500 GET /lines: a  b  ERROR firstbyte: forged [2Jc d e f"),
            ("/unwritable", "none", "500 GET /unwritable: the handler panicked: a Display"),
        ] {
            let reply = ask(server.address, get(path, id));
            reply.assert_is_error(500);
            assert_eq!(reply.json()["requestId"], id);
            assert!(reply.body.len() < 300, "{}", reply.text());
            let line = line_of(&server, id);
            assert!(
                line.starts_with(&format!("ERROR firstbyte: RequestId:{id} {words}")),
                "{line}"
            );
            assert!(
                line.len() <= 4096 && !line.contains(['\r', '\u{1b}', '\u{85}', '\0']),
                "{line}"
            );
        }
        let mut peer = Peer::to(server.address);
        peer.send(get("/stream-bomb", "late"));
        assert!(peer.try_reply("GET").is_err());
        assert!(
            line_of(&server, "late").contains("/stream-bomb: the reply's stream failed after 0")
        );
        assert_eq!(ask(server.address, get("/", "after")).text(), "here");
    }
}

fn event(body: &str, id: &str) -> String {
    let size = body.len();
    format!(
        "POST /event-invoke HTTP/1.1\r\nHost: h\r\nX-Scf-Request-Id: {id}\r\n\
         Content-Length: {size}\r\n\r\n{body}"
    )
}

/// Regression: the stream of an event's reply broke off without a line.
#[test]
fn a_stream_that_fails_is_logged_whoever_called_and_whoever_made_it() {
    for server in [plain(), plain().at_rest()] {
        for (body, id, words) in [
            ("\"stream\"", "es-1", "after 4 bytes: connection refused: postgres://redacted@db"),
            ("\"streamp\"", "es-2", "after 0 bytes: within the event's stream (at "),
        ] {
            let mut peer = Peer::to(server.address);
            peer.send(event(body, id));
            assert!(peer.try_reply("POST").is_err(), "a body that is cut is no reply");
            let line = line_of(&server, id);
            let start =
                format!("ERROR firstbyte: RequestId:{id} 200 POST /event-invoke: the reply's");
            assert!(line.starts_with(&start) && line.contains(words), "{line}");
        }
    }
    let hooked = Server::start(Command::new(env!("CARGO_BIN_EXE_surrounded")));
    let mut peer = Peer::to(hooked.address);
    peer.send(get("/hook-stream", "hs-1"));
    assert!(peer.try_reply("GET").is_err());
    let line = "ERROR firstbyte: RequestId:hs-1 200 GET /hook-stream: the reply's stream failed";
    outside::eventually(line, || {
        hooked.output().iter().filter(|told| told.starts_with(line)).count() == 1
    });
}

/// A platform takes replies of so many bytes only: one that is larger would hide the error.
#[test]
fn an_events_error_is_told_within_a_size() {
    let reply = ask(plain().address, event("\"huge\"", "e-huge"));
    reply.assert_is_error(500);
    assert!(reply.body.len() <= 64 * 1024 + 100, "{} bytes", reply.body.len());
}
