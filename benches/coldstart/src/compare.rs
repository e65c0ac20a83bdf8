//! Comparison of two runs: which cases became slower beyond noise, which faster, which are
//! undecided. Pure: two results in, verdicts out. "Slower" needs three things: a significant rank
//! test, an effect that is not negligible, and a relevant shift. "The same" needs evidence too:
//! samples that exclude a relevant change. Everything else is "cannot tell".

use crate::phase::Phase;
use crate::results::{EngineKind, PageCache, Results, Run, Scenario, name_of};
use crate::units::{bytes, duration};
use bench_kit::stats::median;
use bench_kit::stats::rank::{RankTest, least_p, rank_test};
use std::fmt;

/// Accepted probability of a false alarm over all cases together (Bonferroni).
const ALPHA: f64 = 0.01;
/// Cliff's delta below this is negligible or small (Romano et al., 2006): noise of a shared
/// machine.
const EFFECT: f64 = 0.33;
/// A shift below this share of the baseline counts as the same, however significant the test is.
const SHIFT: f64 = 0.05;
/// Two sides count as the same if they differ by at most this share of the baseline, by their
/// medians and by the 95 % interval of the shift…
const ROOM: f64 = 0.1;
/// …or, if the samples of one side are spread too far for that, if the 95 % interval of Cliff's
/// delta excludes an effect as large as this (Romano et al., 2006).
const LARGE_EFFECT: f64 = 0.474;

/// What identifies a case in both runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CaseName {
    /// The name of the image.
    pub variant: String,
    /// The link's name.
    pub link: String,
    /// What is already present when the sample begins.
    pub scenario: Scenario,
    /// Which files are in memory.
    pub page_cache: PageCache,
    /// Instances started at once.
    pub burst: usize,
}

/// The compared quantity of a case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Measure {
    /// The total that a caller waits for.
    Total,
    /// The program's own part, from exec to its answer, which a pull would hide.
    Start,
}

/// Verdict on a case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// Slower beyond noise.
    Slower,
    /// Faster beyond noise.
    Faster,
    /// No relevant difference: the samples exclude one.
    Same,
    /// Neither a change nor its absence is shown.
    CannotTell,
    /// It answered before, and now fails.
    Fails,
}

/// One case, before and after.
#[derive(Debug, Clone, PartialEq)]
pub struct Comparison {
    /// The case.
    pub case: CaseName,
    /// The compared quantity.
    pub measure: Measure,
    /// Median of the first run.
    pub before_ns: Option<f64>,
    /// Median of the second run.
    pub after_ns: Option<f64>,
    /// The rank test; `None` with too few samples.
    pub test: Option<RankTest>,
    /// The verdict.
    pub change: Change,
    /// Number of samples of each side; for bursts, number of bursts.
    pub samples: [usize; 2],
    /// Number of samples of each side that failed.
    pub failed: [usize; 2],
    /// Number of samples of each side from which on a test can be significant.
    pub enough: usize,
}

/// Why two runs cannot be compared.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The runs are of two engines.
    #[error(
        "one run is of the `{before}` engine, the other of `{after}`: what they call a start is \
         not the same"
    )]
    Engines {
        /// The first run's engine.
        before: EngineKind,
        /// The second run's engine.
        after: EngineKind,
    },
    /// No case is in both runs.
    #[error("the two runs have no case in common")]
    NothingInCommon,
}

