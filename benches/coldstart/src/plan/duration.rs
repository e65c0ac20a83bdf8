//! Durations as users type them: a number and a unit, such as `20ms`, `1.5s` or `1h30m`; exact to
//! the nanosecond.

/// A unit's name and its nanoseconds; longer names first.
const UNITS: [(&str, u64); 10] = [
    ("min", 60_000_000_000),
    ("ns", 1),
    ("us", 1_000),
    ("µs", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
    ("d", 86_400_000_000_000),
    ("w", 604_800_000_000_000),
];
/// Nanoseconds of a second.
pub const SECOND_NS: u64 = 1_000_000_000;
/// Nanoseconds of a day.
pub const DAY_NS: u64 = 86_400 * SECOND_NS;
/// No run lasts longer in simulated time: 100 years. Times then fit into 64 bits of nanoseconds.
pub const LONGEST_RUN_NS: u64 = 36_525 * DAY_NS;

/// The nanoseconds of `text`; `0` needs no unit.
///
/// # Errors
/// One line that names `text` and says what to type.
pub fn parse(text: &str) -> Result<u64, String> {
    let wrong =
        || format!("`{text}` is not a duration; write a number and a unit, such as `20ms`, `1.5s`");
    if text == "0" {
        return Ok(0);
    }
    if text.starts_with('-') {
        return Err(format!("`{text}` is negative; a duration is 0 or more"));
    }
    let (mut rest, mut total) = (text, 0u64);
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or_else(wrong)?;
        let (number, tail) = rest.split_at(end);
        let (name, unit_ns) = UNITS
            .iter()
            .find(|(name, _)| {
                tail.strip_prefix(name)
                    .is_some_and(|after| after.chars().next().is_none_or(|c| c.is_ascii_digit()))
            })
            .ok_or_else(wrong)?;
        let part = decimal(number, *unit_ns).ok_or_else(wrong)?;
        total = total.checked_add(part).ok_or_else(|| format!("`{text}` is too long a time"))?;
        rest = &tail[name.len()..];
    }
    if text.is_empty() { Err(wrong()) } else { Ok(total) }
}

/// A plain decimal number times `unit`, rounded down to whole nanoseconds; `None` if it is not a
/// number or does not fit.
pub fn decimal(number: &str, unit: u64) -> Option<u64> {
    let (whole, part) = number.split_once('.').unwrap_or((number, ""));
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    if (whole.is_empty() && part.is_empty()) || !digits(whole) || !digits(part) {
        return None;
    }
    let whole: u128 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    let part = &part[..part.len().min(18)]; // beyond, no unit has nanoseconds left
    let (value, scale) = match part {
        "" => (0, 1),
        part => (part.parse::<u128>().ok()?, 10u128.pow(part.len() as u32)),
    };
    let total = whole.checked_mul(unit.into())? + (value * u128::from(unit) + scale / 2) / scale;
    total.try_into().ok()
}

/// A duration in the fewest characters: `20ms`, `300s`, `1.991s`.
pub fn short(ns: u64) -> String {
    let (unit, name) = match ns {
        0 => return "0s".into(),
        n if n >= SECOND_NS => (SECOND_NS, "s"),
        n if n >= 1_000_000 => (1_000_000, "ms"),
        n if n >= 1_000 => (1_000, "us"),
        _ => (1, "ns"),
    };
    let digits = unit.ilog10() as usize;
    let text = format!("{}.{:0digits$}", ns / unit, ns % unit);
    let text = if unit == 1 { &text[..text.len() - 2] } else { text.trim_end_matches('0') };
    format!("{}{name}", text.trim_end_matches('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_exact_to_the_nanosecond() {
        for (text, ns) in [
            ("0", 0),
            ("20ms", 20_000_000),
            ("1.991s", 1_991_000_000),
            ("5m", 300 * SECOND_NS),
            ("5min", 300 * SECOND_NS),
            ("1h30m", 5_400 * SECOND_NS),
            ("0.000000001s", 1),
            (".5us", 500),
            ("250µs", 250_000),
        ] {
            assert_eq!(parse(text), Ok(ns), "{text}");
        }
    }

    #[test]
    fn an_invalid_duration_is_refused_in_one_line() {
        for text in ["", "20", "ms", "-1s", "1e3s", "1..2s", "NaN", "inf", "5 s", "3 parsecs"] {
            let error = parse(text).unwrap_err();
            assert!(error.contains(&format!("`{text}`")) && !error.contains('\n'), "{error}");
        }
        assert!(parse("99999999999999999999w").is_err());
    }

    #[test]
    fn the_short_form_is_the_same_duration() {
        for (ns, text) in [
            (0, "0s"),
            (20_000_000, "20ms"),
            (1_991_000_000, "1.991s"),
            (300 * SECOND_NS, "300s"),
            (1_500, "1.5us"),
            (7, "7ns"),
            (100, "100ns"),
        ] {
            assert_eq!(short(ns), text);
            assert_eq!(parse(&short(ns)), Ok(ns));
        }
    }
}
