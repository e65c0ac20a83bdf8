//! Request that ends a start, and its correct answer. Text in, bytes out; `probe` sends it. The
//! default is the platform's request for a timer: POST /event-invoke with the X-Scf headers that an
//! event function gets without a role.

use microimage::scf::{EVENT_PATH, header};
use std::fmt::Write;
use std::str::FromStr;

/// A timer's event as Tencent Cloud publishes it ("Timer trigger", message structure).
pub const TIMER_EVENT: &str = concat!(
    r#"{"Type":"Timer","TriggerName":"EveryDay","Time":"2019-02-21T11:49:00Z","#,
    r#""Message":"user define msg body"}"#,
);
/// The platform's headers of an invocation by a timer, for a function without a role.
const TIMER_HEADERS: [(&str, &str); 11] = [
    ("Content-Type", "application/json"),
    (header::REQUEST_ID, "00000000-0000-4000-8000-000000000000"),
    (header::MEMORY, "128"),
    (header::TIMEOUT, "3"),
    (header::VERSION, "$LATEST"),
    (header::NAME, "coldstart"),
    (header::NAMESPACE, "default"),
    (header::REGION, "ap-guangzhou"),
    (header::APP_ID, "1250000000"),
    (header::UIN, "100000000001"),
    (header::TRIGGER_SOURCE, "Timer"),
];

/// A request: method, path and body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ask {
    method: String,
    path: String,
    body: String,
    headers: &'static [(&'static str, &'static str)],
}

/// Text that is not a request.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid request `{0}`; use METHOD:/path, for example `GET:/healthz`")]
pub struct AskError(String);

impl Default for Ask {
    fn default() -> Self {
        Self {
            method: "POST".into(),
            path: EVENT_PATH.into(),
            body: TIMER_EVENT.into(),
            headers: &TIMER_HEADERS,
        }
    }
}

impl FromStr for Ask {
    type Err = AskError;

    fn from_str(text: &str) -> Result<Self, AskError> {
        let no = || AskError(text.to_owned());
        let (method, path) = text.split_once(':').ok_or_else(no)?;
        let word = !method.is_empty() && method.bytes().all(|b| b.is_ascii_uppercase());
        let plain = path.starts_with('/') && path.bytes().all(|b| b.is_ascii_graphic());
        match (word && plain, method) {
            (true, "POST") if path == EVENT_PATH => Ok(Self::default()),
            (true, "POST" | "PUT" | "PATCH") => Ok(Self {
                method: method.into(),
                path: path.into(),
                body: TIMER_EVENT.into(),
                headers: &TIMER_HEADERS[..1], // the event's media type; the rest is the platform's
            }),
            (true, _) => Ok(Self {
                method: method.into(),
                path: path.into(),
                body: String::new(),
                headers: &[],
            }),
            (false, _) => Err(no()),
        }
    }
}

impl Ask {
    /// The request as sent (RFC 9112), with `host` as its Host field.
    pub fn to_bytes(&self, host: &str) -> Vec<u8> {
        let Self { method, path, body, headers } = self;
        let mut text =
            format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: coldstart\r\n");
        for (name, value) in *headers {
            write!(text, "{name}: {value}\r\n").expect("a String grows");
        }
        if !body.is_empty() {
            write!(text, "Content-Length: {}\r\n", body.len()).expect("a String grows");
        }
        write!(text, "\r\n{body}").expect("a String grows");
        text.into_bytes()
    }

    /// The event of another trigger, as the platform sends it.
    pub fn of_event(event: String) -> Self {
        let (_trigger, headers) = TIMER_HEADERS.split_last().expect("the last one names a timer");
        Self { body: event, headers, ..Self::default() }
    }

    /// Its text form.
    pub fn describe(&self) -> String {
        format!("{} {}", self.method, self.path)
    }
}

/// A whole reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The body.
    pub body: Vec<u8>,
}

/// The correct answer of a variant.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Expected {
    /// Status 200 and the body of the reference sample, which is the first one.
    #[default]
    NotYetSeen,
    /// Status 200 and this body. JSON is compared by value, other bodies byte for byte.
    Body(Vec<u8>),
}

