//! Status codes (RFC 9110, section 15) with their reason phrases.

use std::fmt;

/// A three-digit HTTP status code.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Status(u16);

impl Status {
    /// 100 Continue: RFC 9110, section 15.2.1.
    pub const CONTINUE: Status = Status(100);
    /// 101 Switching Protocols: RFC 9110, section 15.2.2.
    #[cfg(feature = "websocket")]
    pub(crate) const SWITCHING_PROTOCOLS: Status = Status(101);
    /// 200 OK: RFC 9110, section 15.3.1.
    pub const OK: Status = Status(200);
    /// 201 Created: RFC 9110, section 15.3.2.
    pub const CREATED: Status = Status(201);
    /// 202 Accepted: RFC 9110, section 15.3.3.
    pub const ACCEPTED: Status = Status(202);
    /// 204 No Content: RFC 9110, section 15.3.5.
    pub const NO_CONTENT: Status = Status(204);
    /// 301 Moved Permanently: RFC 9110, section 15.4.2.
    pub const MOVED_PERMANENTLY: Status = Status(301);
    /// 302 Found: RFC 9110, section 15.4.3.
    pub const FOUND: Status = Status(302);
    /// 303 See Other: RFC 9110, section 15.4.4.
    pub const SEE_OTHER: Status = Status(303);
    /// 304 Not Modified: RFC 9110, section 15.4.5.
    pub const NOT_MODIFIED: Status = Status(304);
    /// 307 Temporary Redirect: RFC 9110, section 15.4.8.
    pub const TEMPORARY_REDIRECT: Status = Status(307);
    /// 308 Permanent Redirect: RFC 9110, section 15.4.9.
    pub const PERMANENT_REDIRECT: Status = Status(308);
    /// 400 Bad Request: RFC 9110, section 15.5.1.
    pub const BAD_REQUEST: Status = Status(400);
    /// 401 Unauthorized: RFC 9110, section 15.5.2.
    pub const UNAUTHORIZED: Status = Status(401);
    /// 403 Forbidden: RFC 9110, section 15.5.4.
    pub const FORBIDDEN: Status = Status(403);
    /// 404 Not Found: RFC 9110, section 15.5.5.
    pub const NOT_FOUND: Status = Status(404);
    /// 405 Method Not Allowed: RFC 9110, section 15.5.6.
    pub const METHOD_NOT_ALLOWED: Status = Status(405);
    /// 408 Request Timeout: RFC 9110, section 15.5.9.
    pub const REQUEST_TIMEOUT: Status = Status(408);
    /// 409 Conflict: RFC 9110, section 15.5.10.
    pub const CONFLICT: Status = Status(409);
    /// 413 Content Too Large: RFC 9110, section 15.5.14.
    pub const CONTENT_TOO_LARGE: Status = Status(413);
    /// 414 URI Too Long: RFC 9110, section 15.5.15.
    pub const URI_TOO_LONG: Status = Status(414);
    /// 415 Unsupported Media Type: RFC 9110, section 15.5.16.
    pub const UNSUPPORTED_MEDIA_TYPE: Status = Status(415);
    /// 417 Expectation Failed: RFC 9110, section 15.5.18.
    pub const EXPECTATION_FAILED: Status = Status(417);
    /// 422 Unprocessable Content: RFC 9110, section 15.5.21.
    pub const UNPROCESSABLE_CONTENT: Status = Status(422);
    /// 426 Upgrade Required: RFC 9110, section 15.5.22.
    pub const UPGRADE_REQUIRED: Status = Status(426);
    /// 429 Too Many Requests: RFC 6585, section 4.
    pub const TOO_MANY_REQUESTS: Status = Status(429);
    /// 431 Request Header Fields Too Large: RFC 6585, section 5.
    pub const REQUEST_HEADER_FIELDS_TOO_LARGE: Status = Status(431);
    /// 500 Internal Server Error: RFC 9110, section 15.6.1.
    pub const INTERNAL_SERVER_ERROR: Status = Status(500);
    /// 501 Not Implemented: RFC 9110, section 15.6.2.
    pub const NOT_IMPLEMENTED: Status = Status(501);
    /// 502 Bad Gateway: RFC 9110, section 15.6.3.
    pub const BAD_GATEWAY: Status = Status(502);
    /// 503 Service Unavailable: RFC 9110, section 15.6.4.
    pub const SERVICE_UNAVAILABLE: Status = Status(503);
    /// 504 Gateway Timeout: RFC 9110, section 15.6.5.
    pub const GATEWAY_TIMEOUT: Status = Status(504);
    /// 505 HTTP Version Not Supported: RFC 9110, section 15.6.6.
    pub const HTTP_VERSION_NOT_SUPPORTED: Status = Status(505);

