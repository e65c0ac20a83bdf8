//! Request: method, path, query, headers and body, all borrowed from the connection's buffer.
//! `wire` parses it and `transport` reads it; a test can make one without a socket
//! (`firstbyte::test`), and `trigger::apigw` makes one of an API Gateway event. RFC 9110, section
//! 3.4.

use crate::body::Body;
use crate::context::Context;
use crate::deadline::Arrival;
use crate::error::{Error, Result};
use crate::headers::Headers;
use crate::json;
use crate::wire::{Head, Status, Version};
use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

/// HTTP request with a complete body. RFC 9110, section 3.4.
///
/// # Example
/// ```
/// use firstbyte::{Request, Result};
///
/// fn greet(request: Request<'_>) -> Result<String> {
///     let name = request.param("name").unwrap_or("stranger");
///     let times: usize = request.parsed_query_param("times")?.unwrap_or(1);
///     Ok(format!("hello, {name}! ").repeat(times))
/// }
///
/// let app = firstbyte::App::new().get("/hello/{name}", greet);
/// let answer = firstbyte::test::get("/hello/ann?times=2").send(&app);
/// assert_eq!(answer.text(), "hello, ann! hello, ann! ");
/// ```
pub struct Request<'a> {
    method: &'a str,
    path: &'a str,
    query: Option<&'a str>,
    authority: Option<&'a str>,
    version: Version,
    headers: Headers<'a>,
    body: Body<'a>,
    params: Option<matchit::Params<'a, 'a>>,
    /// The invocation's context, if it is not in `headers`: the client of a bridged event must not
    /// be able to write it.
    invocation: Option<Context<'a>>,
    arrival: Option<Arrival>,
}

impl<'a> Request<'a> {
    /// Puts a request together from a parsed head, the buffer it was parsed from, and the body.
    pub fn new(head: &'a Head, head_bytes: &'a [u8], body: Body<'a>) -> Request<'a> {
        // The parser accepts only visible ASCII in all three, so none of them is ever emptied here.
        let text = |bytes: &'a [u8]| std::str::from_utf8(bytes).unwrap_or_default();
        Request {
            method: text(head.method.of(head_bytes)),
            path: text(head.path.of(head_bytes)),
            query: head.query.map(|query| text(query.of(head_bytes))),
            authority: head.authority.map(|authority| text(authority.of(head_bytes))),
            version: head.version,
            headers: Headers::new(head_bytes, &head.fields),
            body,
            params: None,
            invocation: None,
            arrival: None,
        }
    }

    /// A request that did not arrive as HTTP. The parts of the target must be what the parser would
    /// accept.
    pub(crate) fn assemble(
        method: &'a str,
        path: &'a str,
        query: Option<&'a str>,
        headers: Headers<'a>,
        body: Body<'a>,
    ) -> Request<'a> {
        let version = Version::Http11;
        Request {
            method,
            path,
            query,
            authority: None,
            version,
            headers,
            body,
            params: None,
            invocation: None,
            arrival: None,
        }
    }

