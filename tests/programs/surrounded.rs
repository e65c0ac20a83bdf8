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
        .get("/stream-fails", stream_fails)
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
    fn after(&self, _: &Asked<'_>, reply: &mut Reply) -> Result<()> {
        reply.set_header("x-marked", "yes")
    }
}

fn on_event(event: Event<'_>) -> Result<String> {
    match event.bytes() {
        b"\"driver\"" => Ok(query()?),
        _ => Ok(event.json::<&str>()?.to_owned()),
    }
}

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

fn stream_fails(_: Request<'_>) -> Result<Reply> {
    Reply::stream("text/plain", |out| {
        out.write_all(b"half")?;
        Err(io::Error::other(cause()))
    })
}
