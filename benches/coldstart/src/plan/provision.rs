//! Policies of provisioned concurrency: how many instances should be ready at what time.

use super::duration::{DAY_NS, SECOND_NS};
use super::limiter::StartLimit;
use std::collections::VecDeque;

/// Interval of target tracking (SCF, dynamic provisioning by metric).
const LOOK_NS: u64 = 10 * SECOND_NS;
/// Number of consecutive intervals that must need fewer instances before it releases any: ten
/// minutes.
const DOWN_LOOKS: usize = 60;

/// A requested policy.
#[derive(Debug, Clone, PartialEq)]
pub enum Policy {
    /// A constant number.
    Fixed(u32),
    /// In use / `target`, between the two bounds.
    Tracking {
        /// The share that is to be in use.
        target: f64,
        /// Never fewer.
        least: u32,
        /// Never more.
        most: u32,
    },
    /// From each time of the day on, in nanoseconds, a number; ascending.
    Timetable(Vec<(u64, u32)>),
}

/// State of a policy.
#[derive(Debug, Clone)]
pub struct Provision {
    policy: Policy,
    /// How fast provisioned instances may be started.
    limit: StartLimit,
    /// What the last looks of target tracking asked for.
    looks: VecDeque<u32>,
}

impl Policy {
    /// The number of provisioned instances, where it is one.
    pub fn fixed(&self) -> Option<u32> {
        match self {
            Self::Fixed(n) => Some(*n),
            _ => None,
        }
    }

    /// `target:0.8` or `target:0.8,MIN,MAX`, without `target:`.
    ///
    /// # Errors
    /// One line.
    pub fn tracking(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!(
                "invalid target `target:{text}`; write `target:SHARE` or `target:SHARE,MIN,MAX`, \
                 with a share above 0 and below 1, such as `target:0.8`"
            )
        };
        let mut parts = text.split(',').map(str::trim);
        let target: f64 = parts.next().and_then(|t| t.parse().ok()).ok_or_else(wrong)?;
        let mut number = |default| parts.next().map_or(Some(default), |t| t.parse::<u32>().ok());
        let (least, most) = (number(1).ok_or_else(wrong)?, number(1_000_000).ok_or_else(wrong)?);
        if !(target > 0.0 && target < 1.0) || least > most || parts.next().is_some() {
            return Err(wrong());
        }
        Ok(Self::Tracking { target, least, most })
    }

    /// A timetable: one `HH:MM[:SS],NUMBER` per line, repeated every day; before the first line the
    /// last one applies.
    ///
    /// # Errors
    /// One line that names the line of the table.
    pub fn timetable(text: &str) -> Result<Self, String> {
        let mut steps: Vec<(u64, u32)> = Vec::new();
        for (at, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') || (at == 0 && line == "time,provisioned") {
                continue;
            }
            let wrong = |what: &str| {
                format!("line {}: {what}; write `HH:MM,NUMBER`, such as `08:30,50`", at + 1)
            };
            let (time, number) =
                line.split_once(',').ok_or_else(|| wrong(&format!("`{line}` has no `,`")))?;
            let time_ns = time_of_day(time.trim())
                .ok_or_else(|| wrong(&format!("`{time}` is not a time of the day")))?;
            let number = number
                .trim()
                .parse::<u32>()
                .ok()
                .filter(|n| *n <= 1_000_000)
                .ok_or_else(|| wrong(&format!("`{number}` is not a number of instances")))?;
            if steps.last().is_some_and(|(before_ns, _)| *before_ns >= time_ns) {
                return Err(wrong(&format!("`{time}` is not later than the line before it")));
            }
            steps.push((time_ns, number));
        }
        match steps.is_empty() {
            true => {
                Err("contains no line; write `HH:MM,NUMBER` per line, such as `08:30,50`".into())
            }
            false => Ok(Self::Timetable(steps)),
        }
    }
}

fn time_of_day(text: &str) -> Option<u64> {
    let mut parts = text.split(':');
    let mut next = |below: u64| {
        let part = parts.next()?;
        let digits = part.len() <= 2 && part.bytes().all(|b| b.is_ascii_digit());
        part.parse::<u64>().ok().filter(|n| digits && *n < below)
    };
    let (hours, minutes) = (next(24)?, next(60)?);
    let seconds = if text.matches(':').count() == 2 { next(60)? } else { 0 };
    (text.matches(':').count() <= 2).then_some(((hours * 60 + minutes) * 60 + seconds) * SECOND_NS)
}

impl Provision {
    /// A policy at the beginning of a simulation.
    pub fn new(policy: Policy, limit: StartLimit) -> Self {
        Self { policy, limit, looks: VecDeque::new() }
    }

