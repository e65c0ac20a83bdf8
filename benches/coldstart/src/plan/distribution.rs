//! Distributions of durations, drawn by inversion: one uniform number gives one duration, and a
//! larger number a longer one. So scenarios that share their random numbers stay comparable even if
//! their distributions differ.

use super::duration::{self, DAY_NS};

/// Distribution of a duration.
#[derive(Debug, Clone, PartialEq)]
pub enum Distribution {
    /// Always the same.
    Constant {
        /// Nanoseconds.
        ns: u64,
    },
    /// `-mean ln U`.
    Exponential {
        /// Mean in nanoseconds.
        mean_ns: f64,
    },
    /// `exp(mu + sigma Z)` nanoseconds, Z standard normal.
    LogNormal {
        /// Mean of the logarithm.
        mu: f64,
        /// Standard deviation of the logarithm.
        sigma: f64,
    },
    /// `scale (-ln U)^(1/k)`.
    Weibull {
        /// The shape.
        k: f64,
        /// The scale in nanoseconds.
        scale_ns: f64,
    },
    /// Measured durations, ascending, all with the same probability.
    Samples {
        /// Nanoseconds, ascending.
        sorted_ns: Vec<u64>,
    },
}

/// The 0.99 quantile of the standard normal distribution.
const Z99: f64 = 2.326_347_874_040_841;
/// Longest duration: no request and no cold start takes longer on any platform; it also keeps sums
/// far from overflow.
pub const LONGEST_NS: u64 = 7 * DAY_NS;
/// The largest file of samples, in bytes.
pub const SAMPLES_LIMIT_BYTES: u64 = 64 << 20;

impl Distribution {
    /// `20ms`, `lognormal:MEDIAN,P99`, `exp:MEAN`, `weibull:K,SCALE`, or the name of a file of
    /// samples, which `read` gives as text.
    ///
    /// # Errors
    /// One line: what is wrong with `text`, and what to type.
    pub fn parse(
        text: &str,
        read: impl FnOnce(&str) -> Result<String, String>,
    ) -> Result<Self, String> {
        let two = |arguments: &str| {
            arguments.split_once(',').map(|(a, b)| (a.trim().to_owned(), b.trim().to_owned()))
        };
        let parsed = match text.split_once(':') {
            Some(("exp" | "exponential", mean)) => {
                Self::Exponential { mean_ns: duration::parse(mean.trim())? as f64 }
            }
            Some(("lognormal", arguments)) => {
                let (median, p99) = two(arguments)
                    .ok_or_else(|| format!("`{text}`: write `lognormal:MEDIAN,P99`"))?;
                let (median, p99) = (duration::parse(&median)?, duration::parse(&p99)?);
                if median == 0 || p99 < median {
                    return Err(format!(
                        "`{text}`: the median must be more than 0 and the p99 not less than it"
                    ));
                }
                let mu = (median as f64).ln();
                Self::LogNormal { mu, sigma: ((p99 as f64).ln() - mu) / Z99 }
            }
            Some(("weibull", arguments)) => {
                let (k, scale) =
                    two(arguments).ok_or_else(|| format!("`{text}`: write `weibull:K,SCALE`"))?;
                let shape = k.parse::<f64>().ok().filter(|k| k.is_finite() && *k > 0.0);
                let k = shape
                    .ok_or_else(|| format!("`{text}`: K must be a number above 0, not `{k}`"))?;
                Self::Weibull { k, scale_ns: duration::parse(&scale)? as f64 }
            }
            Some((name, _)) if name.chars().all(|c| c.is_ascii_lowercase()) && name.len() > 1 => {
                return Err(format!(
                    "unknown distribution `{name}`; write `lognormal:MEDIAN,P99`, \
                     `exp:MEAN`, `weibull:K,SCALE`, a duration, or a file of samples"
                ));
            }
            _ if text.starts_with(|c: char| c.is_ascii_digit() || c == '.' || c == '-')
                && duration::parse(text).is_ok() =>
            {
                Self::Constant { ns: duration::parse(text)? }
            }
            _ if text.is_empty()
                || text.starts_with('-')
                || text.starts_with(|c: char| c.is_ascii_digit()) && !text.contains(['/', '.']) =>
            {
                return Err(duration::parse(text).err().unwrap_or_default());
            }
            _ => Self::of_lines(&read(text)?).map_err(|e| format!("`{text}`: {e}"))?,
        };
        parsed.checked().map_err(|e| format!("`{text}`: {e}"))
    }

