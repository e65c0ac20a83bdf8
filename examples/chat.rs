//! A chat: a page, and a WebSocket over which each message reaches all open pages. The page comes
//! from the function itself, so only its own origin may connect.
//!
//! Try it: `cargo run --example chat --features websocket`, then open localhost:9000 twice.
//!
//! On SCF each connection is one invocation. For all guests to be in one instance, the function
//! needs request concurrency, and accepts no more guests than that (docs/on-the-platform.md). A
//! chat of many instances needs a server between them, for example Redis.

use firstbyte::{
    App, Conversation, Ended, Message, Reply, Request, Result, Sender, Socket, WebSocket,
};
use std::process::ExitCode;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

static GUESTS: Mutex<Vec<Guest>> = Mutex::new(Vec::new());

/// Limits of a message, in bytes, and of a guest's name, in characters.
const MESSAGE_BYTES: usize = 2000;
const NAME_CHARACTERS: usize = 30;

#[derive(Clone)]
struct Guest {
    number: u64,
    sender: Sender,
}

/// One guest's connection.
struct Seat {
    number: u64,
    name: String,
}

impl Conversation for Seat {
    fn opened(&mut self, socket: &mut Socket<'_>) -> Result<()> {
        let guest = Guest { number: self.number, sender: socket.sender() };
        GUESTS.lock().unwrap_or_else(PoisonError::into_inner).push(guest);
        tell_all(&format!("{} comes in", self.name));
        Ok(())
    }

    fn message(&mut self, _: &mut Socket<'_>, message: Message<'_>) -> Result<()> {
        tell_all(&format!("{}: {}", self.name, message.text().unwrap_or_default()));
        Ok(())
    }

    fn closed(&mut self, _: Ended) {
        let mut guests = GUESTS.lock().unwrap_or_else(PoisonError::into_inner);
        guests.retain(|guest| guest.number != self.number);
        drop(guests);
        tell_all(&format!("{} leaves", self.name));
    }
}

/// Sends one copy to all. A guest that is too far behind misses it.
fn tell_all(text: &str) {
    let text: std::sync::Arc<str> = text.into();
    for guest in GUESTS.lock().unwrap_or_else(PoisonError::into_inner).iter() {
        let _ = guest.sender.send_text(text.clone());
    }
}

fn page(_: Request<'_>) -> Result<Reply> {
    Reply::html(include_str!("chat.html")).with_header("cache-control", "no-store")
}

fn app() -> App {
    let websocket = WebSocket::new()
        .text_only()
        .message_bytes(MESSAGE_BYTES)
        .ping_every(Duration::from_secs(30));
    App::new().get("/", page).get("/chat", move |request: Request<'_>| {
        let name = request.query_param("name").unwrap_or_default();
        let name: String = name.chars().take(NAME_CHARACTERS).collect();
        let number = next_number();
        websocket.accept(&request, Seat { number, name })
    })
}

fn next_number() -> u64 {
    static NEXT: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
    NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed)
}

fn main() -> ExitCode {
    app().serve()
}

#[cfg(test)]
mod tests {
    use super::*;
    use firstbyte::test;

    #[test]
    fn only_the_functions_own_page_may_connect() {
        let page = test::get("/").send(&app());
        assert!(page.text().contains("new WebSocket("), "{}", page.text());
        let call = |origin| {
            test::get("/chat?name=Ann")
                .header("Host", "chat.example")
                .header("Origin", origin)
                .header("Connection", "Upgrade")
                .header("Upgrade", "websocket")
                .header("Sec-WebSocket-Version", "13")
                .header("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")
                .send(&app())
        };
        assert_eq!(call("https://chat.example").status().code(), 101);
        assert_eq!(call("https://elsewhere.example").status().code(), 403);
    }
}
