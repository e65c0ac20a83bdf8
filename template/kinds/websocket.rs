//! A Web function with a WebSocket at /talk: messages and answers are JSON. Other requests arrive
//! unchanged, as in any Web function.
//!
//! Try it: `just run`, then `python3 -m websockets ws://127.0.0.1:9001/talk` and `{"name":"Ann"}`.

// `firstbyte::main!` defines the start of the program; a test's harness has its own
#![cfg_attr(not(test), no_main)]

use firstbyte::{App, Json, Request};
use firstbyte::{Message, Socket, WebSocket};
use serde::{Deserialize, Serialize};

#[derive(Serialize)]
struct Answer {
    message: String,
}

/// GET /hello/{name}
fn hello(request: Request<'_>) -> Json<Answer> {
    Json(Answer { message: format!("Hello, {}!", request.param("name").unwrap_or("world")) })
}

/// A message of the peer.
#[derive(Deserialize)]
struct Said {
    name: String,
}

/// The answer to it.
#[derive(Serialize)]
struct Heard {
    message: String,
}

/// Answers each message of GET /talk. Invalid JSON ends the connection with code 1007.
fn talk(socket: &mut Socket<'_>, message: Message<'_>) -> firstbyte::Result<()> {
    let said: Said = message.json()?;
    let heard = Heard { message: format!("Hello, {}!", said.name) };
    socket.send_json(&heard)
}

fn app() -> App {
    // Pages of the function's own host may connect; `.origin("https://…")` permits others.
    let websocket = WebSocket::new().text_only().message_bytes(16 * 1024);
    App::new()
        .get("/hello/{name}", hello)
        .get("/talk", move |request: Request<'_>| websocket.accept(&request, talk))
        .web(|_| "try /hello/Ann, or a WebSocket at /talk\n")
}

firstbyte::main!(app());

#[cfg(test)]
mod tests {
    use super::*;
    use firstbyte::test;

    #[test]
    fn answers_its_routes_and_all_other_paths() {
        assert_eq!(test::get("/hello/Ann").send(&app()).text(), r#"{"message":"Hello, Ann!"}"#);
        assert_eq!(test::get("/").send(&app()).status().code(), 200);
        assert_eq!(test::get("/talk").send(&app()).status().code(), 426, "it is a WebSocket");
    }
}
