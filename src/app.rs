//! App: an event handler, routes, a Web handler and their configuration, composed into one service.

use crate::boot;
use crate::context::Context;
use crate::error::{Error, Result};
use crate::event::Event;
use crate::reply::{IntoReply, Reply};
use crate::request::Request;
use crate::route::{Matched, Routes};
use crate::spare;
use crate::transport::{Admission, Limits, RequestHead, Service};
use crate::wire::Status;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;

pub(crate) type EventHandler = Box<dyn Fn(Event<'_>) -> Result<Reply> + Send + Sync>;
pub(crate) type WebHandler = Box<dyn Fn(Request<'_>) -> Result<Reply> + Send + Sync>;

/// A function: what answers events, what answers Web requests, and within which limits.
///
/// Handlers are fn items or closures; state is what a closure owns, shared by reference between all calls.
///
/// # Example
/// ```
/// use firstbyte::{App, Event, Reply, Request, Result};
///
/// fn on_event(event: Event<'_>) -> Result<Reply> {
///     Reply::json(&event.document()?)
/// }
///
/// let greeting = String::from("hello");
/// let app = App::new()
///     .event(on_event)
///     .route("GET", "/hello/{name}", move |request: Request<'_>| {
///         format!("{greeting}, {}", request.param("name").unwrap_or("stranger"))
///     })
///     .web(|_| "any other path");
/// # let _ = app;
/// ```
#[derive(Default)]
pub struct App {
    event: Option<EventHandler>,
    routes: Routes,
    web: Option<WebHandler>,
    limits: Limits,
    error_status: Option<Status>,
    workers: usize,
    misconfigured: Option<Error>,
}

impl App {
    /// The path that the platform posts events to (platform page "WebServer image function").
    pub const EVENT_PATH: &'static str = "/event-invoke";

    /// An App without handlers: every request is a 404.
    pub fn new() -> App {
        App::default()
    }

    /// Answers POST /event-invoke. Without an event handler that path is the Web handler's like any other.
    pub fn event<F, R>(mut self, handler: F) -> App
    where
        F: Fn(Event<'_>) -> R + Send + Sync + 'static,
        R: IntoReply,
    {
        self.event = Some(Box::new(move |event| handler(event).into_reply()));
        self
    }

    /// Answers one method on the paths that match `pattern`: `/users/{id}`, `/files/{*rest}`. A GET route answers HEAD
    /// too; other methods on a known path get 405.
    ///
    /// A pattern that is malformed or taken is reported when the App starts to serve.
    pub fn route<F, R>(mut self, method: &'static str, pattern: &str, handler: F) -> App
    where
        F: Fn(Request<'_>) -> R + Send + Sync + 'static,
        R: IntoReply,
    {
        let handler: WebHandler = Box::new(move |request| handler(request).into_reply());
        if let Err(error) = self.routes.add(method, pattern, handler) {
            self.misconfigured.get_or_insert(error);
        }
        self
    }

    /// Answers every path and method that no route and no event handler takes.
    pub fn web<F, R>(mut self, handler: F) -> App
    where
        F: Fn(Request<'_>) -> R + Send + Sync + 'static,
        R: IntoReply,
    {
        self.web = Some(Box::new(move |request| handler(request).into_reply()));
        self
    }

    /// Other limits than the defaults.
    pub fn limits(mut self, limits: Limits) -> App {
        self.limits = limits;
        self
    }

    /// The status of a handler's error that did not choose its own; 500 by default. (Which status makes an event
    /// invocation a failure is documented nowhere: to be measured on SCF.)
    pub fn error_status(mut self, status: Status) -> App {
        self.error_status = Some(status);
        self
    }

    /// Threads that run coroutines; 1 by default. The platform gives an instance one request at a time unless it
    /// is configured otherwise, and a whole core only from 1,280 MB on.
    pub fn workers(mut self, workers: usize) -> App {
        self.workers = workers;
        self
    }

    /// Listens and serves until SIGTERM or SIGINT. If it cannot, it says why in one line on standard error.
    ///
    /// # Cold start
    /// The port is bound and listened on before anything else happens.
    pub fn serve(self) -> ExitCode {
        match self.try_serve() {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("firstbyte: {error}");
                ExitCode::FAILURE
            }
        }
    }

    /// As [`App::serve`], for a `main` that has its own way with errors.
    ///
    /// # Errors
    /// If a route is malformed, or the address is malformed, taken or not allowed.
    pub fn try_serve(mut self) -> Result<()> {
        if let Some(error) = self.misconfigured.take() {
            return Err(error);
        }
        let (limits, workers) = (self.limits, self.workers);
        boot::run(self, limits, workers)
    }

    /// Answers one request without a server.
    pub(crate) fn answer<'a>(&'a self, request: Request<'a>) -> Result<Reply> {
        if let Some(handler) = &self.event
            && request.method() == "POST"
            && request.path() == Self::EVENT_PATH
        {
            return handler(Event::new(request));
        }
        match (self.routes.find(request.method(), request.path()), &self.web) {
            (Matched::Handler(handler, params), _) => {
                let mut request = request;
                request.set_params(params);
                handler(request)
            }
            (Matched::OtherMethods(allow), _) => {
                let error = Error::peer(Status::METHOD_NOT_ALLOWED, "this path has no such method");
                self.failure(&error, request.headers().get("x-scf-request-id").unwrap_or_default())
                    .with_header("allow", allow)
            }
            (Matched::Nothing, Some(handler)) => handler(request),
            (Matched::Nothing, None) => {
                Err(Error::peer(Status::NOT_FOUND, "this function has no handler for this path"))
            }
        }
    }

    fn failure(&self, error: &Error, request_id: &str) -> Reply {
        let mut body = spare::take();
        error.write_json(request_id, &mut body);
        Reply::raw_json(body).with_status(error.status_or(self.error_status.unwrap_or(Status::INTERNAL_SERVER_ERROR)))
    }
}

impl Service for App {
    fn admit(&self, _head: &RequestHead<'_>) -> Result<Admission> {
        Ok(Admission { body_bytes: self.limits.body_bytes })
    }

    fn call(&self, request: Request<'_>) -> Reply {
        let context = Context::new(request.headers());
        // A panic is the handler's: what it broke is its own, and the next request gets a fresh coroutine's worth.
        let answered = catch_unwind(AssertUnwindSafe(|| self.answer(request))).unwrap_or_else(|panic| {
            let what = panic
                .downcast_ref::<&str>()
                .copied()
                .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
                .unwrap_or("no message");
            crate::log::line(context.request_id(), format_args!("the handler panicked: {what}"));
            Err(Error::new("the handler panicked").with_status(Status::INTERNAL_SERVER_ERROR))
        });
        answered.unwrap_or_else(|error| self.failure(&error, context.request_id()))
    }

    fn refuse(&self, error: &Error, head: Option<&RequestHead<'_>>) -> Reply {
        let request_id = head.map(|head| Context::new(head.headers()).request_id()).unwrap_or_default();
        self.failure(error, request_id)
    }
}
