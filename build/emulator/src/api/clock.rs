//! Clock of the API, which a fault can set wrong, and its two time formats: milliseconds since
//! 1970, and the text of SCF's API in Beijing time.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};
use time::{Date, Month, OffsetDateTime, UtcOffset};

/// A clock that a fault can set ahead of the machine's.
#[derive(Debug, Default)]
pub struct Clock {
    skew_ms: AtomicI64,
}

impl Clock {
    /// Milliseconds since 1970, by this clock.
    pub fn now_ms(&self) -> i64 {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let now = i64::try_from(now.as_millis()).unwrap_or(i64::MAX);
        now.saturating_add(self.skew_ms.load(Ordering::Relaxed))
    }

    /// Sets the clock this many milliseconds ahead of the machine's.
    pub fn set_skew_ms(&self, skew_ms: i64) {
        self.skew_ms.store(skew_ms, Ordering::Relaxed);
    }
}

/// The time in Beijing, which the platform's calendar uses.
pub fn in_beijing(ms: i64) -> OffsetDateTime {
    let utc = OffsetDateTime::from_unix_timestamp(ms.div_euclid(1000));
    let eight = UtcOffset::from_hms(8, 0, 0).unwrap_or(UtcOffset::UTC);
    utc.unwrap_or(OffsetDateTime::UNIX_EPOCH).to_offset(eight)
}

/// `2024-12-18 10:11:51`, as the API writes times.
pub fn text(ms: i64) -> String {
    let at = in_beijing(ms);
    let (hour, minute, second) = at.to_hms();
    format!("{} {hour:02}:{minute:02}:{second:02}", at.date())
}

/// `2019-02-21T11:49:00Z`, as a timer's event writes it.
pub fn utc(ms: i64) -> String {
    let at = in_beijing(ms).to_offset(UtcOffset::UTC);
    let (hour, minute, second) = at.to_hms();
    format!("{}T{hour:02}:{minute:02}:{second:02}Z", at.date())
}

/// `Sun, 06 Nov 1994 08:49:37 GMT`, as HTTP writes it (RFC 9110, section 5.6.7).
pub fn http_date(ms: i64) -> String {
    let at = in_beijing(ms).to_offset(UtcOffset::UTC);
    let ((hour, minute, second), date) = (at.to_hms(), at.date());
    let (weekday, month) = (date.weekday().to_string(), date.month().to_string());
    format!(
        "{}, {:02} {} {:04} {hour:02}:{minute:02}:{second:02} GMT",
        &weekday[..3],
        date.day(),
        &month[..3],
        date.year()
    )
}

/// Parses a Beijing time such as `2017-05-16 20:00:00` to milliseconds since 1970; `None` if it
/// is invalid.
pub fn moment(text: &str) -> Option<i64> {
    let numbers: Vec<i64> =
        text.split(['-', ' ', ':']).map(str::parse).collect::<Result<_, _>>().ok()?;
    let [year, month, day, hour, minute, second] = numbers[..] else { return None };
    let byte = |number: i64| u8::try_from(number).ok();
    let month = Month::try_from(byte(month)?).ok()?;
    let date = Date::from_calendar_date(i32::try_from(year).ok()?, month, byte(day)?).ok()?;
    let at = date.with_hms(byte(hour)?, byte(minute)?, byte(second)?).ok()?;
    Some((at.assume_utc().unix_timestamp() - 8 * 3600).saturating_mul(1000))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_beijings_time_and_utc() {
        assert_eq!(text(1_551_113_065_999), "2019-02-26 00:44:25");
        assert_eq!(moment("2019-02-26 00:44:25"), Some(1_551_113_065_000));
        assert_eq!(moment("2019-02-30 00:44:25").or(moment("yesterday")), None);
        assert_eq!(utc(1_551_113_065_999), "2019-02-25T16:44:25Z");
        assert_eq!(http_date(784_111_777_000), "Sun, 06 Nov 1994 08:49:37 GMT");
    }
}
