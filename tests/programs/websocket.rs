//! Function with several kinds of WebSockets, each on its own path: an echo, one with short limits,
//! a chat, handlers that fail.

use firstbyte::{
    AccessLog, App, Conversation, Ended, Error, Limits, Message, Request, Result, Sender, Socket,
    WebSocket,
};
use std::process::ExitCode;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

fn main() -> ExitCode {
    let usual = WebSocket::new().protocol("echo.1");
    let short = WebSocket::new().message_bytes(1000).idle(Duration::from_millis(300)).text_only();
    let pings = WebSocket::new().ping_every(Duration::from_millis(100));
    let keen = WebSocket::new().keeps_place(Duration::from_millis(200));
    let deaf = WebSocket::new();
    let mut limits = Limits { body_timeout: Duration::from_millis(300), ..Limits::default() };
    limits.connections = match std::env::var("CONNECTIONS") {
        Ok(most) => most.parse().expect("a number"),
        Err(_) => 1200,
    };
    App::new()
        .get("/echo", move |request: Request<'_>| usual.accept(&request, echo))
        .get("/short", move |request: Request<'_>| short.accept(&request, echo))
        .get("/pings", move |request: Request<'_>| pings.accept(&request, echo))
        .get("/fails", |request: Request<'_>| WebSocket::new().accept(&request, fails))
        .get("/keen", move |request: Request<'_>| keen.accept(&request, echo))
        .get("/deaf", move |request: Request<'_>| deaf.accept(&request, Deaf))
        .post("/flood", flood)
        .get("/chat", |request: Request<'_>| WebSocket::new().accept(&request, Guest))
        .get("/", |_| "here")
        .around(AccessLog)
        .limits(limits)
        .serve()
}

fn echo(socket: &mut Socket<'_>, message: Message<'_>) -> Result<()> {
    Ok(socket.send(message)?)
}

fn fails(socket: &mut Socket<'_>, message: Message<'_>) -> Result<()> {
    match message.text() {
        Some("error") => Err(Error::new("a secret of the database")),
        Some("panic") => panic!("asked to"),
        Some("close") => {
            socket.close(4000, "as you like");
            Ok(())
        }
        _ => Ok(()),
    }
}

static GUESTS: Mutex<Vec<Sender>> = Mutex::new(Vec::new());

/// A guest of a chat in which every message goes to all guests.
struct Guest;

impl Conversation for Guest {
    fn opened(&mut self, socket: &mut Socket<'_>) -> Result<()> {
        GUESTS.lock().unwrap_or_else(PoisonError::into_inner).push(socket.sender());
        Ok(socket.send_text("welcome")?)
    }

    fn message(&mut self, _: &mut Socket<'_>, message: Message<'_>) -> Result<()> {
        let text = message.text().unwrap_or_default();
        let mut guests = GUESTS.lock().unwrap_or_else(PoisonError::into_inner);
        guests.retain(|guest| guest.send_text(text).is_ok());
        Ok(())
    }

    fn closed(&mut self, ended: Ended) {
        println!("a guest has left with {}", ended.code);
    }
}

static DEAF: Mutex<Vec<Sender>> = Mutex::new(Vec::new());

/// A WebSocket that gets messages, and whose peer does not read.
struct Deaf;

impl Conversation for Deaf {
    fn opened(&mut self, socket: &mut Socket<'_>) -> Result<()> {
        DEAF.lock().unwrap_or_else(PoisonError::into_inner).push(socket.sender());
        Ok(())
    }

    fn message(&mut self, _: &mut Socket<'_>, _: Message<'_>) -> Result<()> {
        Ok(())
    }
}

/// Posts separate messages of the query's `bytes` to each until none accepts more. Returns the
/// number of accepted messages.
fn flood(request: Request<'_>) -> Result<String> {
    let bytes: usize = request.parsed_query_param("bytes")?.unwrap_or(4096);
    let deaf = DEAF.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let mut taken = 0u64;
    let mut left: Vec<_> = deaf.iter().collect();
    while !left.is_empty() {
        left.retain(|deaf| deaf.send_binary(vec![7u8; bytes]).is_ok());
        taken += left.len() as u64;
    }
    Ok(taken.to_string())
}