    /// Sets the time of its arrival, from which [`Context::deadline`] counts. This module reads no
    /// clock.
    pub fn with_arrival(mut self, arrival: Arrival) -> Request<'a> {
        self.arrival = Some(arrival);
        self
    }

    /// Sets the invocation's context, for a request whose own headers do not hold it.
    pub(crate) fn with_invocation(mut self, context: Context<'a>) -> Request<'a> {
        self.invocation = Some(context);
        self
    }

    /// The method as it was sent; methods are case-sensitive.
    pub fn method(&self) -> &'a str {
        self.method
    }

    /// The path as it was sent, percent-encoding untouched.
    pub fn path(&self) -> &'a str {
        self.path
    }

    /// What follows the first `?`, undecoded; `None` if there is no `?`.
    pub fn query(&self) -> Option<&'a str> {
        self.query
    }

    /// The host and port that the request is for, as they were sent: those of a target in absolute
    /// form (`GET http://a.example/ HTTP/1.1`), otherwise those of the Host field. `None` for
    /// HTTP/1.0 without a Host field.
    ///
    /// RFC 9112, section 3.2.2: with an absolute form the Host field is ignored.
    /// [`Request::headers`] still has it as it came, so code that decides by host must use this
    /// method.
    ///
    /// # Example
    /// ```
    /// use firstbyte::{App, Request};
    ///
    /// fn host(request: Request<'_>) -> String {
    ///     request.authority().unwrap_or("none").to_owned()
    /// }
    ///
    /// let app = App::new().web(host);
    /// let answer = firstbyte::test::get("/").header("host", "a.example:8080").send(&app);
    /// assert_eq!(answer.text(), "a.example:8080");
    /// ```
    pub fn authority(&self) -> Option<&'a str> {
        self.authority.or_else(|| self.header("host"))
    }

    /// The peer's protocol version.
    pub fn version(&self) -> Version {
        self.version
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
        self.invocation.unwrap_or(Context::new(self.headers, self.arrival))
    }

    /// The body.
    pub fn body(&self) -> &[u8] {
        self.body.as_bytes()
    }

    /// The body as text.
    ///
    /// # Errors
    /// 400 if the body is not UTF-8.
    pub fn text(&self) -> Result<&str> {
        std::str::from_utf8(self.body()).map_err(|error| {
            let at = error.valid_up_to();
            Error::peer(
                Status::BAD_REQUEST,
                format!("the body is not UTF-8 (near byte {at}); send text"),
            )
        })
    }

    /// The body parsed as JSON, in place: `&str` fields of `T` point into the request's own bytes.
    ///
    /// # Errors
    /// 400 if the body is not JSON, is nested deeper than the limit, or is not a `T`.
    pub fn json<T: serde::Deserialize<'a>>(self) -> Result<T> {
        json::parse(self.body)
    }

    /// The body, to parse or to keep.
    pub fn into_body(self) -> Body<'a> {
        self.body
    }

    /// The first value of a query parameter in `application/x-www-form-urlencoded` form, decoded.
    pub fn query_param(&self, name: &str) -> Option<Cow<'a, str>> {
        self.query_params().find(|(key, _)| key == name).map(|(_, value)| value)
    }

    /// All query parameters in the order they were sent, names and values decoded. A name without
    /// `=` has the value "".
    pub fn query_params(&self) -> impl Iterator<Item = (Cow<'a, str>, Cow<'a, str>)> + use<'a> {
        self.query.unwrap_or_default().split('&').filter(|pair| !pair.is_empty()).map(|pair| {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            (form_decode(key), form_decode(value))
        })
    }

    /// A query parameter parsed as a number or any other type with `FromStr`; `None` if it is
    /// missing.
    ///
    /// # Errors
    /// 400 if the parameter is there and is not a `T`.
    pub fn parsed_query_param<T: FromStr>(&self, name: &str) -> Result<Option<T>> {
        let Some(text) = self.query_param(name) else { return Ok(None) };
        text.parse().map(Some).map_err(|_| malformed("query", name))
    }

    /// A path parameter of the route that matched, not decoded; `None` if the route has no such
    /// parameter. Use [`Request::decoded_param`] for text that a person has typed.
    pub fn param(&self, name: &str) -> Option<&'a str> {
        self.params.as_ref()?.get(name)
    }

    /// A path parameter, percent-decoded: `J%C3%BCrgen` is `J\u{fc}rgen`. The result may hold any
    /// character, `/` and `..` included: do not use it as a path.
    pub fn decoded_param(&self, name: &str) -> Option<Cow<'a, str>> {
        self.param(name).map(percent_decode)
    }

    /// A path parameter parsed as a number or any other type with `FromStr`.
    ///
    /// # Errors
    /// 400 if the parameter is not a `T`; 500 if the route has no parameter of this name.
    pub fn parsed_param<T: FromStr>(&self, name: &str) -> Result<T> {
        let text = self.param(name).ok_or_else(|| {
            Error::new(format!(
                "the route has no parameter `{name}`; write it as `{{{name}}}` in the route's \
                 pattern"
            ))
        })?;
        text.parse().map_err(|_| malformed("path", name))
    }

    pub(crate) fn set_params(&mut self, params: matchit::Params<'a, 'a>) {
        self.params = Some(params);
    }
}

