//! Peer of the server: one raw socket, with a time limit for every wait.

use crate::PATIENCE;
use crate::reply::{self, NoReply, Reply};
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

/// One connection.
#[derive(Debug)]
pub struct Peer {
    /// The socket, for a test that writes to it or shuts it down itself.
    pub stream: TcpStream,
    unread: Vec<u8>,
}

impl Peer {
    /// Connects.
    #[track_caller]
    pub fn to(address: SocketAddr) -> Peer {
        let stream = TcpStream::connect_timeout(&address, PATIENCE).expect("the server listens");
        stream.set_nodelay(true).expect("TCP has no delay to turn off?");
        stream.set_read_timeout(Some(PATIENCE)).expect("a time-out that is not zero");
        stream.set_write_timeout(Some(PATIENCE)).expect("a time-out that is not zero");
        Peer { stream, unread: Vec::new() }
    }

    /// Sends all of `bytes`.
    #[track_caller]
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).expect("the server takes what is sent");
    }

    /// Sends `bytes`, or the part that a refusing server still accepts.
    pub fn try_send(&mut self, bytes: impl AsRef<[u8]>) {
        // the server may refuse before the end, which its reply shows
        let _ = self.stream.write_all(bytes.as_ref());
    }

    /// The next response.
    #[track_caller]
    pub fn reply(&mut self) -> Reply {
        self.try_reply("GET").unwrap_or_else(|why| panic!("no reply: {why:?}"))
    }

    /// The next response to a request with `method`.
    ///
    /// # Errors
    /// [`NoReply`].
    pub fn try_reply(&mut self, method: &str) -> Result<Reply, NoReply> {
        reply::read(&mut self.stream, &mut self.unread, method)
    }

    /// Sends a request and reads its response.
    #[track_caller]
    pub fn ask(&mut self, bytes: impl AsRef<[u8]>) -> Reply {
        self.send(bytes);
        self.reply()
    }

    /// Ends this side: nothing more will be sent.
    pub fn half_close(&mut self) {
        // it fails if the server has closed already
        let _ = self.stream.shutdown(Shutdown::Write);
    }

    /// Whether the server ends the connection without another byte, a reset included.
    #[track_caller]
    pub fn assert_closed(&mut self) {
        assert_eq!(self.unread.escape_ascii().to_string(), "", "bytes that belong to no reply");
        let mut byte = [0];
        match self.stream.read(&mut byte) {
            Ok(0) => {}
            Err(error) if matches!(error.kind(), ErrorKind::ConnectionReset) => {}
            other => panic!("the connection is still open: {other:?}"),
        }
    }

    /// Whether the server's end of the connection has arrived; an end that is on its way does not
    /// count.
    pub fn is_closed(&mut self) -> bool {
        self.stream.set_nonblocking(true).expect("a socket can be non-blocking");
        let closed = match self.stream.peek(&mut [0]) {
            Ok(size) => size == 0,
            Err(error) => error.kind() != ErrorKind::WouldBlock,
        };
        self.stream.set_nonblocking(false).expect("a socket can be blocking");
        closed
    }

    /// Whether bytes or the end can be read.
    pub fn has_input(&mut self) -> bool {
        self.stream.set_nonblocking(true).expect("a socket can be non-blocking");
        let here = self.stream.peek(&mut [0]).is_ok();
        self.stream.set_nonblocking(false).expect("a socket can be blocking");
        here || !self.unread.is_empty()
    }

    /// Waits until the first byte of a reply has arrived, without reading it.
    #[track_caller]
    pub fn wait_for_a_byte(&mut self) {
        let peeked = self.stream.peek(&mut [0]);
        assert!(matches!(peeked, Ok(1)), "no reply has begun: {peeked:?}");
    }

    /// Whether nothing arrives for `time`: the connection is open and silent.
    #[track_caller]
    pub fn assert_silent(&mut self, time: Duration) {
        assert_eq!(self.unread.escape_ascii().to_string(), "", "bytes that belong to no reply");
        self.stream.set_read_timeout(Some(time)).expect("a time-out that is not zero");
        let mut byte = [0];
        match self.stream.read(&mut byte) {
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            other => panic!("the connection is not silent: {other:?}"),
        }
        self.stream.set_read_timeout(Some(PATIENCE)).expect("a time-out that is not zero");
    }

    /// Ends the connection with a reset: bytes in flight are lost on both sides.
    pub fn reset(self) {
        rustix::net::sockopt::set_socket_linger(&self.stream, Some(Duration::ZERO))
            .expect("a TCP socket lingers");
    }
}

/// Sends `bytes` on a connection of its own and reads one response.
#[track_caller]
pub fn ask(address: SocketAddr, bytes: impl AsRef<[u8]>) -> Reply {
    let mut peer = Peer::to(address);
    peer.try_send(bytes);
    peer.reply()
}

/// A GET request for `target`.
pub fn get(target: &str) -> Vec<u8> {
    format!("GET {target} HTTP/1.1\r\nHost: test\r\n\r\n").into_bytes()
}

/// A POST request with `body`, its length stated.
pub fn post(target: &str, body: impl AsRef<[u8]>) -> Vec<u8> {
    let body = body.as_ref();
    let mut request =
        format!("POST {target} HTTP/1.1\r\nHost: test\r\nContent-Length: {}\r\n\r\n", body.len())
            .into_bytes();
    request.extend_from_slice(body);
    request
}

/// The invocation of an event function with `event`.
pub fn invoke(event: impl AsRef<[u8]>) -> Vec<u8> {
    post("/event-invoke", event)
}
