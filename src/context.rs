//! Context: what the platform says about one invocation, read from its headers on demand. The
//! instance's environment is `platform::Environment`. Nothing is guessed: where no documentation
//! states a unit, the text is returned as it was sent. Platform page "WebServer image function",
//! tencentcloud.com, 2023-07-10; the sibling platforms' names are in their files under
//! src/platform.

use crate::deadline::{Arrival, Deadline};
use crate::error::Result;
use crate::headers::Headers;
use crate::platform::{self, Contract, Environment, LambdaContext, Platform};
use crate::stopping::stopping;
use std::fmt;
use std::time::Duration;

/// One invocation's context. Copies are free.
///
/// On a sibling platform the same methods read that platform's headers, or its environment where
/// the platform puts the answer there. What the platform does not send is empty. Credentials are
/// there if the function has a role; `Debug` never prints them.
///
/// # Example
/// ```
/// use firstbyte::test;
///
/// let call = test::event("{}").header("X-Scf-Request-Id", "r-1").header("X-Scf-Memory", "128");
/// call.call_event(|event| {
///     let context = event.context();
///     assert_eq!((context.request_id(), context.memory_mb()), ("r-1", Some(128)));
/// })?;
/// # Ok::<(), firstbyte::Error>(())
/// ```
#[derive(Clone, Copy)]
pub struct Context<'a> {
    headers: Headers<'a>,
    arrival: Option<Arrival>,
}

impl<'a> Context<'a> {
    pub(crate) fn new(headers: Headers<'a>, arrival: Option<Arrival>) -> Context<'a> {
        Context { headers, arrival }
    }

    /// The platform that this invocation came from: by its own header, otherwise by the
    /// environment; `None` if neither identifies one, as in local runs. If they disagree, the
    /// environment wins: a peer can invent headers.
    ///
    /// # Cold start
    /// The first call in the process looks up four environment variables.
    pub fn platform(&self) -> Option<Platform> {
        platform::recognise(self.headers, platform::of_environment)
    }

    /// The environment of this instance, read once per process.
    pub fn environment(&self) -> &'static Environment {
        Environment::current()
    }

