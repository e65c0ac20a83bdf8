//! Run: every case once per round, in a new random order each round; results are written after each
//! round. It uses engines only through the trait; it draws nothing and prints nothing (a watcher
//! gets each step).

use crate::burst::Ramp;
use crate::engine::{Calibration, Case, Engine, EngineError, Target, TurnSamples};
use crate::failure;
use crate::results::{self, EngineKind, Failure, Overhead, Results, Run, SCHEMA, Sample, Variant};
use bench_kit::host::Host;
use bench_kit::stats;
use std::path::Path;

/// What to measure, and how often.
#[derive(Debug, Clone)]
pub struct Definition {
    /// What is measured.
    pub cases: Vec<Case>,
    /// Samples of each case.
    pub samples: usize,
    /// Rounds before the first kept one; they fill caches and give the reference answers.
    pub warmups: usize,
    /// Seed of the random order.
    pub seed: u64,
    /// Notes for a reader of the results.
    pub notes: Vec<String>,
}

/// Gets the events of a run.
pub trait Watcher {
    /// One sample is done, of so many.
    fn sampled(&mut self, done: usize, of: usize, what: &str);

    /// The first turn of the case `what` had only failures; this is the first of them.
    fn failed_at_first(&mut self, what: &str, failure: &Failure) -> Onward {
        let _ = (what, failure);
        Onward::Measure
    }
}

/// How to continue with a case that failed at its first try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Onward {
    /// The case is measured nevertheless.
    Measure,
    /// The failure is its result; the other cases are measured.
    LeaveOut,
    /// The failure is the run's result.
    Stop,
}

impl Watcher for () {
    fn sampled(&mut self, _: usize, _: usize, _: &str) {}
}

/// Result of a run.
#[derive(Debug)]
pub struct Finished {
    /// The complete rounds that were taken.
    pub results: Results,
    /// Why the run ended before all samples were taken, if it did. `results` has those taken.
    pub stopped: Option<EngineError>,
    /// The case whose first turn failed, after which nothing more was measured.
    pub gave_up: Option<String>,
}

/// Why a run has no results.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The engine cannot work.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The results cannot be written.
    #[error(transparent)]
    Results(#[from] results::Error),
}

/// Leaves out the bursts of a ramp that add nothing: each series of cases that differ only in their
/// burst is tried once, upwards, until more instances at once give no more starts per second, the
/// machine has no room for more, or `fits` returns false. Bursts given as numbers are always
/// measured. The notes state where each ramp ended, and why.
///
/// # Errors
/// [`EngineError`] when nothing could be measured.
pub fn ramp(
    definition: &mut Definition,
    targets: &[Target],
    asked_for: &[usize],
    engine: &mut dyn Engine,
    fits: &dyn Fn(&Case, &TurnSamples) -> bool,
    watcher: &mut dyn Watcher,
) -> Result<Vec<String>, EngineError> {
    let of = definition.cases.len();
    let (mut kept, mut notes, mut done) = (Vec::new(), Vec::new(), 0);
    let mut rest = std::mem::take(&mut definition.cases);
    while let Some(first) = rest.first().cloned() {
        let (mut series, others): (Vec<_>, Vec<_>) =
            rest.into_iter().partition(|case| Case { burst: first.burst, ..case.clone() } == first);
        rest = others;
        series.sort_by_key(|case| case.burst);
        let mut last = engine.take(&series[0])?; // fills caches and is not a sample
        if first_failure(&last.samples).is_some_and(|failure| !failure::is_no_room(failure)) {
            // A case that fails alone is not tried in a burst: the run reports its failure.
            done += series.len();
            series.truncate(1);
            kept.append(&mut series);
            continue;
        }
        let (mut ramp, mut ended) = (Ramp::default(), None);
        for case in series {
            done += 1;
            let name = format!("{}: bursts", case.name(&targets[case.variant].name));
            watcher.sampled(done, of, &name);
            if ended.is_none() && !fits(&case, &last) {
                ended = Some(format!("{name} of {} and more do not fit on the disk", case.burst));
            }
            if ended.is_some() {
                if asked_for.contains(&case.burst) {
                    kept.push(case);
                }
                continue;
            }
            last = engine.take(&case)?;
            let full = last
                .samples
                .iter()
                .filter_map(|s| s.error.as_ref())
                .find(|e| failure::is_no_room(e));
            if let Some(full) = full {
                ended =
                    Some(format!("{name} of {} and more do not fit: {}", case.burst, full.message));
                if !asked_for.contains(&case.burst) {
                    continue;
                }
            } else if !ramp.goes_on(case.burst, &last.samples) {
                ended = Some(format!(
                    "{name} of more than {} give no more starts per second, and are left out",
                    case.burst
                ));
            }
            // a case that fails will fail again in the counted rounds, and is then the run's result
            kept.push(case);
        }
        notes.extend(ended);
    }
    definition.cases = kept;
    Ok(notes)
}

