//! Measurement on the platform: the run creates functions, takes every case once per round in
//! random order, and classifies each sample by its request's own log. If a start that should have
//! been cold was warm, the run counts it and sets it aside; it never repeats a sample until the
//! result fits.

use super::account::{Account, AccountError, FunctionSpec, Invocation};
use super::budget::{Budget, Item};
use super::client::{Answer, CallError, Service};
use super::layer::{NonceError, Original};
use super::ledger::LedgerFile;
use super::line::{Line, Story, read as read_line};
use super::logs::Logs;
use super::names::RunId;
use super::pace::{NEW_PROVISIONED_A_MINUTE, Pace, WINDOW, Why};
use super::refusal;
use crate::phase::Phase;
use crate::results::{
    self, Aside, ColdBy, EngineKind, Failure, Overhead, PageCache, PlatformRun, PlatformTimes,
    ReadFrom, Results, Run, SCHEMA, Sample, Scenario, Variant,
};
use bench_kit::host::Host;
use bench_kit::stats::Summary;
use microimage::registry::Access;
use std::path::Path;
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

/// Longest pause between two queries of the log.
const LOOK_AGAIN_AT_MOST: Duration = Duration::from_secs(30);
/// Number of requests whose log the run looks for after a round; the others wait until the end.
const LOOKS_A_ROUND: usize = 50;
/// Number of connections whose round trip the run measures at once: each may need an instance of
/// the control function, and a burst of those would use up part of what the region starts in a
/// minute.
pub const CONTROLS_AT_ONCE: u64 = 8;

/// An image with one memory setting.
pub struct Subject {
    /// The variant's name.
    pub name: String,
    /// `HOST/NAMESPACE/NAME:TAG@sha256:…`.
    pub reference: String,
    /// Memory, in MiB.
    pub memory_mib: u64,
    /// Bytes and layers, if the registry reported them.
    pub size: Option<(u64, usize)>,
    /// Index of its image in [`Definition::originals`]; `None` if the run pushes no layers.
    pub original: Option<usize>,
}

/// Definition of a run: what to measure, and how.
pub struct Definition {
    /// The run's identity.
    pub run: RunId,
    /// The subjects.
    pub subjects: Vec<Subject>,
    /// The functions: one for each item of the budget.
    pub functions: Vec<FunctionSpec>,
    /// The control function: a warm request to it measures the round trip.
    pub control: FunctionSpec,
    /// The cases: each has the subject's index and the kind of call.
    pub cases: Vec<(usize, Item)>,
    /// Number of rounds.
    pub samples: u64,
    /// Most new instances that the run requests in a minute.
    pub new_a_minute: u64,
    /// Seed of the random order.
    pub seed: u64,
    /// How the run makes instances new.
    pub cold_by: ColdBy,
    /// Images whose layers the run pushes again with a nonce.
    pub originals: Vec<Original>,
    /// Connection settings for registries.
    pub access: Access,
    /// The event of every call, as JSON.
    pub event: String,
    /// How long to wait for provisioned instances.
    pub provision_wait: Duration,
    /// How long to wait for a request's log after the last call.
    pub log_wait: Duration,
    /// If a log has a request's end but no start, the request counts as warm after this time.
    pub log_settle: Duration,
    /// Whether the run leaves a case out that fails at its first try, and measures the others.
    pub keep_going: bool,
    /// Notes for readers of the results.
    pub notes: Vec<String>,
    /// This machine.
    pub host: Host,
}

/// Result of a run.
pub struct Finished {
    /// The measured samples, of complete rounds only.
    pub results: Results,
    /// Why the run did not take all rounds.
    pub stopped: Option<AccountError>,
    /// The case whose first turn failed and ended the measurement.
    pub gave_up: Option<String>,
}

