//! Retry policy: which failures are temporary, and how long to wait before the next attempt. It
//! sends nothing and does not sleep. RFC 9110, section 10.2.3 (Retry-After).

use std::time::{Duration, SystemTime};

/// Number of attempts for one request without progress.
const MAX_ATTEMPTS: u32 = 5;
/// The wait before the second attempt; each further wait is twice as long.
const FIRST_WAIT: Duration = Duration::from_millis(250);
/// The longest wait that the client accepts from a registry.
pub(super) const MAX_WAIT: Duration = Duration::from_secs(60);

/// A transfer that moves this many bytes resets its count of failures.
pub(super) const WORTHWHILE_BYTES: u64 = 1 << 20;

/// Number of failures of a request, and the wait before the next attempt.
pub(super) struct Attempts {
    failed: u32,
}

impl Attempts {
    pub(super) fn new() -> Attempts {
        Attempts { failed: 0 }
    }

    /// Counts a failure. Returns how long to wait before the next attempt, or `None` if there is
    /// none left or the registry asks for too long a wait.
    pub(super) fn fail(&mut self, asked: Option<Duration>) -> Option<Duration> {
        self.failed += 1;
        if self.failed >= MAX_ATTEMPTS || asked.is_some_and(|asked| asked > MAX_WAIT) {
            return None;
        }
        let own = FIRST_WAIT * 2_u32.pow(self.failed - 1);
        Some(asked.map_or(own, |asked| asked.max(own / 2)))
    }

    /// Resets the failures after bytes have arrived: a long transfer over a bad line fails often
    /// and still completes.
    pub(super) fn progress(&mut self) {
        self.failed = 0;
    }

    pub(super) fn count(&self) -> u32 {
        self.failed
    }
}

/// Whether a status may be temporary: too many requests, a time-out, a server error.
pub(super) fn is_passing(status: u16) -> bool {
    matches!(status, 408 | 425 | 429 | 500..=504 | 520..=530)
}

/// A `Retry-After` header: seconds, or a date.
pub(super) fn retry_after(value: &str, now: SystemTime) -> Option<Duration> {
    let value = value.trim();
    if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        return Some(Duration::from_secs(value.parse().unwrap_or(u64::MAX)));
    }
    let at = httpdate::parse_http_date(value).ok()?;
    Some(at.duration_since(now).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_wait_is_longer_up_to_a_limit() {
        let mut attempts = Attempts::new();
        let waits: Vec<_> = std::iter::from_fn(|| attempts.fail(None)).collect();
        assert_eq!(waits, [250, 500, 1000, 2000].map(Duration::from_millis));
        attempts.progress();
        assert_eq!(attempts.fail(Some(Duration::from_secs(3))), Some(Duration::from_secs(3)));
        assert_eq!(attempts.fail(Some(Duration::ZERO)), Some(Duration::from_millis(250)));
        assert_eq!(attempts.fail(Some(Duration::from_secs(3600))), None);
    }

    #[test]
    fn reads_seconds_and_dates() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
        for (value, expected) in [
            ("0", Some(0)),
            (" 120 ", Some(120)),
            ("99999999999999999999", Some(u64::MAX)),
            ("Sun, 06 Nov 1994 08:49:47 GMT", Some(10)),
            ("Sun, 06 Nov 1994 08:00:00 GMT", Some(0)),
            ("-1", None),
            ("soon", None),
            ("", None),
        ] {
            assert_eq!(retry_after(value, now), expected.map(Duration::from_secs), "{value}");
        }
    }

    #[test]
    fn only_temporary_failures_are_retried() {
        for status in [408, 425, 429, 500, 502, 503, 504, 522] {
            assert!(is_passing(status), "{status}");
        }
        for status in [200, 307, 400, 401, 403, 404, 405, 413, 416, 501 + 4, 511] {
            assert!(!is_passing(status), "{status}");
        }
    }
}
