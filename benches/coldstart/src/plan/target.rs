//! Target of a plan, such as `cold<=1%` or `p99<=50ms`.

use super::duration;
use super::tally::Tally;
use std::fmt;
use std::str::FromStr;

/// A target of a plan.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Target {
    /// At most this share of all requests finds no ready instance: it meets a cold start, or is
    /// refused. If refusals did not count, a limit on starts would look like fewer cold starts.
    Cold(f64),
    /// At most this share of all requests is refused.
    Refused(f64),
    /// The quantile of the latency is at most so many nanoseconds.
    Latency {
        /// The quantile, 0 to 1.
        q: f64,
        /// Its limit.
        ns: u64,
    },
}

impl Target {
    /// Whether this tally reaches it.
    pub fn is_met(&self, tally: &Tally) -> bool {
        self.value(tally) <= self.limit()
    }

    /// The target's quantity in this tally.
    pub fn value(&self, tally: &Tally) -> f64 {
        let share = |part: u64, all: u64| part as f64 / all.max(1) as f64;
        match self {
            Self::Cold(_) => {
                share(tally.all.cold + tally.all.refused, tally.all.served + tally.all.refused)
            }
            Self::Refused(_) => share(tally.all.refused, tally.all.served + tally.all.refused),
            Self::Latency { q, .. } => {
                tally.latency.quantile(*q).map_or(f64::INFINITY, |ns| ns as f64)
            }
        }
    }

    fn limit(&self) -> f64 {
        match self {
            Self::Cold(share) | Self::Refused(share) => *share,
            Self::Latency { ns, .. } => *ns as f64,
        }
    }

    /// The share of requests that may be outside of the provisioned instances, about.
    pub fn share(&self) -> f64 {
        match self {
            Self::Cold(share) | Self::Refused(share) => *share,
            Self::Latency { q, .. } => 1.0 - q,
        }
    }
}

impl FromStr for Target {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = |what: &str| {
            format!(
                "invalid target `{text}`: {what}; write `cold<=SHARE%`, `refused<=SHARE%` or \
                 `p99<=DURATION` (p50, p90, p99, p99.9)"
            )
        };
        let (what, limit) = text
            .split_once("<=")
            .or_else(|| text.split_once('<'))
            .ok_or_else(|| wrong("it has no `<=`"))?;
        let (what, limit) = (what.trim(), limit.trim());
        let share = || {
            let number = limit.strip_suffix('%').map(str::trim);
            let share: Option<f64> = match number {
                Some(number) => number.parse().ok().map(|n: f64| n / 100.0),
                None => limit.parse().ok(),
            };
            share
                .filter(|s| (0.0..=1.0).contains(s))
                .ok_or_else(|| wrong(&format!("`{limit}` is not a share from 0 to 100 %")))
        };
        match what {
            "cold" => Ok(Self::Cold(share()?)),
            "refused" => Ok(Self::Refused(share()?)),
            "p50" | "p90" | "p99" | "p99.9" | "p999" => {
                let q = match what {
                    "p50" => 0.5,
                    "p90" => 0.9,
                    "p99" => 0.99,
                    _ => 0.999,
                };
                Ok(Self::Latency { q, ns: duration::parse(limit).map_err(|e| wrong(&e))? })
            }
            other => Err(wrong(&format!("unknown quantity `{other}`"))),
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let percent = |share: f64| {
            let text = format!("{:.6}", share * 100.0);
            text.trim_end_matches('0').trim_end_matches('.').to_owned()
        };
        match self {
            Self::Cold(share) => write!(f, "cold<={}%", percent(*share)),
            Self::Refused(share) => write!(f, "refused<={}%", percent(*share)),
            Self::Latency { q, ns } => {
                write!(f, "p{}<={}", (q * 1000.0).round() / 10.0, duration::short(*ns))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_printed_as_it_was_read() {
        for text in ["cold<=1%", "cold<=0.1%", "refused<=5%", "p99<=50ms", "p99.9<=1.5s"] {
            assert_eq!(text.parse::<Target>().unwrap().to_string(), text);
        }
        assert_eq!("cold <= 0.01".parse::<Target>(), Ok(Target::Cold(0.01)));
    }

    #[test]
    fn an_invalid_target_is_refused_in_one_line() {
        for text in ["", "cold", "cold<=", "cold<=101%", "cold<=-1%", "p98<=1s", "p99<=5", "x<=1"] {
            let error = text.parse::<Target>().unwrap_err();
            assert!(!error.contains('\n') && error.contains("cold<=SHARE%"), "{error}");
        }
    }
}