/// Why a run has no result.
#[derive(Debug, thiserror::Error)]
pub enum MeasureError {
    /// The account does not allow it.
    #[error(transparent)]
    Account(#[from] AccountError),
    /// The results cannot be stored.
    #[error(transparent)]
    Results(#[from] results::Error),
}

impl From<CallError> for MeasureError {
    fn from(error: CallError) -> Self {
        Self::Account(error.into())
    }
}

/// Receives the events of a run.
pub trait Watcher {
    /// A step that changes something in the account.
    fn step(&mut self, what: &str);
    /// The run pauses for this long, with the reason.
    fn waiting(&mut self, how_long: Duration, why: &str);
    /// One turn is complete, of this total.
    fn sampled(&mut self, done: u64, of: u64, what: &str);
}

/// A request whose log is still missing.
struct Pending {
    variant: usize,
    run: usize,
    sample: usize,
    request_id: String,
    /// When the log had its end but no start.
    ended: Option<Instant>,
}

/// Provisioned instances, whose own log lines the run reads at the end.
struct StartedAhead {
    variant: usize,
    run: usize,
    function: String,
    version: String,
}

struct Bench<'a> {
    of: &'a Definition,
    account: &'a Account,
    logs: Logs,
    ledger: &'a mut LedgerFile,
    watcher: &'a mut dyn Watcher,
    /// One connection for each call of a burst.
    lanes: Vec<Account>,
    results: Results,
    /// The variant and the run of each case.
    places: Vec<(usize, usize)>,
    tried: Vec<bool>,
    left_out: Vec<bool>,
    pending: Vec<Pending>,
    ahead: Vec<StartedAhead>,
    began: Instant,
    order: usize,
    nonces: u64,
    invocations_left: u64,
    pace: Pace,
    /// How long the run waited for its pace.
    paced: Duration,
    /// Instances that the control function had, and when it last answered.
    controls: Option<(u64, Instant)>,
}

/// Creates the functions and takes all samples. The ledger records what the run creates; this
/// function does not delete it. `keep`: where to store the results after each round.
///
/// # Errors
/// [`MeasureError`] when no round was complete.
pub fn measure(
    of: &Definition,
    budget: &Budget,
    account: &Account,
    cls: Service,
    ledger: &mut LedgerFile,
    keep: &Path,
    watcher: &mut dyn Watcher,
) -> Result<Finished, MeasureError> {
    let began_at = SystemTime::now();
    let mut topic = None;
    for function in of.functions.iter().chain([&of.control]) {
        watcher.step(&format!("creating  {}", function.name));
        let state = account.create_function(function, ledger)?;
        if state.ignores_platform_log {
            return Err(unfit(
                "the platform leaves its own lines out of the log (IgnoreSysLog); without them no \
                 start can be recognised",
            ));
        }
        if let Some(why) = state.available.filter(|said| said.contains("Insufficient")) {
            return Err(unfit(&format!(
                "the platform says that {} cannot be called: {why}; look at the account's balance",
                function.name
            )));
        }
        topic = topic.or(function.log.clone().map(|(_, topic)| topic)).or(state.topic);
    }
    let Some(topic) = topic else {
        return Err(unfit(
            "the functions log to no topic of CLS: name one, `--cls-topic LOGSET/TOPIC` (console, \
             Cloud Log Service, in the same region)",
        ));
    };
    let logs = Logs { client: account.client.beside(), cls, topic, began: began_at };
    let mut bench = Bench::new(of, budget, account, logs, ledger, watcher);
    let finished = bench.rounds(keep);
    bench.notes();
    let results = bench.results;
    let (stopped, gave_up) = finished?;
    Ok(Finished { results, stopped, gave_up })
}

fn unfit(why: &str) -> MeasureError {
    AccountError::Unfit(why.to_owned()).into()
}

fn empty(variants: Vec<Variant>, notes: Vec<String>, host: Host) -> Results {
    Results {
        schema: SCHEMA,
        engine: EngineKind::Scf,
        host,
        overhead: Overhead::default(),
        variants,
        guidance: Vec::new(),
        notes,
    }
}

impl<'a> Bench<'a> {
    fn new(
        of: &'a Definition,
        budget: &Budget,
        account: &'a Account,
        logs: Logs,
        ledger: &'a mut LedgerFile,
        watcher: &'a mut dyn Watcher,
    ) -> Self {
        let region = account.client.region();
        let variant = |subject: &Subject| Variant {
            name: subject.name.clone(),
            reference: subject.reference.clone(),
            compressed_bytes: subject.size.map(|(bytes, _)| bytes),
            uncompressed_bytes: None,
            layers: subject.size.map_or(0, |(_, layers)| layers),
            runs: Vec::new(),
        };
        let mut variants: Vec<Variant> = of.subjects.iter().map(variant).collect();
        let mut places = Vec::new();
        for (subject, item) in &of.cases {
            let runs = &mut variants[*subject].runs;
            places.push((*subject, runs.len()));
            let cold = item.scenario != Scenario::Provisioned;
            runs.push(Run {
                link: region.to_owned(),
                scenario: item.scenario,
                page_cache: PageCache::Warm,
                burst: item.burst as usize,
                requests: 0,
                bytes: 0,
                samples: Vec::new(),
                summary: Summary::default(),
                on_platform: Some(PlatformRun {
                    region: Some(region.to_owned()),
                    memory_mib: Some(item.memory_mib),
                    cold_by: cold.then_some(of.cold_by),
                    ..PlatformRun::default()
                }),
            });
        }
        let lanes = of.cases.iter().map(|(_, item)| item.burst).max().unwrap_or(1);
        Self {
            of,
            account,
            logs,
            ledger,
            watcher,
            lanes: (0..lanes).map(|_| account.beside()).collect(),
            results: empty(variants, of.notes.clone(), of.host.clone()),
            tried: vec![false; places.len()],
            left_out: vec![false; places.len()],
            places,
            pending: Vec::new(),
            ahead: Vec::new(),
            began: Instant::now(),
            order: 0,
            nonces: 0,
            invocations_left: budget.invocations,
            pace: Pace::new(of.new_a_minute),
            paced: Duration::ZERO,
            controls: None,
        }
    }

