//! Saturation of a machine: the end of a ramp of growing bursts, and a sentence from the runs of
//! one case with several bursts. Pure.

use crate::results::{Results, Run, Sample, Variant, name_of};
use crate::units::{duration, times};
use bench_kit::stats;

/// Smallest gain in throughput with each doubling of the burst; below it the machine is saturated.
const GROWTH: f64 = 1.15;
/// The bursts of a ramp: doublings, up to the largest supported.
pub const RAMP: [u16; 10] = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512];
/// Number of steps in a row without gain after which a ramp ends: a single one may be bad luck.
const FLAT_STEPS: u32 = 2;

/// Ramp of growing bursts; it keeps the last one that gave more starts per second.
#[derive(Debug, Default)]
pub struct Ramp {
    /// That burst, with its rate.
    best: Option<(usize, f64)>,
    flat: u32,
}

impl Ramp {
    /// Records the next larger burst. Returns whether a larger one should be tried: not after a
    /// burst without an answer.
    pub fn goes_on(&mut self, burst: usize, samples: &[Sample]) -> bool {
        let Some(rate) = rate(burst, samples) else { return false };
        match self.best {
            Some((at, best))
                if rate < best * GROWTH.powf((burst as f64 / at as f64).log2().max(0.01)) =>
            {
                self.flat += 1
            }
            _ => (self.best, self.flat) = (Some((burst, rate)), 0),
        }
        self.flat < FLAT_STEPS
    }

    /// The burst beyond which larger bursts gave no more, if there was one.
    pub fn saturated_at(&self) -> Option<usize> {
        self.best.filter(|_| self.flat > 0).map(|(burst, _)| burst)
    }
}

/// Correct answers per second, counted from a burst's first intended start until nine tenths of its
/// answers have come: the few slowest ones do not show that a machine is full. Of several bursts
/// the median. A failed instance is not an answer.
fn rate(burst: usize, samples: &[Sample]) -> Option<f64> {
    let of_one = |round: &[Sample]| {
        let mut ends_ns: Vec<u64> =
            round.iter().filter_map(|s| Some(s.intended_start_ns + s.total_ns?)).collect();
        ends_ns.sort_unstable();
        let counted = (ends_ns.len() * 9).div_ceil(10);
        let began_ns =
            round.iter().filter(|s| s.total_ns.is_some()).map(|s| s.intended_start_ns).min()?;
        let lasted_ns = ends_ns.get(counted.checked_sub(1)?)?.saturating_sub(began_ns);
        Some(counted as f64 / lasted_ns.max(1) as f64 * 1e9)
    };
    stats::median(&samples.chunks(burst.max(1)).filter_map(of_one).collect::<Vec<_>>())
}

/// The runs of one variant that differ only in their burst, by its size.
pub struct Series<'a> {
    /// The variant.
    pub variant: &'a Variant,
    /// Its runs, at least two, by ascending burst.
    pub runs: Vec<&'a Run>,
}

/// Every series with several bursts that the results hold; runs without a good sample are left out.
pub fn series(results: &Results) -> Vec<Series<'_>> {
    let mut found: Vec<Series<'_>> = Vec::new();
    for variant in &results.variants {
        for run in variant.runs.iter().filter(|r| r.summary.n > 0) {
            let same =
                |s: &&mut Series<'_>| s.variant.name == variant.name && is_like(s.runs[0], run);
            match found.iter_mut().find(same) {
                Some(series) => series.runs.push(run),
                None => found.push(Series { variant, runs: vec![run] }),
            }
        }
    }
    found.retain(|s| s.runs.len() > 1);
    found.iter_mut().for_each(|s| s.runs.sort_by_key(|r| r.burst));
    found
}

fn is_like(one: &Run, other: &Run) -> bool {
    (&one.link, one.scenario, one.page_cache) == (&other.link, other.scenario, other.page_cache)
}

/// One sentence for each series.
pub fn saturation(results: &Results) -> Vec<String> {
    let named = |s: &Series<'_>| {
        let one = s.runs[0];
        let what = name_of(one.scenario, &one.link, one.page_cache, 1);
        Some(format!("{}, {what}: {}", s.variant.name, describe(&s.runs)?))
    };
    series(results).iter().filter_map(named).collect()
}