    /// How fast its instances may be started.
    pub fn limit(&self) -> StartLimit {
        self.limit
    }

    /// Whether there is never a provisioned instance.
    pub fn is_nothing(&self) -> bool {
        self.policy == Policy::Fixed(0)
    }

    /// Number that is ready when the simulation begins; its time `midnight_ns` is a midnight.
    pub fn at_start(&self, midnight_ns: u64) -> u32 {
        match &self.policy {
            Policy::Fixed(n) => *n,
            Policy::Tracking { least, .. } => *least,
            Policy::Timetable(steps) => at_time(steps, 0, midnight_ns),
        }
    }

    /// Interval at which the policy decides; `None` for a fixed number.
    pub fn look_every_ns(&self) -> u64 {
        match self.policy {
            Policy::Fixed(_) => u64::MAX,
            Policy::Tracking { .. } => LOOK_NS,
            Policy::Timetable(_) => SECOND_NS,
        }
    }

    /// The wanted number from now on; `in_use` is the mean number of requests at once since the
    /// last decision.
    pub fn wanted(&mut self, now_ns: u64, midnight_ns: u64, in_use: f64) -> u32 {
        match &self.policy {
            Policy::Fixed(n) => *n,
            Policy::Timetable(steps) => at_time(steps, now_ns, midnight_ns),
            Policy::Tracking { target, least, most } => {
                // Slightly less, so that 100 / 0.8 is 125 despite rounding of the mean.
                let asked = (in_use / target - 1e-6).ceil().max(0.0) as u32;
                self.looks.push_back(asked);
                if self.looks.len() > DOWN_LOOKS {
                    self.looks.pop_front();
                }
                self.looks.iter().copied().max().unwrap_or(0).clamp(*least, *most)
            }
        }
    }

    /// Nanoseconds between two starts of provisioned instances.
    pub fn spacing_ns(&self) -> u64 {
        self.limit.spacing_ns()
    }
}

fn at_time(steps: &[(u64, u32)], now_ns: u64, midnight_ns: u64) -> u32 {
    let since_ns = (now_ns % DAY_NS + DAY_NS - midnight_ns % DAY_NS) % DAY_NS;
    let passed = steps.partition_point(|(from_ns, _)| *from_ns <= since_ns);
    steps[passed.checked_sub(1).unwrap_or(steps.len() - 1)].1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tracking_asks_for_125_when_100_are_in_use_at_a_target_of_four_fifths() {
        let policy = Policy::tracking("0.8").unwrap();
        let mut provision = Provision::new(policy, StartLimit::Unlimited { window_ns: SECOND_NS });
        assert_eq!(provision.wanted(LOOK_NS, 0, 100.0), 125);
    }

    #[test]
    fn tracking_goes_down_after_ten_minutes_only() {
        let policy = Policy::tracking("0.5,2,30").unwrap();
        let mut provision = Provision::new(policy, StartLimit::Unlimited { window_ns: SECOND_NS });
        assert_eq!(provision.wanted(0, 0, 10.0), 20);
        for look in 1..60 {
            assert_eq!(provision.wanted(look * LOOK_NS, 0, 3.0), 20, "look {look}");
        }
        assert_eq!(provision.wanted(600 * SECOND_NS, 0, 0.0), 6);
        assert_eq!(provision.wanted(610 * SECOND_NS, 0, 1000.0), 30);
    }

    #[test]
    fn a_timetable_holds_every_day_and_over_midnight() {
        let policy = Policy::timetable("# rush\n08:00,50\n20:30:15,5\n").unwrap();
        let mut provision = Provision::new(policy, StartLimit::Unlimited { window_ns: SECOND_NS });
        let midnight_ns = 3 * SECOND_NS; // the simulation began before it
        let mut at =
            |seconds: u64| provision.wanted(midnight_ns + seconds * SECOND_NS, midnight_ns, 0.0);
        assert_eq!((at(0), at(8 * 3600 - 1), at(8 * 3600)), (5, 5, 50));
        assert_eq!((at(73_814), at(73_815), at(86_400 + 9 * 3600)), (50, 5, 50));
        assert_eq!(provision.at_start(midnight_ns), 5);
    }

    #[test]
    fn an_invalid_policy_is_refused_in_one_line() {
        for text in ["", "0", "1", "-0.5", "NaN", "0.8,5,3", "0.8,a", "0.8,1,2,3"] {
            assert!(!Policy::tracking(text).unwrap_err().contains('\n'), "{text}");
        }
        for text in ["", "08:00", "25:00,1", "08:00,-1", "08:00,x", "09:00,1\n08:00,2", "8,1"] {
            assert!(!Policy::timetable(text).unwrap_err().contains('\n'), "{text}");
        }
    }
}
