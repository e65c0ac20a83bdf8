//! Quantiles of one program's samples, and ratios and differences of two programs' quantiles with
//! bootstrap intervals, if both were measured in the same rounds. Pure functions.

use super::{Interval, RESAMPLES, bootstrap_median, median, quantile, sorted};
use serde::Serialize;

/// Quantiles of one moment, in nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Quantiles {
    /// Number of samples.
    pub n: usize,
    /// The first quartile.
    pub p25_ns: f64,
    /// The median.
    pub p50_ns: f64,
    /// The 99th percentile.
    pub p99_ns: f64,
}

/// A ratio, with the ends of its 95 % interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Ratio {
    /// Of the first quartiles.
    pub of_p25: f64,
    /// Of the medians.
    pub of_p50: f64,
    /// 95 % interval of the ratio of medians, lower end.
    pub ci95_low_of_p50: f64,
    /// 95 % interval of the ratio of medians, upper end.
    pub ci95_high_of_p50: f64,
}

/// A median with the ends of its 95 % interval, in nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Median {
    /// Number of samples.
    pub n: usize,
    /// The median.
    pub p50_ns: f64,
    /// 95 % interval of the median, lower end.
    pub ci95_low_of_p50_ns: f64,
    /// 95 % interval of the median, upper end.
    pub ci95_high_of_p50_ns: f64,
}

/// A difference of medians with the ends of its 95 % interval, in nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Difference {
    /// Of the medians.
    pub of_p50_ns: f64,
    /// 95 % interval of the difference, lower end.
    pub ci95_low_of_p50_ns: f64,
    /// 95 % interval of the difference, upper end.
    pub ci95_high_of_p50_ns: f64,
}

impl Median {
    /// Quantiles of samples in any order; `None` without samples.
    pub fn of(samples: &[f64]) -> Option<Self> {
        let Interval { low, high } = bootstrap_median(samples)?;
        Some(Self {
            n: samples.len(),
            p50_ns: median(samples)?,
            ci95_low_of_p50_ns: low,
            ci95_high_of_p50_ns: high,
        })
    }
}

impl Difference {
    /// Difference of the median of `ours` less that of `theirs`, sample by sample of the same
    /// round, as [`Ratio::of`].
    pub fn of(ours: &[Option<f64>], theirs: &[Option<f64>]) -> Option<Self> {
        let rounds = common(ours, theirs);
        let difference = |rounds: &[(f64, f64)]| {
            let [ours, theirs] = quantiles(rounds, 0.5)?;
            Some(ours - theirs)
        };
        let Interval { low, high } = bootstrap(&rounds, difference)?;
        Some(Self {
            of_p50_ns: difference(&rounds)?,
            ci95_low_of_p50_ns: low,
            ci95_high_of_p50_ns: high,
        })
    }
}

impl Quantiles {
    /// Median of samples in any order; `None` without samples.
    pub fn of(samples: &[f64]) -> Option<Self> {
        let sorted = sorted(samples);
        let at = |q| quantile(&sorted, q);
        Some(Self { n: sorted.len(), p25_ns: at(0.25)?, p50_ns: at(0.5)?, p99_ns: at(0.99)? })
    }
}

impl Ratio {
    /// Ratio of `ours` to `theirs`, sample by sample of the same round. Rounds are drawn
    /// repeatedly, with both programs' samples (Efron's percentile bootstrap, paired, so that an
    /// influence on a whole round cancels out). The seed is fixed. `None` without a round that both
    /// have.
    pub fn of(ours: &[Option<f64>], theirs: &[Option<f64>]) -> Option<Self> {
        let rounds = common(ours, theirs);
        let ratio = |rounds: &[(f64, f64)], q| {
            let [ours, theirs] = quantiles(rounds, q)?;
            (theirs > 0.0).then_some(ours / theirs)
        };
        let Interval { low, high } = bootstrap(&rounds, |rounds| ratio(rounds, 0.5))?;
        Some(Self {
            of_p25: ratio(&rounds, 0.25)?,
            of_p50: ratio(&rounds, 0.5)?,
            ci95_low_of_p50: low,
            ci95_high_of_p50: high,
        })
    }
}

/// The rounds for which both programs have a sample.
fn common(ours: &[Option<f64>], theirs: &[Option<f64>]) -> Vec<(f64, f64)> {
    ours.iter().zip(theirs).filter_map(|(a, b)| Some(((*a)?, (*b)?))).collect()
}

