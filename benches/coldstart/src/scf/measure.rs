//! Run on the platform: functions are made, every case is taken once per round in a random order,
//! and each sample is classified by its request's own log. A start that should have been cold and
//! was warm is counted and set aside; it is never repeated until it fits.

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

/// Between two looks into the log, at most.
const LOOK_AGAIN_AT_MOST: Duration = Duration::from_secs(30);
/// Requests whose log is looked for after a round; the rest wait for the end.
const LOOKS_A_ROUND: usize = 50;
/// Connections whose way there and back is measured at once: each may need an instance of the
/// control function, and a burst of those would take from what the region starts in a minute.
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
    /// Where its image is among [`Definition::originals`]; `None` unless layers are pushed.
    pub original: Option<usize>,
}

/// What to measure, and how.
pub struct Definition {
    /// The run's identity.
    pub run: RunId,
    /// What is measured.
    pub subjects: Vec<Subject>,
    /// Functions: of each item of the budget its own.
    pub functions: Vec<FunctionSpec>,
    /// The control function: one request to it, warm, is the way there and back.
    pub control: FunctionSpec,
    /// The cases: the subject's place, and what it calls.
    pub cases: Vec<(usize, Item)>,
    /// Rounds.
    pub samples: u64,
    /// New instances a minute that are asked for, at most.
    pub new_a_minute: u64,
    /// Of the random order.
    pub seed: u64,
    /// How instances are made new.
    pub cold_by: ColdBy,
    /// Images whose layers are pushed again with a nonce.
    pub originals: Vec<Original>,
    /// How registries are reached.
    pub access: Access,
    /// The event of every call, as JSON.
    pub event: String,
    /// How long provisioned instances may take until they are there.
    pub provision_wait: Duration,
    /// How long a request's log is waited for, after the last call.
    pub log_wait: Duration,
    /// How long a start may be missing in a log whose end is there, until the request was warm.
    pub log_settle: Duration,
    /// Whether a case that fails when it is tried first is left out, and the rest measured.
    pub keep_going: bool,
    /// What a reader of the results must know.
    pub notes: Vec<String>,
    /// This machine.
    pub host: Host,
}

/// How a run ended.
pub struct Finished {
    /// What was measured: whole rounds.
    pub results: Results,
    /// Why not all rounds were taken.
    pub stopped: Option<AccountError>,
    /// The case whose first turn failed, after which nothing more was measured.
    pub gave_up: Option<String>,
}

