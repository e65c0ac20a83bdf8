//! Response as a peer sees it: it is parsed from raw bytes and checked at the same time. RFC 9112,
//! sections 4 to 7.

use serde_json::Value;
use std::io::Read;

/// One response.
#[derive(Debug, Clone)]
pub struct Reply {
    /// The status code.
    pub status: u16,
    /// Names in lower case, values unchanged, in order.
    pub headers: Vec<(String, String)>,
    /// The whole body, without its framing.
    pub body: Vec<u8>,
}

impl Reply {
    /// The first value of the field `name`, which is in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(field, _)| field == name).map(|(_, value)| value.as_str())
    }

    /// The body as text.
    ///
    /// # Panics
    /// If it is not UTF-8.
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("the body is text")
    }

    /// The body as a JSON value.
    ///
    /// # Panics
    /// If it is not JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error} in `{}`", self.body.escape_ascii()))
    }

    /// Whether it announces that its connection is closed.
    pub fn closes(&self) -> bool {
        self.header("connection") == Some("close")
    }

    /// Checks that the reply has the form of every error of the server (docs/CONTRACTS.md, section
    /// 2).
    #[track_caller]
    pub fn assert_is_error(&self, status: u16) {
        assert_eq!(self.status, status, "{}", self.body.escape_ascii());
        assert_eq!(self.header("content-type"), Some("application/json"));
        let body = self.json();
        assert!(body["errorCode"].is_i64(), "{body}");
        assert!(body["errorMessage"].as_str().is_some_and(|message| !message.is_empty()), "{body}");
        assert!(body["requestId"].is_string(), "{body}");
        assert_eq!(body.as_object().map(serde_json::Map::len), Some(3), "{body}");
    }
}

/// Why no response could be read.
#[derive(Debug, PartialEq, Eq)]
pub enum NoReply {
    /// The connection ended before the first byte.
    Closed,
    /// It ended in the middle.
    Truncated(Vec<u8>),
    /// It was reset, or nothing arrived in time.
    Failed(std::io::ErrorKind),
}

/// Reads one response to a request with `method` from `stream`. Bytes after it stay in `unread`.
///
/// # Errors
/// [`NoReply`].
///
/// # Panics
/// If the bytes are not an HTTP/1.1 response.
pub fn read(stream: &mut impl Read, unread: &mut Vec<u8>, method: &str) -> Result<Reply, NoReply> {
    let head_end = loop {
        if let Some(at) = unread.windows(4).position(|window| window == b"\r\n\r\n") {
            break at + 4;
        }
        more(stream, unread)?;
    };
    let (status, headers) = parse_head(&unread[..head_end]);
    let mut reply = Reply { status, headers, body: Vec::new() };
    let consumed = if method == "HEAD" || status < 200 || status == 204 || status == 304 {
        head_end
    } else if reply.header("transfer-encoding") == Some("chunked") {
        read_chunked(stream, unread, head_end, &mut reply.body)?
    } else if let Some(length) = reply.header("content-length") {
        let end = head_end + length.parse::<usize>().expect("Content-Length is a number");
        while unread.len() < end {
            more(stream, unread)?;
        }
        reply.body = unread[head_end..end].to_vec();
        end
    } else {
        loop {
            match more(stream, unread) {
                Ok(()) => {}
                // a reset is not an end
                Err(NoReply::Failed(kind)) => return Err(NoReply::Failed(kind)),
                Err(_) => break,
            }
        }
        reply.body = unread[head_end..].to_vec();
        unread.len()
    };
    unread.drain(..consumed);
    Ok(reply)
}

fn parse_head(head: &[u8]) -> (u16, Vec<(String, String)>) {
    let head = std::str::from_utf8(head).expect("a response head is text");
    let mut lines = head.trim_end_matches("\r\n").split("\r\n");
    let line = lines.next().unwrap_or_default();
    let status = line
        .strip_prefix("HTTP/1.1 ")
        .and_then(|rest| rest.get(..3)?.parse().ok())
        .unwrap_or_else(|| panic!("no status line: `{}`", line.escape_debug()));
    let headers = lines
        .map(|line| {
            let (name, value) = line
                .split_once(": ")
                .unwrap_or_else(|| panic!("no field: `{}`", line.escape_debug()));
            (name.to_ascii_lowercase(), value.to_owned())
        })
        .collect();
    (status, headers)
}

/// Appends the content to `body`; returns the end of the last chunk in `unread`.
fn read_chunked(
    stream: &mut impl Read,
    unread: &mut Vec<u8>,
    start: usize,
    body: &mut Vec<u8>,
) -> Result<usize, NoReply> {
    let mut at = start;
    loop {
        let line_end = loop {
            if let Some(end) = unread[at..].windows(2).position(|window| window == b"\r\n") {
                break at + end;
            }
            more(stream, unread)?;
        };
        let digits = std::str::from_utf8(&unread[at..line_end]).expect("a chunk size is text");
        let size = usize::from_str_radix(digits, 16)
            .unwrap_or_else(|_| panic!("no chunk size: `{digits}`"));
        let end = line_end + 2 + size + 2;
        while unread.len() < end {
            more(stream, unread)?;
        }
        body.extend_from_slice(&unread[line_end + 2..end - 2]);
        assert_eq!(&unread[end - 2..end], b"\r\n", "a chunk ends in CRLF");
        at = end;
        if size == 0 {
            return Ok(at);
        }
    }
}

fn more(stream: &mut impl Read, unread: &mut Vec<u8>) -> Result<(), NoReply> {
    let mut piece = [0; 64 * 1024];
    match stream.read(&mut piece) {
        Ok(0) if unread.is_empty() => Err(NoReply::Closed),
        Ok(0) => Err(NoReply::Truncated(unread.clone())),
        Ok(size) => {
            unread.extend_from_slice(&piece[..size]);
            Ok(())
        }
        Err(error) => Err(NoReply::Failed(error.kind())),
    }
}