impl fmt::Debug for Request<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Prints only the sizes of query and body: either may hold secrets.
        f.debug_struct("Request")
            .field("method", &self.method)
            .field("path", &self.path)
            .field("query_bytes", &self.query.map(str::len))
            .field("headers", &self.headers)
            .field("body_bytes", &self.body().len())
            .finish_non_exhaustive()
    }
}

fn malformed(part: &str, name: &str) -> Error {
    Error::peer(
        Status::BAD_REQUEST,
        format!("the {part} parameter `{name}` is malformed; send what its type reads"),
    )
}

/// Decodes `+` as a space and `%XX` as a byte (WHATWG URL, section 5.1).
fn form_decode(text: &str) -> Cow<'_, str> {
    decode(text, b'+')
}

/// Decodes `%XX` as a byte (RFC 3986, section 2.1).
fn percent_decode(text: &str) -> Cow<'_, str> {
    decode(text, b' ') // so that a space stays a space
}

/// Decodes `%XX` as a byte and the byte `space` as a space; any other `%` stays. Bytes that are not
/// UTF-8 become U+FFFD.
fn decode(text: &str, space: u8) -> Cow<'_, str> {
    if !text.bytes().any(|byte| byte == space || byte == b'%') {
        return Cow::Borrowed(text);
    }
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let digit = |at: usize| bytes.get(at).and_then(|&byte| char::from(byte).to_digit(16));
        match (byte, digit(at + 1), digit(at + 2)) {
            (b'%', Some(high), Some(low)) => {
                out.push((high << 4 | low) as u8);
                at += 2;
            }
            _ if byte == space => out.push(b' '),
            _ => out.push(byte),
        }
        at += 1;
    }
    Cow::Owned(
        String::from_utf8(out)
            .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned()),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request<'a>(
        query: &'a str,
        headers: &'a [(&'a str, &'a str)],
        body: &'a mut Vec<u8>,
    ) -> Request<'a> {
        Request::assemble(
            "GET",
            "/p",
            Some(query),
            Headers::from_pairs(headers),
            Body::from_vec(body),
        )
    }

    #[test]
    fn reads_query_parameters() {
        let mut body = Vec::new();
        let request = request("a=1&b=&c&a=2&%61+b=x%26y&&n=ten", &[], &mut body);
        let all: Vec<_> =
            request.query_params().map(|(key, value)| format!("{key}={value}")).collect();
        assert_eq!(all, ["a=1", "b=", "c=", "a=2", "a b=x&y", "n=ten"]);
        assert_eq!(request.query_param("a").as_deref(), Some("1"));
        assert_eq!(request.parsed_query_param::<u8>("a").unwrap(), Some(1));
        assert_eq!(request.parsed_query_param::<u8>("missing").unwrap(), None);
        let error = request.parsed_query_param::<u8>("n").unwrap_err();
        assert_eq!(
            (error.status(), error.to_string().contains("`n`")),
            (Status::BAD_REQUEST, true)
        );
        assert_eq!(
            request.parsed_param::<u8>("n").unwrap_err().status(),
            Status::INTERNAL_SERVER_ERROR
        );
    }

    #[test]
    fn reads_the_body_as_text() {
        let mut body = "t\u{fc}r".as_bytes().to_vec();
        assert_eq!(request("", &[], &mut body).text().unwrap(), "t\u{fc}r");
        let mut body = b"ab\xff".to_vec();
        let error = request("", &[], &mut body).text().unwrap_err();
        assert!(error.is_peers_fault() && error.to_string().contains("byte 2"), "{error}");
    }

    #[test]
    fn decodes_query_parameters() {
        for (text, decoded) in [
            ("a", "a"),
            ("a+b", "a b"),
            ("%41%2f", "A/"),
            ("%4", "%4"),
            ("%zz", "%zz"),
            ("%ff", "\u{fffd}"),
            ("%", "%"),
            ("%2b+%2B", "+ +"),
        ] {
            assert_eq!(form_decode(text), decoded);
        }
        assert_eq!(percent_decode("a+%20%C3%BC"), "a+ \u{fc}");
    }
}
