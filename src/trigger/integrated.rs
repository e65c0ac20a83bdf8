//! Integrated response: the JSON that API Gateway, function URLs and CLB turn into the client's
//! response. Samples: apigw.response.json, apigw.response.multi_header.json,
//! function_url.response.json. Source: platform pages "API Gateway trigger" and "Function URL"
//! (583/96099, 2025-08-12). For a reply of any other form a gateway answers the client with
//! `{"errno":403,…}` (sample apigw.response.bad.json).

use super::base64;
use super::record::record;
use super::shapes::OneOrMany;
use super::value::Map;
use crate::body::SYNCHRONOUS_BYTES;
use crate::error::Result;
use crate::reply::Reply;

record! {
    /// A response in the form that a gateway reads. [`IntegratedResponse::wrap`] makes one of any
    /// reply.
    pub struct IntegratedResponse<'a> {
        /// Whether the body is Base64; it must be switched on for the API.
        "isBase64Encoded" => is_base64_encoded: bool,
        /// The HTTP status.
        "statusCode" => status_code: u16,
        /// Header fields. API Gateway does not support `Location` here.
        "headers" => headers: Map<'a, OneOrMany<'a>>,
        /// The body.
        "body" => body: &'a str,
    }
}

impl IntegratedResponse<'_> {
    /// Largest streamed reply that can be wrapped, in bytes: the platform's limit for a synchronous
    /// result.
    pub const STREAM_BYTES: usize = SYNCHRONOUS_BYTES;

    /// Makes the reply (200, JSON) that the gateway turns into `reply`. A field that occurs several
    /// times becomes an array; a body that is not UTF-8 becomes Base64; a stream is written into
    /// memory, because an event's result cannot be streamed.
    ///
    /// # Errors
    /// If a stream fails or is larger than [`IntegratedResponse::STREAM_BYTES`].
    pub fn wrap(reply: Reply) -> Result<Reply> {
        IntegratedResponse::wrap_for("GET", reply)
    }

    /// [`IntegratedResponse::wrap`] for a request with this method: the reply to HEAD has no body
    /// (RFC 9110, section 9.3.2).
    pub(crate) fn wrap_for(method: &str, reply: Reply) -> Result<Reply> {
        let fields: Vec<(String, String)> =
            reply.headers().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        let status_code = reply.status().code();
        let bytes =
            if method == "HEAD" { Vec::new() } else { reply.into_bytes(Self::STREAM_BYTES)? };
        let (is_base64_encoded, body) = match String::from_utf8(bytes) {
            Ok(text) => (false, text),
            Err(error) => (true, base64::encode(error.as_bytes())),
        };
        let mut headers = Map::default();
        for (name, value) in &fields {
            match headers.get_ignore_case_mut(name) {
                None => headers.push(name, OneOrMany::One(value)),
                Some(values) => {
                    *values = OneOrMany::Many(values.iter().chain([&**value]).collect())
                }
            }
        }
        Reply::json(&IntegratedResponse { is_base64_encoded, status_code, headers, body: &body })
    }
}

#[cfg(test)]
mod tests {
    use super::super::samples::round_trip;
    use super::*;
    use crate::wire::Status;

    fn wrapped(reply: Reply) -> String {
        let reply = IntegratedResponse::wrap(reply).unwrap();
        assert_eq!(
            (reply.status(), reply.header("content-type")),
            (Status::OK, Some("application/json"))
        );
        String::from_utf8(reply.body().unwrap().to_vec()).unwrap()
    }

    #[test]
    fn reads_and_writes_the_samples() {
        round_trip::<IntegratedResponse<'_>>(
            include_str!("../../tests/data/events/apigw.response.json"),
            &[],
        );
        let sample = include_str!("../../tests/data/events/apigw.response.multi_header.json");
        let response: IntegratedResponse<'_> = round_trip(sample, &[]);
        assert_eq!(response.headers.get("Key").unwrap().iter().count(), 3);
        let sample = include_str!("../../tests/data/events/function_url.response.json");
        round_trip::<IntegratedResponse<'_>>(
            sample,
            &[("\"statusCode\"", "\"isBase64Encoded\":false,\"statusCode\"")],
        );
    }

    #[test]
    fn wraps_text_bytes_streams_and_nothing() {
        assert_eq!(
            wrapped(Reply::html("<p>\"t\u{fc}r\"</p>").with_status(Status::CREATED)),
            concat!(
                r#"{"isBase64Encoded":false,"statusCode":201,"#,
                r#""headers":{"content-type":"text/html; charset=utf-8"},"#,
                r#""body":"<p>\"tür\"</p>"}"#
            )
        );
        assert_eq!(
            wrapped(Reply::bytes("image/png", [0x89, b'P', b'N', b'G']).unwrap()),
            concat!(
                r#"{"isBase64Encoded":true,"statusCode":200,"#,
                r#""headers":{"content-type":"image/png"},"body":"iVBORw=="}"#
            )
        );
        assert_eq!(
            wrapped(
                Reply::stream("text/csv", |out| std::io::Write::write_all(out, b"a,b")).unwrap()
            ),
            concat!(
                r#"{"isBase64Encoded":false,"statusCode":200,"#,
                r#""headers":{"content-type":"text/csv"},"body":"a,b"}"#
            )
        );
        assert_eq!(
            wrapped(Reply::empty()),
            r#"{"isBase64Encoded":false,"statusCode":204,"headers":{},"body":""}"#
        );
    }

    #[test]
    fn a_field_that_is_there_twice_is_an_array() {
        let reply = Reply::empty().with_header("set-cookie", "a=1").unwrap();
        let reply = reply
            .with_header("Set-Cookie", "b=2")
            .unwrap()
            .with_header("set-cookie", "c=3")
            .unwrap();
        assert!(wrapped(reply).contains(r#""headers":{"set-cookie":["a=1","b=2","c=3"]}"#));
    }

    #[test]
    fn a_stream_without_end_is_an_error() {
        let endless = Reply::stream("text/plain", |out| {
            loop {
                std::io::Write::write_all(out, &[b'x'; 64 * 1024])?;
            }
        });
        let error = IntegratedResponse::wrap(endless.unwrap()).unwrap_err();
        let limit = format!("larger than {SYNCHRONOUS_BYTES} bytes");
        assert!(error.to_string().contains(&limit), "{error}");
    }
}
