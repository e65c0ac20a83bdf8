//! Where a machine saturates: how far a ramp of growing bursts goes, and from runs of one case with several bursts to a
//! sentence. Pure.

use crate::results::{Results, Run, Sample, Variant};
use crate::stats;
use crate::units::{duration, times};

/// Twice the burst must bring at least this much more throughput, or the machine is full.
const GROWTH: f64 = 1.15;

/// The bursts of a ramp: doublings, up to the largest that there is.
pub const RAMP: [u16; 10] = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512];
/// Steps in a row that bring no more throughput, after which a ramp ends: one alone may be bad luck.
const FLAT_STEPS: u32 = 2;

/// Whether a ramp goes on, told after each of its bursts.
#[derive(Debug, Default)]
pub struct Ramp {
    best: f64,
    flat: u32,
}

impl Ramp {
    /// Whether a larger burst is worth a try after this one. Not after one in which an instance failed.
    pub fn goes_on(&mut self, samples: &[Sample]) -> bool {
        let totals: Option<Vec<f64>> = samples.iter().map(|s| s.total_ns.map(|ns| ns as f64)).collect();
        let Some(rate) =
            totals.and_then(|totals| Some(rate(samples.len(), stats::quantile(&stats::sorted(&totals), 0.9)?)))
        else {
            return false;
        };
        self.flat = if rate < self.best * GROWTH { self.flat + 1 } else { 0 };
        self.best = self.best.max(rate);
        self.flat < FLAT_STEPS
    }
}

/// The runs of one variant that differ only in their burst, by its size.
pub struct Series<'a> {
    pub variant: &'a Variant,
    /// At least two, ascending.
    pub runs: Vec<&'a Run>,
}

/// Every series with several bursts that the results hold; runs without a good sample are left out.
pub fn series(results: &Results) -> Vec<Series<'_>> {
    let mut found: Vec<Series<'_>> = Vec::new();
    for variant in &results.variants {
        for run in variant.runs.iter().filter(|r| r.summary.n > 0) {
            let same = |s: &&mut Series<'_>| s.variant.name == variant.name && is_like(s.runs[0], run);
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
        let what = format!("{}, {:?}, {}", s.variant.name, s.runs[0].scenario, s.runs[0].link).to_lowercase();
        Some(format!("{what}: {}", describe(&s.runs)?))
    };
    series(results).iter().filter_map(named).collect()
}

/// Instances a second that a burst brings to their first reply: as many as it has, in its slowest tenth's time.
fn throughput(run: &Run) -> Option<f64> {
    Some(rate(run.burst, run.summary.p90_ns?))
}

fn rate(burst: usize, slowest_tenth_ns: f64) -> f64 {
    burst as f64 / slowest_tenth_ns * 1e9
}

fn describe(series: &[&Run]) -> Option<String> {
    let (first, last) = (series.first()?, series.last()?);
    let slower = last.summary.median_ns? / first.summary.median_ns?;
    let full = series.windows(2).find(|pair| {
        let (Some(before), Some(after)) = (throughput(pair[0]), throughput(pair[1])) else { return false };
        let doublings = (pair[1].burst as f64 / pair[0].burst as f64).log2();
        (after / before).powf(1.0 / doublings.max(0.01)) < GROWTH
    });
    let best = series.iter().filter_map(|r| throughput(r)).fold(0.0, f64::max);
    let most = format!(
        "{} at once take {} each, {} of {} at once; at most {best:.0} starts a second",
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
        Some(pair) => format!("saturated at {} at once; {most}{held}", pair[0].burst),
        None => format!("not saturated up to {} at once; {most}{held}", last.burst),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::{PageCache, Sample, Scenario};
    use crate::stats::Summary;

    fn run(burst: usize, total_ns: u64) -> Run {
        let samples = vec![Sample { total_ns: Some(total_ns), ..Sample::default() }; burst];
        let (link, scenario, page_cache) = ("loopback".to_owned(), Scenario::Cold, PageCache::Warm);
        let mut run =
            Run { link, scenario, page_cache, burst, requests: 3, bytes: 1, samples, summary: Summary::default() };
        run.summarise();
        run
    }

    #[test]
    fn a_machine_that_serves_one_after_the_other_is_saturated_from_the_start() {
        let runs = [run(1, 1_000_000), run(4, 4_000_000), run(16, 16_000_000)];
        let said = describe(&runs.iter().collect::<Vec<_>>()).unwrap();
        assert!(said.starts_with("saturated at 1 at once"), "{said}");
    }

    #[test]
    fn a_ramp_ends_after_two_flat_steps_or_a_failure() {
        let of = |burst: usize, total_ns: u64| run(burst, total_ns).samples;
        let mut ramp = Ramp::default();
        // The step from 2 to 4 is bad luck, that from 8 on is the end: 16 does not double it, nor does 32.
        let steps =
            [(1, 1000, true), (2, 1000, true), (4, 2000, true), (8, 2500, true), (16, 5000, true), (32, 9900, false)];
        for (burst, total_ns, goes_on) in steps {
            assert_eq!(ramp.goes_on(&of(burst, total_ns)), goes_on, "{burst}");
        }
        let mut failed = of(2, 1000);
        failed[1].total_ns = None;
        assert!(!Ramp::default().goes_on(&failed) && !Ramp::default().goes_on(&[]));
    }

    #[test]
    fn says_from_where_on_the_machine_held_no_more() {
        let mut runs = [run(1, 1_000_000), run(8, 1_100_000)];
        runs[1].samples[5].error = Some(crate::results::Failure { phase: "create".into(), message: "full".into() });
        runs[1].summarise();
        let said = describe(&runs.iter().collect::<Vec<_>>()).unwrap();
        assert!(said.ends_with("of 8 at once 1 of 8 instances failed"), "{said}");
    }

    #[test]
    fn finds_where_throughput_stops_to_grow() {
        let runs = [run(1, 1_000_000), run(2, 1_050_000), run(4, 1_200_000), run(8, 2_600_000)];
        let said = describe(&runs.iter().collect::<Vec<_>>()).unwrap();
        assert!(said.starts_with("saturated at 4 at once"), "{said}");
        let runs = [run(1, 1_000_000), run(8, 1_100_000)];
        assert!(describe(&runs.iter().collect::<Vec<_>>()).unwrap().starts_with("not saturated"));
    }
}
