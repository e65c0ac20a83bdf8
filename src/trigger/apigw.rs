//! API Gateway and function URLs: an HTTP request as an event; synchronous. A function URL's event
//! is the same without the gateway's own members. The reply must be the integrated response
//! ([`IntegratedResponse`]). Samples: apigw.json, apigw.captured.json, apigw.base64.json,
//! scfcli.apigw.json, function_url.json. Source: platform pages "Trigger event message structures",
//! 2024-11-07, "API Gateway trigger" and "Function URL" (583/96099, 2025-08-12).
//!
//! [`App::bridge`](crate::App::bridge) lets an App's routes answer such events; [`answer`] does it
//! for one handler. An event becomes a request as follows: method and headers are the event's; the
//! path is the one that the client requested; the query is built from `queryString` (a boolean
//! becomes a name without `=`); a Base64 body is decoded. `content-length` and `transfer-encoding`
//! are left out, because they describe the message between client and gateway, and have been seen
//! not to match. The context comes from the invocation, never from the client's headers.

use super::base64;
use super::integrated::IntegratedResponse;
use super::record::record;
use super::shapes::{Flag, OneOrMany};
use super::value::Map;
use crate::body::Body;
use crate::context::Context;
use crate::error::{Error, Result};
use crate::event::Event;
use crate::headers::Headers;
use crate::reply::{IntoReply, Reply};
use crate::request::Request;
use crate::spare;
use crate::wire::Status;
use crate::wire::chunked::is_token_byte;
use smallvec::SmallVec;
use std::borrow::Cow;

record! {
    /// One HTTP request, as API Gateway or a function URL sends it.
    pub struct ApiGateway<'a> {
        /// The gateway's description; `None` from a function URL. The platform may add members and
        /// removes none.
        "requestContext" => request_context: Option<RequestContext<'a>>,
        /// Header fields; names in the client's case.
        "headers" => headers: Map<'a, OneOrMany<'a>>,
        /// The body; Base64 if [`ApiGateway::is_base64`].
        "body" => body: Option<&'a str>,
        /// Parameters of the API's path.
        "pathParameters" => path_parameters: Option<Map<'a, OneOrMany<'a>>>,
        /// Query parameters that the API defines.
        "queryStringParameters" => query_string_parameters: Option<Map<'a, OneOrMany<'a>>>,
        /// Header fields that the API defines.
        "headerParameters" => header_parameters: Option<Map<'a, OneOrMany<'a>>>,
        /// The stage's variables.
        "stageVariables" => stage_variables: Option<Map<'a, OneOrMany<'a>>>,
        /// The path that the client requested.
        required "path" => path: &'a str,
        /// All query parameters, decoded.
        "queryString" => query_string: Map<'a, OneOrMany<'a>>,
        /// The client's method.
        required "httpMethod" => http_method: &'a str,
        /// Present if Base64 is switched on for the API.
        "isBase64Encoded" => is_base64_encoded: Option<Flag>,
    }
}

record! {
    /// API Gateway's description of a request.
    pub struct RequestContext<'a> {
        /// The service.
        required "serviceId" => service_id: &'a str,
        /// The API's path, with its parameters as placeholders.
        required "path" => path: &'a str,
        /// The API's method; may be `ANY`.
        required "httpMethod" => http_method: &'a str,
        /// The gateway's id of the request, not the function's.
        "requestId" => request_id: Option<&'a str>,
        /// The authenticated client, with `secretId`; may be empty.
        "identity" => identity: Map<'a, &'a str>,
        /// The client's address.
        required "sourceIp" => source_ip: &'a str,
        /// `test`, `prepub` or `release`.
        required "stage" => stage: &'a str,
    }
}

impl<'a> ApiGateway<'a> {
    /// Whether this is a gateway's request: any JSON object can be read as this type.
    pub fn is_request(&self) -> bool {
        !self.http_method.is_empty() && self.path.starts_with('/')
    }

