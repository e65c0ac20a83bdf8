//! CORS: which pages of other origins may call an App from a browser. WHATWG Fetch, section 3.2
//! (HTTP extensions: CORS protocol) and section 4.10 (CORS-preflight). It is not an access control:
//! only browsers follow it.

use crate::around::Around;
use crate::asked::Asked;
use crate::error::{Error, Result};
use crate::reply::Reply;
use crate::wire::chunked::is_token_byte;
use std::fmt;
use std::time::Duration;

/// CORS settings: lets pages of other origins call an App. It answers preflights, and adds the
/// fields to every other reply, errors and refusals included ([`App::around`]). Events are left
/// alone.
///
/// By default no origin is allowed; methods are GET, HEAD, POST, PUT, PATCH and DELETE; the request
/// field is `content-type`; and a browser may keep a preflight's answer for ten minutes, because
/// each preflight is an invocation of the function. With credentials the reply always names the
/// origin and never `*`. Where origins are listed, every reply has `vary: origin`, which keeps
/// caches apart; where any origin is allowed, every reply has `*`.
///
/// # Example
/// ```
/// use firstbyte::{App, Cors, test};
///
/// let cors = Cors::new().origin("https://app.example").credentials().header("x-key");
/// let app = App::new().put("/items/{id}", |_| "kept").around(cors);
///
/// let preflight = test::request("OPTIONS", "/items/1")
///     .header("Origin", "https://app.example")
///     .header("Access-Control-Request-Method", "PUT")
///     .header("Access-Control-Request-Headers", "x-key");
/// let reply = preflight.send(&app);
/// assert_eq!(reply.status().code(), 204);
/// assert_eq!(reply.header("access-control-allow-origin"), Some("https://app.example"));
/// assert_eq!(reply.header("access-control-allow-credentials"), Some("true"));
/// assert_eq!(reply.header("access-control-allow-headers"), Some("content-type, x-key"));
///
/// let other = test::get("/missing").header("Origin", "https://other.example").send(&app);
/// assert_eq!(other.header("access-control-allow-origin"), None);
/// assert_eq!(other.header("vary"), Some("origin"));
/// ```
///
/// [`App::around`]: crate::App::around
#[derive(Clone)]
pub struct Cors {
    origins: Vec<String>,
    any_origin: bool,
    origin_if: Option<fn(&str) -> bool>,
    methods: Vec<String>,
    headers: Vec<String>,
    any_header: bool,
    expose: Vec<String>,
    credentials: bool,
    private_network: bool,
    max_age_s: Option<u64>,
}

const ORIGIN: &str = "access-control-allow-origin";
const CREDENTIALS: &str = "access-control-allow-credentials";
const ASKED_METHOD: &str = "access-control-request-method";
const ASKED_HEADERS: &str = "access-control-request-headers";
const ASKED_NETWORK: &str = "access-control-request-private-network";

impl Default for Cors {
    fn default() -> Cors {
        Cors::new()
    }
}

