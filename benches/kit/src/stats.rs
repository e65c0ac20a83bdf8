//! Statistics of samples, as pure functions: quantiles, a bootstrap interval of the median,
//! outliers; in [`rank`] a rank test and its effect size, in [`paired`] ratios of two programs
//! measured in the same rounds. The same samples give the same numbers. Samples are nanoseconds as
//! `f64` unless a name has another unit.

pub mod paired;
pub mod rank;

use rank::rank_test;
use serde::{Deserialize, Serialize};

/// Number of bootstrap resamples: the interval's ends then vary by far less than a tenth of its
/// width.
const RESAMPLES: usize = 2_000;
/// Modified z-score beyond which a sample is flagged (Iglewicz and Hoaglin, 1993).
const OUTLIER_SCORE: f64 = 3.5;
/// Makes the median absolute deviation comparable with a standard deviation under normality.
const MAD_TO_SIGMA: f64 = 1.482_602_218_505_602;

/// Statistics of a run's totals. Every field but `n` is `None` if no sample succeeded.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Summary {
    /// Samples without error.
    pub n: usize,
    /// The median.
    pub median_ns: Option<f64>,
    /// The 90th percentile.
    pub p90_ns: Option<f64>,
    /// The 99th percentile.
    pub p99_ns: Option<f64>,
    /// The smallest sample.
    pub min_ns: Option<f64>,
    /// The largest sample.
    pub max_ns: Option<f64>,
    /// 95 % bootstrap interval of the median, lower end.
    pub ci95_low_ns: Option<f64>,
    /// 95 % bootstrap interval of the median, upper end.
    pub ci95_high_ns: Option<f64>,
}

impl Summary {
    /// Summarises samples in nanoseconds; outliers count like any other sample.
    pub fn of(samples_ns: &[f64]) -> Self {
        Self::with(samples_ns, bootstrap_median(samples_ns))
    }

    /// Summarises samples taken in rounds; samples of one round had the same conditions.
    pub fn of_rounds(rounds_ns: &[Vec<f64>]) -> Self {
        Self::with(&rounds_ns.concat(), bootstrap_median_of_rounds(rounds_ns))
    }

    fn with(samples_ns: &[f64], interval: Option<Interval>) -> Self {
        let sorted = sorted(samples_ns);
        Self {
            n: sorted.len(),
            median_ns: quantile(&sorted, 0.5),
            p90_ns: quantile(&sorted, 0.9),
            p99_ns: quantile(&sorted, 0.99),
            min_ns: sorted.first().copied(),
            max_ns: sorted.last().copied(),
            ci95_low_ns: interval.map(|i| i.low),
            ci95_high_ns: interval.map(|i| i.high),
        }
    }
}

/// An interval, ends included.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Interval {
    /// The lower end.
    pub low: f64,
    /// The upper end.
    pub high: f64,
}

/// The samples in ascending order.
pub fn sorted(samples: &[f64]) -> Vec<f64> {
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted
}

/// The quantile `q` (0 to 1) of an ascending slice, interpolated linearly between neighbours
/// (type 7 of Hyndman and Fan, 1996, the default of R and NumPy). `None` of an empty slice.
pub fn quantile(sorted: &[f64], q: f64) -> Option<f64> {
    let last = sorted.len().checked_sub(1)?;
    let at = q.clamp(0.0, 1.0) * last as f64;
    let (below, above) = (at.floor() as usize, at.ceil() as usize);
    Some(sorted[below] + (sorted[above] - sorted[below]) * (at - at.floor()))
}

/// The median of samples in any order.
pub fn median(samples: &[f64]) -> Option<f64> {
    quantile(&sorted(samples), 0.5)
}

/// The 95 % percentile-bootstrap interval of the median (Efron, 1979). The generator's seed is
/// fixed, so that the same samples give the same interval.
pub fn bootstrap_median(samples: &[f64]) -> Option<Interval> {
    if samples.is_empty() {
        return None;
    }
    let mut random = fastrand::Rng::with_seed(0x5eed);
    let mut drawn = vec![0.0; samples.len()];
    let mut medians = Vec::with_capacity(RESAMPLES);
    for _ in 0..RESAMPLES {
        drawn.fill_with(|| samples[random.usize(..samples.len())]);
        drawn.sort_unstable_by(f64::total_cmp);
        medians.extend(quantile(&drawn, 0.5));
    }
    medians.sort_unstable_by(f64::total_cmp);
    Some(Interval { low: quantile(&medians, 0.025)?, high: quantile(&medians, 0.975)? })
}