/// Takes all samples. `keep`: where to keep the results after each round.
///
/// # Errors
/// [`RunError`] when the engine fails before the first round is complete, or results cannot be
/// kept.
pub fn run(
    definition: &Definition,
    targets: &[Target],
    host: Host,
    engine: &mut dyn Engine,
    keep: Option<&Path>,
    watcher: &mut dyn Watcher,
) -> Result<Finished, RunError> {
    let mut state = State::new(definition, targets, host, engine.kind());
    let mut random = fastrand::Rng::with_seed(definition.seed);
    for round in 0..definition.warmups + definition.samples {
        let warm_up = round < definition.warmups;
        // The last turn of a round is the floor's.
        let mut turns: Vec<usize> = (0..=definition.cases.len()).collect();
        random.shuffle(&mut turns);
        for turn in turns {
            let case = definition.cases.get(turn).map(|case| (turn, case));
            match state.take(case, engine, warm_up, watcher) {
                Ok(Onward::Stop) => {
                    state.results.notes.extend(engine.notes());
                    return Ok(state.give_up());
                }
                Ok(_) => watcher.sampled(state.done, state.of, &state.doing),
                Err(error) if state.rounds > 0 => return Ok(state.finish(Some(error))),
                Err(error) => return Err(error.into()),
            }
        }
        if !warm_up {
            state.rounds += 1;
            state.summarise();
            state.results.notes = [definition.notes.clone(), engine.notes()].concat();
            if let Some(path) = keep {
                state.results.save(path)?;
            }
        }
    }
    Ok(state.finish(None))
}

struct State {
    results: Results,
    /// For each case: its variant and its place among that variant's runs.
    places: Vec<(usize, usize)>,
    /// For each case: what its first turn led to, once it was tried.
    tried: Vec<Option<Onward>>,
    floor: Vec<Calibration>,
    began_ns: Option<u64>,
    order: usize,
    rounds: usize,
    done: usize,
    of: usize,
    doing: String,
}

impl State {
    fn new(definition: &Definition, targets: &[Target], host: Host, engine: EngineKind) -> Self {
        let mut variants: Vec<Variant> = targets.iter().map(describe).collect();
        let mut places = Vec::new();
        for case in &definition.cases {
            let runs = &mut variants[case.variant].runs;
            places.push((case.variant, runs.len()));
            runs.push(Run {
                link: case.link.name().to_owned(),
                scenario: case.scenario,
                page_cache: case.page_cache,
                burst: case.burst,
                requests: 0,
                bytes: 0,
                samples: Vec::new(),
                summary: stats::Summary::default(),
                on_platform: None,
            });
        }
        let (overhead, guidance, notes) =
            (Overhead::default(), Vec::new(), definition.notes.clone());
        let results = Results { schema: SCHEMA, engine, host, overhead, variants, guidance, notes };
        let of = (definition.warmups + definition.samples) * (definition.cases.len() + 1);
        let (floor, began_ns, doing) = (Vec::new(), None, String::new());
        let tried = vec![None; places.len()];
        Self { results, places, tried, floor, began_ns, order: 0, rounds: 0, done: 0, of, doing }
    }

