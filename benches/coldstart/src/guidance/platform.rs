//! Guidance for a run on a cloud's own platform: the measured gain of its advice, by its own log
//! and by the client's clock. If no reliable number is possible, the row states why, and what to
//! run.

use super::rows::absent;
use crate::phase::Phase;
use crate::results::{
    ColdBy, EngineKind, Guidance, PlatformTimes, Results, Run, Sample, Scenario, Unit, Variant,
};
use crate::units::{duration, percent, times};
use bench_kit::stats::{self, median};

/// Factor by which an accelerated start is faster on average, as the platform states it.
const PROMISE: f64 = 5.0;
/// Number of samples of each side from which on an interval is useful.
const ENOUGH: usize = 5;
/// A part of a day: the platform's load changes with it.
const PART_HOURS: u32 = 6;
/// Time within which the HTTP server must listen (SCF).
const LISTEN_DEADLINE_NS: f64 = 30e9;
const OWN_LOG: &str = "the platform's own log and this client's clock";

/// All rows.
pub(super) fn advise(results: &Results) -> Vec<Guidance> {
    let mut rows = Vec::new();
    let measured_here = results
        .variants
        .iter()
        .flat_map(|v| &v.runs)
        .any(|run| run.on_platform.as_ref().is_some_and(|platform| platform.region.is_some()));
    for variant in &results.variants {
        rows.push(pull(variant));
        if measured_here && results.engine == EngineKind::Scf {
            rows.extend(acceleration(variant));
            rows.push(provisioned(variant));
        }
        rows.push(start(variant));
    }
    rows.extend(memory(results));
    rows
}

fn alone(variant: &Variant, scenario: Scenario) -> Option<&Run> {
    variant.runs.iter().find(|run| {
        run.scenario == scenario && run.burst == 1 && run.samples.iter().any(Sample::counts)
    })
}

fn of_platform(run: &Run, ns: impl Fn(&PlatformTimes) -> Option<u64>) -> Vec<f64> {
    run.times_ns(|sample| sample.on_platform.as_ref().and_then(&ns))
}

fn row(variant: &Variant, id: &str, run: Option<&Run>) -> Guidance {
    Guidance {
        link: run.map(|run| run.link.clone()),
        measured: String::new(),
        verdict: String::new(),
        ..absent(variant, id, String::new())
    }
}

/// A smaller image: the pull's part of the platform's start.
fn pull(variant: &Variant) -> Guidance {
    let Some(run) = alone(variant, Scenario::Cold) else {
        return absent(variant, "minimal-image", "run with `--scenario cold`".into());
    };
    let pulls = run.phase_ns(Phase::Pull);
    let starts = of_platform(run, |of| of.platform_ns);
    let without = starts.len().saturating_sub(pulls.len());
    let (Some(pulled), Some(whole)) = (median(&pulls), median(&starts)) else {
        let todo = match starts.is_empty() {
            true => "no start of the platform is in it",
            false => "the platform's lines have no pull: it was cached, or there was none",
        };
        return absent(variant, "minimal-image", todo.into());
    };
    let share = (pulled / whole).clamp(0.0, 1.0);
    Guidance {
        source: OWN_LOG.into(),
        measured: format!(
            "the platform pulls for {} of a start of {}; {without} of {} starts pulled nothing",
            duration(pulled),
            duration(whole),
            starts.len()
        ),
        ci95: stats::bootstrap_median(&pulls).map(|i| [i.low, i.high]),
        unit: Some(Unit::Ns),
        max_share: Some(share),
        verdict: format!(
            "a smaller image can remove at most {} of the platform's start, {}",
            percent(share),
            match by_new_layer(run) {
                true => "measured with a layer that no node had",
                false =>
                    "and less or more where the image is not cached: measure with \
                          `--cold-by new-layer`",
            }
        ),
        ..row(variant, "minimal-image", Some(run))
    }
}

fn by_new_layer(run: &Run) -> bool {
    run.on_platform.as_ref().is_some_and(|of| of.cold_by == Some(ColdBy::NewLayer))
}