    /// A final status, 200 to 599; `None` for any other number. Only the server sends 1xx.
    pub const fn new(code: u16) -> Option<Status> {
        if code >= 200 && code <= 599 { Some(Status(code)) } else { None }
    }

    /// The number.
    pub const fn code(self) -> u16 {
        self.0
    }

    /// The reason phrase of RFC 9110 (or RFC 6585); empty for a code without one, which the grammar
    /// allows.
    pub const fn reason(self) -> &'static str {
        match self.0 {
            100 => "Continue",
            #[cfg(feature = "websocket")]
            101 => "Switching Protocols",
            200 => "OK",
            201 => "Created",
            202 => "Accepted",
            203 => "Non-Authoritative Information",
            204 => "No Content",
            205 => "Reset Content",
            206 => "Partial Content",
            300 => "Multiple Choices",
            301 => "Moved Permanently",
            302 => "Found",
            303 => "See Other",
            304 => "Not Modified",
            307 => "Temporary Redirect",
            308 => "Permanent Redirect",
            400 => "Bad Request",
            401 => "Unauthorized",
            402 => "Payment Required",
            403 => "Forbidden",
            404 => "Not Found",
            405 => "Method Not Allowed",
            406 => "Not Acceptable",
            408 => "Request Timeout",
            409 => "Conflict",
            410 => "Gone",
            411 => "Length Required",
            412 => "Precondition Failed",
            413 => "Content Too Large",
            414 => "URI Too Long",
            415 => "Unsupported Media Type",
            416 => "Range Not Satisfiable",
            417 => "Expectation Failed",
            421 => "Misdirected Request",
            422 => "Unprocessable Content",
            426 => "Upgrade Required",
            428 => "Precondition Required",
            429 => "Too Many Requests",
            431 => "Request Header Fields Too Large",
            500 => "Internal Server Error",
            501 => "Not Implemented",
            502 => "Bad Gateway",
            503 => "Service Unavailable",
            504 => "Gateway Timeout",
            505 => "HTTP Version Not Supported",
            _ => "",
        }
    }

    /// Whether a response with this status has no content and no Content-Length (RFC 9110, section
    /// 6.4.1 and 8.6).
    pub const fn forbids_content(self) -> bool {
        self.0 < 200 || self.0 == 204 || self.0 == 304
    }

    /// The three ASCII digits.
    pub(crate) const fn digits(self) -> [u8; 3] {
        [b'0' + (self.0 / 100) as u8, b'0' + (self.0 / 10 % 10) as u8, b'0' + (self.0 % 10) as u8]
    }
}

impl fmt::Debug for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.0, self.reason())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_final_statuses_only() {
        for (code, accepted) in [
            (0, false),
            (99, false),
            (100, false),
            (199, false),
            (200, true),
            (599, true),
            (600, false),
        ] {
            assert_eq!(Status::new(code).is_some(), accepted, "{code}");
        }
    }

    #[test]
    fn writes_three_digits() {
        assert_eq!(&Status::HTTP_VERSION_NOT_SUPPORTED.digits(), b"505");
        assert_eq!(&Status::OK.digits(), b"200");
    }
}
