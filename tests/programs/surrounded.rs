//! App with hooks around every reply: CORS, the access log and its own field. Its handlers fail in
//! every way. The argument `plain` leaves the hooks out.

use firstbyte::{
    AccessLog, App, Around, Asked, Cors, Error, Event, Limits, Reply, Request, Result, Status,
};
use std::fmt;
use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Duration;

fn main() -> ExitCode {
    let plain = std::env::args().any(|argument| argument == "plain");
    let limits =
        Limits { head_timeout: Duration::from_millis(300), body_bytes: 1000, ..Limits::default() };
    let app = App::new()
        .event(on_event)
        .get("/driver", |_| -> Result<String> { Ok(query()?) })
        .get("/public", |_| -> Result<()> {
            Err(Error::public(Status::SERVICE_UNAVAILABLE, "no seats left").with_cause(&cause()))
        })
        .get("/panic", |_| -> &'static str { panic!("a\nsecond line") })
        .get("/panic-any", |_| -> &'static str { std::panic::panic_any(7u8) })
        .get("/panic-bomb", |_| -> &'static str { std::panic::panic_any(Bomb) })
        .get("/circle", |_| -> Result<()> { Err(Error::of(&Circle)) })
        .get("/huge", |_| -> Result<()> { Err(Error::new("x".repeat(1 << 20))) })
        .get("/lines", |_| -> Result<()> { Err(Error::of(&Failed(LINES, None))) })
        .get("/unwritable", |_| -> Result<()> { Err(Error::of(&Unwritable)) })
        .get("/hook-stream", |_| "replaced")
        .get("/stream-bomb", |_| Reply::stream("text/plain", |_| std::panic::panic_any(Bomb)))
        .get("/stream-fails", |_| stream_fails())
        .get("/stream-panics", |_| {
            Reply::stream("text/plain", |out| {
                out.write_all(b"half")?;
                panic!("within the stream")
            })
        })
        .get("/stream", |_| Reply::stream("text/plain", |out| out.write_all(b"a stream")))
        .get("/endless", |_| {
            Reply::stream("text/plain", |out| {
                let piece = [b'x'; 1024];
                loop {
                    out.write_all(&piece)?;
                }
            })
        })
        .post("/orders", |request: Request<'_>| request.body().len().to_string())
        .get("/", |_| "here")
        .limits(limits);
    if plain {
        return app.serve();
    }
    app.around(AccessLog)
        .around(Cors::new().origin("https://app.example").credentials())
        .around(Marked)
        .serve()
}

/// A hook that adds a field to every reply.
struct Marked;

impl Around for Marked {
    fn after(&self, asked: &Asked<'_>, reply: &mut Reply) -> Result<()> {
        if asked.path() == "/hook-stream" {
            *reply = stream_fails()?;
        }
        reply.set_header("x-marked", "yes")
    }
}

fn on_event(event: Event<'_>) -> Result<Reply> {
    match event.bytes() {
        b"\"driver\"" => Ok(Reply::text(query()?)),
        b"\"huge\"" => Err(Error::new("\u{20ac}".repeat(3 << 20))),
        b"\"stream\"" => stream_fails(),
        b"\"streamp\"" => Reply::stream("text/plain", |_| panic!("within the event's stream")),
        _ => Ok(Reply::text(event.json::<&str>()?.to_owned())),
    }
}

/// A panic's payload that panics once more when it is dropped.
struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        panic!("the payload's drop");
    }
}

/// An error that is its own cause.
#[derive(Debug)]
struct Circle;

impl fmt::Display for Circle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("round")
    }
}

impl std::error::Error for Circle {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&Circle)
    }
}

/// An error whose text cannot be written.
#[derive(Debug)]
struct Unwritable;

impl fmt::Display for Unwritable {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        Err(fmt::Error)
    }
}

impl std::error::Error for Unwritable {}

/// What ends lines in one place or another.
const LINES: &str = "a\r\nb\n\nERROR firstbyte: forged\u{1b}[2Jc\u{85}d\u{2028}e\0f";

/// An error like a driver's, with a chain of causes.
#[derive(Debug)]
struct Failed(&'static str, Option<Box<Failed>>);

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for Failed {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.1.as_deref().map(|cause| cause as &(dyn std::error::Error + 'static))
    }
}

fn cause() -> Failed {
    let dsn = Failed("postgres://svc:hunter2@db.internal:5432/orders\nis gone", None);
    Failed("connection refused", Some(Box::new(dsn)))
}

fn query() -> Result<String, Failed> {
    Err(Failed("relation \"orders\" does not exist", Some(Box::new(cause()))))
}

fn stream_fails() -> Result<Reply> {
    Reply::stream("text/plain", |out| {
        out.write_all(b"half")?;
        Err(io::Error::other(cause()))
    })
}