/// "Average 5 times": per region, over all samples and per part of the day.
fn acceleration(variant: &Variant) -> Vec<Guidance> {
    let todo = |why: String| vec![absent(variant, "acceleration", why)];
    let cold = alone(variant, Scenario::Cold);
    let (Some(cold), Some(accelerated)) = (cold, alone(variant, Scenario::Accelerated)) else {
        return todo(
            "run with `--scenario cold --scenario accelerated --cold-by new-layer`".into(),
        );
    };
    if !by_new_layer(cold) || !by_new_layer(accelerated) {
        return todo(
            "no verdict: with the same image again a pull of cached layers would be measured; run \
             with `--cold-by new-layer`"
                .into(),
        );
    }
    let mut rows: Vec<Guidance> = factor(variant, cold, accelerated, None).into_iter().collect();
    let parts: Vec<u32> = (0..24 / PART_HOURS)
        .filter(|&part| [cold, accelerated].iter().all(|run| of_part(run, part).count() >= ENOUGH))
        .collect();
    if parts.len() > 1 {
        rows.extend(
            parts.iter().filter_map(|&part| factor(variant, cold, accelerated, Some(part))),
        );
    }
    if rows.is_empty() { todo("take more samples".into()) } else { rows }
}

/// Counted samples of a part of the day, UTC.
fn of_part(run: &Run, part: u32) -> impl Iterator<Item = &Sample> {
    run.samples.iter().filter(move |sample| {
        sample.counts() && hour(sample).is_some_and(|hour| hour / PART_HOURS == part)
    })
}

/// `2026-11-28T10:00:00.123Z`.
fn hour(sample: &Sample) -> Option<u32> {
    sample.on_platform.as_ref()?.at.as_ref()?.get(11..13)?.parse().ok()
}

fn factor(variant: &Variant, cold: &Run, accelerated: &Run, part: Option<u32>) -> Option<Guidance> {
    let chosen = |run: &Run, ns: &dyn Fn(&Sample) -> Option<u64>| -> Vec<f64> {
        let counted = run.samples.iter().filter(|sample| sample.counts());
        let counted = counted
            .filter(|s| part.is_none_or(|part| hour(s).map(|h| h / PART_HOURS) == Some(part)));
        counted.filter_map(|sample| ns(sample).map(|ns| ns as f64)).collect()
    };
    let platform = |s: &Sample| s.on_platform.as_ref()?.platform_ns;
    let total = |s: &Sample| s.total_ns;
    let (before, after) = (chosen(cold, &platform), chosen(accelerated, &platform));
    let (ratio, interval) = stats::ratio_of_medians(&before, &after)?;
    let of_totals = stats::ratio_of_medians(&chosen(cold, &total), &chosen(accelerated, &total))?;
    let few = before.len().min(after.len()) < ENOUGH;
    let promise = match interval {
        _ if few => "too few samples for a verdict on the promised 5 times",
        i if i.high < PROMISE => "less than the promised 5 times",
        i if i.low > PROMISE => "more than the promised 5 times",
        _ => "the promised 5 times are within the interval",
    };
    let when = match part {
        Some(part) => {
            format!(", {:02}:00 to {:02}:00 UTC", part * PART_HOURS, (part + 1) * PART_HOURS)
        }
        None => String::new(),
    };
    Some(Guidance {
        link: Some(format!("{}{when}", cold.link)),
        source: OWN_LOG.into(),
        measured: format!(
            "the platform's own start is {} as fast (n = {} and {}); what a caller waits for {} \
             ({} to {}){}",
            times(ratio),
            before.len(),
            after.len(),
            times(of_totals.0),
            times(of_totals.1.low),
            times(of_totals.1.high),
            spanned(cold, accelerated)
        ),
        ci95: Some([interval.low, interval.high]),
        unit: Some(Unit::Times),
        max_share: Some((1.0 - 1.0 / ratio).clamp(0.0, 1.0)),
        verdict: format!(
            "{promise}: {} ({} to {}) in this region at this time; how long the platform takes to \
             cache an image is on no page: measure again after 10 minutes, an hour, a day",
            times(ratio),
            times(interval.low),
            times(interval.high)
        ),
        ..row(variant, "acceleration", Some(cold))
    })
}

/// From the first to the last sample, for a person.
fn spanned(cold: &Run, accelerated: &Run) -> String {
    let at = |s: &Sample| s.on_platform.as_ref().and_then(|of| of.at.clone());
    let all = cold.samples.iter().chain(&accelerated.samples);
    let mut times: Vec<String> = all.filter(|s| s.counts()).filter_map(at).collect();
    times.sort_unstable();
    match (times.first(), times.last()) {
        (Some(first), Some(last)) => format!("; taken {first} to {last}"),
        _ => String::new(),
    }
}