    /// The first value of a header field, names compared without case.
    pub fn header(&self, name: &str) -> Option<&'a str> {
        self.headers.get_ignore_case(name).and_then(OneOrMany::first)
    }

    /// Whether the body is Base64.
    pub fn is_base64(&self) -> bool {
        self.is_base64_encoded.unwrap_or_default().0
    }

    /// The query as a URL has it (`application/x-www-form-urlencoded`); empty if there is none.
    pub fn query(&self) -> String {
        let mut out = String::new();
        for (name, values) in self.query_string.iter() {
            if let OneOrMany::Flag(_) = values {
                separate(&mut out);
                form_encode(name, &mut out);
            }
            for value in values.iter() {
                separate(&mut out);
                form_encode(name, &mut out);
                out.push('=');
                form_encode(value, &mut out);
            }
        }
        out
    }

    /// Appends the decoded bytes of the body.
    ///
    /// # Errors
    /// 400 if the body is marked as Base64 and is not valid Base64.
    pub fn body_bytes(&self, out: &mut Vec<u8>) -> Result<()> {
        let body = self.body.unwrap_or_default();
        if self.is_base64() {
            return base64::decode(body, out);
        }
        out.extend_from_slice(body.as_bytes());
        Ok(())
    }

    /// Calls `then` with the request that this event describes.
    pub(crate) fn as_request<T>(
        &self,
        context: Context<'_>,
        then: impl FnOnce(Request<'_>) -> T,
    ) -> Result<T> {
        self.check()?;
        let headers: SmallVec<[(&str, &str); 32]> = self.fields().collect();
        let (path, query) = (target_encode(self.path), self.query());
        let mut body = spare::take();
        self.body_bytes(&mut body)?;
        let request = Request::assemble(
            self.http_method,
            &path,
            (!query.is_empty()).then_some(&*query),
            Headers::from_pairs(&headers),
            Body::from_vec(&mut body),
        );
        let answer = then(request.with_invocation(context));
        spare::give_back(body);
        Ok(answer)
    }

    /// The fields that a request keeps.
    fn fields(&self) -> impl Iterator<Item = (&'a str, &'a str)> {
        const BETWEEN_CLIENT_AND_GATEWAY: [&str; 2] = ["content-length", "transfer-encoding"];
        self.headers
            .iter()
            .filter(|(name, _)| {
                !BETWEEN_CLIENT_AND_GATEWAY.iter().any(|known| name.eq_ignore_ascii_case(known))
            })
            .flat_map(|(name, values)| values.iter().map(move |value| (name, value)))
    }

    /// Refuses what no HTTP request can contain, before a handler relies on it.
    fn check(&self) -> Result<()> {
        let wrong = |what: String| {
            Err(Error::peer(Status::BAD_REQUEST, format!("{what}; this is not a gateway's event")))
        };
        let is_token = |text: &str| !text.is_empty() && text.bytes().all(is_token_byte);
        if !self.is_request() {
            return wrong("the event has no `httpMethod` or no `path`".to_owned());
        }
        if !is_token(self.http_method) {
            return wrong(format!("invalid method `{}`", self.http_method.escape_debug()));
        }
        for (name, value) in self.fields() {
            if !is_token(name)
                || value.bytes().any(|byte| (byte < b' ' && byte != b'\t') || byte == 0x7f)
            {
                return wrong(format!(
                    "the header `{}` has a character that no header may have",
                    name.escape_debug()
                ));
            }
        }
        Ok(())
    }
}