impl Expected {
    /// Compares an answer; the first answer of a variant becomes the expected one.
    ///
    /// # Errors
    /// A message that states what is wrong with the answer, with the beginning of its body.
    pub fn check(&mut self, answer: &Answer) -> Result<(), String> {
        if answer.status != 200 {
            return Err(format!(
                "answered status `{}`, expected 200, with `{}`",
                answer.status,
                excerpt(&answer.body)
            ));
        }
        match self {
            Self::NotYetSeen => *self = Self::Body(answer.body.clone()),
            Self::Body(expected) if same_value(expected, &answer.body) => {}
            Self::Body(expected) => {
                return Err(format!(
                    "answered `{}`, expected `{}`",
                    excerpt(&answer.body),
                    excerpt(expected)
                ));
            }
        }
        Ok(())
    }
}

fn same_value(one: &[u8], other: &[u8]) -> bool {
    let value = |bytes| serde_json::from_slice::<serde_json::Value>(bytes);
    one == other || matches!((value(one), value(other)), (Ok(a), Ok(b)) if a == b)
}

fn excerpt(body: &[u8]) -> String {
    let text: String = String::from_utf8_lossy(body).chars().take(200).collect();
    text.trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ok(body: &str) -> Answer {
        Answer { status: 200, body: body.as_bytes().to_vec() }
    }

    #[test]
    fn the_default_request_is_the_platforms() {
        let text = String::from_utf8(Ask::default().to_bytes("127.0.0.2:9000")).unwrap();
        assert!(text.starts_with("POST /event-invoke HTTP/1.1\r\nHost: 127.0.0.2:9000\r\n"));
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.ends_with(&format!("Content-Length: {}", body.len())));
        assert!(head.contains("\r\nX-Scf-Trigger-Src: Timer\r\n"), "{head}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(body).unwrap()["Type"], "Timer");
    }

    #[test]
    fn sends_the_event_of_another_trigger() {
        let text =
            String::from_utf8(Ask::of_event("{\"Records\":[]}".into()).to_bytes("h")).unwrap();
        assert!(text.starts_with("POST /event-invoke HTTP/1.1\r\n"), "{text}");
        assert!(text.ends_with("\r\nContent-Length: 14\r\n\r\n{\"Records\":[]}"), "{text}");
        assert!(text.contains("X-Scf-Request-Id: ") && !text.contains("Timer"), "{text}");
    }

    #[test]
    fn parses_a_request_and_refuses_invalid_ones() {
        let get: Ask = "GET:/x?y=1".parse().unwrap();
        assert_eq!(
            get.to_bytes("h"),
            b"GET /x?y=1 HTTP/1.1\r\nHost: h\r\nUser-Agent: coldstart\r\n\r\n"
        );
        let put: Ask = "PUT:/x".parse().unwrap();
        let (start, length) = ("PUT /x HTTP/1.1\r\nHost: h\r\n", TIMER_EVENT.len());
        let expected = format!(
            "{start}User-Agent: coldstart\r\nContent-Type: application/json\r\nContent-Length: \
             {length}\r\n\r\n{TIMER_EVENT}"
        );
        assert_eq!(String::from_utf8(put.to_bytes("h")).unwrap(), expected);
        for text in ["", "GET", "GET:", "GET:x", "get:/x", "GET:/a b", "GET:/a\r\nX: y"] {
            assert!(text.parse::<Ask>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn the_first_answer_is_the_reference() {
        let mut expected = Expected::default();
        assert_eq!(expected.check(&ok(r#"{"a":1,"b":2}"#)), Ok(()));
        assert_eq!(expected.check(&ok(r#"{"b": 2, "a": 1}"#)), Ok(()));
        assert!(expected.check(&ok(r#"{"a":2}"#)).unwrap_err().contains("expected"));
    }

    #[test]
    fn an_error_status_is_never_a_reference() {
        let mut expected = Expected::default();
        assert!(
            expected
                .check(&Answer { status: 500, body: b"oops".to_vec() })
                .unwrap_err()
                .contains("oops")
        );
        assert_eq!(expected, Expected::NotYetSeen);
    }
}
