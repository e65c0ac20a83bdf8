//! Mann-Whitney rank test of two independent sets of samples, with effect size and shift. Pure
//! functions.

use super::sorted;

/// Result of a comparison of two sets of samples.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RankTest {
    /// Two-sided p-value: the probability of a difference this large if both sets have one
    /// distribution.
    pub p: f64,
    /// Cliff's delta, -1 to 1: how much more often a sample of `b` exceeds one of `a` than the
    /// other way round. Below 0.147 negligible, above 0.474 large (Romano et al., 2006).
    pub delta: f64,
    /// Hodges-Lehmann shift: the median of all differences b - a, in the samples' unit.
    pub shift: f64,
    /// 95 % confidence interval of the shift: the differences that the test would not reject
    /// (Hollander and Wolfe, "Nonparametric Statistical Methods", 4.3). With few samples it covers
    /// all observed differences.
    pub interval: [f64; 2],
}

/// Quantile of the standard normal distribution: 95 % are within this many deviations.
const WITHIN_95: f64 = 1.959_964;

/// Largest number of samples of both sides together for which the test is exact.
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
    // The rank sum of b, less the rank sum that b has without samples of a.
    let u = ranks.of_b as f64 / 2.0 - b.len() as f64 * (b.len() as f64 + 1.0) / 2.0;
    let p = if ranks.doubled.len() <= EXACT_UP_TO {
        ranks.exact_p(b.len())
    } else {
        ranks.normal_p(u, pairs, &a, &b)
    };
    let (shift, interval) = (median_difference(&a, &b)?, shift_interval(&a, &b));
    Some(RankTest { p, delta: 2.0 * u / pairs - 1.0, shift, interval })
}

/// The smallest p-value that a rank test of these numbers of samples can have: three and three
/// samples cannot be significant.
pub fn least_p(n: usize, m: usize) -> f64 {
    // Of all the ways to divide the samples between both sides, two are the most extreme.
    (1..=m).fold(2.0, |p, i| p * i as f64 / (n + i) as f64).min(1.0)
}

/// Doubled mid-ranks, so that ties stay whole numbers.
struct Ranks {
    doubled: Vec<usize>,
    /// The sum of the second side's ranks.
    of_b: usize,
}

impl Ranks {
    /// Ranks of two ascending sides.
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

    /// Of all the ways to choose `m` of the ranks, the share whose sum is at least as far from the
    /// mean as this one.
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

/// The median of all differences y - x of two ascending sides. Their number is the product of both
/// sides' sizes, so they are counted and not stored.
fn median_difference(a: &[f64], b: &[f64]) -> Option<f64> {
    let pairs = a.len() * b.len();
    let (below, above) = (pairs.checked_sub(1)? / 2, pairs / 2);
    let first = nth_difference(a, b, below);
    Some(if below == above { first } else { first + (nth_difference(a, b, above) - first) / 2.0 })
}

/// The interval of the shift: from one of the ordered differences to another; the rank sum's
/// deviation gives their distance from the ends.
fn shift_interval(a: &[f64], b: &[f64]) -> [f64; 2] {
    let pairs = a.len() * b.len();
    let deviation = (pairs as f64 * (a.len() + b.len() + 1) as f64 / 12.0).sqrt();
    let from = (pairs as f64 / 2.0 - WITHIN_95 * deviation).max(0.0) as usize;
    [nth_difference(a, b, from), nth_difference(a, b, pairs - 1 - from)]
}

/// The difference at position `n` of the ascending differences: a binary search over all `f64`, in
/// 64 steps.
fn nth_difference(a: &[f64], b: &[f64], n: usize) -> f64 {
    // Integers in the order of the numbers (as in f64::total_cmp), without gaps.
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
    use super::super::tests::normal;
    use super::super::{bootstrap_median, median};
    use super::*;

    #[test]
    fn the_rank_test_agrees_with_a_count_by_hand() {
        // Two sets without overlap, five each: two of the 252 ways to divide ten samples are as
        // extreme.
        let test = rank_test(&[1.0, 2.0, 3.0, 4.0, 5.0], &[6.0, 7.0, 8.0, 9.0, 10.0]).unwrap();
        assert!((test.p - 2.0 / 252.0).abs() < 1e-12, "p is {}", test.p);
        assert_eq!(test.delta, 1.0);
        assert_eq!(test.shift, 5.0);
        assert!((least_p(5, 5) - 2.0 / 252.0).abs() < 1e-12 && (least_p(3, 3) - 0.1).abs() < 1e-12);
        // {1, 2} and {2, 3}: there are six ways to choose two of the ranks 1, 2.5, 2.5, 4. The sums
        // 3.5, 3.5, 6.5, 6.5 are as far from 5 as 6.5 is; the two sums of 5 are not.
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
    fn the_exact_and_the_approximate_p_value_agree_at_the_limit() {
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
        // Ten billion differences, which do not fit into memory.
        let (a, b) = (normal(100.0, 5.0, 100_000, 1), normal(110.0, 5.0, 100_000, 2));
        assert!((rank_test(&a, &b).unwrap().shift - 10.0).abs() < 0.1);
    }

    /// The totals of cold starts have such tails. The test uses ranks only, so they do not affect
    /// it.
    #[test]
    fn heavy_tails_neither_hide_nor_feign_a_shift() {
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
            "{held} of 200 intervals contain the median, 190 are expected"
        );
    }

    #[test]
    fn the_rank_test_has_one_false_alarm_in_twenty() {
        let alarms = (0..400)
            .filter(|&seed| {
                let (a, b) = (normal(50.0, 5.0, 30, seed), normal(50.0, 5.0, 30, seed + 10_000));
                rank_test(&a, &b).unwrap().p < 0.05
            })
            .count();
        assert!((8..=36).contains(&alarms), "{alarms} of 400, 20 expected");
    }

    #[test]
    fn the_rank_test_finds_a_shift_of_one_sigma() {
        let test = rank_test(&normal(50.0, 5.0, 30, 1), &normal(55.0, 5.0, 30, 2)).unwrap();
        assert!(test.p < 0.01 && test.delta > 0.3, "{test:?}");
        assert!((test.shift - 5.0).abs() < 3.0, "{test:?}");
    }

    /// Of 200 intervals of a true shift of 5, some 190 contain it.
    #[test]
    fn the_interval_of_a_shift_contains_it_as_often_as_its_level_states() {
        let held = (0..200).filter(|&seed| {
            let (a, b) = (normal(50.0, 5.0, 25, seed), normal(55.0, 5.0, 25, seed + 10_000));
            let [low, high] = rank_test(&a, &b).unwrap().interval;
            low <= 5.0 && 5.0 <= high
        });
        let held = held.count();
        assert!((182..=198).contains(&held), "{held} of 200");
        let few = rank_test(&[1.0, 2.0], &[4.0, 9.0]).unwrap();
        assert_eq!(few.interval, [2.0, 8.0], "all observed differences");
    }

    #[test]
    fn equal_samples_have_no_difference() {
        let test = rank_test(&[3.0; 10], &[3.0; 10]).unwrap();
        assert_eq!((test.p, test.delta, test.shift), (1.0, 0.0, 0.0));
    }
}
