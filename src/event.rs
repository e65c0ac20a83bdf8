//! Event: the body of POST /event-invoke (or of a sibling platform's event path) with its context.
//! The types of triggers' events are in `trigger`. Platform page "WebServer image function".

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

    /// Parses the event as a `T`, in place: `&str` fields of `T` point into the body. This consumes
    /// the event, because parsing rewrites the body; take the [`context`] before if it is needed
    /// afterwards.
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

    /// Parses the event as any JSON, without a type.
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

    /// What the platform says about this invocation.
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
        // Prints only the body's size: an event may hold secrets.
        f.debug_struct("Event")
            .field("context", &self.context())
            .field("body_bytes", &self.bytes().len())
            .finish_non_exhaustive()
    }
}