/// Checks whether two runs can be compared; returns the conditions in which they differ.
///
/// # Errors
/// [`Error::Engines`]
pub fn circumstances(before: &Results, after: &Results) -> Result<Vec<String>, Error> {
    if before.engine != after.engine {
        return Err(Error::Engines { before: before.engine, after: after.engine });
    }
    let (then, now) = (&before.host, &after.host);
    let facts = [
        ("processor", then.cpu_model.clone(), now.cpu_model.clone()),
        ("number of cores", then.cores.to_string(), now.cores.to_string()),
        ("memory", bytes(then.memory_bytes), bytes(now.memory_bytes)),
        ("kernel", then.kernel.clone(), now.kernel.clone()),
        ("system", then.os.clone(), now.os.clone()),
    ];
    let mut differences: Vec<String> = facts
        .into_iter()
        .filter(|(_, then, now)| then != now)
        .map(|(what, then, now)| format!("another {what}: `{then}`, then `{now}`"))
        .collect();
    let only = |one: &Results, other: &Results, whose: &str| -> Vec<String> {
        let notes = one.notes.iter().filter(|note| !other.notes.contains(note));
        notes.map(|note| format!("only the {whose} run: {note}")).collect()
    };
    differences.extend(only(before, after, "first"));
    differences.extend(only(after, before, "second"));
    Ok(differences)
}

/// Compares every case that both runs have.
///
/// # Errors
/// [`Error`]
pub fn compare(before: &Results, after: &Results) -> Result<Vec<Comparison>, Error> {
    circumstances(before, after)?;
    let pairs: Vec<_> = cases(after)
        .filter_map(|(name, now)| {
            cases(before).find(|(other, _)| *other == name).map(|(_, then)| (name, then, now))
        })
        .collect();
    if pairs.is_empty() {
        return Err(Error::NothingInCommon);
    }
    // For a provisioned instance the total is the start; in a burst the parts of one instance are
    // those of all.
    let both = |run: &Run| {
        run.scenario != Scenario::Provisioned
            && run.burst == 1
            && run.samples.iter().any(|s| s.start_ns.is_some())
    };
    let tests: usize = pairs.iter().map(|(_, then, _)| 1 + usize::from(both(then))).sum();
    let alpha = ALPHA / tests as f64;
    let judged = pairs.into_iter().flat_map(|(name, then, now)| {
        let start = both(then).then(|| judge(name.clone(), Measure::Start, then, now, alpha));
        [judge(name, Measure::Total, then, now, alpha)].into_iter().chain(start)
    });
    // A case that now fails is reported once.
    Ok(judged.filter(|c| c.measure == Measure::Total || c.change != Change::Fails).collect())
}

/// Whether no case has a verdict.
pub fn none_decided(comparisons: &[Comparison]) -> bool {
    comparisons.iter().all(|c| c.change == Change::CannotTell)
}

/// Whether any case that answered before now fails.
pub fn any_fails(comparisons: &[Comparison]) -> bool {
    comparisons.iter().any(|c| c.change == Change::Fails)
}

