//! Tests of examples/tracing over a socket: each line has the trace of its request, which continues
//! in a second server; invalid fields begin a new trace.

use crate::trace::Trace;
use outside::peer::{ask, get};
use outside::program;
use outside::reply::Reply;
use outside::server::Server;
use outside::{PATIENCE, eventually};
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::process::Command;
use std::thread;

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT: &str = "00f067aa0ba902b7";

fn start(upstream: Option<&str>) -> Server {
    let mut command = Command::new(program::package("example-tracing"));
    if let Some(upstream) = upstream {
        command.env("UPSTREAM", upstream);
    }
    Server::start(command)
}

fn ask_with(server: &Server, fields: &str) -> Reply {
    ask(server.address, format!("GET / HTTP/1.1\r\nHost: h\r\n{fields}\r\n"))
}

/// The word after `name=` in the first line that contains `what`.
#[track_caller]
fn field(server: &Server, what: &str, name: &str) -> String {
    let find = || server.output().into_iter().find(|line| line.contains(what));
    eventually(what, || find().is_some());
    let line = find().unwrap_or_default();
    let (_, rest) =
        line.split_once(&format!("{name}=")).unwrap_or_else(|| panic!("{name}: {line}"));
    rest.split(' ').next().unwrap_or_default().to_owned()
}

#[test]
fn a_trace_continues_through_two_servers() {
    let second = start(None);
    let first = start(Some(&second.address.to_string()));
    let fields = format!("X-Scf-Request-Id: r-1\r\ntraceparent: 00-{TRACE}-{PARENT}-01\r\n");
    let reply = ask_with(&first, &fields);
    assert_eq!(reply.status, 200, "{reply:?}");
    assert_eq!(reply.json(), serde_json::json!({ "trace_id": TRACE, "upstream": 200 }));
    let span = field(&first, " asked ", "span_id");
    assert_eq!(reply.header("traceresponse"), Some(&*format!("00-{TRACE}-{span}-01")));
    assert_eq!(field(&first, " asked ", "parent_id"), PARENT);
    let call = field(&first, " called ", "span_id");
    assert_eq!(field(&second, " asked ", "parent_id"), call);
    for (server, what) in [(&first, " called "), (&first, " answered "), (&second, " answered ")] {
        assert_eq!(field(server, what, "trace_id"), TRACE);
    }
    assert!(call != span && span != PARENT);
    let asked = first.output().into_iter().find(|line| line.contains(" asked "));
    assert!(asked.is_some_and(|line| line.starts_with("INFO example_tracing: RequestId:r-1 ")));
}

#[test]
fn invalid_fields_begin_a_trace() {
    let server = start(None);
    let trace_of = |fields: &str| {
        let reply = ask_with(&server, fields);
        assert_eq!(reply.status, 200, "{fields}");
        let trace = reply.json()["trace_id"].as_str().expect("a text").to_owned();
        assert!(trace.len() == 32 && trace != "0".repeat(32), "{trace}");
        trace
    };
    for good in [
        format!("00-{TRACE}-{PARENT}-00"),
        format!("00-{TRACE}-{PARENT}-ff"),
        format!("cc-{TRACE}-{PARENT}-01"),
        format!("cc-{TRACE}-{PARENT}-01-what-comes-later"),
    ] {
        assert_eq!(trace_of(&format!("TraceParent: {good}\r\n")), TRACE, "{good}");
    }
    let upper = TRACE.to_uppercase();
    for bad in [
        String::new(),
        "00".to_owned(),
        format!("00-{TRACE}-{PARENT}-1"),
        format!("00-{TRACE}-{PARENT}-01-"),
        format!("00-{TRACE}-{PARENT}-01-more"),
        format!("cc-{TRACE}-{PARENT}-01.more"),
        format!("ff-{TRACE}-{PARENT}-01"),
        format!("0-{TRACE}-{PARENT}-011"),
        format!("00-{upper}-{PARENT}-01"),
        format!("00-{TRACE}-{PARENT}-0X"),
        format!("00-{TRACE}-{PARENT}-0\u{e4}"),
        format!("00-+{}-{PARENT}-01", &TRACE[1..]),
        format!("00-{}-{PARENT}-01", "0".repeat(32)),
        format!("00-{TRACE}-{}-01", "0".repeat(16)),
        format!("00_{TRACE}_{PARENT}_01"),
    ] {
        assert_ne!(trace_of(&format!("traceparent: {bad}\r\n")), TRACE, "{bad}");
    }
    let twice = format!("traceparent: 00-{TRACE}-{PARENT}-01\r\n").repeat(2);
    assert_ne!(trace_of(&twice), TRACE);
    assert_ne!(trace_of(""), trace_of(""));
}