/// Passes a gateway's event to a Web handler and turns its reply into the integrated response.
///
/// # Errors
/// 400 if the event does not come from a gateway. A handler's own error too, which is then a failed
/// invocation; to answer the client with it instead, use [`App::bridge`](crate::App::bridge).
///
/// # Example
/// ```
/// use firstbyte::{Request, test, trigger::apigw};
///
/// fn greet(request: Request<'_>) -> String {
///     format!("hello, {}", request.query_param("name").unwrap_or_default())
/// }
///
/// let event = r#"{"httpMethod":"GET","path":"/","queryString":{"name":"Ann"}}"#;
/// let reply = test::event(event).call_event(|event| apigw::answer(event, greet))?;
/// assert!(reply.text().contains(r#""body":"hello, Ann""#));
/// # Ok::<(), firstbyte::Error>(())
/// ```
pub fn answer<R: IntoReply>(
    event: Event<'_>,
    handler: impl FnOnce(Request<'_>) -> R,
) -> Result<Reply> {
    let context = event.context();
    let request: ApiGateway<'_> = event.json()?;
    let reply = request.as_request(context, |request| handler(request).into_reply())??;
    IntegratedResponse::wrap_for(request.http_method, reply)
}

fn separate(out: &mut String) {
    if !out.is_empty() {
        out.push('&');
    }
}

/// WHATWG URL, section 5.2.
fn form_encode(text: &str, out: &mut String) {
    for byte in text.bytes() {
        match byte {
            b' ' => out.push('+'),
            b'*' | b'-' | b'.' | b'_' => out.push(char::from(byte)),
            _ if byte.is_ascii_alphanumeric() => out.push(char::from(byte)),
            _ => percent_encode(byte, out),
        }
    }
}

/// A path that can be part of a request line; what is encoded already stays so.
fn target_encode(path: &str) -> Cow<'_, str> {
    let plain = |byte: u8| (0x21..=0x7e).contains(&byte) && byte != b'?' && byte != b'#';
    if path.bytes().all(plain) {
        return Cow::Borrowed(path);
    }
    let mut out = String::with_capacity(path.len() + 16);
    for byte in path.bytes() {
        if plain(byte) { out.push(char::from(byte)) } else { percent_encode(byte, &mut out) }
    }
    Cow::Owned(out)
}

fn percent_encode(byte: u8, out: &mut String) {
    let digit = |value: u8| char::from(b"0123456789ABCDEF"[usize::from(value & 15)]);
    out.extend(['%', digit(byte >> 4), digit(byte)]);
}

#[cfg(test)]
mod tests {
    use super::super::samples::{read, round_trip};
    use super::*;
    use crate::test;

    /// The request that an event becomes, in one line each.
    fn described(event: &str) -> Result<String> {
        let answer = test::event(event).call_event(|event| {
            answer(event, |request: Request<'_>| {
                let headers: Vec<_> = request.headers().iter().map(|(name, _)| name).collect();
                let body = request.body();
                let (method, path, query) =
                    (request.method(), request.path(), request.query().unwrap_or("-"));
                format!("{method} {path} {query} {} {body:?}", headers.join(","))
            })
        })?;
        let bytes = Box::leak(Box::new(answer.body().to_vec()));
        Ok(crate::json::parse::<IntegratedResponse<'_>>(Body::from_vec(bytes))?.body.to_owned())
    }