    /// Takes all rounds, then reads the logs that are still missing. Returns why it ended early,
    /// and the case that failed at its first try.
    fn rounds(
        &mut self,
        keep: &Path,
    ) -> Result<(Option<AccountError>, Option<String>), MeasureError> {
        let mut random = fastrand::Rng::with_seed(self.of.seed);
        let all = self.of.samples * self.of.cases.len() as u64;
        let mut done = 0;
        for round in 0..self.of.samples {
            let whole: Vec<usize> = self.each_run().map(|run| run.samples.len()).collect();
            let mut turns: Vec<usize> = (0..self.of.cases.len()).collect();
            random.shuffle(&mut turns);
            for turn in turns {
                done += 1;
                if self.left_out[turn] {
                    continue;
                }
                let what = self.name(turn);
                match self.turn(turn) {
                    Ok(()) => self.watcher.sampled(done, all, &what),
                    Err(error) if round == 0 => return Err(error),
                    Err(MeasureError::Account(error)) => {
                        self.forget_all_but(&whole);
                        self.summarise();
                        return Ok((Some(error), None));
                    }
                    Err(error) => return Err(error),
                }
                if self.failed_at_first(turn) {
                    if !self.of.keep_going {
                        self.only_failures();
                        return Ok((None, Some(what)));
                    }
                    self.left_out[turn] = true;
                }
            }
            let looked = self.look(LOOKS_A_ROUND);
            self.summarise();
            self.results.save(keep)?;
            match looked {
                Err(error) if error.is_interrupted() => return Ok((Some(error), None)),
                _ => {} // the log service is asked again at the end
            }
        }
        let stopped = self.wait_for_logs().err();
        self.summarise();
        self.results.save(keep)?;
        Ok((stopped, None))
    }

    fn each_run(&mut self) -> impl Iterator<Item = &mut Run> {
        self.results.variants.iter_mut().flat_map(|variant| &mut variant.runs)
    }

    fn run_of(&mut self, turn: usize) -> &mut Run {
        let (variant, run) = self.places[turn];
        &mut self.results.variants[variant].runs[run]
    }

    fn name(&mut self, turn: usize) -> String {
        let variant = self.results.variants[self.places[turn].0].name.clone();
        format!("{variant}, {}", self.run_of(turn).name())
    }

    fn summarise(&mut self) {
        self.each_run().for_each(Run::summarise);
    }

    /// The run keeps no sample of an incomplete round.
    fn forget_all_but(&mut self, whole: &[usize]) {
        for (run, n) in self.each_run().zip(whole) {
            run.samples.truncate(*n);
        }
        let variants = &self.results.variants;
        self.pending.retain(|p| p.sample < variants[p.variant].runs[p.run].samples.len());
    }