/// Whether any case is slower beyond noise.
pub fn any_slower(comparisons: &[Comparison]) -> bool {
    comparisons.iter().any(|c| c.change == Change::Slower)
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

fn judge(case: CaseName, measure: Measure, then: &Run, now: &Run, alpha: f64) -> Comparison {
    // A burst counts as one observation, however many instances it has.
    let of = |run: &Run| match measure {
        Measure::Total => run.independent_ns(),
        Measure::Start => run.phase_ns(Phase::Start),
    };
    let (a, b) = (of(then), of(now));
    let (before_ns, after_ns) = (median(&a), median(&b));
    let can_be_sure = least_p(a.len(), b.len()) < alpha;
    let test = rank_test(&a, &b);
    let change = match (test.filter(|_| can_be_sure), before_ns) {
        (Some(test), Some(before))
            if test.p < alpha && test.delta.abs() > EFFECT && test.shift.abs() > SHIFT * before =>
        {
            if test.shift > 0.0 {
                Change::Slower
            } else {
                Change::Faster
            }
        }
        (Some(test), Some(before))
            if after_ns.is_some_and(|after| (after - before).abs() <= ROOM * before)
                && (test.interval.iter().all(|bound| bound.abs() <= ROOM * before)
                    || largest_effect(test.delta, a.len(), b.len()) < LARGE_EFFECT) =>
        {
            Change::Same
        }
        _ if !a.is_empty() && b.is_empty() && !now.samples.is_empty() => Change::Fails,
        _ => Change::CannotTell,
    };
    let enough = (2..).find(|&n| least_p(n, n) < alpha).unwrap_or(usize::MAX);
    Comparison {
        case,
        measure,
        before_ns,
        after_ns,
        test,
        change,
        samples: [a.len(), b.len()],
        failed: [then, now].map(|run| run.samples.iter().filter(|s| s.error.is_some()).count()),
        enough,
    }
}

/// The largest absolute Cliff's delta that these samples allow: its deviation is that of the rank
/// sum if nothing differs.
fn largest_effect(delta: f64, n: usize, m: usize) -> f64 {
    let (n, m) = (n as f64, m as f64);
    delta.abs() + 1.96 * ((n + m + 1.0) / (3.0 * n * m)).sqrt()
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let CaseName { variant, link, scenario, page_cache, burst } = &self.case;
        let word = match self.change {
            Change::Slower => "SLOWER",
            Change::Faster => "faster",
            Change::Same => "same",
            Change::CannotTell => "cannot tell",
            Change::Fails => "FAILS",
        };
        write!(f, "{word:11}  {variant}, {}", name_of(*scenario, link, *page_cache, *burst))?;
        if self.measure == Measure::Start {
            write!(f, ", its start")?;
        }
        if self.change == Change::Fails {
            return write!(f, ": it answered before, and no sample does now");
        }
        if let Some((before, after)) = self.before_ns.zip(self.after_ns) {
            write!(f, ": {} -> {}", duration(before), duration(after))?;
            write!(f, " ({}", signed_percent(after - before, before))?;
            if let Some(test) = self.test {
                write!(f, "; p {}, Cliff's delta {:+.2}", chance(test.p), test.delta)?;
            }
            write!(f, ")")?;
        }
        if self.failed[1] > self.failed[0] && self.measure == Measure::Total {
            let [then, now] = self.failed;
            write!(f, "; {then} and {now} samples failed")?;
        }
        if self.change != Change::CannotTell {
            return Ok(());
        }
        let [then, now] = self.samples;
        write!(f, "; {then} and {now} samples without error")?;
        match (then.min(now) < self.enough, self.test.zip(self.before_ns)) {
            (false, Some((test, before))) => {
                let [low, high] = test.interval.map(|bound| signed_percent(bound, before));
                write!(f, " allow {low} to {high}: take more")
            }
            _ => write!(f, ", no test is significant with fewer than {} each", self.enough),
        }
    }
}

/// A change as a share of the earlier value. Of nothing there is no share.
fn signed_percent(change: f64, before: f64) -> String {
    if before == 0.0 && change != 0.0 {
        return "from nothing".into();
    }
    match change / before.max(f64::MIN_POSITIVE) * 100.0 {
        p if p.abs() < 0.05 => "0.0 %".into(),
        p if p.abs() < 9.95 => format!("{p:+.1} %"),
        p => format!("{p:+.0} %"),
    }
}

