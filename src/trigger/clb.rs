//! CLB trigger: a load balancer's request; synchronous. The reply must be the integrated response
//! ([`IntegratedResponse`](super::IntegratedResponse)); for anything else the caller gets
//! `{"errno":403,…}`. Sample: clb.json (repaired: the published one is not valid JSON). Source:
//! platform page "CLB trigger".

use super::record::record;
use super::shapes::Flag;
use super::value::{Map, Value};

record! {
    /// One HTTP request from a load balancer.
    pub struct Clb<'a> {
        /// Header fields: the client's, and the balancer's own `X-Method`, `X-Uri`, `X-Real-IP`,
        /// `X-Vip`, `X-Vport` …
        required "headers" => headers: Map<'a, &'a str>,
        /// The body; already an object if it was JSON.
        "payload" => payload: Value<'a>,
        /// Whether the payload is Base64 text; the text `"false"` has been seen.
        "isBase64Encoded" => is_base64_encoded: Flag,
    }
}

impl<'a> Clb<'a> {
    /// A header field, names compared without case.
    pub fn header(&self, name: &str) -> Option<&'a str> {
        self.headers.get_ignore_case(name).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::super::samples::round_trip;
    use super::*;

    #[test]
    fn reads_and_writes_the_sample() {
        let sample = include_str!("../../tests/data/events/clb.json");
        let clb: Clb<'_> =
            round_trip(sample, &[(r#""isBase64Encoded": "false""#, r#""isBase64Encoded": false"#)]);
        assert_eq!(
            (clb.header("x-method"), clb.header("x-uri")),
            (Some("POST"), Some("/scf_location"))
        );
        assert_eq!(clb.payload.get("key2").as_str(), Some("abc"));
    }
}