    /// Whether all calls in the first turn of a case failed.
    fn failed_at_first(&mut self, turn: usize) -> bool {
        let first = !std::mem::replace(&mut self.tried[turn], true);
        first && self.run_of(turn).samples.iter().all(|sample| sample.error.is_some())
    }

    fn only_failures(&mut self) {
        for variant in &mut self.results.variants {
            variant.runs.retain(|run| run.samples.iter().any(|sample| sample.error.is_some()));
        }
        self.pending.clear();
        self.summarise();
    }

    /// Takes one turn of a case: creates a new version, calls it, and ends its instances.
    fn turn(&mut self, turn: usize) -> Result<(), MeasureError> {
        let item = self.of.cases[turn].1;
        let function = &self.of.functions[item.function];
        self.keep_pace(&item)?;
        let outcome = match self.new_version(turn) {
            Ok(version) => {
                let provisioned = match item.scenario {
                    Scenario::Provisioned => self.provision(turn, &version),
                    Scenario::Cold | Scenario::Accelerated => Ok(()),
                };
                let called = provisioned.and_then(|()| self.call(turn, &version));
                match self.end(turn, &version) {
                    Err(MeasureError::Account(AccountError::Ledger(error))) => {
                        return Err(AccountError::Ledger(error).into());
                    }
                    // The ledger still lists it, so the clean-up ends it.
                    Err(error) => self.watcher.step(&format!("not ended: {error}")),
                    Ok(()) => {}
                }
                called
            }
            Err(error) => Err(error),
        };
        match outcome {
            Ok(()) => Ok(()),
            Err(MeasureError::Account(error)) if is_of_one_sample(&error) => {
                let message = format!("{}: {error}", function.name);
                let phase = phase_of(&error);
                let mut samples = Vec::new();
                for _ in 0..item.burst {
                    let failure = Failure { phase, message: message.clone() };
                    samples.push(Sample { error: Some(failure), ..Sample::default() });
                }
                self.take(turn, samples);
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    /// Waits until the turn's new instances stay below what the region starts in a minute. It waits
    /// before the turn, so that no provisioned instance costs money meanwhile.
    fn keep_pace(&mut self, item: &Item) -> Result<(), MeasureError> {
        let now = Instant::now();
        let asked = item.burst + self.new_controls(item.burst, now);
        let provisioned = if item.scenario == Scenario::Provisioned { item.burst } else { 0 };
        let (at, why) = self.pace.next(asked, provisioned, now);
        let wait = at.saturating_duration_since(now);
        if wait.is_zero() {
            return Ok(());
        }
        let why = match why {
            Why::Pace => format!(
                "new instances: {asked} more would be over {} a minute (`--pace`)",
                self.of.new_a_minute
            ),
            Why::Provisioned => format!(
                "provisioned instances: {provisioned} more would be over \
                 {NEW_PROVISIONED_A_MINUTE} a minute"
            ),
            Why::Throttled => "the platform started no more instances a moment ago".to_owned(),
        };
        self.watcher.waiting(wait, &why);
        self.account.client.wait(wait)?;
        self.paced += wait;
        Ok(())
    }

    /// Number of instances of the control function that its calls may start: the estimate assumes
    /// that those that answered in the last minute still exist.
    fn new_controls(&self, burst: u64, now: Instant) -> u64 {
        let there = self.controls.filter(|(_, at)| now.duration_since(*at) < WINDOW);
        burst.min(CONTROLS_AT_ONCE).saturating_sub(there.map_or(0, |(instances, _)| instances))
    }

    /// Makes the function new for a cold start, by the run's method.
    fn new_version(&mut self, turn: usize) -> Result<String, MeasureError> {
        let (subject, item) = &self.of.cases[turn];
        let function = &self.of.functions[item.function];
        self.nonces += 1;
        let nonce = format!("{} {}", self.of.run.as_str(), self.nonces);
        if item.scenario != Scenario::Provisioned {
            match self.of.cold_by {
                ColdBy::NewVersion => {}
                ColdBy::NewConfig => self.account.change_config(function, &nonce)?,
                ColdBy::NewLayer => {
                    let original = self.of.subjects[*subject]
                        .original
                        .and_then(|at| self.of.originals.get(at))
                        .ok_or_else(|| unfit("the image was not pulled: nothing to add to"))?;
                    let pushed =
                        original.push(&self.of.run, self.nonces, &self.of.access, self.ledger);
                    let pinned = pushed.map_err(|error| match error {
                        NonceError::Ledger(error) => AccountError::Ledger(error),
                        other => AccountError::Unfit(other.to_string()),
                    })?;
                    self.account.change_image(function, &pinned)?;
                }
            }
        }
        Ok(self.account.publish(&function.name, &nonce)?)
    }

    fn provision(&mut self, turn: usize, version: &str) -> Result<(), MeasureError> {
        let item = self.of.cases[turn].1;
        let function = &self.of.functions[item.function];
        let within = self.of.provision_wait;
        let (name, burst) = (&function.name, item.burst);
        let asked = self.account.provision(name, version, burst, within, self.ledger);
        self.pace.provisioned(burst, Instant::now());
        asked?;
        let (variant, run) = self.places[turn];
        let (function, version) = (name.clone(), version.to_owned());
        self.ahead.push(StartedAhead { variant, run, function, version });
        Ok(())
    }

    /// Ends at once what costs money while idle; a version ends with its instances.
    fn end(&mut self, turn: usize, version: &str) -> Result<(), MeasureError> {
        let item = self.of.cases[turn].1;
        let function = &self.of.functions[item.function].name;
        // An interruption of the run must not end this wait.
        let account = self.account.unstoppable();
        if item.scenario == Scenario::Provisioned {
            account.unprovision(function, version, self.ledger)?;
        }
        // A remaining version is deleted with its function; it costs nothing.
        let _ = account.delete_version(function, version);
        Ok(())
    }

    /// Sends the calls of one turn at once.
    fn call(&mut self, turn: usize, version: &str) -> Result<(), MeasureError> {
        let item = self.of.cases[turn].1;
        self.invocations_left = self
            .invocations_left
            .checked_sub(item.burst * 3)
            .ok_or_else(|| unfit("more calls than the plan has: a bug of coldstart"))?;
        let function = &self.of.functions[item.function].name;
        let (control, event) = (&self.of.control.name, &self.of.event);
        let lanes = &self.lanes[..item.burst as usize];
        let outcomes = call_at_once(lanes, control, function, version, event);
        let now = Instant::now();
        let at_once = item.burst.min(CONTROLS_AT_ONCE);
        let cold = if item.scenario == Scenario::Provisioned { 0 } else { item.burst };
        self.pace.called(cold + self.new_controls(item.burst, now), now);
        let there = self.controls.map_or(0, |(instances, _)| instances);
        self.controls = Some((there.max(at_once), now));
        let mut samples = Vec::new();
        for outcome in outcomes {
            samples.push(self.sample_of(outcome)?);
        }
        let throttled = samples.iter().any(|(of, _)| of.aside() == Some(Aside::Throttled));
        self.pace.answered(throttled, now);
        self.take(turn, samples);
        Ok(())
    }

    /// Makes a sample from a call; the sample stays set aside until the run has read its log.
    fn sample_of(&self, outcome: Outcome) -> Result<(Sample, String), MeasureError> {
        let failed = |error: String, phase: Phase| {
            let failure = Failure { phase, message: error };
            (Sample { error: Some(failure), ..Sample::default() }, String::new())
        };
        let throttled = |request_id: String| {
            let of = PlatformTimes {
                request_id,
                aside: Some(Aside::Throttled),
                ..PlatformTimes::default()
            };
            (Sample { on_platform: Some(of), ..Sample::default() }, String::new())
        };
        let (control, invocation, answer) = match outcome {
            Outcome::Called { warm_round_trip, invocation, answer } => {
                (warm_round_trip, invocation, answer)
            }
            Outcome::Control(error) | Outcome::Call(error) => {
                return match error {
                    CallError::Interrupted => Err(error.into()),
                    CallError::Refused { ref code, ref request_id, .. }
                        if refusal::is_throttled(code) =>
                    {
                        Ok(throttled(request_id.clone()))
                    }
                    CallError::Refused { ref code, .. } if is_of_the_account(code) => {
                        Err(error.into())
                    }
                    other => Ok(failed(other.to_string(), Phase::Start)),
                };
            }
            Outcome::ControlFailed(control) => {
                if is_throttled(&control) {
                    return Ok(throttled(control.request_id));
                }
                let (message, phase) = failure_of(&control);
                let message = format!("the control function, of the same image, failed: {message}");
                return Ok(failed(message, phase));
            }
            Outcome::Panicked => {
                return Ok(failed("a thread of coldstart ended".into(), Phase::Start));
            }
        };
        if is_throttled(&invocation) {
            return Ok(throttled(invocation.request_id));
        }
        if invocation.failure.is_some() {
            let (message, phase) = failure_of(&invocation);
            return Ok(failed(message, phase));
        }
        let ns = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        let of = PlatformTimes {
            request_id: invocation.request_id,
            at: Some(humantime::format_rfc3339_millis(answer.at).to_string()),
            handler_ns: invocation.handler_ns,
            warm_round_trip_ns: Some(ns(control)),
            aside: Some(Aside::LogsMissing),
            ..PlatformTimes::default()
        };
        let sample = Sample {
            intended_start_ns: ns(answer.began.saturating_duration_since(self.began)),
            total_ns: Some(ns(answer.took)),
            on_platform: Some(of),
            ..Sample::default()
        };
        Ok((sample, invocation.tail))
    }
}

/// Whether the platform refused the call because it starts no more instances now.
fn is_throttled(of: &Invocation) -> bool {
    match &of.failure {
        Some((Some(number @ 400..600), _)) => refusal::is_throttling(*number),
        Some((_, said)) => refusal::is_throttled(said),
        None => false,
    }
}

/// Describes a failure: the platform's number, its name and advice.
fn failure_of(of: &Invocation) -> (String, Phase) {
    let Some((number, said)) = &of.failure else { return (String::new(), Phase::Start) };
    let said: String = said.chars().take(500).collect();
    match number.and_then(|n| Some((n, refusal::status(n)?))) {
        Some((n, (name, phase, advice))) => {
            (format!("{n} {name}: {said} (request {}); {advice}", of.request_id), phase)
        }
        None => (format!("{said} (request {})", of.request_id), Phase::Start),
    }
}

/// Result of one connection in a turn.
enum Outcome {
    /// The call was answered.
    Called { warm_round_trip: Duration, invocation: Invocation, answer: Answer },
    /// The round trip could not be measured.
    Control(CallError),
    /// The control function failed.
    ControlFailed(Invocation),
    /// The call was not answered.
    Call(CallError),
    /// The thread panicked.
    Panicked,
}

/// Opens every connection and measures its round trip, a few at a time; then all of them call at
/// once.
fn call_at_once(
    lanes: &[Account],
    control: &str,
    function: &str,
    version: &str,
    event: &str,
) -> Vec<Outcome> {
    let mut trips = Vec::new();
    for group in lanes.chunks(CONTROLS_AT_ONCE as usize) {
        thread::scope(|scope| {
            let start = |lane| scope.spawn(move || round_trip(lane, control, event));
            let threads: Vec<_> = group.iter().map(start).collect();
            let ends = threads.into_iter();
            trips.extend(ends.map(|t| t.join().unwrap_or(Err(Box::new(Outcome::Panicked)))));
        });
    }
    let ready = &Barrier::new(trips.iter().filter(|trip| trip.is_ok()).count());
    let call = |lane: &Account, warm_round_trip| {
        ready.wait();
        match lane.invoke(function, version, event) {
            Ok((invocation, answer)) => Outcome::Called { warm_round_trip, invocation, answer },
            Err(error) => Outcome::Call(error),
        }
    };
    let call = &call;
    thread::scope(|scope| {
        let start = |(lane, trip): (_, Result<Duration, Box<Outcome>>)| {
            trip.map(|trip| scope.spawn(move || call(lane, trip)))
        };
        let threads: Vec<_> = lanes.iter().zip(trips).map(start).collect();
        let end = |thread: Result<thread::ScopedJoinHandle<'_, _>, Box<Outcome>>| match thread {
            Ok(thread) => thread.join().unwrap_or(Outcome::Panicked),
            Err(outcome) => *outcome,
        };
        threads.into_iter().map(end).collect()
    })
}

/// Measures the round trip. The first call may have to start an instance, so the second one counts.
fn round_trip(lane: &Account, control: &str, event: &str) -> Result<Duration, Box<Outcome>> {
    let warm = lane.invoke(control, "$LATEST", event).and_then(|first| match first.0.failure {
        Some(_) => Ok(first),
        None => lane.invoke(control, "$LATEST", event),
    });
    let (of_control, its_answer) = warm.map_err(|error| Box::new(Outcome::Control(error)))?;
    if of_control.failure.is_some() {
        return Err(Box::new(Outcome::ControlFailed(of_control)));
    }
    let handler = Duration::from_nanos(of_control.handler_ns.unwrap_or(0));
    Ok(its_answer.took.saturating_sub(handler))
}

impl Bench<'_> {
    /// Stores a turn's samples, with the part of the log that their replies contained.
    fn take(&mut self, turn: usize, samples: Vec<impl Into<Taken>>) {
        let (variant, run) = self.places[turn];
        for taken in samples {
            let Taken { mut sample, tail } = taken.into();
            sample.order = self.order;
            self.order += 1;
            let of = &mut self.results.variants[variant].runs[run];
            let at = of.samples.len();
            let id = sample
                .on_platform
                .as_ref()
                .filter(|p| p.aside == Some(Aside::LogsMissing))
                .map(|p| p.request_id.clone());
            of.samples.push(sample);
            if let Some(request_id) = id {
                let story = Story::read(&request_id, tail.lines());
                // The platform may have truncated the log's tail, so a missing start proves
                // nothing.
                if story.starts.is_empty() {
                    let (sample, ended) = (at, None);
                    self.pending.push(Pending { variant, run, sample, request_id, ended });
                } else {
                    settle(of, at, &story, ReadFrom::Tail);
                }
            }
        }
    }

    /// Queries the log once for the first `most` requests that have none.
    fn look(&mut self, most: usize) -> Result<(), AccountError> {
        let mut error = None;
        let pending = std::mem::take(&mut self.pending);
        let mut looks = 0;
        for mut one in pending {
            if looks >= most || error.is_some() {
                self.pending.push(one);
                continue;
            }
            looks += 1;
            let story = match self.logs.story(&one.request_id) {
                Ok(story) => story,
                Err(why) => {
                    error = Some(why);
                    self.pending.push(one);
                    continue;
                }
            };
            let now = Instant::now();
            let known = match (&story.report, story.starts.is_empty()) {
                (_, false) => true,
                // The log's start line may arrive after its end line.
                (Some(_), true) => now - *one.ended.get_or_insert(now) >= self.of.log_settle,
                (None, true) => false,
            };
            if known {
                let run = &mut self.results.variants[one.variant].runs[one.run];
                settle(run, one.sample, &story, ReadFrom::Cls);
            } else {
                self.pending.push(one);
            }
        }
        error.map_or(Ok(()), |error| Err(error.into()))
    }

    /// Queries until the log of every request is found or the time is over.
    fn wait_for_logs(&mut self) -> Result<(), AccountError> {
        let until = Instant::now() + self.of.log_wait;
        let mut pause = Duration::from_millis(500).min(self.of.log_settle);
        loop {
            match self.look(usize::MAX) {
                Err(error) if error.is_interrupted() => return Err(error),
                Err(error) if Instant::now() >= until => {
                    self.results.notes.push(format!("the log service did not answer: {error}"));
                    break;
                }
                _ => {}
            }
            if self.pending.is_empty() || Instant::now() >= until {
                break;
            }
            self.account.client.wait(pause.min(until.saturating_duration_since(Instant::now())))?;
            pause = (pause * 2).min(LOOK_AGAIN_AT_MOST).min(self.of.log_settle.max(pause));
        }
        for of in std::mem::take(&mut self.ahead) {
            let found = self.logs.of_version(&self.account.namespace, &of.function, &of.version);
            let Ok(lines) = found else { continue };
            let mut starts: Vec<_> = lines
                .iter()
                .filter_map(|line| match read_line(line) {
                    Some(Line::Ahead(start)) => Some(start),
                    _ => None,
                })
                .collect();
            starts.sort_by(|a, b| a.request_id.cmp(&b.request_id));
            starts.dedup();
            let run = &mut self.results.variants[of.variant].runs[of.run];
            if let Some(platform) = &mut run.on_platform {
                platform.ahead_ns.extend(starts.iter().map(|start| start.platform_ns));
            }
        }
        Ok(())
    }

    /// Adds what is known only at the end of a run.
    fn notes(&mut self) {
        let client = &self.account.client;
        let notes = &mut self.results.notes;
        if client.refused_for_rate() > 0 {
            notes.push(format!(
                "{} calls of the API were refused for their rate and sent again",
                client.refused_for_rate()
            ));
        }
        if self.paced >= Duration::from_secs(1) {
            notes.push(format!(
                "the run waited {} s in all, so that no more than {} new instances a minute were \
                 asked for, and {NEW_PROVISIONED_A_MINUTE} provisioned ones",
                self.paced.as_secs(),
                self.of.new_a_minute
            ));
        }
        if client.skew_s() != 0 {
            notes.push(format!(
                "this machine's clock is {} s off the platform's; durations are by its own \
                 monotonic clock, and right",
                client.skew_s()
            ));
        }
        if !self.pending.is_empty() {
            notes.push(format!(
                "{} requests had no complete log after {} s: they are kept and not counted \
                 (`--log-wait` waits longer)",
                self.pending.len(),
                self.of.log_wait.as_secs()
            ));
        }
    }
}

/// A sample, with the part of the log that its reply contained.
struct Taken {
    sample: Sample,
    tail: String,
}

impl From<Sample> for Taken {
    fn from(sample: Sample) -> Self {
        Self { sample, tail: String::new() }
    }
}

impl From<(Sample, String)> for Taken {
    fn from((sample, tail): (Sample, String)) -> Self {
        Self { sample, tail }
    }
}

/// Classifies a sample by its request's log: as the intended kind, or set aside.
fn settle(run: &mut Run, at: usize, story: &Story, from: ReadFrom) {
    let expected_cold = run.scenario != Scenario::Provisioned;
    let Some(sample) = run.samples.get_mut(at) else { return };
    let total_ns = sample.total_ns;
    let aside = match (story.starts.as_slice(), expected_cold) {
        ([], true) => Some(Aside::WarmInstead),
        ([], false) => None,
        ([_], true) => None,
        ([_], false) => Some(Aside::ColdInstead),
        (_, _) => Some(Aside::LogsConflict),
    };
    if let [start] = story.starts.as_slice() {
        start.fill(sample);
    }
    let Some(of) = &mut sample.on_platform else { return };
    of.aside = aside;
    of.read_from = Some(from);
    of.handler_ns = story.report.as_ref().map(|report| report.handler_ns).or(of.handler_ns);
    let signed = |ns: u64| i64::try_from(ns).ok();
    of.residual_ns = (|| {
        let known = signed(of.platform_ns.unwrap_or(0))?
            .checked_add(signed(of.handler_ns?)?)?
            .checked_add(signed(of.warm_round_trip_ns?)?)?;
        // Two different starts allow no residual.
        (story.starts.len() < 2).then_some(())?;
        signed(total_ns?)?.checked_sub(known)
    })();
    if let Some(platform) = &mut run.on_platform {
        platform.lines_twice += story.twice;
    }
}

/// Codes that would fail every further sample too.
fn is_of_the_account(code: &str) -> bool {
    ["AuthFailure", "UnauthorizedOperation", "InvalidAction", "UnknownParameter"]
        .iter()
        .any(|family| code.starts_with(family))
        || code.contains("InsufficientBalance")
}

/// Whether the error affects only one sample and not the run.
fn is_of_one_sample(error: &AccountError) -> bool {
    match error {
        AccountError::Call(CallError::Interrupted) | AccountError::Ledger(_) => false,
        AccountError::Call(CallError::Refused { code, .. }) => !is_of_the_account(code),
        AccountError::Call(CallError::Transport { .. } | CallError::Answer { .. }) => true,
        AccountError::Failed { .. } | AccountError::Late { .. } => true,
        AccountError::NotProvisioned { .. } => true,
        AccountError::Unfit(_) => false,
    }
}

fn phase_of(error: &AccountError) -> Phase {
    let said = error.to_string();
    match said.contains("Image") {
        true => Phase::Pull,
        false => Phase::Create,
    }
}
