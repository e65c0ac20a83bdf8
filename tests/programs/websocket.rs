//! WebSockets of several kinds, each on a path of its own: an echo, one with short limits, a chat,
//! handlers that fail.

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
    let limits =
        Limits { connections: 1200, body_timeout: Duration::from_millis(300), ..Limits::default() };
    App::new()
        .get("/echo", move |request: Request<'_>| usual.accept(&request, echo))
        .get("/short", move |request: Request<'_>| short.accept(&request, echo))
        .get("/pings", move |request: Request<'_>| pings.accept(&request, echo))
        .get("/fails", |request: Request<'_>| WebSocket::new().accept(&request, fails))
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

/// Everybody hears everything.
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
