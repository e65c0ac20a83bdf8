//! The statistics of samples, as pure functions: quantiles, a bootstrap interval of the median,
//! outliers, a rank test and its effect size. No clock, no process, no files: the same samples give
//! the same numbers. Samples are nanoseconds as `f64` unless a name says otherwise.

use serde::{Deserialize, Serialize};

/// Resamples of the bootstrap: the interval's ends then move by well under a tenth of its width.
const RESAMPLES: usize = 2_000;
/// Modified z-score beyond which a sample is flagged (Iglewicz and Hoaglin, 1993).
const OUTLIER_SCORE: f64 = 3.5;
/// Makes the median absolute deviation comparable with a standard deviation under normality.
const MAD_TO_SIGMA: f64 = 1.482_602_218_505_602;

/// What a run's totals come to. Every field but `n` is `None` when no sample succeeded.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Summary {
    /// Samples without error.
    pub n: usize,
    pub median_ns: Option<f64>,
    pub p90_ns: Option<f64>,
    pub p99_ns: Option<f64>,
    pub min_ns: Option<f64>,
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

    /// Summarises samples that came in rounds, of which those of one round met the same
    /// circumstances.
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
    pub low: f64,
    pub high: f64,
}

impl Interval {
    /// Whether the two have a value in common.
    pub fn overlaps(self, other: Self) -> bool {
        self.low <= other.high && other.low <= self.high
    }
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

/// The same interval where samples came in rounds: whole rounds are drawn, because samples of one
/// round are alike (a cluster bootstrap; Davison and Hinkley, 1997, 3.8). Drawing samples one by
/// one would call it far too narrow.
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
/// anew. `None` when a side is empty or its median is not positive.
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

/// Flags samples that lie far from the median, by the modified z-score. Flagged, never dropped:
/// what to think of them is the reader's business.
pub fn outliers(samples: &[f64]) -> Vec<bool> {
    let Some(middle) = median(samples) else {
        return Vec::new();
    };
    let deviations: Vec<f64> = samples.iter().map(|x| (x - middle).abs()).collect();
    let sigma = median(&deviations).unwrap_or(0.0) * MAD_TO_SIGMA;
    deviations.iter().map(|d| sigma > 0.0 && d / sigma > OUTLIER_SCORE).collect()
}

/// Why a run's samples deserve little trust; `None` when nothing speaks against them.
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

/// What a comparison of two sets of samples comes to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RankTest {
    /// Two-sided p-value: how likely a difference this large is when there is none.
    pub p: f64,
    /// Cliff's delta, -1 to 1: how much more often a sample of `b` exceeds one of `a` than the
    /// other way round. Below 0.147 negligible, above 0.474 large (Romano et al., 2006).
    pub delta: f64,
    /// Hodges-Lehmann shift: the median of all differences b - a, in the samples' unit.
    pub shift: f64,
}

/// Samples of both sides together up to which the rank test counts every way to deal them out.
const EXACT_UP_TO: usize = 40;

/// Mann-Whitney U test of two independent sets of samples: exact for up to 40 samples together,
/// ties included (the permutation distribution of the rank sum), beyond that by the normal
/// approximation with tie and continuity correction. `None` when a side has fewer than two samples.
pub fn rank_test(a: &[f64], b: &[f64]) -> Option<RankTest> {
    if a.len() < 2 || b.len() < 2 {
        return None;
    }
    let (a, b) = (sorted(a), sorted(b));
    let ranks = Ranks::of(&a, &b);
    let pairs = a.len() as f64 * b.len() as f64;
    // The rank sum of b, less what it has without any sample of a.
    let u = ranks.of_b as f64 / 2.0 - b.len() as f64 * (b.len() as f64 + 1.0) / 2.0;
    let p = if ranks.doubled.len() <= EXACT_UP_TO {
        ranks.exact_p(b.len())
    } else {
        ranks.normal_p(u, pairs, &a, &b)
    };
    Some(RankTest { p, delta: 2.0 * u / pairs - 1.0, shift: median_difference(&a, &b)? })
}