/// The same interval for samples taken in rounds. Whole rounds are drawn, because samples of one
/// round are correlated (a cluster bootstrap; Davison and Hinkley, 1997, 3.8). Drawing single
/// samples would make the interval far too narrow.
pub fn bootstrap_median_of_rounds(rounds: &[Vec<f64>]) -> Option<Interval> {
    if rounds.iter().all(Vec::is_empty) {
        return None;
    }
    let mut random = fastrand::Rng::with_seed(0x5eed);
    let mut drawn = Vec::new();
    let mut medians = Vec::with_capacity(RESAMPLES);
    for _ in 0..RESAMPLES {
        drawn.clear();
        for _ in 0..rounds.len() {
            drawn.extend_from_slice(&rounds[random.usize(..rounds.len())]);
        }
        drawn.sort_unstable_by(f64::total_cmp);
        medians.extend(quantile(&drawn, 0.5));
    }
    medians.sort_unstable_by(f64::total_cmp);
    Some(Interval { low: quantile(&medians, 0.025)?, high: quantile(&medians, 0.975)? })
}

/// The ratio of two medians, `over` / `under`, with its 95 % bootstrap interval: each side is drawn
/// separately. `None` if a side is empty or its median is not positive.
pub fn ratio_of_medians(over: &[f64], under: &[f64]) -> Option<(f64, Interval)> {
    let ratio = median(over)? / median(under).filter(|&m| m > 0.0)?;
    let mut random = fastrand::Rng::with_seed(0x5eed);
    let mut draw = |samples: &[f64]| {
        let drawn: Vec<f64> =
            (0..samples.len()).map(|_| samples[random.usize(..samples.len())]).collect();
        median(&drawn)
    };
    let mut ratios: Vec<f64> = (0..RESAMPLES)
        .filter_map(|_| Some(draw(over)? / draw(under).filter(|&m| m > 0.0)?))
        .collect();
    ratios.sort_unstable_by(f64::total_cmp);
    Some((ratio, Interval { low: quantile(&ratios, 0.025)?, high: quantile(&ratios, 0.975)? }))
}

/// Flags samples that are far from the median, by the modified z-score. They are never dropped: the
/// reader decides about them.
pub fn outliers(samples: &[f64]) -> Vec<bool> {
    let Some(middle) = median(samples) else {
        return Vec::new();
    };
    let deviations: Vec<f64> = samples.iter().map(|x| (x - middle).abs()).collect();
    let sigma = median(&deviations).unwrap_or(0.0) * MAD_TO_SIGMA;
    deviations.iter().map(|d| sigma > 0.0 && d / sigma > OUTLIER_SCORE).collect()
}

