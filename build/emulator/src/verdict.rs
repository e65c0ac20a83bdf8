//! Verdict: the result of an invocation with the platform's status numbers and messages. Platform
//! page "Function status codes" and the image functions' page; where those state nothing, a comment
//! has the decision.

use crate::frames::{MAX_MESSAGE_BYTES, Side};
use microimage::scf;
use std::time::Duration;

/// How an invocation ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InvocationVerdict {
    /// The function answered, and not with a failure.
    Success,
    /// 430: the function answered with a failure. No document states which HTTP statuses mean that.
    /// Here, for event functions, all except 2xx do.
    UserCodeException(u16),
    /// 429: more starts were needed than the region permits in a minute.
    BurstLimit,
    /// 432: the maximum of instances is reached, and all are busy.
    ResourceLimitReached,
    /// 433: no reply within the function's time-out.
    TimeLimitReached(Duration),
    /// 434: the instance exceeded its memory.
    MemoryLimitReached,
    /// 439: the process ended while it was answering.
    UserProcessExited(String),
    /// 405: the process ended before it listened.
    ContainerExited(String),
    /// 445: the container did not start.
    ContainerInitError(String),
    /// 446: nothing listened on the port in time.
    PortBindingFailed(Duration),
    /// 407: the named part of the reply is too big.
    ReplyTooBig(&'static str),
    /// 406: the event is too big.
    EventTooBig,
    /// 400: the event is not JSON.
    NoJson,
    /// 443: the reply is not HTTP.
    BadReply(String),
    /// 439 or 456: the function or the client ended a WebSocket with a code that does not mean
    /// success; 1006 stands for an end without a code.
    WebSocketClosed(Side, u16),
    /// 439 or 456: a side sent a message that is too big. The page states the limit and no status:
    /// here it is the status of a code that does not mean success.
    WebSocketTooBig(Side),
    /// 455: a WebSocket had no data for this time.
    WebSocketIdle(Duration),
}

/// Whether an asynchronous invocation is retried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// No retry: after success, and for the caller's mistakes.
    Never,
    /// As often as configured: for the function's failures.
    Counted,
    /// As long as the event lives: for lack of a free instance.
    UntilCapacity,
}

impl InvocationVerdict {
    /// The platform's status number.
    pub fn status(&self) -> u16 {
        match self {
            InvocationVerdict::Success => 200,
            InvocationVerdict::NoJson => 400,
            InvocationVerdict::ContainerExited(_) => 405,
            InvocationVerdict::EventTooBig => 406,
            InvocationVerdict::ReplyTooBig(_) => 407,
            InvocationVerdict::UserCodeException(_) => 430,
            InvocationVerdict::BurstLimit => 429,
            InvocationVerdict::ResourceLimitReached => 432,
            InvocationVerdict::TimeLimitReached(_) => 433,
            InvocationVerdict::MemoryLimitReached => 434,
            InvocationVerdict::UserProcessExited(_) => 439,
            InvocationVerdict::BadReply(_) => 443,
            InvocationVerdict::WebSocketClosed(Side::Function, _)
            | InvocationVerdict::WebSocketTooBig(Side::Function) => 439,
            InvocationVerdict::WebSocketClosed(Side::Client, _)
            | InvocationVerdict::WebSocketTooBig(Side::Client) => 456,
            InvocationVerdict::WebSocketIdle(_) => 455,
            InvocationVerdict::ContainerInitError(_) => 445,
            InvocationVerdict::PortBindingFailed(_) => 446,
        }
    }

