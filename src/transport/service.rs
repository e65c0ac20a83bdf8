//! Service: the interface between transport and what it serves. App implements it.

use crate::error::{Error, Result};
use crate::headers::Headers;
use crate::reply::Reply;
use crate::request::Request;
use crate::wire::Head;

/// What is served. App implements it; tests have others.
pub(crate) trait Service: Send + Sync + 'static {
    /// Decides on a request by its head, before any of its body is read.
    fn admit(&self, head: &RequestHead<'_>) -> Result<Admission>;
    /// Answers a complete request. Must not panic.
    fn call(&self, request: Request<'_>) -> Reply;
    /// Makes the reply to a refused request; `head` is there if it was valid.
    fn refuse(&self, error: &Error, head: Option<&RequestHead<'_>>) -> Reply;
    /// Whether there is work to do when the server stops.
    fn has_last_work(&self) -> bool;
    /// Does that work. False if it fails. Must not panic.
    fn stop(&self) -> bool;
}

/// Permission to read a body.
pub(crate) struct Admission {
    pub body_bytes: usize,
    /// Whether the body is to be inflated; the limit then applies to the inflated size too.
    #[cfg(feature = "gzip")]
    pub is_gzip: bool,
}

/// A head with the bytes it points into.
pub(crate) struct RequestHead<'a> {
    pub head: &'a Head,
    pub bytes: &'a [u8],
}

impl<'a> RequestHead<'a> {
    pub(crate) fn headers(&self) -> Headers<'a> {
        Headers::new(self.bytes, &self.head.fields)
    }

    /// Method, path and query. The parser accepts only visible ASCII in all three.
    pub(crate) fn target(&self) -> (&'a str, &'a str, Option<&'a str>) {
        let text = |bytes: &'a [u8]| std::str::from_utf8(bytes).unwrap_or_default();
        let head = self.head;
        let query = head.query.map(|query| text(query.of(self.bytes)));
        (text(head.method.of(self.bytes)), text(head.path.of(self.bytes)), query)
    }
}