/// Receives one request of the example, and sends a reply.
fn upstream(reply: &'static str) -> (String, thread::JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("there is a port");
    let address = listener.local_addr().expect("it is bound").to_string();
    let serves = thread::spawn(move || {
        let (stream, _) = listener.accept().expect("the example connects");
        stream.set_read_timeout(Some(PATIENCE)).expect("a time-out that is not zero");
        let mut reader = BufReader::new(&stream);
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).expect("it sends a head");
            if line.trim_end().is_empty() {
                break;
            }
            lines.push(line.trim_end().to_owned());
        }
        (&stream).write_all(reply.as_bytes()).expect("it reads");
        lines
    });
    (address, serves)
}

#[test]
fn the_state_of_vendors_is_passed_on() {
    for (states, passed) in [
        ("tracestate: a=1,b@v=2 3 , ,c=x\r\nTraceState: d=4\r\n", Some("a=1,b@v=2 3,c=x,d=4")),
        ("tracestate: a=1,a=2\r\n", None),
        ("tracestate: A=1\r\n", None),
        ("tracestate: a=1;b,c\r\n", None),
        ("tracestate: a=1=2\r\n", None),
        ("", None),
    ] {
        let (address, serves) = upstream("HTTP/1.1 204 No Content\r\n\r\n");
        let server = start(Some(&address));
        let fields = format!("traceparent: 00-{TRACE}-{PARENT}-00\r\n{states}");
        let reply = ask_with(&server, &fields);
        assert_eq!(reply.json()["upstream"], 204, "{states}");
        let lines = serves.join().expect("it served one");
        let state = lines.iter().find_map(|line| line.strip_prefix("tracestate: "));
        assert_eq!(state, passed, "{states}");
        let parent = lines.iter().find_map(|line| line.strip_prefix("traceparent: "));
        let call = field(&server, " called ", "span_id");
        assert_eq!(parent, Some(&*format!("00-{TRACE}-{call}-00")));
    }
}

#[test]
fn limits_of_the_state() {
    let parent = format!("00-{TRACE}-{PARENT}-01");
    let passed = |state: &str| Trace::of(&[parent.as_bytes()], &[state.as_bytes()]).child();
    let members = |count: usize| {
        (0..count).map(|number| format!("k{number}=v")).collect::<Vec<_>>().join(",")
    };
    assert_eq!(passed(&members(32)).state(), Some(&*members(32)));
    assert_eq!(passed(&members(33)).state(), None);
    let long = format!("k={},l={}", "v".repeat(256), "v".repeat(256));
    assert_eq!(passed(&long).state(), None);
    assert_eq!(passed(&format!("k={}", "v".repeat(256))).state().map(str::len), Some(258));
    assert_eq!(passed(&format!("k={}", "v".repeat(257))).state(), None);
    let lone = Trace::of(&[], &[b"a=1"]);
    assert_eq!((lone.state(), lone.parent_id), (None, None));
}

#[test]
fn a_server_that_does_not_answer_is_a_502() {
    let (address, serves) = upstream("SSH-2.0-what\r\n");
    let server = start(Some(&address));
    ask(server.address, get("/")).assert_is_error(502);
    serves.join().expect("it served one");
    let reply = ask(server.address, get("/"));
    reply.assert_is_error(502);
    let said = reply.json()["errorMessage"].as_str().unwrap_or_default().to_owned();
    assert!(said.contains("UPSTREAM") && !said.contains(&address), "{said}");
    assert_eq!(field(&server, " answered ", "status"), "502");
}
