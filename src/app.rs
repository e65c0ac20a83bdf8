//! App: event handler, routes, Web handler, hooks and settings, composed into one service. This
//! file decides who answers which request (docs/CONTRACTS.md, section 2); `platform` has what each
//! platform asks for.

mod bridge;
mod surround;

use crate::asked::Asked;
use crate::context::Context;
use crate::error::{Caller, Error, Result};
use crate::event::Event;
use crate::handler::{EventHandler, HookHandler, InitWork, WebHandler};
use crate::headers::Headers;
use crate::log;
use crate::net::{Early, Handshake};
use crate::platform::{self, Completion, Hook, Platform, Role};
use crate::reply::{Guard, IntoReply, Reply};
use crate::request::Request;
use crate::route::{Matched, Routes, Routing};
use crate::spare;
use crate::transport::early;
use crate::transport::records;
use crate::transport::{Admission, Limits, Once, RequestHead, Service, catch};
use crate::wire::{Framing, Status};
use ::log::Level;
use std::fmt;
use surround::Surround;

/// When [`App::init`] runs a function's initialisation.
///
/// # Cold start
/// The first request waits for the initialisation in both cases: the platform started the instance
/// because of that request. What differs is which time-out covers it. `FIRSTBYTE_BOOT_TRACE=1`
/// prints when each step happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Init {
    /// Before the port is bound. The platform's start-up deadline (30 s on SCF) covers it and the
    /// function's own time-out does not; on provisioned instances it has already run. A failure
    /// ends the process with its message, and the platform starts another instance. Calls of
    /// [`test`](mod@crate::test) without a server do not run it.
    BeforeListening,
    /// With the first request. Requests that come meanwhile wait too, without holding a thread. The
    /// function's own time-out covers it, and a provisioned instance runs it with its first
    /// request. On failure that request gets the error as its reply, and the next request tries
    /// again.
    FirstRequest,
}

