//! Server-sent events, which a reader can resume after its last event (HTML, section 9.2). Each
//! event has a number; a reader that reconnects sends the last one that it has (Last-Event-ID,
//! which browsers send by themselves). Regular comments prevent proxies from ending a silent
//! stream.
//!
//! Try it: `cargo run --example server_sent_events`, then `curl -N localhost:9000/events` and, in
//! another terminal, `curl -d 'hello' localhost:9000/say`. Each instance has its own events: with
//! several instances, store them on a server (examples/calls/redis).
//!
//! Price: 16 KiB of the layer (`just image server_sent_events`: 328 KiB; with all events as one
//! text instead of a stream: 312).

use firstbyte::{App, BodyWriter, Reply, Request, Result, Status, stopping};
use std::collections::VecDeque;
use std::fmt::Write as _;
use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Number of events that are kept for readers that reconnect, and largest size of one, in bytes.
const KEPT: usize = 1000;
const MOST_BYTES: usize = 4 * 1024;
/// Bytes of text that are written at once, plus one event. Many readers may have missed much, and
/// each has its text in memory.
const TEXT_BYTES: usize = 16 * 1024;
/// Time after which a reader reconnects.
const RETRY: Duration = Duration::from_secs(2);
/// Time within which a stream notices that the server is stopping.
const LOOK: Duration = Duration::from_millis(500);

struct Events {
    /// Number of the first kept event, from 1.
    first: u64,
    kept: VecDeque<String>,
}

static EVENTS: Mutex<Events> = Mutex::new(Events { first: 1, kept: VecDeque::new() });
static NEWS: Condvar = Condvar::new();

fn main() -> ExitCode {
    App::new().get("/events", events).post("/say", say).serve()
}

fn say(request: Request<'_>) -> Result<(Status, String)> {
    let text = request.text()?;
    if text.len() > MOST_BYTES {
        return Ok((Status::CONTENT_TOO_LARGE, format!("say at most {MOST_BYTES} bytes\n")));
    }
    let text = text.to_owned();
    let mut events = lock();
    events.kept.push_back(text);
    if events.kept.len() > KEPT {
        events.kept.pop_front();
        events.first += 1;
    }
    NEWS.notify_all();
    let number = events.first + events.kept.len() as u64 - 1;
    Ok((Status::ACCEPTED, format!("{number}\n")))
}

/// A reader without a Last-Event-ID gets new events; a reader with an id of an earlier process gets
/// all kept events.
fn events(request: Request<'_>) -> Result<Reply> {
    let last: Option<u64> = request.header("last-event-id").and_then(|id| id.parse().ok());
    let next = {
        let events = lock();
        let end = events.first + events.kept.len() as u64;
        match last {
            None => end,
            Some(last) if last < end => last + 1,
            Some(_) => events.first,
        }
    };
    Reply::stream("text/event-stream", move |out| tell(out, next, heartbeat()))?
        .with_header("cache-control", "no-store")?
        .with_header("x-accel-buffering", "no") // nginx would buffer events
}

fn tell(out: &mut BodyWriter<'_>, mut next: u64, heartbeat: Duration) -> io::Result<()> {
    // Each write is sent at once, so there is one for a whole field.
    out.write_all(format!("retry: {}\n\n", RETRY.as_millis()).as_bytes())?;
    let mut said = Instant::now();
    while !stopping() {
        let (text, now_next) = news(next);
        next = now_next;
        if !text.is_empty() {
            out.write_all(text.as_bytes())?; // waits for a slow reader, without the lock
        } else if said.elapsed() >= heartbeat {
            out.write_all(b": still here\n\n")?;
        } else {
            continue;
        }
        said = Instant::now();
    }
    Ok(()) // the reader reconnects to another instance
}

/// The events from `next` on, as the stream's text, and the number after them; waits for a moment
/// if there are none. It waits with std, and other requests are served meanwhile.
fn news(mut next: u64) -> (String, u64) {
    let is_old = |events: &mut Events| events.first + events.kept.len() as u64 <= next;
    let (events, _) =
        NEWS.wait_timeout_while(lock(), LOOK, is_old).unwrap_or_else(PoisonError::into_inner);
    let mut text = String::new();
    let first = events.first;
    if next < first {
        let _ = write!(text, "event: lost\ndata: {}\n\n", first - next);
        next = first;
    }
    let behind = usize::try_from(next - first).unwrap_or(usize::MAX);
    for event in events.kept.iter().skip(behind) {
        if text.len() >= TEXT_BYTES {
            break;
        }
        let _ = writeln!(text, "id: {next}");
        next += 1;
        // A field ends with its line, so the event has a field for each line.
        for line in event.split("\r\n").flat_map(|line| line.split(['\n', '\r'])) {
            let _ = writeln!(text, "data: {line}");
        }
        text.push('\n');
    }
    (text, next)
}

/// Proxies end a silent stream after 30 to 60 s.
fn heartbeat() -> Duration {
    let told = std::env::var("HEARTBEAT_MS").ok().and_then(|text| text.parse().ok());
    told.map_or(Duration::from_secs(15), Duration::from_millis)
}

fn lock() -> MutexGuard<'static, Events> {
    EVENTS.lock().unwrap_or_else(PoisonError::into_inner)
}
