//! Why a message was not understood: a status and one sentence for the person at the other end.

use super::Status;

/// A peer's mistake. The connection answers with `status`, says `reason` in the body, and closes:
/// after a framing error nobody knows where the next request would start (RFC 9112, section 9.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reject {
    /// What the reply says.
    pub status: Status,
    /// One sentence, lower case, without peer-controlled bytes.
    pub reason: &'static str,
}

impl Reject {
    pub(crate) const fn new(status: Status, reason: &'static str) -> Reject {
        Reject { status, reason }
    }

    pub(crate) const fn bad_request(reason: &'static str) -> Reject {
        Reject::new(Status::BAD_REQUEST, reason)
    }
}
