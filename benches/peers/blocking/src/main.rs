//! Peer that uses std only, and serde_json for the body: one thread, blocking reads, one connection
//! after the other. It is not a general HTTP server: it accepts only the bench's request, and
//! closes the connection after any other.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use timer::Timer;

/// Largest size of head and body together, in bytes; a timer's event has a tenth of it.
const LIMIT: usize = 8 * 1024;

/// Answers requests until the peer closes or sends an unsupported request.
fn serve(mut stream: TcpStream) -> Option<()> {
    let mut held = Vec::with_capacity(LIMIT);
    loop {
        let (body, end) = request(&mut stream, &mut held)?;
        let timer: Timer = serde_json::from_slice(held.get(body..end)?).ok()?;
        let answer = serde_json::to_string(&timer::on_timer(&timer)).ok()?;
        let length = answer.len();
        let reply = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\
             \r\n{answer}"
        );
        stream.write_all(reply.as_bytes()).ok()?;
        held.drain(..end);
    }
}

/// Reads one whole request; returns the start and the end of its body in `held`.
fn request(stream: &mut TcpStream, held: &mut Vec<u8>) -> Option<(usize, usize)> {
    let mut chunk = [0; LIMIT];
    loop {
        if let Some(head) = held.windows(4).position(|window| window == b"\r\n\r\n") {
            let text = std::str::from_utf8(&held[..head])
                .ok()
                .filter(|text| text.starts_with("POST /event-invoke "))?;
            let length = text.lines().find_map(|line| {
                let (name, value) = line.split_once(':')?;
                name.eq_ignore_ascii_case("content-length")
                    .then(|| value.trim().parse::<usize>().ok())?
            })?;
            let end = (head + 4).checked_add(length)?;
            if held.len() >= end {
                return Some((head + 4, end));
            }
        }
        let n = stream.read(&mut chunk).ok().filter(|n| *n > 0 && held.len() + n <= LIMIT)?;
        held.extend_from_slice(&chunk[..n]);
    }
}

fn main() -> std::io::Result<()> {
    for stream in TcpListener::bind(timer::address())?.incoming() {
        let stream = stream?;
        stream.set_nodelay(true)?;
        let _ = serve(stream);
    }
    Ok(())
}