/// The smallest p-value that a rank test of so many samples can have: no test of three and three
/// can be sure.
pub fn least_p(n: usize, m: usize) -> f64 {
    // Two of all the ways to deal the samples out are the most extreme ones.
    (1..=m).fold(2.0, |p, i| p * i as f64 / (n + i) as f64).min(1.0)
}

/// Doubled mid-ranks, so that ties stay whole numbers.
struct Ranks {
    doubled: Vec<usize>,
    /// The sum of those of the second side.
    of_b: usize,
}

impl Ranks {
    /// Of two ascending sides.
    fn of(a: &[f64], b: &[f64]) -> Self {
        let mut all: Vec<(f64, bool)> =
            a.iter().map(|&x| (x, false)).chain(b.iter().map(|&x| (x, true))).collect();
        all.sort_by(|x, y| x.0.total_cmp(&y.0));
        let (mut doubled, mut of_b) = (Vec::with_capacity(all.len()), 0);
        for run in all.chunk_by(|x, y| x.0 == y.0) {
            let rank = 2 * doubled.len() + run.len() + 1; // twice the mean of the places from 1 on
            of_b += rank * run.iter().filter(|(_, is_b)| *is_b).count();
            doubled.extend(std::iter::repeat_n(rank, run.len()));
        }
        Self { doubled, of_b }
    }

    /// The share of all ways to choose `m` of the ranks whose sum is as far from the mean as this
    /// one.
    fn exact_p(&self, m: usize) -> f64 {
        let most: usize = self.doubled.iter().rev().take(m).sum();
        let mut ways = vec![vec![0.0f64; most + 1]; m + 1];
        ways[0][0] = 1.0;
        for &rank in &self.doubled {
            for chosen in (1..=m).rev() {
                for sum in rank..=most {
                    ways[chosen][sum] += ways[chosen - 1][sum - rank];
                }
            }
        }
        let mean = m * (self.doubled.len() + 1); // of doubled ranks
        let (all, far): (f64, f64) =
            ways[m].iter().enumerate().fold((0.0, 0.0), |(all, far), (sum, n)| {
                let is_far = sum.abs_diff(mean) >= self.of_b.abs_diff(mean);
                (all + n, if is_far { far + n } else { far })
            });
        far / all
    }

    fn normal_p(&self, u: f64, pairs: f64, a: &[f64], b: &[f64]) -> f64 {
        let ties: f64 = self
            .doubled
            .chunk_by(|x, y| x == y)
            .map(|run| (run.len() as f64).powi(3) - run.len() as f64)
            .sum();
        let total = (a.len() + b.len()) as f64;
        let variance = pairs / 12.0 * ((total + 1.0) - ties / (total * (total - 1.0)));
        let distance = ((u - pairs / 2.0).abs() - 0.5).max(0.0);
        if variance > 0.0 {
            libm::erfc(distance / variance.sqrt() / std::f64::consts::SQRT_2)
        } else {
            1.0
        }
    }
}

/// The median of all differences y - x of two ascending sides. There are as many as one side times
/// the other: they are counted, not kept.
fn median_difference(a: &[f64], b: &[f64]) -> Option<f64> {
    let pairs = a.len() * b.len();
    let (below, above) = (pairs.checked_sub(1)? / 2, pairs / 2);
    let first = nth_difference(a, b, below);
    Some(if below == above { first } else { first + (nth_difference(a, b, above) - first) / 2.0 })
}