/// The quantile `q` of each program.
fn quantiles(rounds: &[(f64, f64)], q: f64) -> Option<[f64; 2]> {
    let of = |one: fn(&(f64, f64)) -> f64| {
        quantile(&sorted(&rounds.iter().map(one).collect::<Vec<_>>()), q)
    };
    Some([of(|round| round.0)?, of(|round| round.1)?])
}

/// The 95 % percentile-bootstrap interval of a statistic of rounds. `None` without a round, or if
/// the statistic is undefined.
fn bootstrap(rounds: &[(f64, f64)], of: impl Fn(&[(f64, f64)]) -> Option<f64>) -> Option<Interval> {
    let mut random = fastrand::Rng::with_seed(0x5eed);
    let mut drawn = rounds.to_vec();
    let mut values = Vec::with_capacity(RESAMPLES);
    for _ in 0..RESAMPLES {
        drawn.fill_with(|| rounds[random.usize(..rounds.len())]);
        values.push(of(&drawn)?);
    }
    values.sort_unstable_by(f64::total_cmp);
    Some(Interval { low: quantile(&values, 0.025)?, high: quantile(&values, 0.975)? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_quantiles_between_neighbours() {
        let quantiles = Quantiles::of(&[4.0, 1.0, 3.0, 2.0, 5.0]).expect("samples");
        assert_eq!(
            (quantiles.n, quantiles.p25_ns, quantiles.p50_ns, quantiles.p99_ns),
            (5, 2.0, 3.0, 4.96)
        );
        assert_eq!(Quantiles::of(&[]), None);
    }

    #[test]
    fn a_constant_factor_is_found_through_common_noise() {
        let theirs: Vec<_> =
            (1..=300).map(|round| Some(100.0 + f64::from(round % 17) * 10.0)).collect();
        let ours: Vec<_> = theirs.iter().map(|sample| sample.map(|ns| ns * 1.5)).collect();
        let ratio = Ratio::of(&ours, &theirs).expect("rounds");
        for value in [ratio.of_p25, ratio.of_p50, ratio.ci95_low_of_p50, ratio.ci95_high_of_p50] {
            assert!((value - 1.5).abs() < 1e-9, "{ratio:?}");
        }
    }

    #[test]
    fn the_interval_contains_the_ratio_and_has_a_width() {
        let theirs: Vec<_> =
            (0..200).map(|round| Some(100.0 + f64::from(round * 37 % 101))).collect();
        let ours: Vec<_> =
            (0..200).map(|round| Some(200.0 + f64::from(round * 53 % 101))).collect();
        let ratio = Ratio::of(&ours, &theirs).expect("rounds");
        assert!(
            ratio.ci95_low_of_p50 < ratio.of_p50 && ratio.of_p50 < ratio.ci95_high_of_p50,
            "{ratio:?}"
        );
    }

    #[test]
    fn a_constant_difference_is_found_through_common_noise() {
        let theirs: Vec<_> =
            (1..=300).map(|round| Some(100.0 + f64::from(round % 17) * 10.0)).collect();
        let ours: Vec<_> = theirs.iter().map(|sample| sample.map(|ns| ns + 60.0)).collect();
        let difference = Difference::of(&ours, &theirs).expect("rounds");
        let [value, low, high] =
            [difference.of_p50_ns, difference.ci95_low_of_p50_ns, difference.ci95_high_of_p50_ns];
        assert_eq!([value, low, high], [60.0; 3]);
        assert_eq!(Difference::of(&[None], &theirs), None);
    }

    #[test]
    fn the_interval_of_a_median_has_the_width_of_the_binomial_distribution() {
        let samples: Vec<f64> = (0..101).map(f64::from).collect();
        let median = Median::of(&samples).expect("samples");
        assert_eq!((median.n, median.p50_ns), (101, 50.0));
        let (low, high) = (median.ci95_low_of_p50_ns, median.ci95_high_of_p50_ns);
        // of 101 samples in order, numbers 41 and 61
        assert!((36.0..46.0).contains(&low) && (54.0..64.0).contains(&high), "{median:?}");
        assert_eq!(Median::of(&[]), None);
    }

    #[test]
    fn a_round_in_which_one_program_failed_counts_for_neither() {
        let ratio = Ratio::of(&[Some(2.0), None, Some(2.0)], &[Some(1.0), Some(900.0), Some(1.0)])
            .expect("rounds");
        assert_eq!(ratio.of_p50, 2.0);
        assert_eq!(Ratio::of(&[None], &[Some(1.0)]), None);
    }
}