/// A p-value.
fn chance(p: f64) -> String {
    if p < 0.001 { format!("{p:.1e}") } else { format!("{p:.3}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::phase::Phase;
    use crate::results::{EngineKind, Overhead, SCHEMA, Sample, Variant};
    use bench_kit::host::Host;
    use bench_kit::stats::Summary;

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
            on_platform: None,
        };
        run.summarise();
        let variant = Variant {
            name: "echo".into(),
            reference: "echo:latest".into(),
            compressed_bytes: Some(1),
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

    fn compared(before: &Results, after: &Results) -> Vec<Comparison> {
        compare(before, after).unwrap()
    }

    /// Regression: a record of three samples and the same record with totals ten times as long were
    /// reported as the same.
    #[test]
    fn too_few_samples_are_inconclusive() {
        let few = compared(&results([100, 101, 102]), &results([1000, 1010, 1020]));
        assert_eq!(few[0].change, Change::CannotTell);
        assert!(none_decided(&few) && !any_slower(&few));
        assert!(
            few[0].to_string().contains("3 and 3 samples")
                && few[0].to_string().contains("fewer than 5"),
            "{}",
            few[0]
        );
        // The number of samples that the message requires is sufficient.
        let enough =
            compared(&results([100, 101, 102, 103, 104]), &results([1000, 1010, 1020, 1030, 1040]));
        assert_eq!(enough[0].change, Change::Slower, "{}", enough[0]);
        assert!(!none_decided(&enough));
    }

    /// Regression: 20 samples and 5 that took two and a half times as long, p 0.051, were reported
    /// as the same.
    #[test]
    fn an_unproved_change_is_neither_slower_nor_the_same() {
        // Two of the five are as fast as before.
        let after = [1_000_000, 1_010_000, 4_000_000, 4_100_000, 4_200_000];
        let before: Vec<u64> = (0..20).map(|i| 990_000 + i * 2_000).collect();
        let verdict = &compared(&results(before.clone()), &results(after))[0];
        let p = verdict.test.expect("tested").p;
        assert!(verdict.change == Change::CannotTell && p > ALPHA && p < 0.2, "{verdict}");
        assert!(verdict.to_string().contains("20 and 5 samples"), "{verdict}");
        assert!(none_decided(std::slice::from_ref(verdict)), "no case has a verdict");
        // Equal medians do not make two sets the same: the interval of these allows any change.
        let wide = |seed: u64| (0..8u64).map(move |i| 1_000_000 + (i + seed) * 7919 % 13 * 400_000);
        let verdict = &compared(&results(wide(0)), &results(wide(5)))[0];
        assert!(verdict.change == Change::CannotTell, "{verdict}");
        assert!(verdict.to_string().contains("allow "), "{verdict}");
        let verdict = &compared(&results(before.clone()), &results(before))[0];
        assert_eq!(verdict.change, Change::Same, "{verdict}");
    }

    /// Regression: the text had `+12 %` beside 1.69 ms -> 2.52 ms.
    #[test]
    fn the_percentage_is_that_of_the_numbers_beside_it() {
        // The median moves by half, the typical difference of two samples by far less.
        let before = (0..21).map(|i| if i < 10 { 1_000_000 } else { 1_690_000 });
        let after = (0..21).map(|i| if i < 10 { 1_010_000 } else { 2_520_000 });
        let verdict = &compared(&results(before), &results(after))[0];
        assert_ne!(verdict.change, Change::Same, "{verdict}");
        let verdict = verdict.to_string();
        assert!(verdict.contains("1.69 ms -> 2.52 ms (+49 %;"), "{verdict}");
        let faster = compared(&results(around(2_000_000)), &results(around(1_000_000)));
        assert!(faster[0].to_string().contains("(-50 %;"), "{}", faster[0]);
        assert_eq!(
            [0.0, -0.0001, 0.051, -0.051, 1.48, -0.996].map(|change| signed_percent(change, 1.0)),
            ["0.0 %", "0.0 %", "+5.1 %", "-5.1 %", "+148 %", "-100 %"]
        );
        // `NaN %` and `+inf %` stood beside zeros.
        assert_eq!([0.0, 5.0].map(|change| signed_percent(change, 0.0)), ["0.0 %", "from nothing"]);
    }

    /// Regression: half of the samples failed, and the line said no more than `same`.
    #[test]
    fn samples_that_fail_now_are_counted_beside_the_verdict() {
        let before = results(around(1_000_000));
        let mut after = before.clone();
        let failure = crate::results::Failure { phase: Phase::Pull, message: "broken".into() };
        let sample = after.variants[0].runs[0].samples[0].clone();
        after.variants[0].runs[0].samples.extend((0..7).map(|_| crate::results::Sample {
            total_ns: None,
            error: Some(failure.clone()),
            ..sample.clone()
        }));
        let verdict = &compared(&before, &after)[0];
        assert_eq!((verdict.change, verdict.failed), (Change::Same, [0, 7]), "{verdict}");
        assert!(verdict.to_string().ends_with("; 0 and 7 samples failed"), "{verdict}");
        assert!(!compared(&after, &before)[0].to_string().contains("failed"));
    }

    #[test]
    fn a_burst_is_one_observation() {
        let burst = |total: u64| {
            let mut results = results((0..16).map(|i| total + i));
            results.variants[0].runs[0].burst = 8;
            results
        };
        let two_bursts = compared(&burst(1_000_000), &burst(2_000_000));
        assert_eq!((two_bursts[0].change, two_bursts[0].samples), (Change::CannotTell, [2, 2]));
    }

    #[test]
    fn another_engine_is_refused_and_another_machine_is_noted() {
        let (before, mut after) = (results(around(9)), results(around(9)));
        assert_eq!(circumstances(&before, &after), Ok(Vec::new()));
        after.host.cores = 64;
        after.notes.push("instances have 128 MiB of memory".into());
        let said = circumstances(&before, &after).unwrap().join("\n");
        assert!(said.contains("cores") && said.contains("128 MiB"), "{said}");
        after.engine = EngineKind::Docker;
        let refused = compare(&before, &after).unwrap_err();
        assert!(
            refused.to_string().contains("`embedded`") && refused.to_string().contains("`docker`"),
            "{refused}"
        );
    }

    #[test]
    fn a_tenth_more_is_slower_and_a_tenth_less_is_faster() {
        let slower = compared(&results(around(1_000_000)), &results(around(1_100_000)));
        assert_eq!(slower[0].change, Change::Slower);
        assert!(
            any_slower(&slower) && slower[0].to_string().contains("Cliff's delta"),
            "{}",
            slower[0]
        );
        assert_eq!(
            compared(&results(around(1_100_000)), &results(around(1_000_000)))[0].change,
            Change::Faster
        );
    }

    #[test]
    fn the_same_run_is_the_same() {
        let same = compared(&results(around(1_000_000)), &results(around(1_000_000)));
        assert_eq!(same[0].change, Change::Same);
        assert!(!any_slower(&same));
    }

    #[test]
    fn an_irrelevant_shift_is_not_slower_however_significant() {
        assert_eq!(
            compared(&results(vec![1_000_000; 40]), &results(vec![1_010_000; 40]))[0].change,
            Change::Same
        );
    }

    #[test]
    fn without_samples_it_does_not_guess() {
        assert_eq!(compared(&results([]), &results(around(5)))[0].change, Change::CannotTell);
        assert_eq!(
            compared(&results(around(5)), &results([]))[0].change,
            Change::CannotTell,
            "nothing was tried"
        );
    }

    #[test]
    fn a_case_that_answered_before_and_fails_now_is_reported() {
        let mut broken = results(around(5));
        for sample in &mut broken.variants[0].runs[0].samples {
            sample.error =
                Some(crate::results::Failure { phase: Phase::Start, message: "gone".into() });
        }
        let fails = compared(&results(around(5)), &broken);
        assert!(fails.len() == 1 && any_fails(&fails) && !any_slower(&fails), "{fails:?}");
        assert!(fails[0].to_string().starts_with("FAILS") && !none_decided(&fails), "{}", fails[0]);
    }

    /// Regression: a start that took twice as long was a twentieth of the total, and was reported
    /// as the same.
    #[test]
    fn a_start_twice_as_slow_is_found_although_the_pull_is_much_longer() {
        let of = |start_ns: u64| {
            let mut results = results(around(7_700_000));
            for (sample, ns) in results.variants[0].runs[0].samples.iter_mut().zip(around(start_ns))
            {
                sample.start_ns = Some(ns);
            }
            results
        };
        let [total, start] = &compared(&of(306_000), &of(612_000))[..] else {
            panic!("two measures")
        };
        assert_eq!((total.change, start.change), (Change::Same, Change::Slower));
        assert!(start.to_string().contains("cold, loopback, its start: 3"), "{start}");
    }

    #[test]
    fn cases_that_only_one_run_has_are_not_compared() {
        let mut other = results(around(9));
        other.variants[0].name = "else".into();
        assert_eq!(compare(&results(around(9)), &other), Err(Error::NothingInCommon));
    }
}
