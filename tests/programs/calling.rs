//! Function that calls out in every way of `firstbyte::net`, built as functions are (static, musl,
//! fat LTO), for tests/contract/calling_out.rs and tests/contract/names.rs.
#![forbid(unsafe_code)]
#![cfg_attr(not(test), no_main)]

use firstbyte::net::{self, Early, Fate, Pool, Repeat, TcpStream, Until};
use firstbyte::{App, Error, Reply, Request, Result, blocking};
use std::io::{self, Read, Write};
use std::net::ToSocketAddrs;
use std::time::{Duration, Instant};

firstbyte::dns!();
firstbyte::main!(app());

/// The early connection, to UPSTREAM.
static UPSTREAM: Early<TcpStream> =
    Early::new(|| TcpStream::begin(&variable("UPSTREAM"))).keep(Duration::from_millis(800));

/// Connections to REDIS.
static REDIS: Pool<TcpStream> = Pool::new(|until| TcpStream::connect(&variable("REDIS"), until))
    .probe(|stream| std::env::var_os("NO_PROBE").is_some() || !stream.is_stale())
    .fate(|error| match error.kind() {
        io::ErrorKind::InvalidData => Fate::Good, // an error message of the server
        _ => Fate::Lost,
    })
    .sent(TcpStream::sent)
    .most(2);

fn app() -> App {
    let workers = std::env::var("WORKERS").ok().and_then(|text| text.parse().ok());
    let mut app = App::new()
        .workers(workers.unwrap_or(1))
        .route("GET", "/ask", |request: Request<'_>| tell(ask(request)))
        .route("GET", "/ask-in-blocking", |request| tell(blocking(|| ask(request))))
        .route("GET", "/ask-on-a-thread", |request: Request<'_>| {
            tell(std::thread::scope(|scope| scope.spawn(|| ask(request)).join().unwrap()))
        })
        .route("GET", "/ask-while-streaming", ask_while_streaming)
        .route("GET", "/flood", |request: Request<'_>| tell(flood(request)))
        .route("GET", "/early", |request: Request<'_>| tell(early(request)))
        .route("GET", "/redis", |request: Request<'_>| tell(redis(request)))
        .route("GET", "/resolve", resolve)
        .route("GET", "/getaddrinfo", getaddrinfo)
        .web(|_| "here");
    if std::env::var_os("EARLY").is_some() {
        app = app.early(&UPSTREAM);
    }
    app
}

/// Makes the error public, because tests check it.
fn tell(result: Result<String>) -> Result<String> {
    result.map_err(Error::for_caller)
}

fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_default()
}

fn parameter(request: &Request<'_>, name: &str) -> String {
    request.query_param(name).unwrap_or_default().into_owned()
}

/// The invocation's deadline: `ms`; without it there is none.
fn until(request: &Request<'_>) -> Until {
    let ms = request.query_param("ms").and_then(|text| text.parse().ok());
    ms.map(Duration::from_millis).into()
}

/// Sends a line to `to` and returns the line that comes back.
fn ask(request: Request<'_>) -> Result<String> {
    let mut stream = TcpStream::connect(&parameter(&request, "to"), until(&request))?;
    exchange(&mut stream)
}

fn exchange(stream: &mut TcpStream) -> Result<String> {
    stream.write_all(b"hello\n")?;
    let mut line = Vec::new();
    while !line.ends_with(b"\n") {
        let mut bytes = [0; 64];
        match stream.read(&mut bytes)? {
            0 => return Err(Error::new("the peer has closed the connection")),
            size => line.extend_from_slice(&bytes[..size]),
        }
    }
    Ok(String::from_utf8_lossy(&line).trim_end().to_owned())
}

/// The same three times in the writer of a streamed reply.
fn ask_while_streaming(request: Request<'_>) -> Result<Reply> {
    let (to, until) = (parameter(&request, "to"), until(&request));
    Reply::stream("text/plain", move |body| {
        let mut stream = TcpStream::connect(&to, until)?;
        for _ in 0..3 {
            let line =
                exchange(&mut stream).map_err(|error| io::Error::other(error.to_string()))?;
            write!(body, "{line};")?;
        }
        Ok(())
    })
}

/// Sends more than a peer accepts that does not read.
fn flood(request: Request<'_>) -> Result<String> {
    let mut stream = TcpStream::connect(&parameter(&request, "to"), until(&request))?;
    stream.set_write_timeout(Some(Duration::from_millis(200)));
    let bytes = vec![0; 64 << 20];
    stream.write_all(&bytes)?;
    Ok("sent".to_owned())
}

fn early(request: Request<'_>) -> Result<String> {
    let mut stream = UPSTREAM.connect(until(&request))?;
    exchange(&mut stream)
}

/// A command of one word and a key, in RESP: `/redis?command=INCR&key=n&repeat=1`.
fn redis(request: Request<'_>) -> Result<String> {
    let (command, key) = (parameter(&request, "command"), parameter(&request, "key"));
    let repeat = match request.query_param("repeat") {
        Some(_) => Repeat::Idempotent,
        None => Repeat::IfUnsent,
    };
    let command = format!("*2\r\n${}\r\n{command}\r\n${}\r\n{key}\r\n", command.len(), key.len());
    Ok(REDIS.call(until(&request), repeat, |stream| {
        stream.write_all(command.as_bytes())?;
        let line = read_line(stream)?;
        if let Some(size) = line.strip_prefix('$') {
            let size: usize = size.parse().map_err(io::Error::other)?;
            let mut value = vec![0; size + 2];
            stream.read_exact(&mut value)?;
            return Ok(String::from_utf8_lossy(&value).trim_end().to_owned());
        }
        match line.strip_prefix('-') {
            Some(error) => Err(io::Error::new(io::ErrorKind::InvalidData, error.to_owned())),
            None => Ok(line),
        }
    })?)
}

fn read_line(stream: &mut TcpStream) -> io::Result<String> {
    let mut line = Vec::new();
    while !line.ends_with(b"\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        line.extend_from_slice(&byte);
    }
    Ok(String::from_utf8_lossy(&line).trim_end().to_owned())
}

fn resolve(request: Request<'_>) -> Result<String> {
    let began = Instant::now();
    let found = net::resolve(&parameter(&request, "name"), until(&request));
    Ok(told(found.map(|found| found.iter().map(ToString::to_string).collect()), began))
}

/// With std, as crates do.
fn getaddrinfo(request: Request<'_>) -> Result<String> {
    let began = Instant::now();
    let name = parameter(&request, "name");
    let found = net::within(until(&request), || (name.as_str(), 80).to_socket_addrs());
    Ok(told(found.map(|found| found.map(|address| address.ip().to_string()).collect()), began))
}

/// The addresses or the error, as text, and the time in milliseconds.
fn told(found: io::Result<Vec<String>>, began: Instant) -> String {
    let text = found.map_or_else(|error| error.to_string(), |found| found.join(" "));
    format!("{text} | {}", began.elapsed().as_millis())
}
