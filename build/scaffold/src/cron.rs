//! Cron of the platform: seven fields, second minute hour day month weekday year (583/9708), in
//! Beijing time. Each is `*`, a number, `a-b`, a list with commas, or any of these with `/step`;
//! months are also JAN to DEC, weekdays SUN to SAT or 0 to 6. If day and weekday are both given,
//! one of them is enough. There is no clock here: the parts of a date are arguments.

/// A parsed expression.
///
/// # Example
/// ```
/// use scaffold::cron::Cron;
/// let cron = Cron::parse("0 */5 9-17 * * MON-FRI *").unwrap();
/// assert!(cron.is_day(2026, 11, 27, 5) && !cron.is_day(2026, 11, 28, 6));
/// assert!(cron.seconds().eq([0]) && cron.hours().count() == 9);
/// assert!(Cron::parse("*/5 * * * *").unwrap_err().contains("seven"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cron {
    seconds: Field,
    minutes: Field,
    hours: Field,
    days: Field,
    months: Field,
    weekdays: Field,
    years: Field,
}

/// The values that a field matches, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Field {
    values: Vec<u16>,
    is_any: bool,
}

const MONTHS: [&str; 12] =
    ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"];
const WEEKDAYS: [&str; 7] = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"];

impl Cron {
    /// Parses an expression.
    ///
    /// # Errors
    /// A message that names the wrong field and states what it accepts.
    pub fn parse(text: &str) -> Result<Cron, String> {
        let fields: Vec<&str> = text.split_whitespace().collect();
        let [second, minute, hour, day, month, weekday, year] = fields[..] else {
            return Err(format!(
                "`{text}` has {} fields; the platform's cron has seven: second minute hour day \
                 month weekday year, as in `0 */5 * * * * *`",
                fields.len()
            ));
        };
        Ok(Cron {
            seconds: field(second, "second", 0, 59, &[])?,
            minutes: field(minute, "minute", 0, 59, &[])?,
            hours: field(hour, "hour", 0, 23, &[])?,
            days: field(day, "day", 1, 31, &[])?,
            months: field(month, "month", 1, 12, &MONTHS)?,
            weekdays: field(weekday, "weekday", 0, 6, &WEEKDAYS)?,
            years: field(year, "year", 1970, 2099, &[])?,
        })
    }

    /// Whether it fires on this day; the weekday counts from Sunday, 0.
    pub fn is_day(&self, year: i32, month: u8, day: u8, weekday: u8) -> bool {
        let has = |field: &Field, value: u16| field.values.binary_search(&value).is_ok();
        let (day, weekday) = (u16::from(day), u16::from(weekday));
        let (by_day, by_weekday) = (has(&self.days, day), has(&self.weekdays, weekday));
        let is_day = match self.days.is_any || self.weekdays.is_any {
            true => by_day && by_weekday,
            false => by_day || by_weekday,
        };
        is_day
            && has(&self.months, u16::from(month))
            && u16::try_from(year).is_ok_and(|year| has(&self.years, year))
    }

    /// Its hours.
    pub fn hours(&self) -> impl Iterator<Item = u8> + Clone + '_ {
        small(&self.hours)
    }

    /// Its minutes.
    pub fn minutes(&self) -> impl Iterator<Item = u8> + Clone + '_ {
        small(&self.minutes)
    }

    /// Its seconds.
    pub fn seconds(&self) -> impl Iterator<Item = u8> + Clone + '_ {
        small(&self.seconds)
    }
}

fn small(field: &Field) -> impl Iterator<Item = u8> + Clone + '_ {
    field.values.iter().filter_map(|&value| u8::try_from(value).ok())
}

fn field(text: &str, name: &str, low: u16, high: u16, names: &[&str]) -> Result<Field, String> {
    let wrong = || {
        format!(
            "cron: the {name} `{text}` is not of {low} to {high}; write *, a number, a-b, a list, \
             or any of these with /step"
        )
    };
    let number = |text: &str| -> Option<u16> {
        let is_plain = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        let named = names.iter().position(|name| name.eq_ignore_ascii_case(text));
        match named {
            Some(at) => Some(low + u16::try_from(at).ok()?),
            None => text.parse().ok().filter(|n| is_plain && (low..=high).contains(n)),
        }
    };
    let mut values = Vec::new();
    for part in text.split(',') {
        let (range, step) = match part.split_once('/') {
            Some((range, step)) => {
                let step = step.parse::<u16>().ok().filter(|&step| step > 0);
                (range, Some(step.ok_or_else(wrong)?))
            }
            None => (part, None),
        };
        let (from, to) = match range.split_once('-') {
            _ if range == "*" => (low, high),
            Some((from, to)) => (number(from).ok_or_else(wrong)?, number(to).ok_or_else(wrong)?),
            None => {
                let from = number(range).ok_or_else(wrong)?;
                (from, if step.is_some() { high } else { from })
            }
        };
        if from > to {
            return Err(wrong());
        }
        values.extend((from..=to).step_by(usize::from(step.unwrap_or(1))));
    }
    values.sort_unstable();
    values.dedup();
    Ok(Field { values, is_any: text == "*" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_documented_examples() {
        // 583/9708: "*/5 * * * * * *", "0 0 2 1 * * *", "0 15 10 * * MON-FRI *", …
        let every = Cron::parse("*/5 * * * * * *").unwrap();
        assert_eq!(
            every.seconds().collect::<Vec<_>>(),
            [0, 5, 10, 15, 20, 25, 30, 35, 40, 45, 50, 55]
        );
        let monthly = Cron::parse("0 0 2 1 * * *").unwrap();
        assert!(monthly.is_day(2026, 12, 1, 2) && !monthly.is_day(2026, 12, 2, 3));
        let workdays = Cron::parse("0 15 10 * * MON-FRI *").unwrap();
        assert!(workdays.is_day(2026, 11, 27, 5) && !workdays.is_day(2026, 11, 28, 6));
        let some = Cron::parse("0 0 10,14,16 * * * *").unwrap();
        assert_eq!(some.hours().collect::<Vec<_>>(), [10, 14, 16]);
        let half = Cron::parse("0 */30 9-17 * * * *").unwrap();
        assert_eq!(half.minutes().collect::<Vec<_>>(), [0, 30]);
        let once = Cron::parse("29 45 12 29 05 * 2023").unwrap();
        assert!(once.is_day(2023, 5, 29, 1) && !once.is_day(2024, 5, 29, 3));
        let either = Cron::parse("0 0 12 1 * WED *").unwrap();
        assert!(either.is_day(2026, 12, 1, 2) && either.is_day(2026, 12, 2, 3));
        assert!(!either.is_day(2026, 12, 3, 4));
    }

    #[test]
    fn refuses_invalid_expressions() {
        for (text, expected) in [
            ("", "has 0 fields"),
            ("0 0 12 * * *", "has 6 fields"),
            ("60 * * * * * *", "the second `60`"),
            ("* * 24 * * * *", "the hour `24`"),
            ("* * * 0 * * *", "the day `0`"),
            ("* * * * 13 * *", "the month `13`"),
            ("* * * * * 7 *", "the weekday `7`"),
            ("* * * * * * 1969", "the year `1969`"),
            ("5-1 * * * * * *", "the second `5-1`"),
            ("*/0 * * * * * *", "the second `*/0`"),
            ("+1 * * * * * *", "the second `+1`"),
            ("1,,2 * * * * * *", "the second `1,,2`"),
            ("? * * * * * *", "the second `?`"),
        ] {
            let error = Cron::parse(text).unwrap_err();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }
}
