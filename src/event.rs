//! Event: the body of POST /event-invoke (or of a sibling platform's event path) and the context it
//! came with. Not the shapes that triggers send: those are in `trigger`. Platform page "WebServer
//! image function".

use crate::body::Body;
use crate::context::Context;
use crate::deadline::Arrival;
use crate::error::Result;
use crate::headers::Headers;
use crate::json::{self, Document};
use crate::request::Request;
use std::fmt;

/// One invocation of an event function.
pub struct Event<'a> {
    headers: Headers<'a>,
    body: Body<'a>,
    arrival: Option<Arrival>,
}

impl<'a> Event<'a> {
    pub(crate) fn new(request: Request<'a>) -> Event<'a> {
        let (headers, arrival) = (request.headers(), request.context().arrival());
        Event { headers, body: request.into_body(), arrival }
    }

    /// The event as a `T`, parsed in place: `&str` fields of `T` point into the body. Take the
    /// [`context`] first if it is needed afterwards: this uses the event up, because parsing
    /// rewrites the body.
    ///
    /// [`context`]: Event::context
    ///
    /// # Errors
    /// 400 if the body is not JSON, is nested deeper than the limit, or is not a `T`.
    ///
    /// # Example
    /// ```
    /// use firstbyte::{Event, Reply, Result};
    ///
    /// #[derive(serde::Deserialize)]
    /// struct Timer<'a> {
    ///     #[serde(rename = "TriggerName")]
    ///     name: &'a str,
    /// }
    ///
    /// fn on_timer(event: Event<'_>) -> Result<Reply> {
    ///     let timer: Timer = event.json()?;
    ///     Ok(Reply::text(format!("{} fired", timer.name)))
    /// }
    /// # let _ = on_timer;
    /// ```
    pub fn json<T: serde::Deserialize<'a>>(self) -> Result<T> {
        json::parse(self.body)
    }

    /// The event as whatever JSON it is.
    ///
    /// # Errors
    /// 400 if the body is not JSON or is nested deeper than the limit.
    pub fn document(self) -> Result<Document<'a>> {
        Document::parse(self.body)
    }

    /// The event's bytes, unparsed.
    pub fn bytes(&self) -> &[u8] {
        self.body.as_bytes()
    }

    /// What the platform said about this invocation.
    pub fn context(&self) -> Context<'a> {
        Context::new(self.headers, self.arrival)
    }

    /// All headers of the invocation.
    pub fn headers(&self) -> Headers<'a> {
        self.headers
    }
}

impl fmt::Debug for Event<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The body's size only: an event may hold what must not be logged.
        f.debug_struct("Event")
            .field("context", &self.context())
            .field("body_bytes", &self.bytes().len())
            .finish_non_exhaustive()
    }
}
