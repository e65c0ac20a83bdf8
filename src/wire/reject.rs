//! Reject: why a message is refused, as a status and one sentence for the peer.

use super::Status;

/// A peer's mistake in the protocol. The connection answers with `status`, puts `reason` in the
/// body, and closes: after a framing error the start of the next request is unknown (RFC 9112,
/// section 9.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reject {
    /// Status of the reply.
    pub status: Status,
    /// Reason in the reply: one sentence, lower case, without bytes from the peer.
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