    /// Measured durations in nanoseconds. `None` without any.
    pub fn of_samples(mut ns: Vec<u64>) -> Option<Self> {
        ns.sort_unstable();
        (!ns.is_empty()).then_some(Self::Samples { sorted_ns: ns })
    }

    /// A file of samples: one duration per line; a number without a unit is in seconds, or in the
    /// unit at the end of a header line (`init_ms`).
    fn of_lines(text: &str) -> Result<Self, String> {
        let mut unit_ns = duration::SECOND_NS;
        let mut samples = Vec::new();
        for (number, line) in text.lines().enumerate() {
            let word = line.trim();
            if word.is_empty() || word.starts_with('#') {
                continue;
            }
            let unit = word.rsplit('_').next().unwrap_or(word);
            if samples.is_empty() && duration::decimal(word, 1).is_none() {
                let named = [("ns", 1), ("us", 1_000), ("ms", 1_000_000), ("s", 1_000_000_000)];
                if let Some((_, ns)) = named.iter().find(|(name, _)| *name == unit) {
                    unit_ns = *ns;
                    continue;
                }
                if word.starts_with(|c: char| c.is_alphabetic()) {
                    continue; // a header without a unit
                }
            }
            let ns = match duration::decimal(word, unit_ns) {
                Some(ns) => ns,
                None => duration::parse(word).map_err(|e| format!("line {}: {e}", number + 1))?,
            };
            samples.push(ns);
        }
        Self::of_samples(samples).ok_or_else(|| {
            "contains no sample; write one duration per line, such as `12.5ms`".to_owned()
        })
    }

    fn checked(self) -> Result<Self, String> {
        let mean = self.mean_ns();
        if !mean.is_finite() || mean > LONGEST_NS as f64 {
            return Err(
                "its mean is not below 7 days; write a distribution with a smaller mean".into()
            );
        }
        if mean <= 0.0 && !matches!(self, Self::Constant { .. }) {
            return Err("its mean is 0; write a distribution with a mean above 0".into());
        }
        Ok(self)
    }

    /// The mean in nanoseconds.
    pub fn mean_ns(&self) -> f64 {
        match self {
            Self::Constant { ns } => *ns as f64,
            Self::Exponential { mean_ns } => *mean_ns,
            Self::LogNormal { mu, sigma } => (mu + sigma * sigma / 2.0).exp(),
            Self::Weibull { k, scale_ns } => scale_ns * libm::tgamma(1.0 + 1.0 / k),
            Self::Samples { sorted_ns } => {
                sorted_ns.iter().map(|&ns| ns as f64).sum::<f64>() / sorted_ns.len() as f64
            }
        }
    }

    /// The duration of a uniform number in (0, 1), in nanoseconds.
    #[inline]
    pub fn at(&self, u: f64) -> u64 {
        let ns = match self {
            Self::Constant { ns } => return *ns,
            Self::Exponential { mean_ns } => -mean_ns * (1.0 - u).ln(),
            Self::LogNormal { mu, sigma } => (mu + sigma * normal_quantile(u)).exp(),
            Self::Weibull { k, scale_ns } => scale_ns * (-(1.0 - u).ln()).powf(1.0 / k),
            Self::Samples { sorted_ns } => {
                let at = (u * sorted_ns.len() as f64) as usize;
                return sorted_ns[at.min(sorted_ns.len() - 1)];
            }
        };
        ((ns + 0.5) as u64).min(LONGEST_NS)
    }

    /// Number of measurements behind it; `None` for a formula.
    pub fn samples(&self) -> Option<usize> {
        match self {
            Self::Samples { sorted_ns } => Some(sorted_ns.len()),
            _ => None,
        }
    }
}

