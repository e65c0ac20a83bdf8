//! Asked: a request without its body, as code around all requests and replies sees it. RFC 9110,
//! section 3.4.

use crate::context::Context;
use crate::headers::Headers;
use crate::request::Request;
use std::fmt;

/// A request as code around its handler sees it: method, path, query, header fields and context.
/// Copies are free.
///
/// If the server could not read the request's head (400, 408, 414, 431), method and path are empty
/// and there are no fields.
#[derive(Clone, Copy)]
pub struct Asked<'a> {
    method: &'a str,
    path: &'a str,
    query: Option<&'a str>,
    headers: Headers<'a>,
    context: Context<'a>,
    is_event: bool,
}

impl<'a> Asked<'a> {
    pub(crate) fn of(request: &Request<'a>) -> Asked<'a> {
        Asked {
            method: request.method(),
            path: request.path(),
            query: request.query(),
            headers: request.headers(),
            context: request.context(),
            is_event: false,
        }
    }

    /// A request whose head was read and which was then refused.
    pub(crate) fn of_head(
        method: &'a str,
        path: &'a str,
        query: Option<&'a str>,
        headers: Headers<'a>,
    ) -> Asked<'a> {
        let context = Context::new(headers, None);
        Asked { method, path, query, headers, context, is_event: false }
    }

    pub(crate) fn of_event(
        method: &'a str,
        path: &'a str,
        headers: Headers<'a>,
        context: Context<'a>,
    ) -> Asked<'a> {
        Asked { method, path, query: None, headers, context, is_event: true }
    }

    /// A request whose head could not be read.
    pub(crate) fn nothing() -> Asked<'static> {
        Asked::of_head("", "", None, Headers::from_pairs(&[]))
    }

    pub(crate) fn as_event(self, is_event: bool) -> Asked<'a> {
        Asked { is_event, ..self }
    }

    /// The method as it was sent; empty if the head could not be read.
    pub fn method(&self) -> &'a str {
        self.method
    }

    /// The path as it was sent, percent-encoding untouched; empty if the head could not be read.
    pub fn path(&self) -> &'a str {
        self.path
    }

    /// What follows the first `?`, undecoded; `None` if there is no `?`.
    pub fn query(&self) -> Option<&'a str> {
        self.query
    }

    /// The header fields, in the order they were sent.
    pub fn headers(&self) -> Headers<'a> {
        self.headers
    }

    /// The first value of a header field, names compared without case; `None` if it is missing or
    /// not UTF-8.
    pub fn header(&self, name: &str) -> Option<&'a str> {
        self.headers.get(name)
    }

    /// What the platform says about this invocation.
    pub fn context(&self) -> Context<'a> {
        self.context
    }

    /// Whether this is the platform's own request: an event or a hook. A gateway's event that an
    /// App with a bridge answers is not one: it counts as the client's request.
    pub fn is_event(&self) -> bool {
        self.is_event
    }
}

impl fmt::Debug for Asked<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Asked")
            .field("method", &self.method)
            .field("path", &self.path)
            .field("query_bytes", &self.query.map(str::len))
            .field("headers", &self.headers)
            .finish_non_exhaustive()
    }
}
