//! Function with every fault for which the platform has a number. It does what the event requests,
//! `{"do":"exit 3"}`; a Web request has the order in its path, `/exit/3`. It uses only std, so that
//! a test builds it in a second, and reads HTTP only in the form that the emulator writes.

use std::env;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

/// Tests make another version by replacing this line.
const VERSION: &str = "one";

static REQUESTS: AtomicUsize = AtomicUsize::new(0);

fn main() {
    println!("moody starts");
    let start = env::var("MOODY").unwrap_or_default();
    let (verb, argument) = start.split_once(' ').unwrap_or((&start, ""));
    let mut address = env::var("FIRSTBYTE_ADDR").unwrap_or("0.0.0.0:9000".into());
    match verb {
        "exit" => std::process::exit(argument.parse().unwrap()),
        "silent" => thread::sleep(Duration::from_secs(60)),
        "eat" => eat(argument),
        "local" => address = "127.0.0.1:9000".into(),
        "elsewhere" => address = "0.0.0.0:8080".into(),
        "late" => thread::sleep(Duration::from_millis(argument.parse().unwrap())),
        _ => {}
    }
    for stream in TcpListener::bind(address).unwrap().incoming() {
        thread::spawn(move || serve(stream.unwrap()));
    }
}

fn serve(stream: TcpStream) {
    let mut reader = BufReader::new(stream);
    loop {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if reader.read_line(&mut head).unwrap_or(0) == 0 {
                return;
            }
        }
        let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: "));
        let length = length.map_or(0, |n| n.parse().unwrap());
        let mut body = vec![0; length];
        reader.read_exact(&mut body).unwrap();
        let count = REQUESTS.fetch_add(1, Ordering::Relaxed) + 1;
        let text = String::from_utf8_lossy(&body).into_owned();
        let path = head.split([' ', '?']).nth(1).unwrap()[1..].replacen('/', " ", 1);
        let order = match text.split_once("\"do\":\"").and_then(|(_, rest)| rest.split_once('"')) {
            Some((order, _)) => order.to_owned(),
            None => path,
        };
        let (verb, argument) = order.split_once(' ').unwrap_or((&order, ""));
        let mut out = reader.get_ref();
        let mut reply = |status: u16, extra: &str, body: &[u8]| {
            let head = format!(
                "HTTP/1.1 {status} x\r\nContent-Type: text/plain\r\n{extra}\
                 Content-Length: {}\r\n\r\n",
                body.len()
            );
            let _ = out.write_all(&[head.as_bytes(), body].concat());
        };
        match verb {
            "sleep" => {
                thread::sleep(Duration::from_millis(argument.parse().unwrap()));
                reply(200, "", b"slept");
            }
            "fail" => reply(500, "", b"{\"errorMessage\":\"moody\"}"),
            "exit" => std::process::exit(argument.parse().unwrap()),
            "eat" => {
                eat(argument);
                reply(200, "", b"eaten");
            }
            "reply" => reply(200, "", &vec![b'x'; argument.parse().unwrap()]),
            "head" => reply(200, &format!("X: {}\r\n", "x".repeat(argument.parse().unwrap())), b""),
            // As in a reply to HEAD: the length of a body that is not sent.
            "bodiless" => {
                let head = format!("HTTP/1.1 200 x\r\nContent-Length: {argument}\r\n\r\n");
                let _ = (&mut &*out).write_all(head.as_bytes());
            }
            "garbage" => {
                let _ = (&mut &*out).write_all(b"no HTTP\r\n\r\n");
                return;
            }
            "hang-up" => return,
            "close" => {
                reply(200, "Connection: close\r\n", b"closed");
                return;
            }
            // The reply is complete; after it the connection sends nothing.
            "drop" => {
                reply(200, "", b"dropped");
                return;
            }
            "print" => {
                println!("{argument}");
                reply(200, "", b"printed");
            }
            "write" => match fs::write(argument, "x") {
                Ok(()) => reply(200, "", b"written"),
                Err(error) => reply(200, "", error.to_string().as_bytes()),
            },
            "env" => {
                let lines: String = env::vars().map(|(k, v)| format!("{k}={v}\n")).collect();
                reply(200, "", lines.as_bytes())
            }
            "args" => {
                let arguments: Vec<String> = env::args().skip(1).collect();
                reply(200, "", arguments.join(" ").as_bytes())
            }
            "request" => reply(200, "", format!("{head}{text}").as_bytes()),
            "count" => reply(200, "", count.to_string().as_bytes()),
            "pid" => reply(200, "", std::process::id().to_string().as_bytes()),
            "version" => reply(200, "", VERSION.as_bytes()),
            _ => reply(200, "", text.as_bytes()),
        }
    }
}

/// Allocates this many MiB in small steps, and keeps them for a while.
fn eat(mib: &str) {
    let mut eaten = Vec::new();
    for _ in 0..mib.parse::<usize>().unwrap() {
        eaten.push(std::hint::black_box(vec![1u8; 1 << 20]));
        thread::sleep(Duration::from_micros(200));
    }
    thread::sleep(Duration::from_secs(10));
    drop(eaten);
}