/// The quantile function of the standard normal distribution: P. J. Acklam's rational
/// approximation, relative error below 1.2e-9.
#[inline]
fn normal_quantile(p: f64) -> f64 {
    const A: [f64; 6] = [
        -3.969_683_028_665_376e1,
        2.209_460_984_245_205e2,
        -2.759_285_104_469_687e2,
        1.383_577_518_672_69e2,
        -3.066_479_806_614_716e1,
        2.506_628_277_459_239,
    ];
    const B: [f64; 5] = [
        -5.447_609_879_822_406e1,
        1.615_858_368_580_409e2,
        -1.556_989_798_598_866e2,
        6.680_131_188_771_972e1,
        -1.328_068_155_288_572e1,
    ];
    const C: [f64; 6] = [
        -7.784_894_002_430_293e-3,
        -3.223_964_580_411_365e-1,
        -2.400_758_277_161_838,
        -2.549_732_539_343_734,
        4.374_664_141_464_968,
        2.938_163_982_698_783,
    ];
    const D: [f64; 4] = [
        7.784_695_709_041_462e-3,
        3.224_671_290_700_398e-1,
        2.445_134_137_142_996,
        3.754_408_661_907_416,
    ];
    const LOW: f64 = 0.024_25;
    let polynomial = |factors: &[f64], x: f64| factors.iter().fold(0.0, |sum, c| sum * x + c);
    let tail = |p: f64| {
        let q = (-2.0 * p.ln()).sqrt();
        polynomial(&C, q) / (polynomial(&D, q) * q + 1.0)
    };
    if p < LOW {
        tail(p)
    } else if p > 1.0 - LOW {
        -tail(1.0 - p)
    } else {
        let q = p - 0.5;
        let r = q * q;
        polynomial(&A, r) * q / (polynomial(&B, r) * r + 1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::super::random::{Purpose, Stream};
    use super::*;

    fn parse(text: &str) -> Result<Distribution, String> {
        Distribution::parse(text, |path| match path {
            "samples.txt" => Ok("# three\n10ms\n30ms\n20ms\n".into()),
            "init.csv" => Ok("init_ms\n189.96\n167.48\n".into()),
            "seconds" => Ok("0.5\n1.5\n".into()),
            "empty" => Ok("\n".into()),
            "bad" => Ok("10ms\nten\n".into()),
            other => Err(format!("cannot read `{other}`: no such file")),
        })
    }

    #[test]
    fn each_distribution_has_its_stated_mean() {
        let stream = Stream::new(11, Purpose::Service, 0);
        for text in [
            "20ms",
            "exp:20ms",
            "lognormal:1.345s,29.4s",
            "weibull:0.4176,421.7ms",
            "weibull:2,1s",
            "samples.txt",
        ] {
            let distribution = parse(text).unwrap();
            let n = 400_000u64;
            let mean =
                (0..n).map(|i| distribution.at(stream.uniform(i)) as f64).sum::<f64>() / n as f64;
            let off = mean / distribution.mean_ns() - 1.0;
            assert!(off.abs() < 0.02, "{text}: {off}");
        }
        // Published with the parameters (EuroSys'25): means 3.24 s and 1.25 s.
        let mean_s = |text| parse(text).unwrap().mean_ns() / 1e9;
        assert!((mean_s("lognormal:1.345s,29.4s") / 3.24 - 1.0).abs() < 0.01);
        assert!((mean_s("weibull:0.4176,421.7ms") / 1.25 - 1.0).abs() < 0.01);
    }

    #[test]
    fn a_lognormal_has_the_median_and_the_p99_that_it_was_given() {
        let distribution = parse("lognormal:100ms,1s").unwrap();
        assert!(distribution.at(0.5).abs_diff(100_000_000) < 10);
        assert!(distribution.at(0.99).abs_diff(1_000_000_000) < 1000);
    }

    #[test]
    fn the_normal_quantile_inverts_the_error_function() {
        for p in [1e-12, 1e-6, 0.01, 0.3, 0.5, 0.9, 0.999, 1.0 - 1e-9] {
            let back = 0.5 * libm::erfc(-normal_quantile(p) / std::f64::consts::SQRT_2);
            assert!((back / p - 1.0).abs() < 1e-7, "{p}: {back}");
        }
    }

    #[test]
    fn files_of_samples_state_their_unit() {
        let of = |ns: &[u64]| Distribution::of_samples(ns.to_vec()).unwrap();
        assert_eq!(parse("samples.txt"), Ok(of(&[10_000_000, 20_000_000, 30_000_000])));
        assert_eq!(parse("init.csv"), Ok(of(&[167_480_000, 189_960_000])));
        assert_eq!(parse("seconds"), Ok(of(&[500_000_000, 1_500_000_000])));
    }

    #[test]
    fn a_distribution_that_is_invalid_or_has_no_mean_is_refused_in_one_line() {
        for text in [
            "exp:0",
            "exp:-5ms",
            "exp:inf",
            "exp:NaN",
            "exp:",
            "pareto:1,5ms",
            "cauchy:0,1s",
            "lognormal:1s,10ms",
            "lognormal:0,10ms",
            "lognormal:1ms",
            "lognormal:1ns,6d",
            "weibull:0,1s",
            "weibull:-1,1s",
            "weibull:NaN,1s",
            "weibull:0.01,1s",
            "weibull:1,0",
            "empty",
            "bad",
            "missing.txt",
            "",
            "-5ms",
            "20",
            "20 apples",
            "8d",
        ] {
            let error = parse(text).expect_err(text);
            assert!(!error.is_empty() && !error.contains('\n'), "{text}: {error}");
        }
    }
}