    /// The invocation's id: `X-Scf-Request-Id` (FC `x-fc-request-id`, FunctionGraph
    /// `X-CFF-Request-Id`, OpenFaaS `X-Call-Id`, Lambda `request_id` of its context).
    pub fn request_id(&self) -> &'a str {
        self.identity(self.contract())
    }

    /// The request id for logs and error replies, which every request needs: read from headers
    /// alone, so that the environment stays unread.
    pub(crate) fn log_id(&self) -> &'a str {
        platform::named(self.headers).map_or("", |platform| self.identity(platform.contract()))
    }

    /// `X-Scf-Name`: the function's name.
    pub fn function_name(&self) -> &'a str {
        self.header_or(self.contract().names.function_name, |environment| {
            &environment.function_name
        })
    }

    /// `X-Scf-Version`, for example `$LATEST`.
    pub fn function_version(&self) -> &'a str {
        self.header_or(self.contract().names.function_version, |environment| {
            &environment.function_version
        })
    }

    /// `X-Scf-Namespace`, for example `default`. On FunctionGraph: the app that the function
    /// belongs to.
    pub fn namespace(&self) -> &'a str {
        self.header(self.contract().names.namespace)
    }

    /// `X-Scf-Region`, for example `ap-guangzhou`.
    pub fn region(&self) -> &'a str {
        self.header_or(self.contract().names.region, |environment| &environment.region)
    }

    /// `X-Scf-Appid`: the account's id as it appears in resource names. On FC the account's id; on
    /// FunctionGraph the project's.
    pub fn app_id(&self) -> &'a str {
        self.header_or(self.contract().names.app_id, |environment| &environment.app_id)
    }

    /// `X-Scf-Uin`: the account's number as the console shows it.
    pub fn uin(&self) -> &'a str {
        self.header_or(self.contract().names.uin, |environment| &environment.uin)
    }

    /// `X-Scf-Memory` as it was sent; its unit is not documented.
    pub fn memory_text(&self) -> &'a str {
        self.header(self.contract().names.memory)
    }

    /// The memory that the function is configured with, in MB as the platform's console counts
    /// them; `None` if the text could mean something else. SCF sells 64 MB to 120 GB, so a number
    /// from 64 to 65,535 must be MB (in KB it would be below the minimum). Whether such an MB is
    /// 10^6 or 2^20 bytes is not documented: do not use this as a limit.
    pub fn memory_mb(&self) -> Option<u32> {
        platform::number_in(self.memory_text(), self.contract().memory_mb.as_ref()?)
    }

    /// `X-Scf-Timeout` as it was sent; its unit is not documented.
    pub fn timeout_text(&self) -> &'a str {
        self.header(self.contract().names.timeout)
    }

    /// How long this invocation may take; `None` if the text could mean something else. SCF allows
    /// 1 to 900 seconds, so a number from 1 to 900 must be seconds (in milliseconds it would be
    /// below the minimum). For a function in asynchronous mode (up to 24 hours) use
    /// [`Context::deadline_after`] with the time-out that you have configured.
    pub fn timeout(&self) -> Option<Duration> {
        let seconds =
            platform::number_in(self.timeout_text(), self.contract().timeout_s.as_ref()?)?;
        Some(Duration::from_secs(seconds.into()))
    }

    /// When the request's first byte arrived; `None` if the request was made without an arrival.
    pub fn arrival(&self) -> Option<Arrival> {
        self.arrival
    }

    /// Arrival + timeout: when the platform ends this invocation. `None` if either is not known.
    pub fn deadline(&self) -> Option<Deadline> {
        self.deadline_after(self.timeout()?)
    }

    /// Arrival + `timeout`, for a caller that knows its configured time-out.
    pub fn deadline_after(&self, timeout: Duration) -> Option<Deadline> {
        self.arrival?.deadline(timeout)
    }

    /// Whether the process has received a stop signal: see [`stopping`](crate::stopping()).
    pub fn stopping(&self) -> bool {
        stopping()
    }

    /// `X-Scf-Trigger-Src`: `Timer` for timer triggers, empty otherwise.
    pub fn trigger_source(&self) -> &'a str {
        self.header(self.contract().names.trigger_source)
    }

    /// `x-scf-remote-addr`: the client's address, on function URLs. Do not trust it: a value sent
    /// by a client has been seen to arrive unchanged through a custom domain.
    pub fn remote_addr(&self) -> &'a str {
        self.header(platform::REMOTE_ADDR)
    }

    /// The role's temporary credentials; `None` if the function has no role.
    pub fn credentials(&self) -> Option<Credentials<'a>> {
        let names = &self.contract().names;
        Some(Credentials {
            secret_id: self.headers.get(names.secret_id)?,
            secret_key: self.headers.get(names.secret_key)?,
            session_token: self.headers.get(names.session_token)?,
        })
    }

    /// The invocation as Lambda describes it; `None` on any other platform.
    ///
    /// # Errors
    /// 400 if the adapter's header is not the JSON that it is documented to be.
    pub fn lambda(&self) -> Result<Option<LambdaContext>> {
        LambdaContext::read(self.headers)
    }

    /// The contract whose header names are used; SCF's if the platform is not known.
    fn contract(&self) -> &'static Contract {
        self.platform().unwrap_or(Platform::Scf).contract()
    }

    fn header_or(
        &self,
        name: &str,
        environment: fn(&'static Environment) -> &'static str,
    ) -> &'a str {
        match self.header(name) {
            "" => environment(Environment::current()),
            sent => sent,
        }
    }

    fn identity(&self, contract: &Contract) -> &'a str {
        (contract.identity)(self.header(contract.names.request_id))
    }

    fn header(&self, name: &str) -> &'a str {
        if name.is_empty() {
            return ""; // the platform does not send it
        }
        self.headers.get(name).unwrap_or_default()
    }
}

impl fmt::Debug for Context<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context")
            .field("platform", &self.platform())
            .field("request_id", &self.request_id())
            .field("function_name", &self.function_name())
            .field("function_version", &self.function_version())
            .field("timeout", &self.timeout_text())
            .field("memory", &self.memory_text())
            .field("credentials", &self.credentials())
            .finish_non_exhaustive()
    }
}

/// Temporary credentials of the function's role, valid for at most six hours. `Debug` prints none
/// of the values.
#[derive(Clone, Copy)]
pub struct Credentials<'a> {
    /// `X-Scf-Secret-Id`.
    pub secret_id: &'a str,
    /// `X-Scf-Secret-Key`.
    pub secret_key: &'a str,
    /// `X-Scf-Session-Token`.
    pub session_token: &'a str,
}

impl fmt::Debug for Credentials<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials(redacted)")
    }
}