/// Why a run came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum MeasureError {
    /// The account did not let it.
    #[error(transparent)]
    Account(#[from] AccountError),
    /// The results cannot be kept.
    #[error(transparent)]
    Results(#[from] results::Error),
}

impl From<CallError> for MeasureError {
    fn from(error: CallError) -> Self {
        Self::Account(error.into())
    }
}

/// Gets the events of a run.
pub trait Watcher {
    /// A step that changes something in the account.
    fn step(&mut self, what: &str);
    /// Nothing is asked for so long, and why.
    fn waiting(&mut self, how_long: Duration, why: &str);
    /// One turn is done, of so many.
    fn sampled(&mut self, done: u64, of: u64, what: &str);
}

/// A request whose log was not found yet.
struct Pending {
    variant: usize,
    run: usize,
    sample: usize,
    request_id: String,
    /// When its end was seen without a start.
    ended: Option<Instant>,
}

/// Instances that were started ahead, whose own lines are read at the end.
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
    /// A connection for each call of a burst.
    lanes: Vec<Account>,
    results: Results,
    /// For each case its variant and its run.
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

/// Makes the functions and takes all samples. What was made is in the ledger and is not deleted
/// here. `keep`: where to keep the results after each round.
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
                "the platform leaves its own lines out of the log (IgnoreSysLog): without them no \
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

    /// All rounds, then the logs that are still missing. Why it ended early, and the case that
    /// failed when it was tried first.
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

    /// Of a round that was broken off nothing is kept.
    fn forget_all_but(&mut self, whole: &[usize]) {
        for (run, n) in self.each_run().zip(whole) {
            run.samples.truncate(*n);
        }
        let variants = &self.results.variants;
        self.pending.retain(|p| p.sample < variants[p.variant].runs[p.run].samples.len());
    }

    /// The first turn of a case brought nothing but failures.
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

    /// One turn of a case: a new version, its calls, its end.
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
                    // It is in the ledger still, and ended when the run is cleaned up.
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

    /// Waits until the turn's new instances stay below what the region starts in a minute. Before
    /// the turn, so that no provisioned instance is paid for meanwhile.
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

    /// Instances of the control function that its calls may start: those that answered in the last
    /// minute are taken to be there still.
    fn new_controls(&self, burst: u64, now: Instant) -> u64 {
        let there = self.controls.filter(|(_, at)| now.duration_since(*at) < WINDOW);
        burst.min(CONTROLS_AT_ONCE).saturating_sub(there.map_or(0, |(instances, _)| instances))
    }

    /// Makes what is to be cold new, as the run does it.
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

    /// What costs money while nothing happens ends at once; a version goes with its instances.
    fn end(&mut self, turn: usize, version: &str) -> Result<(), MeasureError> {
        let item = self.of.cases[turn].1;
        let function = &self.of.functions[item.function].name;
        // Not to be ended by what ends the run.
        let account = self.account.unstoppable();
        if item.scenario == Scenario::Provisioned {
            account.unprovision(function, version, self.ledger)?;
        }
        // A version that stays goes with its function; it costs nothing.
        let _ = account.delete_version(function, version);
        Ok(())
    }

    /// The calls of one turn, at once.
    fn call(&mut self, turn: usize, version: &str) -> Result<(), MeasureError> {
        let item = self.of.cases[turn].1;
        self.invocations_left = self
            .invocations_left
            .checked_sub(item.burst * 3)
            .ok_or_else(|| unfit("more calls than the plan has: a fault of coldstart's own"))?;
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

    /// A call as a sample; what is still to be read in the log is aside until then.
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

/// Whether the platform refused to run it because it starts no more instances now.
fn is_throttled(of: &Invocation) -> bool {
    match &of.failure {
        Some((Some(number @ 400..600), _)) => refusal::is_throttling(*number),
        Some((_, said)) => refusal::is_throttled(said),
        None => false,
    }
}

/// What went wrong, with the platform's number, its name and what to do.
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

/// What one connection of a turn brought.
enum Outcome {
    /// The call was answered.
    Called { warm_round_trip: Duration, invocation: Invocation, answer: Answer },
    /// The way there could not be measured.
    Control(CallError),
    /// The control function failed.
    ControlFailed(Invocation),
    /// The call was not answered.
    Call(CallError),
    /// The thread ended.
    Panicked,
}

/// Opens every connection and measures the way there and back on it, a few at a time; then all of
/// them call at once.
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

/// The way there and back. The first call may meet no instance; the second one is taken.
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
    /// Keeps a turn's samples, with what their replies carried of the log.
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
                // The tail may have been cut: that it has no start says nothing.
                if story.starts.is_empty() {
                    let (sample, ended) = (at, None);
                    self.pending.push(Pending { variant, run, sample, request_id, ended });
                } else {
                    settle(of, at, &story, ReadFrom::Tail);
                }
            }
        }
    }

    /// Looks once for the logs of the first `most` requests that have none.
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
                // Its start may come after its end.
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

    /// Looks until every request's log was found, or the time is over.
    fn wait_for_logs(&mut self) -> Result<(), AccountError> {
        let until = Instant::now() + self.of.log_wait;
        let mut pause = Duration::from_millis(500).min(self.of.log_settle);
        loop {
            match self.look(usize::MAX) {
                Err(error) if error.is_interrupted() => return Err(error),
                Err(error) if Instant::now() >= until => {
                    self.results.notes.push(format!("the log service could not be asked: {error}"));
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

    /// What only the end of a run knows.
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

/// A sample, and what its reply carried of the log.
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

/// Judges a sample by its request's log: what it was taken for, or aside.
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
        // Two different starts leave no residual.
        (story.starts.len() < 2).then_some(())?;
        signed(total_ns?)?.checked_sub(known)
    })();
    if let Some(platform) = &mut run.on_platform {
        platform.lines_twice += story.twice;
    }
}

/// Codes that no other sample will do without.
fn is_of_the_account(code: &str) -> bool {
    ["AuthFailure", "UnauthorizedOperation", "InvalidAction", "UnknownParameter"]
        .iter()
        .any(|family| code.starts_with(family))
        || code.contains("InsufficientBalance")
}

/// Whether only one sample came to nothing, rather than the run.
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