    /// One turn: a case, or the floor.
    fn take(
        &mut self,
        turn: Option<(usize, &Case)>,
        engine: &mut dyn Engine,
        warm_up: bool,
        watcher: &mut dyn Watcher,
    ) -> Result<Onward, EngineError> {
        self.done += 1;
        let Some((at, case)) = turn else {
            self.doing = "floor".into();
            if let Some(floor) = engine.calibrate()?.filter(|_| !warm_up) {
                self.floor.push(floor);
            }
            return Ok(Onward::Measure);
        };
        if self.tried[at] == Some(Onward::LeaveOut) {
            return Ok(Onward::LeaveOut);
        }
        let (variant, place) = self.places[at];
        self.doing =
            format!("{} {:?} {}", self.results.variants[variant].name, case.scenario, case.link);
        let outcome = engine.take(case)?;
        let onward = match (self.tried[at], first_failure(&outcome.samples)) {
            (Some(onward), _) => onward,
            (None, None) => Onward::Measure,
            (None, Some(failure)) => {
                self.doing = case.name(&self.results.variants[variant].name);
                watcher.failed_at_first(&self.doing, failure)
            }
        };
        self.tried[at] = Some(onward);
        let variant = &mut self.results.variants[variant];
        variant.uncompressed_bytes = variant.uncompressed_bytes.or(outcome.uncompressed_bytes);
        // A failed warm-up is kept only if nothing follows it: otherwise the failure repeats
        // in the counted rounds.
        if warm_up && onward == Onward::Measure {
            return Ok(onward);
        }
        let run = &mut variant.runs[place];
        (run.requests, run.bytes) =
            (run.requests.max(outcome.requests), run.bytes.max(outcome.bytes));
        for mut sample in outcome.samples {
            // A sample that failed before its start has no time.
            if sample.intended_start_ns > 0 {
                let began_ns = *self.began_ns.get_or_insert(sample.intended_start_ns);
                sample.intended_start_ns = sample.intended_start_ns.saturating_sub(began_ns);
            }
            sample.order = self.order;
            self.order += 1;
            run.samples.push(sample);
        }
        Ok(onward)
    }

    /// Ends the run with the failure of the case that was tried last; cases that were not tried
    /// have no row.
    fn give_up(mut self) -> Finished {
        for variant in &mut self.results.variants {
            variant.runs.retain(|run| run.samples.iter().any(|sample| sample.error.is_some()));
        }
        self.summarise();
        Finished { results: self.results, stopped: None, gave_up: Some(self.doing) }
    }

    fn summarise(&mut self) {
        for run in self.results.variants.iter_mut().flat_map(|v| &mut v.runs) {
            run.summarise();
        }
        let of = |part: &dyn Fn(&Calibration) -> Option<f64>| {
            stats::median(&self.floor.iter().filter_map(part).collect::<Vec<_>>())
        };
        self.results.overhead = Overhead {
            start_ns_median: of(&|c| Some(c.start_ns as f64)),
            n: self.floor.len(),
            connect_step_ns_median: of(&|c| c.connect_step_ns),
            pull_ns_median: of(&|c| c.pull_ns.map(|ns| ns as f64)),
            unpack_ns_median: of(&|c| c.unpack_ns.map(|ns| ns as f64)),
            create_ns_median: of(&|c| c.create_ns.map(|ns| ns as f64)),
        };
    }

    /// Drops an interrupted round: otherwise some cases would have one sample more than others,
    /// taken under other conditions.
    fn finish(mut self, stopped: Option<EngineError>) -> Finished {
        for ((variant, place), tried) in self.places.iter().zip(&self.tried) {
            let run = &mut self.results.variants[*variant].runs[*place];
            if *tried != Some(Onward::LeaveOut) {
                run.samples.truncate(self.rounds * run.burst);
            }
        }
        self.floor.truncate(self.rounds);
        self.summarise();
        Finished { results: self.results, stopped, gave_up: None }
    }
}

/// The first failure of a turn in which nothing succeeded.
fn first_failure(samples: &[Sample]) -> Option<&Failure> {
    let failures: Option<Vec<_>> = samples.iter().map(|sample| sample.error.as_ref()).collect();
    failures?.first().copied()
}

fn describe(target: &Target) -> Variant {
    Variant {
        name: target.name.clone(),
        reference: match target.image.reference() {
            Some(reference) => reference.to_owned(),
            None => target.image.manifest_digest().to_string(),
        },
        compressed_bytes: Some(target.image.total_compressed_bytes()),
        uncompressed_bytes: None,
        layers: target.image.layers().len(),
        runs: Vec::new(),
    }
}
