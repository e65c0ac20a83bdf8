//! Oracle, an independent parser of the same bytes: hyper's HTTP/1 server, fed from memory and
//! driven without a runtime.

use crate::framing::{Message, sorted};
use hyper::body::{Body, Bytes, Frame, Incoming};
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper::service::service_fn;
use hyper::{Request, Response};
use std::cell::RefCell;
use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

/// The messages, and the reason of the difference.
pub type Difference = (fn(&Message) -> bool, &'static str);

/// Requests that we accept and hyper does not: how to recognise one, and why we accept it.
pub const WE_ACCEPT: &[Difference] = &[
    (
        |message| message.target.bytes().any(|byte| b"<>\"{}|\\^`".contains(&byte)),
        "bytes that RFC 3986 wants percent-encoded: browsers send some of them raw in queries, \
         and no framing depends on them",
    ),
    (
        |message| {
            message.fields.iter().any(|(name, value)| {
                name == "transfer-encoding"
                    && value.split(|b| *b == b',').any(|member| member.trim_ascii().is_empty())
            })
        },
        "empty members of the Transfer-Encoding list, which a recipient must ignore (RFC 9110, \
         section 5.6.1.2); hyper calls the message malformed and closes",
    ),
];

/// The requests that hyper finds complete in the bytes of one connection.
///
/// # Panics
/// If hyper waits although all bytes and their end have arrived.
pub fn read(bytes: &[u8]) -> Vec<Message> {
    let messages = Rc::new(RefCell::new(Vec::new()));
    let service = service_fn(|request: Request<Incoming>| {
        let messages = messages.clone();
        async move {
            let (head, body) = request.into_parts();
            if let Some(body) = collect(body).await {
                let target = head.uri.path_and_query().map_or("/", |target| target.as_str());
                // An absolute target without a path means "/".
                let target = if target.is_empty() || target.starts_with('?') {
                    format!("/{target}")
                } else {
                    target.into()
                };
                let fields = head.headers.iter();
                let fields = fields
                    .map(|(name, value)| (name.as_str().to_owned(), value.as_bytes().to_vec()));
                let fields = sorted(fields);
                messages.borrow_mut().push(Message {
                    method: head.method.to_string(),
                    target,
                    fields,
                    body,
                });
            }
            Ok::<_, Infallible>(Response::new(NoBody))
        }
    });
    let connection = hyper::server::conn::http1::Builder::new()
        .half_close(true)
        .max_headers(200)
        .serve_connection(Memory { unread: bytes.to_vec(), at: 0 }, service);
    let mut connection = pin!(connection);
    let mut context = Context::from_waker(Waker::noop());
    let ended = (0..10_000).any(|_| connection.as_mut().poll(&mut context).is_ready());
    assert!(ended, "hyper waits for ever on `{}`", bytes.escape_ascii());
    messages.take()
}

/// The whole body; `None` if it ends too early or is malformed.
async fn collect(mut body: Incoming) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    while let Some(frame) = poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await {
        if let Ok(data) = frame.ok()?.into_data() {
            bytes.extend_from_slice(&data);
        }
    }
    Some(bytes)
}

/// A connection whose peer has sent everything and accepts everything.
struct Memory {
    unread: Vec<u8>,
    at: usize,
}

impl Read for Memory {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        mut buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let size = buffer.remaining().min(self.unread.len() - self.at);
        buffer.put_slice(&self.unread[self.at..self.at + size]);
        self.at += size;
        Poll::Ready(Ok(()))
    }
}

impl Write for Memory {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

struct NoBody;

impl Body for NoBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(None)
    }

    /// Known to be empty: a body of unknown length would end an HTTP/1.0 connection.
    fn is_end_stream(&self) -> bool {
        true
    }
}