/// A provisioned instance compared with a cold one, by the caller's waiting time.
fn provisioned(variant: &Variant) -> Guidance {
    let both = alone(variant, Scenario::Cold).zip(alone(variant, Scenario::Provisioned));
    let found = both.and_then(|(cold, ready)| {
        let ratio = stats::ratio_of_medians(&cold.totals_ns(), &ready.totals_ns())?;
        Some((cold, ready, ratio))
    });
    let Some((cold, ready, (ratio, interval))) = found else {
        return absent(
            variant,
            "provisioned",
            "run with `--scenario cold --scenario provisioned`".into(),
        );
    };
    let way = median(&of_platform(ready, |of| of.warm_round_trip_ns));
    let left = median(&ready.totals_ns()).unwrap_or(0.0);
    Guidance {
        source: OWN_LOG.into(),
        measured: format!(
            "a request to a provisioned instance is {} as fast as a cold one ({} against {}); the \
             way there and back alone takes {}",
            times(ratio),
            duration(left),
            cold.summary.median_ns.map_or("-".into(), duration),
            way.map_or("-".into(), duration)
        ),
        ci95: Some([interval.low, interval.high]),
        unit: Some(Unit::Times),
        max_share: Some((1.0 - 1.0 / ratio).clamp(0.0, 1.0)),
        verdict: "it pays where the difference is worth the price of idle instances: `coldstart \
                  plan RESULTS` works out how many"
            .into(),
        ..row(variant, "provisioned", Some(cold))
    }
}

/// The program's own part compared with the platform's limit.
fn start(variant: &Variant) -> Guidance {
    let run = alone(variant, Scenario::Cold).or_else(|| alone(variant, Scenario::Accelerated));
    let starts = run.map(|run| run.phase_ns(Phase::Start)).unwrap_or_default();
    let worst = stats::sorted(&starts).last().copied();
    let (Some(run), Some(worst)) = (run, worst) else {
        return absent(variant, "listen-deadline", "run with `--scenario cold`".into());
    };
    Guidance {
        source: OWN_LOG.into(),
        measured: format!(
            "the program is ready after {} (median), {} at the slowest of {} starts",
            median(&starts).map_or("-".into(), duration),
            duration(worst),
            starts.len()
        ),
        ci95: stats::bootstrap_median(&starts).map(|i| [i.low, i.high]),
        unit: Some(Unit::Ns),
        // Whole milliseconds: 0 ms is anything below one.
        verdict: match LISTEN_DEADLINE_NS / worst.max(1e6) {
            room if room > 10.0 => format!("no concern: {} to spare", times(room.floor())),
            room if room > 1.0 => format!("{} to spare: little for a bad day", times(room)),
            _ => "too close: move work behind the listening, or raise the memory".into(),
        },
        ..row(variant, "listen-deadline", Some(run))
    }
}

