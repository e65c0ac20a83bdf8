//! Scenarios of a plan: one job for each combination of rate, cold start, memory, keep-alive and,
//! if given as numbers, provisioned instances. Jobs do not depend on each other, so that a shard
//! can do every n-th of them.

use super::arrivals::Shape;
use super::cold::ColdTable;
use super::distribution::Distribution;
use super::duration::{self, SECOND_NS};
use super::estimate::Samples;
use super::fleet::Functions;
use super::limiter::StartLimit;
use super::pool::{Overflow, Reuse, Settings};
use super::provision::{Policy, Provision};
use super::rules::Rules;
use super::search;
use super::simulate::{Arrivals, Run, in_parallel};
use super::tally::Tally;
use super::target::Target;
use super::trace::{self, Trace};
use serde::{Deserialize, Serialize};
use std::sync::atomic::AtomicU64;

/// Requested provisioned instances.
#[derive(Debug, Clone, PartialEq)]
pub enum Ask {
    /// These policies, each with its name.
    Policies(Vec<(String, Policy)>),
    /// The least number that meets the target.
    Auto(Target),
}

/// Source of arrivals.
#[derive(Debug, Clone)]
pub enum Source {
    /// By a formula, at each of these mean rates.
    Shape {
        /// The formula.
        shape: Shape,
        /// Requests a second, on average.
        rates: Vec<f64>,
    },
    /// As they were recorded.
    Trace(Trace),
}

/// Everything that a plan needs.
#[derive(Debug, Clone)]
pub struct Sweep {
    /// When requests come.
    pub source: Source,
    /// Requests of each scenario; `None`: as many as fit into `length_ns`, or all of a trace.
    pub requests: Option<u64>,
    /// Length of each scenario, if it has no number of requests.
    pub length_ns: Option<u64>,
    /// Service time of a warm request.
    pub service: Distribution,
    /// Whether a trace's durations are used in its place.
    pub durations: bool,
    /// Cold starts, with a name where there are several.
    pub colds: Vec<(String, ColdTable)>,
    /// Provisioned instances.
    pub ask: Ask,
    /// Keep-alive of idle instances.
    pub keep_alives_ns: Vec<u64>,
    /// Memory settings of the function.
    pub memories_mib: Vec<u64>,
    /// Which idle instance takes a request.
    pub reuse: Reuse,
    /// Requests that an instance serves at once.
    pub concurrency: u32,
    /// Functions that share the arrivals.
    pub functions: Functions,
    /// Instances that there may be; `None`: the quota.
    pub most_instances: Option<u64>,
    /// Time for which a request holds its instance after its service time.
    pub hold_ns: u64,
    /// The platform.
    pub rules: &'static Rules,
    /// How fast instances may be started: the platform's limit, or none.
    pub starts: StartLimit,
    /// Whether the beginning is left out.
    pub warm_up: bool,
    /// Seed of all random numbers.
    pub seed: u64,
}

/// One combination.
#[derive(Debug, Clone)]
pub struct Job {
    name: Vec<String>,
    run: Run,
    memory_mib: u64,
    ask: Ask,
}

/// One scenario, simulated.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Scenario {
    /// Its difference from the others.
    pub name: String,
    /// Provisioned instances: the number, or the most that a policy had.
    pub provisioned: u64,
    /// Keep-alive of idle instances.
    pub keep_alive_ns: u64,
    /// The function's memory.
    pub memory_mib: u64,
    /// Measurements behind its quantiles.
    pub samples: Samples,
    /// Its number was found by a search for a target.
    pub found: bool,
    /// A search found no number that meets the target, and this is the largest.
    pub failed: bool,
    /// A step of the search for the answer.
    pub on_the_way: bool,
    /// The counts.
    pub tally: Tally,
}

/// Number of requests if the command line has none.
pub const REQUESTS: u64 = 1_000_000;

impl Sweep {
    /// The jobs, always in the same order.
    pub fn jobs(&self) -> Vec<Job> {
        let sources: Vec<(Option<String>, Arrivals)> = match &self.source {
            Source::Trace(trace) => vec![(None, Arrivals::Trace(trace.clone()))],
            Source::Shape { shape, rates } => rates
                .iter()
                .map(|&per_second| {
                    let name = (rates.len() > 1).then(|| format!("{per_second} requests/s"));
                    (name, Arrivals::Generated { shape: *shape, per_second })
                })
                .collect(),
        };
        let asks = match &self.ask {
            Ask::Policies(policies) => {
                policies.iter().map(|one| Ask::Policies(vec![one.clone()])).collect()
            }
            Ask::Auto(target) => vec![Ask::Auto(*target)],
        };
        let mut jobs = Vec::new();
        for (rate_name, arrivals) in &sources {
            for (cold_name, cold) in &self.colds {
                for &memory_mib in &self.memories_mib {
                    for &keep_alive_ns in &self.keep_alives_ns {
                        for ask in &asks {
                            let mut name: Vec<String> = rate_name.iter().cloned().collect();
                            if self.colds.len() > 1 {
                                name.push(cold_name.clone());
                            }
                            if self.memories_mib.len() > 1 {
                                name.push(format!("{memory_mib} MiB"));
                            }
                            name.push(format!("keep-alive {}", duration::short(keep_alive_ns)));
                            let run = self.run(arrivals, cold, memory_mib, keep_alive_ns);
                            jobs.push(Job { name, run, memory_mib, ask: ask.clone() });
                        }
                    }
                }
            }
        }
        jobs
    }