    /// The platform's message, as far as it is known; `None` for success.
    pub fn message(&self) -> Option<String> {
        Some(match self {
            InvocationVerdict::Success => return None,
            InvocationVerdict::NoJson => "InvalidParameterValue: the event is not JSON".to_owned(),
            InvocationVerdict::ContainerExited(how) => {
                format!("ContainerStateExited: the process {how} before it listened")
            }
            InvocationVerdict::EventTooBig => {
                "RequestTooLarge: an event has at most 6 MB, or 128 KB when asynchronous".to_owned()
            }
            InvocationVerdict::ReplyTooBig(what) => (*what).to_owned(),
            InvocationVerdict::UserCodeException(status) => {
                format!("User code exception caught: the function answered HTTP {status}")
            }
            InvocationVerdict::BurstLimit => {
                "ResourceLimit: the region's limit of instance starts per minute is reached".into()
            }
            InvocationVerdict::ResourceLimitReached => {
                "ResourceLimitReached: every instance is busy".to_owned()
            }
            InvocationVerdict::TimeLimitReached(limit) => {
                format!("Invoking task timed out after {} seconds", limit.as_secs_f64())
            }
            InvocationVerdict::MemoryLimitReached => {
                "MemoryLimitReached: the instance used more memory than its limit".to_owned()
            }
            InvocationVerdict::UserProcessExited(how) => {
                format!("User process exit when running: it {how}")
            }
            InvocationVerdict::BadReply(why) => {
                format!("UserCodeError: the reply is not HTTP/1.1: {why}")
            }
            InvocationVerdict::WebSocketClosed(Side::Function, code) => {
                format!("the function ended the WebSocket with {code}")
            }
            InvocationVerdict::WebSocketClosed(Side::Client, code) => {
                format!("the client ended the WebSocket with {code}")
            }
            InvocationVerdict::WebSocketTooBig(side) => {
                let who = if *side == Side::Client { "client" } else { "function" };
                format!("the {who} sent a WebSocket message over {MAX_MESSAGE_BYTES} bytes")
            }
            InvocationVerdict::WebSocketIdle(idle) => {
                format!("the WebSocket had no data for {} seconds", idle.as_secs_f64())
            }
            InvocationVerdict::ContainerInitError(why) => format!("ContainerInitError: {why}"),
            // The platform's own sentence, with its spacing.
            InvocationVerdict::PortBindingFailed(limit) => format!(
                "The request timed out in {}ms.Please confirm your http server have enabled \
                 listening on port {}.",
                limit.as_millis(),
                scf::PORT
            ),
        })
    }

    /// How the platform retries an asynchronous invocation with this result.
    pub fn retry(&self) -> Retry {
        match self {
            InvocationVerdict::Success
            | InvocationVerdict::NoJson
            | InvocationVerdict::EventTooBig => Retry::Never,
            InvocationVerdict::BurstLimit | InvocationVerdict::ResourceLimitReached => {
                Retry::UntilCapacity
            }
            _ => Retry::Counted,
        }
    }

    /// Whether the instance is ended, even if it has other requests (433, 434 and 439 "recycle the
    /// instance"). After a WebSocket's 439 the platform and the emulator keep the process.
    pub fn recycles(&self) -> bool {
        matches!(
            self,
            InvocationVerdict::TimeLimitReached(_)
                | InvocationVerdict::MemoryLimitReached
                | InvocationVerdict::UserProcessExited(_)
        )
    }

    /// The body that a caller gets instead of a result, in the form of the platform's logs.
    pub fn body(&self) -> String {
        let message = self.message().unwrap_or_default();
        serde_json::json!({"errorCode": -1, "errorMessage": message, "statusCode": self.status()})
            .to_string()
    }
}

impl std::fmt::Display for InvocationVerdict {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.message() {
            Some(message) => write!(f, "{} {message}", self.status()),
            None => write!(f, "{}", self.status()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Names of the page "Function status codes" (583/42611). 433 and 446 have sentences of the
    /// platform's own instead.
    #[test]
    fn a_failure_begins_with_the_platforms_name_for_its_status() {
        let why = || "why".to_owned();
        for (verdict, status, name) in [
            (InvocationVerdict::NoJson, 400, "InvalidParameterValue"),
            (InvocationVerdict::ContainerExited(why()), 405, "ContainerStateExited"),
            (InvocationVerdict::EventTooBig, 406, "RequestTooLarge"),
            (InvocationVerdict::BurstLimit, 429, "ResourceLimit"),
            (InvocationVerdict::UserCodeException(500), 430, "User code exception caught"),
            (InvocationVerdict::ResourceLimitReached, 432, "ResourceLimitReached"),
            (InvocationVerdict::MemoryLimitReached, 434, "MemoryLimitReached"),
            (InvocationVerdict::UserProcessExited(why()), 439, "User process exit when running"),
            (InvocationVerdict::BadReply(why()), 443, "UserCodeError"),
            (InvocationVerdict::ContainerInitError(why()), 445, "ContainerInitError"),
        ] {
            let message = verdict.message().unwrap_or_default();
            assert_eq!(verdict.status(), status, "{message}");
            assert!(message.starts_with(&format!("{name}: ")), "{status}: {message}");
        }
    }

    #[test]
    fn a_silent_port_has_the_platforms_message() {
        let expected = "The request timed out in 30000ms.Please confirm your http server have \
                        enabled listening on port 9000.";
        let verdict =
            InvocationVerdict::PortBindingFailed(crate::config::Config::default().init_timeout);
        assert_eq!((verdict.status(), verdict.message().as_deref()), (446, Some(expected)));
    }
}