/// Effect of more memory, and of the processor share that comes with it, on the program's start.
fn memory(results: &Results) -> Vec<Guidance> {
    let mib = |variant: &Variant| {
        let run = alone(variant, Scenario::Cold)?;
        Some((run.on_platform.as_ref()?.memory_mib?, run.phase_ns(Phase::Start)))
    };
    let mut rows = Vec::new();
    for (at, least) in results.variants.iter().enumerate() {
        let same = |v: &&Variant| v.reference == least.reference;
        if results.variants[..at].iter().any(|v| v.reference == least.reference) {
            continue;
        }
        let Some((small, before)) = mib(least) else { continue };
        for more in results.variants[at + 1..].iter().filter(same) {
            let Some((large, after)) = mib(more) else { continue };
            let Some((ratio, interval)) = stats::ratio_of_medians(&before, &after) else {
                continue;
            };
            let per_second = large as f64 / small.max(1) as f64;
            rows.push(Guidance {
                advice: "more memory, and more processor with it".into(),
                source: OWN_LOG.into(),
                measured: format!(
                    "with {large} MiB the program starts {} as fast as with {small} MiB, and each \
                     second costs {} as much",
                    times(ratio),
                    times(per_second)
                ),
                ci95: Some([interval.low, interval.high]),
                unit: Some(Unit::Times),
                verdict: if interval.low > 1.05 {
                    format!("it starts faster: {}", times(ratio))
                } else {
                    "no difference that could be measured".into()
                },
                ..row(more, "memory", alone(more, Scenario::Cold))
            });
        }
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::{Overhead, PageCache, PlatformRun, SCHEMA};
    use bench_kit::host::Host;
    use bench_kit::stats::Summary;

    /// Samples with these starts, one an hour from `hour` on.
    fn run(scenario: Scenario, cold_by: ColdBy, platform_ms: &[u64], hour: u32) -> Run {
        let sample = |(at, ms): (usize, &u64)| Sample {
            order: at,
            total_ns: Some((ms + 40) * 1_000_000),
            start_ns: Some(ms / 2 * 1_000_000),
            pull_ns: Some(ms / 4 * 1_000_000),
            on_platform: Some(PlatformTimes {
                platform_ns: Some(ms * 1_000_000),
                at: Some(format!("2026-11-28T{:02}:00:00.000Z", (hour + at as u32) % 24)),
                ..PlatformTimes::default()
            }),
            ..Sample::default()
        };
        let mut run = Run {
            link: "ap-guangzhou".into(),
            scenario,
            page_cache: PageCache::Warm,
            burst: 1,
            requests: 0,
            bytes: 0,
            samples: platform_ms.iter().enumerate().map(sample).collect(),
            summary: Summary::default(),
            on_platform: Some(PlatformRun {
                region: Some("ap-guangzhou".into()),
                memory_mib: Some(128),
                cold_by: Some(cold_by),
                ..PlatformRun::default()
            }),
        };
        run.summarise();
        run
    }

    fn results(runs: Vec<Run>) -> Results {
        let text = String::new;
        Results {
            schema: SCHEMA,
            engine: EngineKind::Scf,
            host: Host {
                kernel: text(),
                cpu_model: text(),
                cores: 1,
                memory_bytes: 1,
                os: text(),
                rustc: text(),
                git_describe: text(),
                date: text(),
            },
            overhead: Overhead::default(),
            variants: vec![Variant {
                name: "echo".into(),
                reference: "echo@sha256:0".into(),
                compressed_bytes: None,
                uncompressed_bytes: None,
                layers: 0,
                runs,
            }],
            guidance: Vec::new(),
            notes: Vec::new(),
        }
    }

    fn acceleration_of(runs: Vec<Run>) -> Vec<Guidance> {
        advise(&results(runs)).into_iter().filter(|row| row.id == "acceleration").collect()
    }

    #[test]
    fn five_times_has_an_answer_with_its_interval_in_a_region_at_a_time() {
        let cold: Vec<u64> = (0..24).map(|n| 1000 + n).collect();
        let fast: Vec<u64> = (0..24).map(|n| 400 + n).collect();
        let rows = acceleration_of(vec![
            run(Scenario::Cold, ColdBy::NewLayer, &cold, 0),
            run(Scenario::Accelerated, ColdBy::NewLayer, &fast, 0),
        ]);
        assert_eq!(rows.len(), 5, "one in all, and one for each quarter of the day");
        assert!(rows[0].verdict.starts_with("less than the promised 5 times"), "{rows:?}");
        let [low, high] = rows[0].ci95.unwrap();
        assert!(low > 2.3 && high < 2.7, "{low} {high}");
        assert_eq!(rows[1].link.as_deref(), Some("ap-guangzhou, 00:00 to 06:00 UTC"));
        assert!(rows[0].measured.contains("what a caller waits for"), "{}", rows[0].measured);
    }

    #[test]
    fn cached_pulls_give_no_verdict_on_acceleration() {
        for cold_by in [ColdBy::NewVersion, ColdBy::NewConfig] {
            let rows = acceleration_of(vec![
                run(Scenario::Cold, cold_by, &[1000; 9], 0),
                run(Scenario::Accelerated, cold_by, &[200; 9], 0),
            ]);
            assert_eq!(rows.len(), 1);
            assert!(rows[0].verdict.contains("--cold-by new-layer"), "{}", rows[0].verdict);
            assert!(rows[0].ci95.is_none());
        }
    }

    #[test]
    fn samples_aside_are_in_no_number() {
        let mut cold = run(Scenario::Cold, ColdBy::NewLayer, &[1000; 9], 0);
        for sample in &mut cold.samples[..8] {
            sample.on_platform.as_mut().unwrap().aside = Some(crate::results::Aside::WarmInstead);
            sample.total_ns = Some(1);
        }
        cold.summarise();
        assert_eq!((cold.summary.n, cold.on_platform.unwrap().warm_instead), (1, 8));
        assert_eq!(cold.summary.median_ns, Some(1_040_000_000.0));
    }
}