    fn run(&self, arrivals: &Arrivals, cold: &ColdTable, memory_mib: u64, keep_ns: u64) -> Run {
        let quota = self.rules.most_instances(memory_mib);
        let most_instances = self.most_instances.or(quota).unwrap_or(u64::MAX >> 1);
        let requests = match (arrivals, self.requests, self.length_ns) {
            (_, Some(n), _) => n,
            (Arrivals::Generated { per_second, .. }, None, Some(ns)) => {
                ((ns as f64 / SECOND_NS as f64 * per_second).round() as u64).max(1)
            }
            (Arrivals::Generated { .. }, None, None) => REQUESTS,
            (Arrivals::Trace(trace), None, _) => trace.requests(),
        };
        let settings = Settings {
            keep_alive_ns: keep_ns,
            reuse: self.reuse,
            concurrency: self.concurrency,
            most_instances,
            overflow: match self.rules.overflow {
                Overflow::Refuse => Overflow::Refuse,
                Overflow::Wait { limit_ns } => {
                    let starts_ns = self.rules.wait_starts * cold.alone().mean_ns();
                    Overflow::Wait { limit_ns: limit_ns.max(starts_ns as u64) }
                }
            },
            hold_ns: self.hold_ns,
            provision: Provision::new(Policy::Fixed(0), self.rules.provisioning),
        };
        Run {
            arrivals: arrivals.clone(),
            requests,
            service: self.service.clone(),
            durations: self.durations,
            cold: cold.clone(),
            settings,
            starts: self.starts,
            functions: match arrivals {
                Arrivals::Trace(trace) if trace.functions() > 1 => {
                    Functions { count: trace.functions() as u32, exponent: 0.0 }
                }
                _ => self.functions,
            },
            only: None,
            most_instances,
            seed: self.seed,
            warm_up: self.warm_up,
        }
    }

    /// Simulates jobs on so many threads; the scenarios are in the order of the jobs.
    ///
    /// # Errors
    /// What is wrong with a trace.
    pub fn simulate(
        jobs: &[Job],
        threads: usize,
        progress: &AtomicU64,
    ) -> Result<Vec<Vec<Scenario>>, trace::Error> {
        let at_once = threads.min(jobs.len()).max(1);
        let each = (threads / at_once).max(1);
        in_parallel(at_once, jobs, |job| job.simulate(each, progress)).into_iter().collect()
    }
}

impl Job {
    /// The mean number of requests at once; known beforehand for all but a trace.
    pub fn load(&self) -> Option<f64> {
        self.run.load()
    }

    /// Its simulation, without provisioned instances.
    pub fn run(&self) -> &Run {
        &self.run
    }

    fn simulate(
        &self,
        threads: usize,
        progress: &AtomicU64,
    ) -> Result<Vec<Scenario>, trace::Error> {
        let with = |policy: Policy| {
            let mut run = self.run.clone();
            run.settings.provision = Provision::new(policy, run.settings.provision.limit());
            run.simulate(threads, progress)
        };
        match &self.ask {
            Ask::Policies(policies) => {
                let one = |(name, policy): &(String, Policy)| {
                    let tally = with(policy.clone())?;
                    let provisioned = match policy.fixed() {
                        Some(n) => n.into(),
                        None => tally.usage.peak_provisioned,
                    };
                    Ok(self.scenario(name.clone(), provisioned, tally))
                };
                policies.iter().map(one).collect()
            }
            Ask::Auto(target) => self.search(target, |n| with(Policy::Fixed(n))),
        }
    }

    fn search(
        &self,
        target: &Target,
        mut with: impl FnMut(u32) -> Result<Tally, trace::Error>,
    ) -> Result<Vec<Scenario>, trace::Error> {
        let most = u32::try_from(self.run.settings.most_instances).unwrap_or(u32::MAX).min(1 << 20);
        let mut first = None;
        let load = match self.load() {
            Some(load) => {
                let instances = load / f64::from(self.run.settings.concurrency);
                instances / f64::from(self.run.functions.count)
            }
            None => {
                let tally = first.insert(with(0)?);
                tally.billed_ms as f64 * 1e6 / tally.usage.length_ns.max(1) as f64
            }
        };
        let mut found = search::least(target, load, most, |n| match first.take() {
            Some(tally) if n == 0 => Ok(tally),
            _ => with(n),
        })?;
        // A few more, so that the curve has its ends.
        if let Some(n) = found.least.filter(|&n| n > 0) {
            for more in [n / 2, n * 3 / 4, n + n.div_ceil(8), n + n.div_ceil(4)] {
                if more <= most && !found.tried.contains_key(&more) {
                    found.tried.insert(more, with(more)?);
                }
            }
        }
        let answer = found.least.or(found.tried.keys().next_back().copied()).unwrap_or(0);
        let mut scenarios = Vec::new();
        for (n, tally) in found.tried {
            let mut scenario = self.scenario(format!("provisioned {n}"), n.into(), tally);
            scenario.found = n == answer && found.least.is_some();
            scenario.failed = n == answer && found.least.is_none();
            scenario.on_the_way = n != answer;
            scenarios.push(scenario);
        }
        scenarios.sort_by_key(|scenario| scenario.on_the_way); // the answer first
        Ok(scenarios)
    }

    fn scenario(&self, provisioned_name: String, provisioned: u64, tally: Tally) -> Scenario {
        let mut name = vec![provisioned_name];
        name.extend(self.name.iter().cloned());
        let from_trace = self.run.durations
            && matches!(&self.run.arrivals, Arrivals::Trace(t) if t.mean_service_ns().is_some());
        Scenario {
            name: name.join(", "),
            provisioned,
            keep_alive_ns: self.run.settings.keep_alive_ns,
            memory_mib: self.memory_mib,
            samples: Samples {
                cold: self.run.cold.alone().samples(),
                service: self.run.service.samples().filter(|_| !from_trace),
            },
            found: false,
            failed: false,
            on_the_way: false,
            tally,
        }
    }
}
