//! AWS Lambda behind the Lambda Web Adapter, an extension that turns invocations into requests.
//!
//! | contract | | evidence |
//! |---|---|---|
//! | port | `AWS_LWA_PORT`, `PORT`, then 8080; loopback will do | read: aws-lambda-web-adapter |
//! | event | POST /events; leave `AWS_LWA_PASS_THROUGH_PATH` unset | read: same |
//! | Web | any path | read: same |
//! | hooks | SIGTERM | read: same |
//! | health | GET / every 10 ms; 100 to 499 is ready, a 404 too | read: same |
//! | start | within 10 s | read: AWS, "Lambda quotas" |
//! | context | JSON in `x-amzn-lambda-context`, `x-amzn-request-context` | read: the adapter |
//! | the JSON's members | `request_id`, `deadline`, `invoked_function_arn` | seen in public code |
//! | environment | `AWS_LAMBDA_FUNCTION_NAME` | seen in public code |
//! | failure | a status that `AWS_LWA_ERROR_STATUS_CODES` lists: set it to 500-599 | read: same |
//! | payload | 6 MB synchronous, 256 KB asynchronous | read: "Lambda quotas" |

use super::{Contract, Names, Platform, always, by_status};
use crate::body::Body;
use crate::error::{Error, Result};
use crate::headers::Headers;
use crate::json;
use crate::wire::Status;
use serde::de::{IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use std::fmt;

const CONTEXT: &str = "x-amzn-lambda-context";

pub(super) const CONTRACT: Contract = Contract {
    platform: Platform::LambdaAdapter,
    own_headers: &[CONTEXT],
    port: 8080,
    port_variables: &["AWS_LWA_PORT", "PORT"],
    start_limit_s: Some(10),
    event_path: "/events",
    is_event: always,
    hooks: &[],
    names: Names { request_id: CONTEXT, ..Names::NONE }, // everything is in one header of JSON
    identity,
    timeout_s: None, // the context has a deadline instead
    memory_mb: None,
    signal: by_status,
};

/// The request id: the first `request_id` in the header's JSON, which Lambda writes before all
/// others. It is found without the JSON parser, which would add KiB to every function only for an
/// id in the log; an id has no escapes.
fn identity(context: &str) -> &str {
    let mut between_quotes = context.split('"').skip_while(|part| *part != "request_id").skip(1);
    match (between_quotes.next().map(str::trim_ascii), between_quotes.next(), between_quotes.next())
    {
        (Some(":"), Some(id), Some(_)) => id,
        _ => "",
    }
}

/// Lambda's description of an invocation (header `x-amzn-lambda-context`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct LambdaContext {
    /// `request_id`.
    pub request_id: String,
    /// `deadline`: when Lambda ends the invocation, in milliseconds since 1970-01-01 UTC; 0 if
    /// it was not sent.
    pub deadline_unix_ms: u64,
    /// `invoked_function_arn`.
    pub function_arn: String,
}

impl LambdaContext {
    pub(crate) fn read(headers: Headers<'_>) -> Result<Option<LambdaContext>> {
        let Some(text) = headers.get_bytes(CONTEXT) else { return Ok(None) };
        let mut bytes = text.to_vec();
        json::parse(Body::from_vec(&mut bytes)).map(Some).map_err(|error| {
            Error::peer(
                Status::BAD_REQUEST,
                format!("the header `{CONTEXT}` is not Lambda's context: {error}"),
            )
        })
    }
}

impl<'de> Deserialize<'de> for LambdaContext {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<LambdaContext, D::Error> {
        struct Members;

        impl<'de> Visitor<'de> for Members {
            type Value = LambdaContext;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<LambdaContext, A::Error> {
                let mut context = LambdaContext::default();
                while let Some(key) = map.next_key::<&str>()? {
                    match key {
                        "request_id" => context.request_id = map.next_value()?,
                        "deadline" => context.deadline_unix_ms = map.next_value()?,
                        "invoked_function_arn" => context.function_arn = map.next_value()?,
                        _ => drop(map.next_value::<IgnoredAny>()?),
                    }
                }
                Ok(context)
            }
        }

        deserializer.deserialize_map(Members)
    }
}

/// Headers that must never be printed, besides the credentials in [`Names`].
#[cfg(test)]
pub(super) const SECRET_HEADERS: &[&str] = &["x-amzn-request-context", CONTEXT];

#[cfg(test)]
mod tests {
    use super::super::Role;
    use super::super::tests::role_of;
    use super::*;
    use crate::context::Context;

    const HEADERS: [(&str, &str); 2] = [
        ("x-amzn-request-context", "{}"),
        (
            CONTEXT,
            r#"{"request_id":"8476a536","deadline":1542409706888,
            "invoked_function_arn":"arn:aws:lambda:f",
            "xray_trace_id":null,"env_config":{"function_name":"f","memory":128}}"#,
        ),
    ];

    #[test]
    fn knows_its_path() {
        assert_eq!(
            role_of("POST", "/events", &HEADERS, None),
            Some(Role::Event(Platform::LambdaAdapter))
        );
        let by_environment = role_of("POST", "/events", &[], Some(Platform::LambdaAdapter));
        assert_eq!(by_environment, Some(Role::Event(Platform::LambdaAdapter)));
        let trace = [("x-amzn-trace-id", "a load balancer's, on any platform")];
        assert_eq!(role_of("POST", "/events", &trace, None), None);
    }

    #[test]
    fn reads_its_context() {
        let context = Context::new(Headers::from_pairs(&HEADERS), None);
        assert_eq!(context.request_id(), "8476a536");
        let lambda = context.lambda().unwrap().unwrap();
        assert_eq!(
            (lambda.deadline_unix_ms, &*lambda.function_arn),
            (1_542_409_706_888, "arn:aws:lambda:f")
        );
        assert_eq!((context.timeout(), context.memory_mb()), (None, None));
    }

    #[test]
    fn a_malformed_context_is_an_error_and_has_no_request_id() {
        for text in
            ["", "{", "[]", r#"{"request_id":7}"#, r#"{"request_id":"#, r#"{"request_id":"x"#]
        {
            let headers = [(CONTEXT, text)];
            let context = Context::new(Headers::from_pairs(&headers), None);
            assert!(
                context.lambda().is_err_and(|error| error.to_string().contains(CONTEXT)),
                "{text}"
            );
            assert_eq!(context.request_id(), "");
        }
        assert_eq!(Context::new(Headers::from_pairs(&[]), None).lambda().unwrap(), None);
    }
}