    #[test]
    fn reads_and_writes_the_samples() {
        let event: ApiGateway<'_> =
            round_trip(include_str!("../../tests/data/events/apigw.json"), &[]);
        assert_eq!(
            (event.path, event.http_method, event.is_base64()),
            ("/test/value", "POST", false)
        );
        assert_eq!(event.header("user-agent"), Some("User Agent String"));
        let context = event.request_context.as_ref().unwrap();
        assert_eq!((context.path, context.stage), ("/test/{path}", "release"));
        assert!(format!("{event:?}").contains("\"secretId\": \"redacted\""), "{event:?}");

        let event: ApiGateway<'_> =
            round_trip(include_str!("../../tests/data/events/apigw.captured.json"), &[]);
        assert_eq!((event.query().as_str(), event.body), ("a=b&a=c&x=y&i", None));
        let event: ApiGateway<'_> =
            round_trip(include_str!("../../tests/data/events/apigw.base64.json"), &[]);
        let mut body = Vec::new();
        event.body_bytes(&mut body).unwrap();
        assert_eq!(body, [0, 1, 2, 0xfd, 0xfe, 0xff]);
        let event: ApiGateway<'_> =
            round_trip(include_str!("../../tests/data/events/function_url.json"), &[]);
        assert_eq!((event.request_context.as_ref(), event.is_request()), (None, true));
        round_trip::<ApiGateway<'_>>(
            include_str!("../../tests/data/events/scfcli.apigw.json"),
            &[],
        );
    }

    #[test]
    fn makes_requests_of_the_samples() {
        let url = include_str!("../../tests/data/events/function_url.json");
        let body = format!("{:?}", br#"{"test":"hello world"}"#);
        let headers = "accept,accept-encoding,cache-control,connection,x-scf-remote-addr";
        assert_eq!(described(url).unwrap(), format!("POST / a=1&b=2 {headers} {body}"));
        let base64 = described(include_str!("../../tests/data/events/apigw.base64.json")).unwrap();
        assert!(base64.starts_with("POST /test/value foo=bar&bob=alice "), "{base64}");
        assert!(base64.ends_with("[0, 1, 2, 253, 254, 255]"), "{base64}");
    }

    #[test]
    fn encodes_what_a_request_line_cannot_hold() {
        let event = r#"{"httpMethod":"GET","path":"/t\u00fcr/a b?#%20",
            "queryString":{"q&":["a=b","\u00e4 "],"f":true}}"#;
        assert_eq!(
            described(event).unwrap(),
            "GET /t%C3%BCr/a%20b%3F%23%20 q%26=a%3Db&q%26=%C3%A4+&f  []"
        );
        let event: ApiGateway<'_> = read(event);
        assert_eq!(event.query(), "q%26=a%3Db&q%26=%C3%A4+&f");
    }

    #[test]
    fn refuses_what_no_request_could_hold() {
        for (event, expected) in [
            (r#"{}"#, "missing field `path`"),
            (r#"{"path":"/"}"#, "missing field `httpMethod`"),
            (r#"{"path":"/","httpMethod":""}"#, "no `httpMethod`"),
            (
                r#"{"path":"/","httpMethod":"GET","requestContext":{"stage":"test"}}"#,
                "at \"requestContext\": missing field `serviceId`",
            ),
            (r#"{"httpMethod":"GET","path":"relative"}"#, "no `path`"),
            (r#"{"httpMethod":"GET /x","path":"/"}"#, "invalid method"),
            (r#"{"httpMethod":"GET","path":"/","headers":{"a":"b\r\nc: d"}}"#, "header `a`"),
            (r#"{"httpMethod":"GET","path":"/","headers":{"a\n":"b"}}"#, "header `a\\n`"),
            (
                r#"{"httpMethod":"GET","path":"/","body":"%%%%","isBase64Encoded":true}"#,
                "not Base64",
            ),
            (r#"{"httpMethod":7,"path":"/"}"#, "not what the function expects"),
            (r#"[]"#, "not what the function expects"),
        ] {
            let error = described(event).unwrap_err();
            assert!(
                error.is_peers_fault() && error.to_string().contains(expected),
                "{event}: {error}"
            );
        }
    }

    #[test]
    fn a_client_cannot_write_the_context() {
        let event = r#"{"httpMethod":"GET","path":"/","headers":{
            "X-Scf-Request-Id":"forged","x-scf-secret-id":"forged",
            "x-scf-secret-key":"forged","x-scf-session-token":"forged"}}"#;
        let call = test::event(event).header("X-Scf-Request-Id", "true");
        let answered = call.call_event(|event| {
            answer(event, |request: Request<'_>| {
                assert_eq!(request.header("x-scf-request-id"), Some("forged"));
                assert_eq!(request.context().request_id(), "true");
                assert!(request.context().credentials().is_none());
            })
        });
        assert!(answered.is_ok());
    }
}