/// The difference that has `n` smaller ones or equals before it: a search over all numbers there
/// are, in 64 steps.
fn nth_difference(a: &[f64], b: &[f64], n: usize) -> f64 {
    // Ordered like the numbers themselves (as in f64::total_cmp), without gaps.
    let place = |x: f64| {
        let bits = x.to_bits() as i64;
        bits ^ ((bits >> 63) as u64 >> 1) as i64
    };
    let number = |place: i64| f64::from_bits((place ^ ((place >> 63) as u64 >> 1) as i64) as u64);
    let up_to = |limit: f64| -> usize {
        b.iter().map(|y| a.len() - a.partition_point(|x| y - x > limit)).sum()
    };
    let (mut low, mut high) = (place(b[0] - a[a.len() - 1]), place(b[b.len() - 1] - a[0]));
    while low < high {
        let middle = ((i128::from(low) + i128::from(high)).div_euclid(2)) as i64;
        if up_to(number(middle)) > n { high = middle } else { low = middle + 1 }
    }
    number(low)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 200 draws of a normal distribution by Box-Muller.
    fn normal(mean: f64, sigma: f64, n: usize, seed: u64) -> Vec<f64> {
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
    fn the_interval_holds_the_true_median_about_as_often_as_it_says() {
        let held = (0..200)
            .filter(|&seed| {
                let interval = bootstrap_median(&normal(100.0, 15.0, 40, seed)).unwrap();
                interval.low <= 100.0 && 100.0 <= interval.high
            })
            .count();
        assert!(
            (182..=199).contains(&held),
            "{held} of 200 intervals hold the median, 190 are expected"
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
    fn flags_the_one_that_lies_far_out_and_keeps_it() {
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

    #[test]
    fn the_rank_test_agrees_with_a_count_by_hand() {
        // Two sets without overlap, five each: two of the 252 ways to deal ten samples out are as
        // extreme.
        let test = rank_test(&[1.0, 2.0, 3.0, 4.0, 5.0], &[6.0, 7.0, 8.0, 9.0, 10.0]).unwrap();
        assert!((test.p - 2.0 / 252.0).abs() < 1e-12, "p is {}", test.p);
        assert_eq!(test.delta, 1.0);
        assert_eq!(test.shift, 5.0);
        assert!((least_p(5, 5) - 2.0 / 252.0).abs() < 1e-12 && (least_p(3, 3) - 0.1).abs() < 1e-12);
        // {1, 2} and {2, 3}: of the six ways to choose two of the ranks 1, 2.5, 2.5, 4, the sums
        // 3.5, 3.5, 6.5, 6.5 are as far from 5 as 6.5 is, the two of 5 are not.
        let tied = rank_test(&[1.0, 2.0], &[2.0, 3.0]).unwrap();
        assert!((tied.p - 4.0 / 6.0).abs() < 1e-12, "{tied:?}");
    }

    #[test]
    fn the_normal_approximation_agrees_with_a_published_example() {
        // Two sets without overlap, five each: U = 25, z = (12.5 - 0.5) / sqrt(25 * 11 / 12).
        let (a, b) = ([1.0, 2.0, 3.0, 4.0, 5.0], [6.0, 7.0, 8.0, 9.0, 10.0]);
        let p = Ranks::of(&a, &b).normal_p(25.0, 25.0, &a, &b);
        assert!((p - 0.012_186).abs() < 1e-5, "p is {p}");
    }

    #[test]
    fn both_ways_to_a_p_value_agree_where_they_meet() {
        let (a, b) = (sorted(&normal(50.0, 5.0, 20, 1)), sorted(&normal(51.5, 5.0, 20, 2)));
        let ranks = Ranks::of(&a, &b);
        let u = ranks.of_b as f64 / 2.0 - 210.0;
        let (exact, near) = (ranks.exact_p(20), ranks.normal_p(u, 400.0, &a, &b));
        assert!((exact / near - 1.0).abs() < 0.1, "{exact} and {near}");
    }

    #[test]
    fn the_shift_is_the_median_of_all_differences_without_keeping_them() {
        for seed in 0..20 {
            let (a, b) =
                (normal(0.0, 9.0, 11, seed), normal(4.0, 1.0, 8 + seed as usize % 2, seed + 99));
            let all: Vec<f64> = a.iter().flat_map(|x| b.iter().map(move |y| y - x)).collect();
            assert_eq!(rank_test(&a, &b).unwrap().shift, median(&all).unwrap());
        }
        // Ten billion differences, which nobody has the memory for.
        let (a, b) = (normal(100.0, 5.0, 100_000, 1), normal(110.0, 5.0, 100_000, 2));
        assert!((rank_test(&a, &b).unwrap().shift - 10.0).abs() < 0.1);
    }

    /// The totals of cold starts have such tails; the test looks at ranks only and is not led
    /// astray.
    #[test]
    fn heavy_tails_neither_hide_a_shift_nor_make_one_up() {
        // Cauchy: no mean, no variance.
        let heavy = |middle: f64, n, seed| -> Vec<f64> {
            let mut random = fastrand::Rng::with_seed(seed);
            (0..n)
                .map(|_| middle + 2.0 * (std::f64::consts::PI * (random.f64() - 0.5)).tan())
                .collect()
        };
        let alarms = (0..400).filter(|&seed| {
            rank_test(&heavy(50.0, 15, seed), &heavy(50.0, 15, seed + 10_000)).unwrap().p < 0.05
        });
        let alarms = alarms.count();
        assert!((8..=36).contains(&alarms), "{alarms} of 400, 20 expected");
        let test = rank_test(&heavy(50.0, 40, 1), &heavy(58.0, 40, 2)).unwrap();
        assert!(test.p < 1e-4 && (test.shift - 8.0).abs() < 4.0, "{test:?}");
        let held = (0..200).filter(|&seed| {
            let interval = bootstrap_median(&heavy(50.0, 40, seed)).unwrap();
            interval.low <= 50.0 && 50.0 <= interval.high
        });
        let held = held.count();
        assert!(
            (182..=199).contains(&held),
            "{held} of 200 intervals hold the median, 190 are expected"
        );
    }

    /// The story: the samples of one burst were drawn one by one, as if each were news.
    #[test]
    fn samples_of_one_round_are_alike_and_the_interval_knows_it() {
        let rounds = |seed: u64| -> Vec<Vec<f64>> {
            let middles = normal(100.0, 15.0, 20, seed); // what a round has in common ...
            // ... and what it has not
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
            "{by_rounds} of 100 intervals hold the median, 95 are expected"
        );
        assert!(one_by_one < 60, "{one_by_one}");
        let single: Vec<Vec<f64>> = normal(9.0, 2.0, 30, 4).into_iter().map(|x| vec![x]).collect();
        assert_eq!(bootstrap_median_of_rounds(&single), bootstrap_median(&single.concat()));
    }

    #[test]
    fn the_rank_test_cries_wolf_about_one_time_in_twenty() {
        let alarms = (0..400)
            .filter(|&seed| {
                let (a, b) = (normal(50.0, 5.0, 30, seed), normal(50.0, 5.0, 30, seed + 10_000));
                rank_test(&a, &b).unwrap().p < 0.05
            })
            .count();
        assert!((8..=36).contains(&alarms), "{alarms} of 400, 20 expected");
    }

    #[test]
    fn the_rank_test_sees_a_shift_of_one_sigma() {
        let test = rank_test(&normal(50.0, 5.0, 30, 1), &normal(55.0, 5.0, 30, 2)).unwrap();
        assert!(test.p < 0.01 && test.delta > 0.3, "{test:?}");
        assert!((test.shift - 5.0).abs() < 3.0, "{test:?}");
    }

    #[test]
    fn equal_samples_differ_in_nothing() {
        let test = rank_test(&[3.0; 10], &[3.0; 10]).unwrap();
        assert_eq!((test.p, test.delta, test.shift), (1.0, 0.0, 0.0));
    }

    #[test]
    fn says_when_a_run_is_noisy_and_not_when_it_is_quiet() {
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
