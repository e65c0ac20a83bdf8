//! Tests of examples/cookies over a socket: any instance with the same key continues a session. A
//! cookie that was changed, truncated, signed by another key or has expired begins a new one.

use outside::peer::{ask, post};
use outside::program;
use outside::reply::Reply;
use outside::server::{Server, run_to_end};
use std::process::Command;

fn command(key: &str) -> Command {
    let mut command = Command::new(program::package("example-cookies"));
    command.env("SESSION_KEY", key);
    command
}

fn visit(server: &Server, fields: &str) -> Reply {
    ask(server.address, format!("GET / HTTP/1.1\r\nHost: h\r\n{fields}\r\n"))
}

/// `NAME=VALUE` of the reply's cookie.
fn pair(reply: &Reply) -> String {
    let cookie = reply.header("set-cookie").expect("each visit sets the cookie");
    cookie.split(';').next().unwrap_or_default().to_owned()
}

#[test]
fn a_session_counts_visits_and_cannot_be_forged() {
    let (key, other_key) = ("a1".repeat(64), "b2".repeat(64));
    let server = Server::start(command(&key));
    let first = visit(&server, "");
    assert_eq!((first.status, first.text()), (200, "visit 1\n"));
    assert_eq!(first.header("cache-control"), Some("no-store"));
    let cookie = first.header("set-cookie").expect("a cookie");
    assert!(cookie.starts_with("__Host-session="), "{cookie}");
    let mut attributes: Vec<&str> = cookie.split("; ").skip(1).collect();
    attributes.sort_unstable();
    assert_eq!(attributes, ["HttpOnly", "Max-Age=3600", "Path=/", "SameSite=Lax", "Secure"]);

    let good = pair(&first);
    let second = visit(&server, &format!("Cookie: theme=dark; {good}; broken\r\n"));
    assert_eq!(second.text(), "visit 2\n");
    let instance = Server::start(command(&key));
    assert_eq!(visit(&instance, &format!("Cookie: {}\r\n", pair(&second))).text(), "visit 3\n");

    let more = good.replacen(".1", ".900", 1);
    assert_ne!(more, good);
    let stranger = Server::start(command(&other_key));
    let foreign = pair(&visit(&stranger, ""));
    // the 44th byte, where the signature would end, is within a character
    let umlauts = format!("__Host-session=x{}", "\u{fc}".repeat(30));
    for bad in [
        more.as_str(),
        foreign.as_str(),
        &good[..good.len() - 1],
        &good.replace("__Host-session", "session"),
        "__Host-session",
        "__Host-session=",
        "__Host-session=99999999999.900",
        umlauts.as_str(),
        ";;;=;",
    ] {
        let reply = visit(&server, &format!("Cookie: {bad}\r\n"));
        assert_eq!((reply.status, reply.text()), (200, "visit 1\n"), "{bad}");
    }
    // HMAC-SHA256 of `1000000000.7` with the key: valid once, and expired in 2001
    let over = format!("Cookie: __Host-session={OVER}1000000000.7\r\n");
    assert_eq!(visit(&server, &over).text(), "visit 1\n");
    let lasting = format!("Cookie: __Host-session={NOT_OVER}9999999999.7\r\n");
    assert_eq!(visit(&server, &lasting).text(), "visit 8\n");

    let gone = ask(server.address, post("/forget", ""));
    assert_eq!(gone.status, 204);
    let cookie = gone.header("set-cookie").expect("a cookie that ends the session");
    assert!(cookie.starts_with("__Host-session=; "), "{cookie}");
    assert!(cookie.contains("; Max-Age=0") && cookie.contains("; Secure"), "{cookie}");
}

/// Made by another implementation of HMAC (Python's hmac), like the next one.
const OVER: &str = "exu6HZ8AJuBmTRKRM7LG4sefiJod+LlQUXw6lb+PPkQ=";
const NOT_OVER: &str = "dqJrcNdM4zFoPGal2TlQZa6K+P9T7qB83FA7wnAH7Kg=";

#[test]
fn an_invalid_key_ends_the_start() {
    let (odd, short, other) = ("a".repeat(127), "a1".repeat(32), "g1".repeat(64));
    for key in ["", odd.as_str(), &short, &other] {
        let (status, lines) = run_to_end(command(key));
        assert!(!status.success(), "`{key}`: {lines:?}");
        let said = lines.iter().any(|line| line.contains("openssl rand -hex 64"));
        assert!(said && !lines.iter().any(|line| line.contains(&short)), "{lines:?}");
    }
}
