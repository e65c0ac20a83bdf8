//! Function that calls out as its event requests, with the C library's resolver and std's sockets:
//! `{"do":"tcp HOST:PORT TEXT"}`, `{"do":"past INTERFACE HOST:PORT TEXT"}`, which uses no route,
//! `{"do":"lookup NAME"}` or `{"do":"cat PATH"}`. It answers `{"said":"…","ms":N}`. It uses no
//! crate, so it stands for a function in any language.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, ToSocketAddrs};
use std::os::fd::{AsRawFd, FromRawFd};
use std::time::{Duration, Instant};

const LIMIT: Duration = Duration::from_secs(4);

fn main() {
    let address = std::env::var("FIRSTBYTE_ADDR").unwrap_or("0.0.0.0:9000".into());
    let listener = TcpListener::bind(address).expect("the port is free");
    for stream in listener.incoming().flatten() {
        std::thread::spawn(move || while serve(&stream).is_ok() {});
    }
}

fn serve(stream: &TcpStream) -> io::Result<()> {
    let mut reader = BufReader::new(stream);
    let (mut length, mut line) = (0, String::new());
    while reader.read_line(&mut line)? > 2 {
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().map_err(io::Error::other)?;
        }
        line.clear();
    }
    if line.is_empty() {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let body = String::from_utf8_lossy(&body);
    let order = body.strip_prefix("{\"do\":\"").and_then(|b| b.strip_suffix("\"}"));
    let started = Instant::now();
    let said = obey(order.unwrap_or_default()).unwrap_or_else(|error| format!("error: {error}"));
    let reply = format!("{{\"said\":{said:?},\"ms\":{}}}", started.elapsed().as_millis());
    println!("{reply}");
    write!(
        &mut &*stream,
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{reply}",
        reply.len()
    )
}

fn obey(order: &str) -> io::Result<String> {
    let (verb, rest) = order.split_once(' ').unwrap_or((order, ""));
    match verb {
        "tcp" => {
            let (host, text) = rest.split_once(' ').unwrap_or((rest, ""));
            let address = host.to_socket_addrs()?.next().ok_or(io::ErrorKind::NotFound)?;
            let mut stream = TcpStream::connect_timeout(&address, LIMIT)?;
            stream.set_read_timeout(Some(LIMIT))?;
            stream.write_all(text.as_bytes())?;
            stream.write_all(b"\r\n\r\n")?;
            let mut answer = [0; 256];
            let length = stream.read(&mut answer)?;
            Ok(String::from_utf8_lossy(&answer[..length]).into_owned())
        }
        "past" => {
            let (interface, rest) = rest.split_once(' ').unwrap_or((rest, ""));
            let (host, text) = rest.split_once(' ').unwrap_or((rest, ""));
            let address = host.to_socket_addrs()?.next().ok_or(io::ErrorKind::NotFound)?;
            let mut stream = bound(interface, address)?;
            stream.write_all(text.as_bytes())?;
            stream.write_all(b"\r\n\r\n")?;
            let mut answer = [0; 256];
            let length = stream.read(&mut answer)?;
            Ok(String::from_utf8_lossy(&answer[..length]).into_owned())
        }
        "lookup" => {
            let found: Vec<_> = (rest, 0).to_socket_addrs()?.map(|a| a.ip().to_string()).collect();
            Ok(found.join(" "))
        }
        "cat" => std::fs::read_to_string(rest),
        _ => Ok("nothing to do".into()),
    }
}

unsafe extern "C" {
    fn socket(family: i32, kind: i32, protocol: i32) -> i32;
    fn setsockopt(fd: i32, level: i32, name: i32, value: *const u8, length: u32) -> i32;
    fn connect(fd: i32, address: *const u8, length: u32) -> i32;
}

const AF_INET: i32 = 2;
const SOCK_STREAM: i32 = 1;
const SOL_SOCKET: i32 = 1;
const SO_SNDTIMEO: i32 = 21;
const SO_BINDTODEVICE: i32 = 25;

/// Connects to an IPv4 address through this interface, with a time limit of two seconds.
fn bound(interface: &str, address: SocketAddr) -> io::Result<TcpStream> {
    let SocketAddr::V4(address) = address else { return Err(io::ErrorKind::Unsupported.into()) };
    let check = |result: i32| match result {
        -1 => Err(io::Error::last_os_error()),
        result => Ok(result),
    };
    let mut raw = [0u8; 16];
    raw[..2].copy_from_slice(&(AF_INET as u16).to_ne_bytes());
    raw[2..4].copy_from_slice(&address.port().to_be_bytes());
    raw[4..8].copy_from_slice(&address.ip().octets());
    let limit: [i64; 2] = [2, 0];
    // JUSTIFICATION: std cannot bind a socket to an interface before it connects.
    // SAFETY: this function owns the descriptor. Names, times and addresses outlive the calls, and
    // each is passed with its own size.
    unsafe {
        let stream = TcpStream::from_raw_fd(check(socket(AF_INET, SOCK_STREAM, 0))?);
        let fd = stream.as_raw_fd();
        let name = (interface.as_ptr(), interface.len() as u32);
        check(setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, name.0, name.1))?;
        check(setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, limit.as_ptr().cast(), 16))?;
        stream.set_read_timeout(Some(LIMIT))?;
        check(connect(fd, raw.as_ptr(), 16))?;
        Ok(stream)
    }
}
