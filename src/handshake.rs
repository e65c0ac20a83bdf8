//! Public entry point of WebSockets: `WebSocket::accept`. It answers a handshake by `websocket`,
//! and is the only code that names the part of `transport` which serves the connection after it.
//! So a function that accepts no WebSocket is linked without that part. RFC 6455, section 4.2.

use crate::conversation::Conversation;
use crate::error::Result;
use crate::reply::Reply;
use crate::request::Request;
use crate::transport::converse_from_now_on;
use crate::websocket::WebSocket;

impl WebSocket {
    /// Checks a handshake and makes the reply that switches protocols: 101. Then `conversation`
    /// handles the messages.
    ///
    /// A request that is not a handshake, or is one of a version other than 13, gets 426; the reply
    /// states what to send. A method other than GET gets 405.
    ///
    /// # Errors
    /// 400 for an invalid key, 403 for an origin that is not allowed.
    pub fn accept(&self, request: &Request<'_>, conversation: impl Conversation) -> Result<Reply> {
        converse_from_now_on();
        self.answer(request, Box::new(conversation))
    }
}
