//! Compares two runs: which cases became slower beyond noise, which faster, which cannot be told apart.
//! Pure: two results in, verdicts out. Slower needs all three: a rank test that is sure, an effect that is
//! not negligible, and a shift that a person could care about.

use std::fmt;

use crate::results::{PageCache, Results, Run, Scenario};
use crate::stats::{RankTest, median, rank_test};
use crate::units::{duration, percent};

/// Chance of a false alarm that is accepted over all cases together (Bonferroni).
const ALPHA: f64 = 0.01;
/// Cliff's delta below this is negligible or small (Romano et al., 2006): noise of a shared machine.
const EFFECT: f64 = 0.33;
/// A shift below this share of the baseline is called the same, however sure the test is.
const SHIFT: f64 = 0.05;

/// What identifies a case in both runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CaseName {
    pub variant: String,
    pub link: String,
    pub scenario: Scenario,
    pub page_cache: PageCache,
    pub burst: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Slower,
    Faster,
    Same,
    /// One side has no samples without error.
    CannotTell,
}

/// One case, before and after.
#[derive(Debug, Clone, PartialEq)]
pub struct Comparison {
    pub case: CaseName,
    pub before_ns: Option<f64>,
    pub after_ns: Option<f64>,
    pub test: Option<RankTest>,
    pub verdict: Verdict,
}

/// Compares every case that both runs have.
pub fn compare(before: &Results, after: &Results) -> Vec<Comparison> {
    let pairs: Vec<_> = cases(after)
        .filter_map(|(name, now)| cases(before).find(|(other, _)| *other == name).map(|(_, then)| (name, then, now)))
        .collect();
    let alpha = ALPHA / pairs.len().max(1) as f64;
    pairs.into_iter().map(|(name, then, now)| judge(name, then, now, alpha)).collect()
}

/// Whether any case is slower beyond noise.
pub fn any_slower(comparisons: &[Comparison]) -> bool {
    comparisons.iter().any(|c| c.verdict == Verdict::Slower)
}

fn cases(results: &Results) -> impl Iterator<Item = (CaseName, &Run)> {
    results.variants.iter().flat_map(|variant| {
        variant.runs.iter().map(|run| {
            let name = CaseName {
                variant: variant.name.clone(),
                link: run.link.clone(),
                scenario: run.scenario,
                page_cache: run.page_cache,
                burst: run.burst,
            };
            (name, run)
        })
    })
}

fn judge(case: CaseName, then: &Run, now: &Run, alpha: f64) -> Comparison {
    let (a, b) = (then.totals_ns(), now.totals_ns());
    let (before_ns, after_ns) = (median(&a), median(&b));
    let test = rank_test(&a, &b);
    let verdict =
        match (test, before_ns) {
            (Some(test), Some(before))
                if test.p < alpha && test.delta.abs() > EFFECT && test.shift.abs() > SHIFT * before =>
            {
                if test.shift > 0.0 { Verdict::Slower } else { Verdict::Faster }
            }
            (Some(_), Some(_)) => Verdict::Same,
            _ => Verdict::CannotTell,
        };
    Comparison { case, before_ns, after_ns, test, verdict }
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let CaseName { variant, link, scenario, burst, .. } = &self.case;
        let word = match self.verdict {
            Verdict::Slower => "SLOWER",
            Verdict::Faster => "faster",
            Verdict::Same => "same",
            Verdict::CannotTell => "cannot tell",
        };
        write!(f, "{word:11}  {variant} {scenario:?} {link} x{burst}")?;
        match (self.before_ns, self.after_ns, self.test) {
            (Some(before), Some(after), Some(test)) => write!(
                f,
                ": {} -> {} ({}{}; p {:.2e}, Cliff's delta {:+.2})",
                duration(before),
                duration(after),
                if test.shift > 0.0 { "+" } else { "" },
                percent(test.shift / before),
                test.p,
                test.delta
            ),
            _ => write!(f, ": too few samples without error on one side"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::{EngineKind, Host, Overhead, SCHEMA, Sample, Variant};
    use crate::stats::Summary;

    fn results(totals: impl IntoIterator<Item = u64>) -> Results {
        let sample = |(order, ns)| Sample { order, total_ns: Some(ns), ..Sample::default() };
        let mut run = Run {
            link: "loopback".into(),
            scenario: Scenario::Cold,
            page_cache: PageCache::Warm,
            burst: 1,
            requests: 3,
            bytes: 1,
            samples: totals.into_iter().enumerate().map(sample).collect(),
            summary: Summary::default(),
        };
        run.summarise();
        let variant = Variant {
            name: "echo".into(),
            reference: "echo:latest".into(),
            compressed_bytes: 1,
            uncompressed_bytes: None,
            layers: 1,
            runs: vec![run],
        };
        let text = String::new;
        Results {
            schema: SCHEMA,
            engine: EngineKind::Embedded,
            host: Host {
                kernel: text(),
                cpu_model: text(),
                cores: 1,
                memory_bytes: 0,
                os: text(),
                rustc: text(),
                git_describe: text(),
                date: text(),
            },
            overhead: Overhead::default(),
            variants: vec![variant],
            guidance: Vec::new(),
            notes: Vec::new(),
        }
    }

    /// Thirty totals around `middle`, spread by some per cent, not in order.
    fn around(middle: u64) -> impl Iterator<Item = u64> {
        (0..30u64).map(move |i| middle + (i * 7919 % 31) * middle / 500)
    }

    #[test]
    fn a_tenth_more_is_slower_and_a_tenth_less_is_faster() {
        let slower = compare(&results(around(1_000_000)), &results(around(1_100_000)));
        assert_eq!(slower[0].verdict, Verdict::Slower);
        assert!(any_slower(&slower) && slower[0].to_string().contains("Cliff's delta"), "{}", slower[0]);
        assert_eq!(compare(&results(around(1_100_000)), &results(around(1_000_000)))[0].verdict, Verdict::Faster);
    }

    #[test]
    fn the_same_run_is_the_same() {
        let same = compare(&results(around(1_000_000)), &results(around(1_000_000)));
        assert_eq!(same[0].verdict, Verdict::Same);
        assert!(!any_slower(&same));
    }

    #[test]
    fn a_shift_that_nobody_could_care_about_is_not_slower_however_sure() {
        assert_eq!(compare(&results(vec![1_000_000; 40]), &results(vec![1_010_000; 40]))[0].verdict, Verdict::Same);
    }

    #[test]
    fn without_samples_it_does_not_guess() {
        assert_eq!(compare(&results([]), &results(around(5)))[0].verdict, Verdict::CannotTell);
    }

    #[test]
    fn cases_that_only_one_run_has_are_not_compared() {
        let mut other = results(around(9));
        other.variants[0].name = "else".into();
        assert!(compare(&results(around(9)), &other).is_empty());
    }
}