impl Cors {
    /// Settings that allow no origin yet.
    pub fn new() -> Cors {
        let all = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        Cors {
            origins: Vec::new(),
            any_origin: false,
            origin_if: None,
            methods: all(&["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]),
            headers: all(&["content-type"]),
            any_header: false,
            expose: Vec::new(),
            credentials: false,
            private_network: false,
            max_age_s: Some(600),
        }
    }

    /// Allows pages of this origin, written as a browser writes it: `https://app.example`, without
    /// a path, and with the port only if it is not the scheme's default. `null` allows every
    /// sandboxed page and every local file.
    pub fn origin(mut self, origin: impl Into<String>) -> Cors {
        self.origins.push(origin.into());
        self
    }

    /// Allows pages of each of these origins.
    pub fn origins<S: Into<String>>(mut self, origins: impl IntoIterator<Item = S>) -> Cors {
        self.origins.extend(origins.into_iter().map(S::into));
        self
    }

    /// Allows pages of the origins for which `allows` returns true, for example all names below a
    /// domain. Compare the whole end, `ends_with(".app.example")` with the dot, and the scheme too.
    pub fn origin_if(mut self, allows: fn(&str) -> bool) -> Cors {
        self.origin_if = Some(allows);
        self
    }

    /// Allows pages of any origin (`*`). Cannot be combined with [`Cors::credentials`].
    pub fn any_origin(mut self) -> Cors {
        self.any_origin = true;
        self
    }

    /// Allows these methods in place of the default ones. Browsers send GET, HEAD and POST without
    /// asking.
    pub fn methods<S: Into<String>>(mut self, methods: impl IntoIterator<Item = S>) -> Cors {
        self.methods = methods.into_iter().map(S::into).collect();
        self
    }

    /// Allows requests to have this field, besides those that browsers send without asking.
    pub fn header(mut self, name: impl Into<String>) -> Cors {
        self.headers.push(name.into());
        self
    }

    /// Allows requests to have any field, `authorization` among them.
    pub fn any_header(mut self) -> Cors {
        self.any_header = true;
        self
    }

    /// Lets the page read this field of a reply, besides those that every page may read.
    pub fn expose(mut self, name: impl Into<String>) -> Cors {
        self.expose.push(name.into());
        self
    }

    /// Allows requests with cookies, client certificates and HTTP authentication. Origins must then
    /// be listed.
    pub fn credentials(mut self) -> Cors {
        self.credentials = true;
        self
    }

    /// Allows pages of a public network to call an App in a private one, where a browser asks for
    /// that (`Access-Control-Request-Private-Network`, WICG Private Network Access: a draft, and
    /// not part of Fetch). The default is no.
    pub fn private_network(mut self) -> Cors {
        self.private_network = true;
        self
    }

    /// Sets how long a browser may keep a preflight's answer, in whole seconds; browsers have a
    /// limit (Chrome: two hours). With `None` the field is left out, and browsers keep it for five
    /// seconds.
    pub fn max_age(mut self, max_age: impl Into<Option<Duration>>) -> Cors {
        self.max_age_s = max_age.into().map(|age| age.as_secs());
        self
    }

    /// The value of the allowed origin to send to a page of this origin; `None` if it is not
    /// allowed.
    fn allowed(&self, origin: &str) -> Option<String> {
        let is_named = self.origins.iter().any(|known| known == origin);
        if is_named || self.origin_if.is_some_and(|allows| allows(origin)) {
            return Some(origin.to_owned());
        }
        self.any_origin.then(|| "*".to_owned())
    }

    /// Whether the reply is the same for every origin.
    fn is_same_for_all(&self) -> bool {
        self.any_origin && self.origins.is_empty() && self.origin_if.is_none()
    }

    /// Adds the fields that a page of an allowed origin needs on any reply.
    fn allow(&self, origin: String, reply: &mut Reply) -> Result<()> {
        reply.set_header(ORIGIN, origin)?;
        if self.credentials {
            reply.set_header(CREDENTIALS, "true")?;
        }
        Ok(())
    }

    fn preflight(&self, asked: &Asked<'_>, origin: &str) -> Result<Reply> {
        let mut reply = Reply::empty();
        // A cache must know what the reply depends on, for a refusal too.
        for name in [ASKED_METHOD, ASKED_HEADERS] {
            reply.vary_on(name)?;
        }
        if self.allowed(origin).is_none() {
            return Ok(reply); // `after` adds no permission either, and the browser refuses
        }
        reply.set_header("access-control-allow-methods", self.methods.join(", "))?;
        let headers = match self.any_header {
            true => {
                let fields = asked.headers().iter();
                let fields = fields.filter(|(name, _)| name.eq_ignore_ascii_case(ASKED_HEADERS));
                let lists = fields.filter_map(|(_, value)| std::str::from_utf8(value).ok());
                let names = lists.flat_map(|list| list.split(',')).map(str::trim);
                names.filter(|name| is_token(name)).collect::<Vec<_>>().join(", ")
            }
            false => self.headers.join(", "),
        };
        if !headers.is_empty() {
            reply.set_header("access-control-allow-headers", headers)?;
        }
        if self.private_network && asked.header(ASKED_NETWORK) == Some("true") {
            reply.set_header("access-control-allow-private-network", "true")?;
        }
        if let Some(seconds) = self.max_age_s {
            reply.set_header("access-control-max-age", seconds.to_string())?;
        }
        Ok(reply)
    }
}

impl Around for Cors {
    fn check(&self) -> Result<()> {
        for origin in &self.origins {
            if let Some(what) = wrong_with(origin) {
                return Err(Error::new(format!("the CORS origin `{origin}` {what}")));
            }
        }
        if self.any_origin && self.credentials {
            return Err(Error::new(
                "CORS: browsers refuse `*` with credentials; list the allowed origins",
            ));
        }
        let names = self.methods.iter().chain(&self.headers).chain(&self.expose);
        for name in names {
            if !is_token(name) {
                return Err(Error::new(format!(
                    "CORS: `{}` is not a method or a field name",
                    name.escape_debug()
                )));
            }
        }
        let mut names = self.methods.iter().chain(&self.headers).chain(&self.expose);
        if self.credentials && names.any(|name| name == "*") {
            return Err(Error::new(
                "CORS: with credentials `*` is a plain name; list the names, or use `any_header`",
            ));
        }
        Ok(())
    }

    fn before(&self, asked: &Asked<'_>) -> Result<Option<Reply>> {
        let is_preflight = asked.method() == "OPTIONS"
            && asked.header(ASKED_METHOD).is_some()
            && !asked.is_event();
        match asked.header("origin") {
            Some(origin) if is_preflight => self.preflight(asked, origin).map(Some),
            _ => Ok(None),
        }
    }

    fn after(&self, asked: &Asked<'_>, reply: &mut Reply) -> Result<()> {
        if asked.is_event() {
            return Ok(());
        }
        // Without `vary` a cache gives pages what it got for a request without an Origin: a reply
        // that does not vary has its fields always (Fetch, "CORS protocol and HTTP caches").
        let origin = match self.is_same_for_all() {
            true => Some("*".to_owned()),
            false => {
                reply.vary_on("origin")?;
                asked.header("origin").and_then(|origin| self.allowed(origin))
            }
        };
        // A field that the handler sets itself would be a second one, which browsers refuse, or
        // would allow what these settings do not.
        reply.remove_header(ORIGIN);
        reply.remove_header(CREDENTIALS);
        let Some(origin) = origin else { return Ok(()) };
        self.allow(origin, reply)?;
        if !self.expose.is_empty() {
            reply.set_header("access-control-expose-headers", self.expose.join(", "))?;
        }
        Ok(())
    }
}

impl fmt::Debug for Cors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cors")
            .field("origins", &self.origins)
            .field("any_origin", &self.any_origin)
            .field("credentials", &self.credentials)
            .finish_non_exhaustive()
    }
}

fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(is_token_byte)
}

/// Why no browser would send this text as an origin (RFC 6454, section 6.2).
fn wrong_with(origin: &str) -> Option<&'static str> {
    if origin == "null" {
        return None;
    }
    let Some((scheme, host)) = origin.split_once("://") else {
        return Some("has no scheme; write it as `https://host`");
    };
    let is_host = |byte: u8| (0x21..=0x7e).contains(&byte) && !b"/?#@*\\".contains(&byte);
    if host.contains('*') {
        return Some("has a `*`; list the origins, or use `origin_if` or `any_origin`");
    }
    if host.contains(['/', '?', '#']) {
        return Some("has a path; leave out what follows the host");
    }
    if scheme.is_empty() || host.is_empty() || !host.bytes().all(is_host) {
        return Some("has no host that a browser would write");
    }
    if origin.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return Some("has capitals; browsers write origins in lower case");
    }
    let after_brackets = host.rsplit(']').next().unwrap_or(host);
    let port = after_brackets.rsplit_once(':').map(|(_, port)| port);
    match (scheme, port) {
        ("https", Some("443")) | ("http", Some("80")) => {
            Some("has its scheme's own port; browsers leave that out")
        }
        (_, Some(port)) if port.starts_with('0') || port.parse::<u16>().is_err() => {
            Some("has a port that no browser would write")
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test::{self, Answer, Call};
    use crate::{App, Limits, Request};

    const PAGE: &str = "https://app.example";

    fn app(cors: Cors) -> App {
        let panic = |_: Request<'_>| -> &'static str { panic!("asked to") };
        let own = |_: Request<'_>| Reply::text("a").with_header(ORIGIN, "https://handler.example");
        App::new()
            .event(|_| "event")
            .get("/", |_| "here")
            .get("/own", own)
            .get("/panic", panic)
            .limits(Limits::default())
            .around(cors)
    }

    fn preflight(path: &str, origin: &str) -> Call {
        test::request("OPTIONS", path)
            .header("Origin", origin)
            .header("Access-Control-Request-Method", "DELETE")
    }

    fn fields(answer: &Answer) -> Vec<(&str, &str)> {
        answer
            .headers()
            .filter(|(name, _)| name.starts_with("access-control-") || *name == "vary")
            .collect()
    }

    #[test]
    fn every_kind_of_reply_has_the_fields() {
        let app = app(Cors::new().origin(PAGE).credentials().expose("etag"));
        for (call, status) in [
            (test::get("/"), 200),
            (test::get("/own"), 200),
            (test::request("HEAD", "/"), 200),
            (test::get("/missing"), 404),
            (test::post("/", ""), 405),
            (test::get("/panic"), 500),
        ] {
            let answer = call.clone().header("origin", PAGE).send(&app);
            assert_eq!(answer.status().code(), status, "{call:?}");
            assert_eq!(
                fields(&answer),
                [
                    ("vary", "origin"),
                    (ORIGIN, PAGE),
                    ("access-control-allow-credentials", "true"),
                    ("access-control-expose-headers", "etag"),
                ],
                "{call:?}"
            );
            for origin in ["https://other.example", "null", "https://app.example.evil", ""] {
                let answer = call.clone().header("origin", origin).send(&app);
                assert_eq!(fields(&answer), [("vary", "origin")], "{origin}: {call:?}");
            }
            assert_eq!(fields(&call.send(&app)), [("vary", "origin")]);
        }
        assert_eq!(fields(&test::event("{}").header("origin", PAGE).send(&app)), []);
    }

    #[test]
    fn a_preflight_is_answered_on_any_path() {
        let app = app(Cors::new().origin(PAGE).header("x-key"));
        for path in ["/", "/missing", "/panic"] {
            let answer = preflight(path, PAGE).send(&app);
            assert_eq!((answer.status().code(), answer.text()), (204, ""));
            assert_eq!(
                fields(&answer),
                [
                    ("vary", ASKED_METHOD),
                    ("vary", ASKED_HEADERS),
                    ("access-control-allow-methods", "GET, HEAD, POST, PUT, PATCH, DELETE"),
                    ("access-control-allow-headers", "content-type, x-key"),
                    ("access-control-max-age", "600"),
                    ("vary", "origin"),
                    (ORIGIN, PAGE),
                ]
            );
            let refused = preflight(path, "https://other.example").send(&app);
            let names: Vec<_> = fields(&refused).iter().map(|(name, _)| *name).collect();
            assert_eq!((refused.status().code(), &*names), (204, &["vary"; 3][..]));
        }
        // Neither is a preflight: no page has asked, or nothing about a method.
        let asked = test::request("OPTIONS", "/").header(ASKED_METHOD, "PUT").send(&app);
        assert_eq!(asked.status().code(), 405);
        assert_eq!(
            test::request("OPTIONS", "/").header("origin", PAGE).send(&app).status(),
            asked.status()
        );
    }

    #[test]
    fn any_origin_gets_a_star_and_no_default_age() {
        let app = app(Cors::new().any_origin().max_age(None).methods(["PUT"]));
        // Regression: a cache had `/` from a request without an Origin, and no page could read it.
        for call in [test::get("/"), test::get("/missing"), test::post("/", "")] {
            assert_eq!(fields(&call.clone().send(&app)), [(ORIGIN, "*")], "{call:?}");
            assert_eq!(fields(&call.header("origin", PAGE).send(&app)), [(ORIGIN, "*")]);
        }
        let answer = preflight("/", PAGE).send(&app);
        assert_eq!(answer.header("access-control-allow-methods"), Some("PUT"));
        assert_eq!(
            (answer.header("access-control-max-age"), answer.header(ORIGIN)),
            (None, Some("*"))
        );
    }

    /// Regression: a handler's own `access-control-allow-credentials` stood beside a `*`.
    #[test]
    fn a_handler_cannot_allow_credentials_past_the_settings() {
        let own = |_: Request<'_>| Reply::text("a").with_header(CREDENTIALS, "true");
        for (cors, allowed) in
            [(Cors::new().any_origin(), Some("*")), (Cors::new().origin(PAGE), Some(PAGE))]
        {
            let app = App::new().get("/", own).around(cors);
            let answer = test::get("/").header("origin", PAGE).send(&app);
            assert_eq!((answer.header(ORIGIN), answer.header(CREDENTIALS)), (allowed, None));
        }
    }

    #[test]
    fn a_private_network_is_opened_only_where_it_is_asked_for_and_allowed() {
        let field = "access-control-allow-private-network";
        let ask = |cors: &Cors, value: &str| {
            let call = preflight("/", PAGE).header(ASKED_NETWORK, value);
            call.send(&app(cors.clone())).header(field).map(str::to_owned)
        };
        let open = Cors::new().origin(PAGE).private_network();
        assert_eq!(ask(&Cors::new().origin(PAGE), "true"), None);
        assert_eq!(ask(&open, "true").as_deref(), Some("true"));
        assert_eq!(ask(&open, "false"), None);
        assert_eq!(preflight("/", PAGE).send(&app(open.clone())).header(field), None);
        let other = Cors::new().origin("https://b.example").private_network();
        assert_eq!(ask(&other, "true"), None);
    }

    #[test]
    fn any_header_is_those_that_were_asked_for_and_no_other_text() {
        let app = app(Cors::new().origin_if(|origin| origin.ends_with(".example")).any_header());
        let call = preflight("/", PAGE).header(ASKED_HEADERS, "x-a,  authorization,,x b,\u{fc}");
        let answer = call.send(&app);
        assert_eq!(answer.header("access-control-allow-headers"), Some("x-a, authorization"));
        let call = preflight("/", PAGE).header(ASKED_HEADERS, "x-a").header(ASKED_HEADERS, "X-B");
        assert_eq!(call.send(&app).header("access-control-allow-headers"), Some("x-a, X-B"));
        assert_eq!(answer.header(ORIGIN), Some(PAGE));
    }

    #[test]
    fn a_reply_that_varies_already_says_it_once() {
        for (before, after) in [
            ("accept", &["accept", "origin"][..]),
            ("accept, Origin", &["accept, Origin"]),
            ("*", &["*"]),
        ] {
            let app = App::new()
                .get("/", move |_| Reply::text("a").with_header("Vary", before))
                .around(Cors::new().origin(PAGE));
            let answer = test::get("/").send(&app);
            let vary: Vec<_> = answer
                .headers()
                .filter(|(name, _)| name.eq_ignore_ascii_case("vary"))
                .map(|(_, value)| value)
                .collect();
            assert_eq!(vary, after);
        }
    }

    #[test]
    fn what_no_browser_could_use_is_reported_when_serving_starts() {
        for (cors, expected) in [
            (Cors::new().origin("https://app.example/"), "has a path"),
            (Cors::new().origin("app.example"), "has no scheme"),
            (Cors::new().origin("https://*.example"), "has a `*`"),
            (Cors::new().origin("*"), "has no scheme"),
            (Cors::new().origin("https://App.example"), "has capitals"),
            (Cors::new().origin("https://app.example:443"), "scheme's own port"),
            (Cors::new().origin("https://a\r\nb"), "has no host"),
            (Cors::new().any_origin().credentials(), "list the allowed origins"),
            (Cors::new().origin(PAGE).header("x y"), "not a method or a field name"),
            (Cors::new().origin(PAGE).credentials().header("*"), "is a plain name"),
            (Cors::new().origin(PAGE).credentials().expose("*"), "is a plain name"),
            (Cors::new().origin("https://app.example:"), "no browser would write"),
            (Cors::new().origin("https://app.example:65536"), "no browser would write"),
            (Cors::new().origin("https://[::1]:0443"), "no browser would write"),
        ] {
            let error = App::new().around(cors).try_serve().unwrap_err();
            assert!(error.to_string().contains(expected), "{error}");
        }
        let right =
            ["null", "http://localhost:5173", "https://[::1]:8443", "http://[::1]", "app://x"];
        for origin in right {
            assert!(Cors::new().origin(origin).check().is_ok(), "{origin}");
        }
    }
}