/// Why a run's samples are not reliable; `None` if there is no sign of that.
pub fn noise(samples: &[f64]) -> Option<String> {
    let (middle, interval) = (median(samples)?, bootstrap_median(samples)?);
    if samples.len() < 5 || middle <= 0.0 {
        return Some(format!("only {} samples", samples.len()));
    }
    let flagged = outliers(samples).into_iter().filter(|&is| is).count();
    let width = (interval.high - interval.low) / middle;
    let (early, late) = samples.split_at(samples.len() / 2);
    let (first, second) = (median(early)?, median(late)?);
    let drift = (second - first) / middle;
    if width > 0.15 {
        Some(format!("the interval of the median is {:.0} % wide", width * 100.0))
    } else if flagged * 5 > samples.len() {
        Some(format!("{flagged} of {} samples are outliers", samples.len()))
    } else if drift.abs() > 0.10 && rank_test(early, late).is_some_and(|t| t.p < 0.01) {
        Some(format!("the second half is {:+.0} % against the first", drift * 100.0))
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 200 draws of a normal distribution by Box-Muller.
    pub(super) fn normal(mean: f64, sigma: f64, n: usize, seed: u64) -> Vec<f64> {
        let mut random = fastrand::Rng::with_seed(seed);
        (0..n)
            .map(|_| {
                let (u, v) = (1.0 - random.f64(), random.f64());
                mean + sigma * (-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos()
            })
            .collect()
    }

    #[test]
    fn quantiles_agree_with_a_hand_count() {
        let five = [1.0, 2.0, 3.0, 4.0, 5.0];
        assert_eq!(quantile(&five, 0.0), Some(1.0));
        assert_eq!(quantile(&five, 0.5), Some(3.0));
        assert_eq!(quantile(&five, 0.9), Some(4.6));
        assert_eq!(quantile(&five, 1.0), Some(5.0));
        assert_eq!(median(&[4.0, 1.0, 3.0, 2.0]), Some(2.5));
        assert_eq!(quantile(&[], 0.5), None);
    }

    #[test]
    fn the_summary_of_no_sample_has_no_number() {
        assert_eq!(Summary::of(&[]), Summary::default());
    }

    #[test]
    fn the_interval_of_a_constant_is_that_constant() {
        assert_eq!(bootstrap_median(&[7.0; 20]), Some(Interval { low: 7.0, high: 7.0 }));
    }

    #[test]
    fn the_interval_contains_the_true_median_as_often_as_its_level_states() {
        let held = (0..200)
            .filter(|&seed| {
                let interval = bootstrap_median(&normal(100.0, 15.0, 40, seed)).unwrap();
                interval.low <= 100.0 && 100.0 <= interval.high
            })
            .count();
        assert!(
            (182..=199).contains(&held),
            "{held} of 200 intervals contain the median, 190 are expected"
        );
    }

    #[test]
    fn the_interval_shrinks_with_the_root_of_the_number_of_samples() {
        let width = |n| {
            let i = bootstrap_median(&normal(100.0, 10.0, n, 9)).unwrap();
            i.high - i.low
        };
        let ratio = width(50) / width(800);
        assert!(
            (2.5..6.5).contains(&ratio),
            "sixteen times the samples, {ratio:.1} times the width, 4 expected"
        );
    }

    #[test]
    fn a_ratio_of_medians_lies_inside_its_interval() {
        let (ratio, interval) =
            ratio_of_medians(&normal(200.0, 10.0, 40, 1), &normal(50.0, 2.0, 40, 2)).unwrap();
        assert!((3.8..4.2).contains(&ratio), "{ratio}");
        assert!(
            interval.low < ratio && ratio < interval.high && interval.high - interval.low < 0.5,
            "{interval:?}"
        );
        assert_eq!(ratio_of_medians(&[1.0], &[]), None);
        assert_eq!(ratio_of_medians(&[1.0], &[0.0]), None);
    }

    #[test]
    fn flags_an_outlier_and_keeps_it() {
        let samples = [10.0, 11.0, 10.5, 9.5, 10.2, 9.9, 60.0];
        assert_eq!(outliers(&samples), [false, false, false, false, false, false, true]);
        assert_eq!(Summary::of(&samples).max_ns, Some(60.0));
        assert_eq!(outliers(&[1.0, 1.0, 1.0]), [false; 3]);
    }

    #[test]
    fn a_normal_distribution_has_few_outliers() {
        let flagged = outliers(&normal(100.0, 10.0, 2000, 3)).into_iter().filter(|&is| is).count();
        assert!(flagged < 6, "{flagged} of 2000; 3.5 sigma leaves one in 2000");
    }

    /// Regression: the samples of one burst were drawn one by one, as if they were independent.
    #[test]
    fn the_interval_accounts_for_correlated_samples_of_one_round() {
        let rounds = |seed: u64| -> Vec<Vec<f64>> {
            let middles = normal(100.0, 15.0, 20, seed); // common to the samples of a round
            // independent between samples
            middles.iter().zip(0..).map(|(m, i)| normal(*m, 1.0, 8, seed * 1000 + i)).collect()
        };
        let holds = |interval: Option<Interval>| {
            interval.is_some_and(|i| i.low <= 100.0 && 100.0 <= i.high)
        };
        let (mut by_rounds, mut one_by_one) = (0, 0);
        for seed in 0..100 {
            let rounds = rounds(seed);
            by_rounds += usize::from(holds(bootstrap_median_of_rounds(&rounds)));
            one_by_one += usize::from(holds(bootstrap_median(&rounds.concat())));
        }
        assert!(
            (86..=100).contains(&by_rounds),
            "{by_rounds} of 100 intervals contain the median, 95 are expected"
        );
        assert!(one_by_one < 60, "{one_by_one}");
        let single: Vec<Vec<f64>> = normal(9.0, 2.0, 30, 4).into_iter().map(|x| vec![x]).collect();
        assert_eq!(bootstrap_median_of_rounds(&single), bootstrap_median(&single.concat()));
    }

    #[test]
    fn reports_a_noisy_run_and_not_a_quiet_one() {
        assert_eq!(noise(&normal(100.0, 3.0, 40, 5)), None);
        assert!(noise(&normal(100.0, 60.0, 20, 5)).is_some());
        let drifting: Vec<f64> = (0..40).map(|i| 100.0 + f64::from(i)).collect();
        assert!(
            noise(&drifting).is_some_and(|why| why.contains("second half")),
            "{:?}",
            noise(&drifting)
        );
    }
}
