//! Context: what the platform says about an invocation (X-Scf-* headers) and about the instance (environment).
//! Platform page: "WebServer image function", tencentcloud.com, 2023-07-10. Values are read when they are asked for.

use crate::request::Headers;
use std::fmt;

/// One invocation's context. Copies are free.
///
/// Credentials are there when the function has a role; they are never printed by `Debug`.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    headers: Headers<'a>,
}

impl<'a> Context<'a> {
    /// Names of the headers that carry secrets, lower case.
    pub const SECRET_HEADERS: [&'static str; 3] = ["x-scf-secret-id", "x-scf-secret-key", "x-scf-session-token"];

    pub(crate) fn new(headers: Headers<'a>) -> Context<'a> {
        Context { headers }
    }

    /// `X-Scf-Request-Id`; empty if the platform sent none.
    pub fn request_id(&self) -> &'a str {
        self.header("x-scf-request-id")
    }

    /// `X-Scf-Name`: the function's name.
    pub fn function_name(&self) -> &'a str {
        self.header("x-scf-name")
    }

    /// `X-Scf-Version`, for example `$LATEST`.
    pub fn function_version(&self) -> &'a str {
        self.header("x-scf-version")
    }

    /// `X-Scf-Namespace`.
    pub fn namespace(&self) -> &'a str {
        self.header("x-scf-namespace")
    }

    /// `X-Scf-Region`, for example `ap-guangzhou`.
    pub fn region(&self) -> &'a str {
        self.header("x-scf-region")
    }

    /// `X-Scf-Appid`.
    pub fn app_id(&self) -> &'a str {
        self.header("x-scf-appid")
    }

    /// `X-Scf-Uin`.
    pub fn uin(&self) -> &'a str {
        self.header("x-scf-uin")
    }

    /// `X-Scf-Memory` as it was sent; the unit is undocumented, so it never sets a limit here.
    pub fn memory(&self) -> &'a str {
        self.header("x-scf-memory")
    }

    /// `X-Scf-Timeout` as it was sent; the unit is undocumented.
    pub fn timeout(&self) -> &'a str {
        self.header("x-scf-timeout")
    }

    /// `X-Scf-Trigger-Src`: `Timer` for timer triggers, empty otherwise.
    pub fn trigger_source(&self) -> &'a str {
        self.header("x-scf-trigger-src")
    }

    /// The role's temporary credentials; `None` unless a role is bound to the function.
    pub fn credentials(&self) -> Option<Credentials<'a>> {
        Some(Credentials {
            secret_id: self.headers.get("x-scf-secret-id")?,
            secret_key: self.headers.get("x-scf-secret-key")?,
            session_token: self.headers.get("x-scf-session-token")?,
        })
    }

    fn header(&self, name: &str) -> &'a str {
        self.headers.get(name).unwrap_or_default()
    }
}

impl fmt::Debug for Context<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context")
            .field("request_id", &self.request_id())
            .field("function_name", &self.function_name())
            .field("function_version", &self.function_version())
            .field("credentials", &self.credentials())
            .finish_non_exhaustive()
    }
}

/// Temporary credentials of the function's role, valid for at most six hours.
#[derive(Clone, Copy)]
pub struct Credentials<'a> {
    pub secret_id: &'a str,
    pub secret_key: &'a str,
    pub session_token: &'a str,
}

impl fmt::Debug for Credentials<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials(redacted)")
    }
}
