//! One run of the bench: rounds of starts in random order for each state of the page cache, then
//! the counts, then idling. It prints nothing; `Progress` gets each step.

use crate::cache;
use crate::idle::{self, Idle, Observed};
use crate::program::Program;
use crate::report::{Counts, PageCache, Report};
use crate::sample::{self, Starter};
use crate::trace::{self, Arrival, Trace};
use bench_kit::stats;

/// Number of first starts whose samples are dropped: they fill caches that belong to no program.
const WARM_UPS: usize = 3;
/// Number of traced starts of each program and arrival.
pub const TRACES: usize = 3;
/// Number of idle periods.
const IDLES: usize = 3;

/// Why a run ended early.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The state of the page cache cannot be set.
    #[error("cannot {what} the page cache of `{program}`: {source}")]
    Cache {
        /// The operation.
        what: &'static str,
        /// The program.
        program: String,
        /// The underlying error.
        source: std::io::Error,
    },
    /// A start could not be sampled.
    #[error(transparent)]
    Sample(#[from] sample::Error),
    /// A start could not be traced.
    #[error(transparent)]
    Trace(#[from] trace::Error),
}

/// Gets each step: what is measured, how many rounds are done, and of how many.
pub type Progress<'a> = &'a mut dyn FnMut(&str, usize, usize);

/// Starts every program `starts` times for each state of the page cache, interleaved. A start that
/// fails leaves a gap and a message in the report.
///
/// # Errors
/// If the state of the page cache cannot be set.
pub fn starts(
    report: &mut Report,
    starter: &mut Starter,
    programs: &[Program],
    starts: usize,
    progress: Progress<'_>,
) -> Result<(), Error> {
    let mut random = fastrand::Rng::with_seed(report.seed);
    let mut order: Vec<usize> = (0..programs.len()).collect();
    for (run, page_cache) in report.page_caches().into_iter().enumerate() {
        for program in programs.iter().cycle().take(programs.len() * WARM_UPS) {
            arrange(program, page_cache)?;
            let _ = starter.sample(program); // a failure here is reported below
        }
        for round in 0..starts {
            random.shuffle(&mut order);
            for &index in &order {
                let program = &programs[index];
                if page_cache == PageCache::Evicted {
                    arrange(program, page_cache)?;
                }
                let (position, result) = (starter.order(), starter.sample(program));
                let run = &mut report.variants[index].runs[run];
                run.samples.push(position, result.as_ref().ok().copied());
                run.errors.extend(result.err().map(|error| error.to_string()));
                if page_cache == PageCache::Evicted {
                    let read = cache::resident_bytes(&program.path)
                        .map_err(cache_error("look into", program))?;
                    run.read_bytes = run.read_bytes.max(Some(read));
                }
            }
            progress(
                if page_cache == PageCache::Warm { "warm starts" } else { "evicted starts" },
                round + 1,
                starts,
            );
        }
    }
    report.summarise();
    Ok(())
}

/// Starts every program `starts` times, interleaved, with several requests on one connection each.
/// A start that fails leaves a gap and a message in the report.
///
/// # Errors
/// If the state of the page cache cannot be set.
pub fn requests(
    report: &mut Report,
    starter: &mut Starter,
    programs: &[Program],
    starts: usize,
    progress: Progress<'_>,
) -> Result<(), Error> {
    let count = report.requests;
    let mut random = fastrand::Rng::with_seed(report.seed);
    let mut order: Vec<usize> = (0..programs.len()).collect();
    for program in programs.iter().cycle().take(programs.len() * WARM_UPS) {
        arrange(program, PageCache::Warm)?;
        let _ = starter.requests(program, count); // a failure here is reported below
    }
    for round in 0..starts {
        random.shuffle(&mut order);
        for &index in &order {
            let (position, result) = (starter.order(), starter.requests(&programs[index], count));
            if let Some(requests) = &mut report.variants[index].requests {
                requests.samples.push(position, result.as_ref().ok());
                requests.errors.extend(result.err().map(|error| error.to_string()));
            }
        }
        progress("starts with several requests", round + 1, starts);
    }
    report.summarise_requests();
    Ok(())
}

/// Traces a few starts, with both ways for the event to arrive.
///
/// # Errors
/// If a program cannot be traced or does not answer.
pub fn counts(starter: &mut Starter, program: &Program) -> Result<Vec<Counts>, Error> {
    cache::warm(&program.path).map_err(cache_error("fill", program))?;
    let mut counts = Vec::new();
    for arrival in [Arrival::AtListen, Arrival::WhenAsleep] {
        let traces: Result<Vec<Trace>, _> =
            (0..TRACES).map(|_| trace::trace(starter, program, arrival)).collect();
        counts.extend(Counts::of(arrival, &traces?));
    }
    Ok(counts)
}

/// Lets all programs idle a few times; medians go into the report.
///
/// # Errors
/// If a program does not answer.
pub fn idle(
    report: &mut Report,
    starter: &mut Starter,
    programs: &[Program],
    progress: Progress<'_>,
) -> Result<(), Error> {
    let mut rounds = Vec::new();
    for round in 0..IDLES {
        rounds.push(idle::observe(starter, programs, report.requests)?);
        progress("idling", round + 1, IDLES);
    }
    for (index, variant) in report.variants.iter_mut().enumerate() {
        let of_program = || rounds.iter().filter_map(|round: &Vec<Observed>| round.get(index));
        variant.idle = typical(of_program().map(|observed| observed.after_first).collect());
        if let Some(requests) = &mut variant.requests {
            requests.idle =
                typical(of_program().filter_map(|observed| observed.after_last).collect());
        }
    }
    Ok(())
}

/// Medians of several observations; `None` without one.
fn typical(observed: Vec<Idle>) -> Option<Idle> {
    let median = |of: fn(&Idle) -> f64| stats::median(&observed.iter().map(of).collect::<Vec<_>>());
    Some(Idle {
        rss_bytes: median(|idle| idle.rss_bytes as f64)? as u64,
        private_dirty_bytes: median(|idle| idle.private_dirty_bytes as f64)? as u64,
        threads: median(|idle| idle.threads as f64)? as u64,
        wakeups_per_s: median(|idle| idle.wakeups_per_s)?,
        settled: observed.iter().all(|idle| idle.settled),
    })
}

/// Sets the state of the page cache for the next start.
fn arrange(program: &Program, page_cache: PageCache) -> Result<(), Error> {
    match page_cache {
        PageCache::Warm => cache::warm(&program.path).map_err(cache_error("fill", program)),
        PageCache::Evicted => cache::evict(&program.path).map_err(cache_error("empty", program)),
    }
}

fn cache_error(what: &'static str, program: &Program) -> impl Fn(std::io::Error) -> Error {
    move |source| Error::Cache { what, program: program.name.clone(), source }
}