type FirstRequest = (&'static Once, fn(&App, &Once) -> Result<()>);

/// A function: its handlers for events and Web requests, and its limits.
///
/// Handlers are fn items or closures. They return anything that is [`IntoReply`], alone or in a
/// `Result` whose error is this crate's or any `std::error::Error`. A closure owns its state, and
/// every call sees that state by shared reference. State that several handlers share is a `static`,
/// or a `&'static` made once in `main` (`Box::leak`), so that no reference count and no lock is
/// needed (examples/shared_state.rs).
///
/// # Who answers
/// 1. The event handler, if there is one, answers `POST /event-invoke`. It also answers the event
///    paths of sibling platforms, if the platform's own header or environment identifies that
///    platform.
/// 2. Then the routes, then the Web handler, then 404. In an App without event handler and hooks,
///    all paths are ordinary paths.
///
/// # Example
/// ```
/// use firstbyte::{App, Event, Reply, Request, Result, test};
///
/// fn on_event(event: Event<'_>) -> Result<Reply> {
///     Reply::json(&event.document()?)
/// }
///
/// let greeting = String::from("hello");
/// let app = App::new()
///     .event(on_event)
///     .get("/hello/{name}", move |request| {
///         format!("{greeting}, {}", request.param("name").unwrap_or("stranger"))
///     })
///     .web(|_| "any other path");
///
/// assert_eq!(test::event(r#"{"a":1}"#).send(&app).text(), r#"{"a":1}"#);
/// assert_eq!(test::get("/hello/ann").send(&app).text(), "hello, ann");
/// assert_eq!(test::post("/hello/ann", "").send(&app).status().code(), 405);
/// assert_eq!(test::get("/").send(&app).text(), "any other path");
/// ```
#[derive(Default)]
pub struct App {
    event: Option<EventHandler>,
    /// Set by `bridge` alone, so that an App without it is linked without it.
    bridge: Option<fn(&App, Event<'_>) -> Result<Reply>>,
    /// Set by `around` alone, so that an App without it is linked without it.
    surround: Option<Box<Surround>>,
    /// Set by `route` alone, so that an App without it is linked without it.
    routes: Option<Box<dyn Routing>>,
    web: Option<WebHandler>,
    hooks: Vec<(Hook, HookHandler)>,
    inits: Vec<(Init, InitWork)>,
    stops: Vec<InitWork>,
    /// Set by `init` alone, so that an App without it is linked without it.
    first_request: Option<FirstRequest>,
    limits: Limits,
    error_status: Option<Status>,
    workers: usize,
    takes_encoded: bool,
    misconfigured: Option<Error>,
}

impl App {
    /// Path to which SCF posts events (platform page "WebServer image function").
    pub const EVENT_PATH: &'static str = platform::EVENT_PATH;

    /// An App without handlers. It answers every request with 404.
    pub fn new() -> App {
        App::default()
    }

    /// Sets the handler of `POST /event-invoke`. Without an event handler that path is an ordinary
    /// path of the Web handler.
    pub fn event<F, R>(mut self, handler: F) -> App
    where
        F: Fn(Event<'_>) -> R + Send + Sync + 'static,
        R: IntoReply,
    {
        self.event = Some(Box::new(move |event| handler(event).into_reply()));
        self
    }

    /// Adds a route: a handler for one method on the paths that match `pattern`, for example
    /// `/users/{id}` or `/files/{*rest}`. A GET route answers HEAD too. Another method on a known
    /// path gets 405 with the list of the path's methods. A path counts as known if a pattern
    /// matches it by more than a `{*rest}`: where only a `{*rest}` of another method matches, the
    /// Web handler answers, if there is one.
    ///
    /// Mistakes are reported when the App starts to serve: a malformed pattern, a pattern that is
    /// already taken, a method that is not in upper case.
    ///
    /// # Cold start
    /// Each pattern is put into a tree before the port is bound, which takes a few allocations. A
    /// function with hundreds of paths should use one pattern that ends in `{*rest}`.
    pub fn route<F, R>(mut self, method: &'static str, pattern: &str, handler: F) -> App
    where
        F: Fn(Request<'_>) -> R + Send + Sync + 'static,
        R: IntoReply,
    {
        let handler: WebHandler = Box::new(move |request| handler(request).into_reply());
        let routes = self.routes.get_or_insert_with(|| Box::new(Routes::default()));
        if let Err(error) = routes.add(method, pattern, handler) {
            self.misconfigured.get_or_insert(error);
        }
        self
    }

    /// [`App::route`] for GET, which also answers HEAD.
    pub fn get<F, R>(self, pattern: &str, handler: F) -> App
    where
        F: Fn(Request<'_>) -> R + Send + Sync + 'static,
        R: IntoReply,
    {
        self.route("GET", pattern, handler)
    }

    /// [`App::route`] for POST.
    pub fn post<F, R>(self, pattern: &str, handler: F) -> App
    where
        F: Fn(Request<'_>) -> R + Send + Sync + 'static,
        R: IntoReply,
    {
        self.route("POST", pattern, handler)
    }

    /// [`App::route`] for PUT.
    pub fn put<F, R>(self, pattern: &str, handler: F) -> App
    where
        F: Fn(Request<'_>) -> R + Send + Sync + 'static,
        R: IntoReply,
    {
        self.route("PUT", pattern, handler)
    }

    /// [`App::route`] for DELETE.
    pub fn delete<F, R>(self, pattern: &str, handler: F) -> App
    where
        F: Fn(Request<'_>) -> R + Send + Sync + 'static,
        R: IntoReply,
    {
        self.route("DELETE", pattern, handler)
    }

    /// Sets the handler of every request that no route and no event handler takes. The exception is
    /// another method on a path that a route knows by more than a `{*rest}`: that is 405.
    pub fn web<F, R>(mut self, handler: F) -> App
    where
        F: Fn(Request<'_>) -> R + Send + Sync + 'static,
        R: IntoReply,
    {
        self.web = Some(Box::new(move |request| handler(request).into_reply()));
        self
    }

    /// Sets the handler of a platform's hook. Without it, an App with an event handler answers
    /// hooks with 200, and in an App without one the hooks' paths are ordinary paths. On a platform
    /// without the hook it is never called.
    ///
    /// # Cold start
    /// [`Hook::Initialize`] is part of the cold start, if the platform is configured to call it.
    ///
    /// # Example
    /// ```
    /// use firstbyte::{App, test};
    /// use firstbyte::platform::Hook;
    ///
    /// let app = App::new()
    ///     .event(|_| "done")
    ///     .on(Hook::PreStop, |context| println!("stopping: {context:?}"));
    /// let reply = test::get("/pre-stop").header("x-fc-request-id", "r-1").send(&app);
    /// assert_eq!(reply.header("x-fc-status"), Some("200"));
    /// assert_eq!(test::get("/pre-stop").send(&app).status().code(), 404);
    /// ```
    pub fn on<F, R>(mut self, hook: Hook, handler: F) -> App
    where
        F: Fn(Context<'_>) -> R + Send + Sync + 'static,
        R: IntoReply,
    {
        self.hooks.push((hook, Box::new(move |context| handler(context).into_reply().map(drop))));
        self
    }

    /// Runs `work` once, before any handler; several run in the order in which they were added.
    /// [`Init`] chooses when it runs and which time-out covers it. Keep its result where the
    /// handlers find it: in a `static OnceLock`, or in what a closure owns.
    ///
    /// For a value that only some requests need, use a `static LazyLock` in the handler instead.
    ///
    /// # Example
    /// ```
    /// use firstbyte::{App, Error, Init, Result, test};
    /// use std::sync::OnceLock;
    ///
    /// static TABLE: OnceLock<Vec<u32>> = OnceLock::new();
    ///
    /// fn load() -> Result<()> {
    ///     TABLE.set(vec![1, 2, 3]).map_err(|_| Error::new("the table is there already"))
    /// }
    ///
    /// let app = App::new()
    ///     .init(Init::FirstRequest, load)
    ///     .web(|_| TABLE.get().map_or(0, Vec::len).to_string());
    /// assert_eq!(test::get("/").send(&app).text(), "3");
    /// assert_eq!(test::get("/").send(&app).text(), "3");
    /// ```
    pub fn init<F, R>(mut self, when: Init, work: F) -> App
    where
        F: Fn() -> R + Send + Sync + 'static,
        R: IntoReply,
    {
        self.inits.push((when, Box::new(move || work().into_reply().map(drop))));
        if when == Init::FirstRequest {
            // leaked: an App lives as long as its process
            let once: &'static Once = Box::leak(Box::default());
            self.first_request.get_or_insert((once, |app, once| {
                once.done_by(|| app.initialise(Init::FirstRequest))
            }));
        }
        self
    }

    /// Begins this outgoing connection right after the port is listened on, and continues its
    /// handshake while the boot lane waits for the first request: see [`Early`]. Several may be
    /// registered.
    ///
    /// # Cold start
    /// A few system calls after `listen`. If a request is already there, they run before it is
    /// read. Nothing that the peer does or fails to do delays listening.
    pub fn early<T: Handshake>(self, connection: &'static Early<T>) -> App {
        early::register(connection);
        self
    }

    /// Passes bodies with a content coding (`content-encoding: gzip`) to handlers as they were
    /// sent. Without this they are refused with 415 and `accept-encoding: identity` before they are
    /// read: compressed JSON cannot be parsed as JSON, and the unpacked size has no limit but the
    /// handler's. The feature `gzip` makes an exception for that coding: such a body is inflated
    /// within the limits of other bodies, and the handler gets it without its Content-Encoding and
    /// Content-Length.
    ///
    /// # Example
    /// ```
    /// use firstbyte::{App, Request, test};
    ///
    /// let app = App::new().post("/", |request: Request<'_>| request.body().len().to_string());
    /// let call = test::post("/", "packed").header("content-encoding", "br");
    /// let reply = call.clone().send(&app);
    /// assert_eq!(reply.status().code(), 415);
    /// assert!(reply.header("accept-encoding").is_some_and(|all| all.ends_with("identity")));
    /// assert_eq!(call.send(&app.encoded_bodies()).text(), "6");
    /// ```
    pub fn encoded_bodies(mut self) -> App {
        self.takes_encoded = true;
        self
    }

    /// Runs `work` when the server stops after SIGTERM or SIGINT: after the requests and the
    /// background work in flight have ended or were cut off, and before [`App::serve`] returns.
    /// Several run in the order in which they were added. An error or a panic is logged, and makes
    /// the exit code 1.
    ///
    /// It has at least the last quarter of [`Limits::drain_timeout`] (2.5 s by default). It has
    /// It has at least the last quarter of [`Limits::drain_timeout`] (2.5 s by default). This holds
    /// even if a request blocks the main thread: `work` then runs on another thread. The process
    /// ends when the time-out is over.
    /// # Cold start
    /// A platform may end an instance without a signal (SCF documents none). So use this for work
    /// that is useful and not required, such as sending buffers or closing connections in order.
    ///
    /// # Example
    /// ```
    /// use firstbyte::{App, test};
    /// use std::sync::atomic::{AtomicBool, Ordering};
    ///
    /// static SENT: AtomicBool = AtomicBool::new(false);
    ///
    /// let app = App::new().web(|_| "here").on_stop(|| SENT.store(true, Ordering::SeqCst));
    /// assert!(test::stop(&app));
    /// assert!(SENT.load(Ordering::SeqCst));
    /// ```
    pub fn on_stop<F, R>(mut self, work: F) -> App
    where
        F: Fn() -> R + Send + Sync + 'static,
        R: IntoReply,
    {
        self.stops.push(Box::new(move || work().into_reply().map(drop)));
        self
    }

    /// Replaces the default limits.
    pub fn limits(mut self, limits: Limits) -> App {
        self.limits = limits;
        self
    }

    /// Sets the status of a handler's error that did not choose its own; the default is 500. (No
    /// documentation says which status makes an event invocation a failure: to be measured on SCF.)
    /// A platform with its own signal for a failed event gets that signal whatever the status: FC
    /// gets 404.
    pub fn error_status(mut self, status: Status) -> App {
        self.error_status = Some(status);
        self
    }

    /// Sets the number of event loops, each served by a thread of its own; the default is 1.
    /// Handlers that wait use additional threads ([`Limits::threads`]). The platform gives an
    /// instance one request at a time unless it is configured otherwise, and a whole core only from
    /// 1,280 MB on.
    pub fn workers(mut self, workers: usize) -> App {
        self.workers = workers;
        self
    }

    /// Returns the settings that `boot` needs, if the App can be served.
    ///
    /// # Errors
    /// If a route is malformed.
    pub(crate) fn take_settings(&mut self) -> Result<(Limits, usize)> {
        match self.misconfigured.take() {
            Some(error) => Err(error),
            None => Ok((self.limits, self.workers)),
        }
    }

    /// Classifies a request as an event or a hook; `None` for an ordinary Web request. For an event
    /// of SCF this takes one comparison.
    fn role(&self, request: &Request<'_>) -> Option<Role> {
        let takes_events = self.event.is_some() || self.bridge.is_some();
        if takes_events && request.method() == "POST" && request.path() == Self::EVENT_PATH {
            return Some(Role::Event(Platform::Scf));
        }
        if !takes_events && self.hooks.is_empty() {
            return None;
        }
        platform::role(
            request.method(),
            request.path(),
            request.headers(),
            platform::of_environment,
        )
        .filter(|role| match role {
            Role::Event(_) => takes_events,
            Role::Hook(_, hook) => {
                takes_events || self.hooks.iter().any(|(known, _)| known == hook)
            }
        })
    }

    /// Runs the initialisations that belong to `when`.
    pub(crate) fn initialise(&self, when: Init) -> Result<()> {
        self.inits.iter().filter(|(its, _)| *its == when).try_for_each(|(_, work)| work())
    }

    fn answer<'a>(&'a self, role: Option<Role>, request: Request<'a>) -> Result<Reply> {
        if let Some((once, initialise)) = self.first_request {
            initialise(self, once)?;
        }
        match role {
            Some(Role::Event(_)) => match self.bridge {
                Some(bridge) => bridge(self, Event::new(request)),
                None => self.answer_event(Event::new(request)),
            },
            Some(Role::Hook(_, hook)) => self.answer_hook(hook, request.context()),
            None => self.answer_web(request),
        }
    }

    #[cold]
    fn answer_hook(&self, hook: Hook, context: Context<'_>) -> Result<Reply> {
        for (_, handler) in self.hooks.iter().filter(|(known, _)| *known == hook) {
            handler(context)?;
        }
        Ok(Reply::text(""))
    }

    /// Answers an event that does not come from a gateway.
    pub(crate) fn answer_event(&self, event: Event<'_>) -> Result<Reply> {
        match &self.event {
            Some(handler) => handler(event),
            None => Err(Error::peer(
                Status::BAD_REQUEST,
                "this function takes events of API Gateway and function URLs only",
            )),
        }
    }

    /// Answers a Web request by route or Web handler.
    pub(crate) fn answer_web<'a>(&'a self, mut request: Request<'a>) -> Result<Reply> {
        let Some(routes) = &self.routes else {
            return match &self.web {
                Some(handler) => handler(request),
                None => Err(Self::no_handler()),
            };
        };
        match (routes.find(request.method(), request.path()), &self.web) {
            (Matched::Handler(handler, params), _) => {
                request.set_params(params);
                handler(request)
            }
            (Matched::Nothing | Matched::OtherMethods { is_known: false }, Some(handler)) => {
                handler(request)
            }
            (Matched::OtherMethods { .. }, _) => {
                let error = Error::peer(Status::METHOD_NOT_ALLOWED, "this path has no such method");
                let reply = self.failed(&Asked::of(&request), &error, Caller::Web);
                routes.with_allow(reply, request.path())
            }
            (Matched::Nothing, None) => Err(Self::no_handler()),
        }
    }

    #[cold]
    fn no_handler() -> Error {
        Error::peer(Status::NOT_FOUND, "this function has no handler for this path")
    }

    /// Turns the outcome of `answer` into a reply: a reply, an error or a panic.
    pub(crate) fn reply(
        &self,
        asked: &Asked<'_>,
        caller: Caller,
        answer: impl FnOnce() -> Result<Reply>,
    ) -> (Reply, Completion) {
        // A panic is the handler's failure: it can only have broken the handler's own state, and
        // the next request gets a fresh coroutine.
        let answered = catch(|| records::serving(asked.context().log_id(), answer));
        let error = match answered {
            Ok(Ok(mut reply)) => {
                Self::watch_stream(asked, caller, &mut reply);
                return (reply, Completion::Done);
            }
            Ok(Err(error)) => error,
            Err(panicked) => panicked.into_error(),
        };
        (self.failed(asked, &error, caller), Completion::Failed)
    }

    /// Lets a failure of the reply's stream be logged. A gateway's reply is written whole into its
    /// event's reply, and fails there.
    pub(crate) fn watch_stream(asked: &Asked<'_>, caller: Caller, reply: &mut Reply) {
        if caller == Caller::Gateway {
            return;
        }
        let line = || log::request(asked.method(), asked.path());
        let guard: Guard = |write| catch(write).unwrap_or_else(|panicked| Err(panicked.into_io()));
        reply.watch_stream(line, asked.context().log_id(), guard, log::failed);
    }

    /// Logs a failure and makes its reply.
    #[cold]
    #[inline(never)]
    fn failed(&self, asked: &Asked<'_>, error: &Error, caller: Caller) -> Reply {
        let status = self.status_of(error);
        let is_mistake = error.is_peers_fault() || status.code() < 500;
        let level = if is_mistake { Level::Warn } else { Level::Error };
        let line = log::request(asked.method(), asked.path());
        let id = asked.context().log_id();
        log::failed(level, id, status, &line, format_args!("{error:#}"));
        self.reply_of(asked, error, caller)
    }

    fn status_of(&self, error: &Error) -> Status {
        error.status_or(self.error_status.unwrap_or(Status::INTERNAL_SERVER_ERROR))
    }

    #[cold]
    #[inline(never)]
    fn reply_of(&self, asked: &Asked<'_>, error: &Error, caller: Caller) -> Reply {
        let (status, id) = (self.status_of(error), asked.context().log_id());
        let mut body = spare::take();
        error.write_json_with(error.message_for(caller, status), id, &mut body);
        let reply = Reply::raw_json(body).with_status(status);
        match error.is_about_coding() {
            true if caller == Caller::Gateway => {
                reply.with_known_header("accept-encoding", "identity")
            }
            true => reply.with_known_header("accept-encoding", CODINGS),
            false => reply,
        }
    }

    /// Refuses a body that no handler could read (RFC 9110, section 15.5.16).
    ///
    /// # Errors
    /// 415 if the fields say that the body is encoded.
    fn check_coding(&self, headers: Headers<'_>) -> Result<Coding> {
        if self.takes_encoded {
            return Ok(Coding::Identity);
        }
        match headers.get_bytes(CONTENT_ENCODING) {
            Some(_) => coding(headers),
            None => Ok(Coding::Identity),
        }
    }

    /// Refuses every encoded body of a bridged event: the event's share of the memory budget does
    /// not cover the decoded size.
    ///
    /// # Errors
    /// 415 if the fields say that the body is encoded.
    pub(crate) fn check_plain(&self, headers: Headers<'_>) -> Result<()> {
        match self.check_coding(headers)? {
            Coding::Identity => Ok(()),
            #[cfg(feature = "gzip")]
            Coding::Gzip => Err(Error::coding()),
        }
    }

    /// Decides from the header fields how a body is read.
    ///
    /// # Errors
    /// 415 for a content coding that neither the server nor the handler decodes.
    pub(crate) fn admission(&self, headers: Headers<'_>, is_empty: bool) -> Result<Admission> {
        let coding = if is_empty { Coding::Identity } else { self.check_coding(headers)? };
        match coding {
            Coding::Identity => {}
            #[cfg(feature = "gzip")]
            Coding::Gzip => {
                return Ok(Admission { body_bytes: self.limits.body_bytes, is_gzip: true });
            }
        }
        Ok(Admission {
            body_bytes: self.limits.body_bytes,
            #[cfg(feature = "gzip")]
            is_gzip: false,
        })
    }

    /// Makes the reply to a peer's mistake that no handler sees.
    pub(crate) fn refusal(&self, asked: &Asked<'_>, error: &Error) -> Reply {
        let mut reply = match log::admits_mistake() {
            true => self.failed(asked, error, Caller::Web),
            false => self.reply_of(asked, error, Caller::Web),
        };
        if let Some(surround) = &self.surround {
            (surround.after)(self, asked, Caller::Web, &mut reply);
        }
        reply
    }

    /// Answers one request without a server. An error or a panic becomes a reply.
    pub(crate) fn respond(&self, request: Request<'_>) -> Reply {
        let role = self.role(&request);
        let asked = Asked::of(&request).as_event(role.is_some());
        let caller = if role.is_some() { Caller::Platform } else { Caller::Web };
        let (reply, mut outcome) = match &self.surround {
            None => self.reply(&asked, caller, || self.answer(role, request)),
            Some(surround) => (surround.answer)(self, role, request, &asked),
        };
        if reply.status().code() >= 400 {
            outcome = Completion::Failed; // a handler can choose such a status without an error
        }
        match role {
            None | Some(Role::Event(Platform::Scf)) => reply,
            Some(Role::Event(platform) | Role::Hook(platform, _)) => {
                (platform.contract().signal)(reply, outcome)
                    .unwrap_or_else(|error| self.failed(&asked, &error, caller))
            }
        }
    }
}

const CONTENT_ENCODING: &str = "content-encoding";
/// `Accept-Encoding` of the reply to a peer that has sent another coding.
const CODINGS: &str = if cfg!(feature = "gzip") { "gzip, identity" } else { "identity" };

/// How a body is encoded.
enum Coding {
    Identity,
    #[cfg(feature = "gzip")]
    Gzip,
}

/// The coding that all Content-Encoding fields name together.
///
/// # Errors
/// 415 for an unknown coding, and for more than one coding.
#[cold]
#[inline(never)]
fn coding(headers: Headers<'_>) -> Result<Coding> {
    let mut codings = headers
        .iter()
        .filter(|(name, _)| name.eq_ignore_ascii_case(CONTENT_ENCODING))
        .flat_map(|(_, value)| value.split(|&byte| byte == b','))
        .map(<[u8]>::trim_ascii)
        .filter(|name| !name.is_empty() && !name.eq_ignore_ascii_case(b"identity"));
    match (codings.next(), codings.next()) {
        (None, _) => Ok(Coding::Identity),
        #[cfg(feature = "gzip")]
        (Some(name), None)
            if [&b"gzip"[..], b"x-gzip"].iter().any(|its| its.eq_ignore_ascii_case(name)) =>
        {
            Ok(Coding::Gzip)
        }
        _ => Err(Error::coding()),
    }
}

impl fmt::Debug for App {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("App")
            .field("event", &self.event.is_some())
            .field("bridge", &self.bridge.is_some())
            .field("web", &self.web.is_some())
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

impl Service for App {
    fn admit(&self, head: &RequestHead<'_>) -> Result<Admission> {
        self.admission(head.headers(), head.head.framing == Framing::Length(0))
    }

    fn call(&self, request: Request<'_>) -> Reply {
        self.respond(request)
    }

    fn has_last_work(&self) -> bool {
        !self.stops.is_empty()
    }

    #[cold]
    #[inline(never)]
    fn stop(&self) -> bool {
        let mut all = true;
        for work in &self.stops {
            let error = match catch(work) {
                Ok(Ok(())) => continue,
                Ok(Err(error)) => error,
                Err(panicked) => panicked.into_error(),
            };
            log::failure(Level::Error, "", format_args!("a stop hook failed: {error:#}"));
            all = false;
        }
        all
    }

    fn refuse(&self, error: &Error, head: Option<&RequestHead<'_>>) -> Reply {
        let asked = head.map_or(Asked::nothing(), |head| {
            let (method, path, query) = head.target();
            Asked::of_head(method, path, query, head.headers())
        });
        self.refusal(&asked, error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test;

    const FC: (&str, &str) = ("x-fc-request-id", "r-1");

    #[test]
    fn a_web_only_app_owns_every_path() {
        let app = App::new().web(|request: Request<'_>| request.path().to_owned());
        for path in ["/event-invoke", "/invoke", "/initialize", "/events", "/"] {
            assert_eq!(test::post(path, "").header(FC.0, FC.1).send(&app).text(), path);
        }
        let app = app.on(Hook::Initialize, |_| ());
        assert_eq!(test::post("/initialize", "").header(FC.0, FC.1).send(&app).text(), "");
        assert_eq!(test::post("/invoke", "").header(FC.0, FC.1).send(&app).text(), "/invoke");
        assert_eq!(test::post("/initialize", "").send(&app).text(), "/initialize");
    }

    #[test]
    fn an_event_handler_owns_its_paths_and_no_more() {
        let app = App::new().event(|_| "event").web(|_| "web");
        for (call, expected) in [
            (test::post("/event-invoke", ""), "event"),
            (test::get("/event-invoke"), "web"),
            (test::post("/event-invoke/", ""), "web"),
            (test::post("/invoke", ""), "web"),
            (test::post("/invoke", "").header(FC.0, FC.1), "event"),
            (test::get("/pre-freeze").header(FC.0, FC.1), ""),
            (test::post("/invoke", "").header("X-CFF-Request-Id", "r"), "event"),
            (test::post("/events", "").header("x-amzn-lambda-context", "{}"), "event"),
            (test::post("/", ""), "web"),
            (test::post("/", "").header("X-Call-Id", "c"), "event"),
        ] {
            assert_eq!(call.send(&app).text(), expected);
        }
    }

    #[test]
    fn each_platform_gets_its_own_signal_of_a_failure() {
        let app = App::new().event(|_| -> Result<Reply> { Err(Error::new("broken")) });
        let reply = test::event("").header("x-scf-request-id", "r-1").send(&app);
        assert_eq!(reply.text(), r#"{"errorCode":1,"errorMessage":"broken","requestId":"r-1"}"#);
        assert_eq!((reply.status().code(), reply.header("x-fc-status")), (500, None));
        let reply = test::post("/invoke", "").header(FC.0, FC.1).send(&app);
        assert_eq!((reply.status().code(), reply.header("x-fc-status")), (404, Some("404")));
        assert_eq!(reply.text(), r#"{"errorCode":1,"errorMessage":"broken","requestId":"r-1"}"#);
        let own_status = App::new().event(|_| (Status::CONFLICT, "not now"));
        let reply = test::post("/invoke", "").header(FC.0, FC.1).send(&own_status);
        assert_eq!(
            (reply.status().code(), reply.header("x-fc-status"), reply.text()),
            (404, Some("404"), "not now")
        );
        let app = app.on(Hook::Initialize, |_| Err::<(), _>(Error::new("no database")));
        let reply = test::post("/initialize", "").header(FC.0, FC.1).send(&app);
        assert_eq!((reply.status().code(), reply.header("x-fc-status")), (404, Some("404")));
    }

    #[test]
    fn a_panic_is_a_500() {
        let app = App::new().web(|_| -> &'static str { panic!("asked to") });
        let reply = test::get("/").send(&app);
        assert_eq!(reply.status(), Status::INTERNAL_SERVER_ERROR);
        assert!(
            reply.text().contains("its log says why") && !reply.text().contains("asked to"),
            "{}",
            reply.text()
        );
    }

    #[test]
    fn foreign_errors_are_the_functions_own_failures() {
        fn parse(request: Request<'_>) -> Result<String, std::num::ParseIntError> {
            let number: i32 = request.param("n").unwrap_or_default().parse()?;
            Ok(number.to_string())
        }
        let app = App::new().get("/{n}", parse).error_status(Status::BAD_GATEWAY);
        assert_eq!(test::get("/7").send(&app).text(), "7");
        assert_eq!(test::get("/x").send(&app).status(), Status::BAD_GATEWAY);
    }

    #[test]
    fn other_methods_are_listed() {
        let app = App::new().get("/a", |_| "a").put("/a", |_| "a");
        let reply = test::request("PATCH", "/a").send(&app);
        assert_eq!((reply.status().code(), reply.header("allow")), (405, Some("GET, HEAD, PUT")));
        assert_eq!(test::request("HEAD", "/a").send(&app).status(), Status::OK);
    }

    #[test]
    fn a_wrong_route_is_reported_when_serving_starts() {
        for (app, expected) in [
            (App::new().route("get", "/a", |_| "a"), "`get`"),
            (App::new().get("/a", |_| "a").get("/a", |_| "b"), "twice"),
            (App::new().get("/{a", |_| "a"), "GET /{a"),
            (App::new().get("a", |_| "a"), "start with `/`"),
        ] {
            let error = app.try_serve().unwrap_err();
            assert!(error.to_string().contains(expected), "{error}");
        }
    }
}
