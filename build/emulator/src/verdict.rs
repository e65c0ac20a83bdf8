//! What became of an invocation, in the platform's words: status numbers and messages. Platform
//! page "Function status codes" and the image functions' page; where those are silent, a comment
//! says what was decided.

use std::time::Duration;

/// How an invocation ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The function answered, and not with a failure.
    Success,
    /// 430: the function answered, and said that it failed. Which HTTP status says so is documented
    /// nowhere: here, for event functions, every one that is not 2xx.
    UserCodeException(u16),
    /// 432: every instance that may exist is busy.
    ResourceLimitReached,
    /// 433: no reply within the function's timeout.
    TimeLimitReached(Duration),
    /// 434: the instance took more memory than it may.
    MemoryLimitReached,
    /// 439: the process ended while it was answering.
    UserProcessExited(String),
    /// 405: the process ended before it listened.
    ContainerExited(String),
    /// 445: the container did not start.
    ContainerInitError(String),
    /// 446: nothing listened on the port in time.
    PortBindingFailed(Duration),
    /// 407: the reply is too big; what of it.
    ReplyTooBig(&'static str),
    /// 406: the event is too big.
    EventTooBig,
    /// 400: the event is no JSON.
    NoJson,
    /// 443: what came back is no HTTP.
    BadReply(String),
}

/// Whether an asynchronous invocation is tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// The caller's mistakes, and what has succeeded.
    Never,
    /// The function's failures: as often as configured.
    Counted,
    /// No instance was free: as long as an event lives.
    UntilCapacity,
}

impl Verdict {
    /// The platform's number.
    pub fn status(&self) -> u16 {
        match self {
            Verdict::Success => 200,
            Verdict::NoJson => 400,
            Verdict::ContainerExited(_) => 405,
            Verdict::EventTooBig => 406,
            Verdict::ReplyTooBig(_) => 407,
            Verdict::UserCodeException(_) => 430,
            Verdict::ResourceLimitReached => 432,
            Verdict::TimeLimitReached(_) => 433,
            Verdict::MemoryLimitReached => 434,
            Verdict::UserProcessExited(_) => 439,
            Verdict::BadReply(_) => 443,
            Verdict::ContainerInitError(_) => 445,
            Verdict::PortBindingFailed(_) => 446,
        }
    }

    /// What the platform says, as far as its words are known; `None` for success.
    pub fn message(&self) -> Option<String> {
        Some(match self {
            Verdict::Success => return None,
            Verdict::NoJson => "the event is not JSON".to_owned(),
            Verdict::ContainerExited(how) => {
                format!("ContainerStateExited: the process {how} before it listened")
            }
            Verdict::EventTooBig => {
                "the event is over the limit: 6 MB, or 128 KB when asynchronous".to_owned()
            }
            Verdict::ReplyTooBig(what) => format!("the reply is over the limit: {what}"),
            Verdict::UserCodeException(status) => {
                format!("the function answered with a failure: HTTP {status}")
            }
            Verdict::ResourceLimitReached => {
                "ResourceLimitReached: every instance is busy".to_owned()
            }
            Verdict::TimeLimitReached(limit) => {
                format!("Invoking task timed out after {} seconds", limit.as_secs_f64())
            }
            Verdict::MemoryLimitReached => {
                "MemoryLimitReached: the instance took more memory than it has".to_owned()
            }
            Verdict::UserProcessExited(how) => {
                format!("the user process exited while running: it {how}")
            }
            Verdict::BadReply(why) => format!("the reply is no HTTP/1.1: {why}"),
            Verdict::ContainerInitError(why) => format!("ContainerInitError: {why}"),
            // The platform's own sentence, its spacing included.
            Verdict::PortBindingFailed(limit) => format!(
                "The request timed out in {}ms.Please confirm your http server have enabled \
                 listening on port 9000.",
                limit.as_millis()
            ),
        })
    }

    /// What the platform does with an asynchronous invocation that ended so.
    pub fn retry(&self) -> Retry {
        match self {
            Verdict::Success | Verdict::NoJson | Verdict::EventTooBig => Retry::Never,
            Verdict::ResourceLimitReached => Retry::UntilCapacity,
            _ => Retry::Counted,
        }
    }

    /// Whether the instance is ended, whatever else it is doing (433, 434 and 439 "recycle the
    /// instance").
    pub fn recycles(&self) -> bool {
        matches!(
            self,
            Verdict::TimeLimitReached(_)
                | Verdict::MemoryLimitReached
                | Verdict::UserProcessExited(_)
        )
    }

    /// The body that a caller gets instead of a result, in the shape that the platform's logs show.
    pub fn body(&self) -> String {
        let message = self.message().unwrap_or_default();
        serde_json::json!({"errorCode": -1, "errorMessage": message, "statusCode": self.status()})
            .to_string()
    }
}

impl std::fmt::Display for Verdict {
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

    #[test]
    fn says_of_a_silent_port_what_the_platform_says() {
        let expected = "The request timed out in 30000ms.Please confirm your http server have \
                        enabled listening on port 9000.";
        let verdict = Verdict::PortBindingFailed(crate::config::Config::default().init_timeout);
        assert_eq!((verdict.status(), verdict.message().as_deref()), (446, Some(expected)));
    }
}