fn describe(series: &[&Run]) -> Option<String> {
    let (first, last) = (series.first()?, series.last()?);
    let slower = last.summary.median_ns? / first.summary.median_ns?;
    let mut ramp = Ramp::default();
    // Unlike a ramp that is being measured, this one has all bursts.
    let full = series.iter().find_map(|run| {
        let goes_on = ramp.goes_on(run.burst, &run.samples);
        (!goes_on).then(|| ramp.saturated_at()).flatten()
    });
    let full = full.or_else(|| ramp.saturated_at());
    let most = series.iter().filter_map(|r| rate(r.burst, &r.samples)).fold(0.0, f64::max);
    let most = format!(
        "{} at once take {} each, {} of {} at once; at most {most:.0} starts a second",
        last.burst,
        duration(last.summary.median_ns?),
        times(slower),
        first.burst
    );
    let held = series.iter().find(|r| r.samples.iter().any(|s| s.error.is_some())).map(|run| {
        let failed = run.samples.iter().filter(|s| s.error.is_some()).count();
        format!("; of {} at once {failed} of {} instances failed", run.burst, run.samples.len())
    });
    let held = held.unwrap_or_default();
    Some(match full {
        Some(burst) => format!("saturated at {burst} at once; {most}{held}"),
        None => format!("not saturated up to {} at once; {most}{held}", last.burst),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::{PageCache, Sample, Scenario};
    use bench_kit::stats::Summary;

    fn run(burst: usize, total_ns: u64) -> Run {
        let samples = vec![Sample { total_ns: Some(total_ns), ..Sample::default() }; burst];
        let (link, scenario, page_cache) = ("loopback".to_owned(), Scenario::Cold, PageCache::Warm);
        let mut run = Run {
            link,
            scenario,
            page_cache,
            burst,
            requests: 3,
            bytes: 1,
            samples,
            summary: Summary::default(),
            on_platform: None,
        };
        run.summarise();
        run
    }

    #[test]
    fn a_machine_that_serves_one_after_the_other_is_saturated_from_the_start() {
        let runs = [run(1, 1_000_000), run(4, 4_000_000), run(16, 16_000_000)];
        let said = describe(&runs.iter().collect::<Vec<_>>()).unwrap();
        assert!(said.starts_with("saturated at 1 at once"), "{said}");
    }

    /// The step from 2 to 4 is noise; from 8 on the ramp is flat: neither 16 nor 32 gives more.
    const STEPS: [(usize, u64, bool); 6] = [
        (1, 1000, true),
        (2, 1000, true),
        (4, 2000, true),
        (8, 2500, true),
        (16, 5000, true),
        (32, 9900, false),
    ];

    #[test]
    fn a_ramp_ends_after_two_flat_steps_or_without_an_answer() {
        let mut ramp = Ramp::default();
        for (burst, total_ns, goes_on) in STEPS {
            assert_eq!(ramp.goes_on(burst, &run(burst, total_ns).samples), goes_on, "{burst}");
        }
        assert_eq!(ramp.saturated_at(), Some(8));
        let mut failed = run(2, 1000).samples;
        failed.iter_mut().for_each(|s| s.total_ns = None);
        assert!(!Ramp::default().goes_on(2, &failed) && !Ramp::default().goes_on(1, &[]));
    }

    #[test]
    fn the_sentence_on_a_ramp_names_where_it_ended() {
        let runs = STEPS.map(|(burst, total_ns, _)| run(burst, total_ns));
        let said = describe(&runs.iter().collect::<Vec<_>>()).unwrap();
        assert!(
            said.starts_with("saturated at 8 at once") && said.contains("3200000 starts a second"),
            "{said}"
        );
    }

    #[test]
    fn a_rate_counts_answers_from_the_intended_start() {
        let mut spread = run(10, 1_000_000).samples;
        spread.iter_mut().zip(0..).for_each(|(s, at)| s.intended_start_ns = 7_000 + at * 1_000_000);
        // The ninth of ten starts 8 ms after the first, and answers after 9 ms.
        assert_eq!(rate(10, &spread), Some(1000.0));
        spread.iter_mut().skip(1).for_each(|s| s.total_ns = None);
        assert_eq!(
            rate(10, &spread),
            Some(1000.0),
            "one answer in a millisecond, however many failed"
        );
        let twice = [run(2, 1000).samples, run(2, 4000).samples].concat();
        assert_eq!(rate(2, &twice), Some((2e6 + 5e5) / 2.0), "the median of two bursts");
    }

    #[test]
    fn names_the_burst_from_which_on_the_machine_was_full() {
        let mut runs = [run(1, 1_000_000), run(8, 1_100_000)];
        runs[1].samples[5].error = Some(crate::results::Failure {
            phase: crate::phase::Phase::Create,
            message: "full".into(),
        });
        runs[1].summarise();
        let said = describe(&runs.iter().collect::<Vec<_>>()).unwrap();
        assert!(said.ends_with("of 8 at once 1 of 8 instances failed"), "{said}");
    }

    #[test]
    fn finds_the_burst_at_which_throughput_stops_growing() {
        let runs = [run(1, 1_000_000), run(2, 1_050_000), run(4, 1_200_000), run(8, 2_600_000)];
        let said = describe(&runs.iter().collect::<Vec<_>>()).unwrap();
        assert!(said.starts_with("saturated at 4 at once"), "{said}");
        let runs = [run(1, 1_000_000), run(8, 1_100_000)];
        assert!(describe(&runs.iter().collect::<Vec<_>>()).unwrap().starts_with("not saturated"));
    }
}
