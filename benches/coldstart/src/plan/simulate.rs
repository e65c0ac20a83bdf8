//! Simulation of one scenario: sends arrivals to a pool of instances, and counts. A long run is cut
//! into parts with a warm-up each, and the parts run on all processors. The cuts depend on the run
//! only, so that the result does not depend on the number of processors.

use super::arrivals::{Generated, Shape};
use super::cold::{ColdStarts, ColdTable};
use super::distribution::Distribution;
use super::duration::{DAY_NS, SECOND_NS};
use super::fleet::{Fleet, Functions};
use super::limiter::{Limiter, StartLimit};
use super::pool::{Observer, POINTS, Pool, Request, Settings, Usage};
use super::random::{Purpose, Stream};
use super::tally::Tally;
use super::trace::{self, Trace};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// Smallest number of requests of a part.
const PART_REQUESTS: u64 = 1_000_000;
const MOST_PARTS: u64 = 16;
/// Requests between two reports of progress.
const PROGRESS: u64 = 1 << 16;
/// The number of the warm-up's first request: requests that count begin at 0 in every scenario.
const WARM_UP: u64 = 1 << 63;

/// Source of requests.
#[derive(Debug, Clone)]
pub enum Arrivals {
    /// By a formula, at a mean rate.
    Generated {
        /// The formula.
        shape: Shape,
        /// Requests a second, on average.
        per_second: f64,
    },
    /// As they were recorded.
    Trace(Trace),
}

/// One scenario.
#[derive(Debug, Clone)]
pub struct Run {
    /// When requests come.
    pub arrivals: Arrivals,
    /// Requests that count; a trace may have fewer.
    pub requests: u64,
    /// Service time of a warm request, unless its trace has it.
    pub service: Distribution,
    /// Whether a trace's durations are used.
    pub durations: bool,
    /// Durations of cold starts.
    pub cold: ColdTable,
    /// The rules of each function.
    pub settings: Settings,
    /// How fast instances may be started.
    pub starts: StartLimit,
    /// Functions that share the arrivals.
    pub functions: Functions,
    /// Only this function's requests arrive, as they do beside the others'.
    pub only: Option<usize>,
    /// Instances of all functions.
    pub most_instances: u64,
    /// Of all random numbers.
    pub seed: u64,
    /// Whether the beginning, with no on-demand instance, is left out.
    pub warm_up: bool,
}

/// A part of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Part {
    number: u64,
    /// It ends after this many requests, or at its time.
    requests: u64,
    length_ns: u64,
    warm_up_ns: u64,
    point_ns: u64,
}

impl Run {
    /// Mean number of requests at once on instances that are warm; `None` for a trace.
    pub fn load(&self) -> Option<f64> {
        match &self.arrivals {
            Arrivals::Generated { per_second, .. } => {
                let hold_ns = self.service.mean_ns() + self.settings.hold_ns as f64;
                Some(per_second * hold_ns / SECOND_NS as f64)
            }
            Arrivals::Trace(_) => None,
        }
    }

    /// Length of the beginning that does not count: several keep-alives, and as long as the limit
    /// on starts needs to let the instances start. Longer if that costs little.
    fn warm_up_ns(&self, per_second: f64) -> u64 {
        if !self.warm_up {
            return 0;
        }
        let keep_ns = self.settings.keep_alive_ns as f64;
        let request_ns = self.service.mean_ns() + self.cold.alone().mean_ns();
        let starting_ns = self.load().unwrap_or(0.0) * 2.0 * self.starts.spacing_ns() as f64;
        let requests = |ns: f64| ns * per_second / SECOND_NS as f64;
        let share = |part: f64| self.requests as f64 / part;
        let keeps = match () {
            () if requests(10.0 * keep_ns) <= share(10.0) => 10.0,
            () if requests(5.0 * keep_ns) <= share(4.0) => 5.0,
            () => 2.0,
        };
        let policy_ns = match self.settings.provision.look_every_ns() {
            u64::MAX => 0.0,
            _ => 1_800.0 * SECOND_NS as f64,
        };
        let most_requests = (2.0 * self.requests as f64).max(2e6);
        let kept_ns = (keeps * keep_ns).min(most_requests / per_second * SECOND_NS as f64);
        let ns = kept_ns + 20.0 * request_ns + starting_ns + policy_ns;
        (ns as u64).clamp(SECOND_NS, 30 * DAY_NS)
    }

    /// The length of a warm-up that is shorter than the keep-alive.
    pub fn short_warm_up_ns(&self) -> Option<u64> {
        let Arrivals::Generated { per_second, .. } = self.arrivals else { return None };
        let ns = self.warm_up_ns(per_second);
        (self.warm_up && ns < self.settings.keep_alive_ns).then_some(ns)
    }

    fn parts(&self) -> Vec<Part> {
        let Arrivals::Generated { shape, per_second } = &self.arrivals else {
            return Vec::new();
        };
        let length_ns = (self.requests as f64 / per_second * SECOND_NS as f64) as u64;
        let warm_up_ns = self.warm_up_ns(*per_second);
        let day = matches!(shape, Shape::Diurnal { .. });
        let whole = Part {
            number: 0,
            requests: self.requests,
            length_ns: u64::MAX,
            warm_up_ns,
            point_ns: length_ns.min(DAY_NS) / POINTS as u64,
        };
        if !self.warm_up {
            return vec![whole]; // there is one beginning
        }
        if day && length_ns > DAY_NS {
            let days = length_ns.div_ceil(DAY_NS);
            let each_ns = days.div_ceil(4 * MOST_PARTS) * DAY_NS;
            let parts = length_ns.div_ceil(each_ns);
            let part = |number| Part {
                number,
                requests: u64::MAX,
                length_ns: each_ns.min(length_ns - number * each_ns),
                ..whole
            };
            return (0..parts).map(part).collect();
        }
        let warm_up_requests = warm_up_ns as f64 / SECOND_NS as f64 * per_second;
        let affordable = (self.requests as f64 / (4.0 * warm_up_requests.max(1.0))) as u64;
        let parts = match day {
            true => 1, // a run shorter than a day has one noon
            false => (self.requests / PART_REQUESTS).min(MOST_PARTS).min(affordable).max(1),
        };
        let part = |number| Part {
            number,
            requests: self.requests / parts + u64::from(number < self.requests % parts),
            ..whole
        };
        (0..parts).map(part).collect()
    }

    fn fleet(&self, part: &Part) -> Fleet {
        let limiter = Limiter::new(self.starts, self.most_instances);
        let choice = Stream::new(self.seed, Purpose::Function, part.number);
        Fleet::new(self.functions, limiter, choice, self.only, |limiter| self.pool(part, limiter))
    }

    fn pool(&self, part: &Part, limiter: &mut Limiter) -> Pool {
        let stream = |purpose| Stream::new(self.seed, purpose, part.number);
        let cold = ColdStarts::new(
            self.cold.clone(),
            stream(Purpose::Cold),
            stream(Purpose::Provisioning),
        );
        let choice = stream(Purpose::Reuse);
        let (from_ns, point_ns) = (part.warm_up_ns, part.point_ns);
        Pool::new(self.settings.clone(), cold, choice, from_ns, point_ns, limiter)
    }

    /// Simulates one part of generated arrivals.
    fn part(&self, part: &Part, shape: Shape, per_second: f64, progress: &AtomicU64) -> Tally {
        let mut tally = Tally::default();
        let (usage, _) = self.observe(part, shape, per_second, &mut tally, progress);
        tally.finish(usage);
        tally
    }

    fn observe(
        &self,
        part: &Part,
        shape: Shape,
        per_second: f64,
        observer: &mut impl Observer,
        progress: &AtomicU64,
    ) -> (Usage, Vec<u64>) {
        let mut fleet = self.fleet(part);
        let services = Stream::new(self.seed, Purpose::Service, part.number);
        let service_ns = |number| self.service.at(services.uniform(number));
        let from_ns = part.warm_up_ns;
        if from_ns > 0 {
            let midnight_before_ns = (DAY_NS - from_ns % DAY_NS) % DAY_NS;
            // Random numbers that counting requests do not use: these then arrive equally in
            // scenarios with different warm-ups.
            let replication = part.number | WARM_UP;
            let mut arrivals =
                Generated::new(shape, per_second, self.seed, replication, midnight_before_ns);
            for number in WARM_UP.. {
                let at_ns = arrivals.next_ns();
                if at_ns >= from_ns {
                    break;
                }
                let request = Request {
                    number,
                    service_ns: service_ns(number),
                    arrived_ns: at_ns,
                    counted: false,
                };
                fleet.arrive(request, None, observer);
            }
        }
        let mut arrivals = Generated::new(shape, per_second, self.seed, part.number, 0);
        let mut end_ns = from_ns;
        for number in 0..part.requests {
            let since_ns = arrivals.next_ns();
            if since_ns >= part.length_ns {
                end_ns = from_ns + part.length_ns;
                break;
            }
            end_ns = from_ns + since_ns;
            let request = Request {
                number,
                service_ns: service_ns(number),
                arrived_ns: end_ns,
                counted: true,
            };
            fleet.arrive(request, None, observer);
            if number % PROGRESS == PROGRESS - 1 {
                progress.fetch_add(PROGRESS, Ordering::Relaxed);
            }
        }
        fleet.close(end_ns, observer)
    }

    /// Simulates the run on `threads` threads; the result does not depend on how many.
    /// `progress` counts the requests that are done.
    ///
    /// # Errors
    /// What is wrong with a trace.
    pub fn simulate(&self, threads: usize, progress: &AtomicU64) -> Result<Tally, trace::Error> {
        let (shape, per_second) = match &self.arrivals {
            Arrivals::Generated { shape, per_second } => (*shape, *per_second),
            Arrivals::Trace(trace) => return self.replay(trace, progress),
        };
        let parts = self.parts();
        let tallies =
            in_parallel(threads, &parts, |part| self.part(part, shape, per_second, progress));
        let mut tallies = tallies.into_iter();
        let mut all = tallies.next().unwrap_or_default();
        tallies.for_each(|tally| all.add(&tally));
        Ok(all)
    }

    /// Simulates the first part of a run of generated arrivals with an `observer` of each request.
    /// Returns the usage, with the busy nanoseconds of each provisioned instance.
    ///
    /// # Panics
    /// If the run replays a trace.
    pub fn watch(&self, observer: &mut impl Observer) -> (Usage, Vec<u64>) {
        let Arrivals::Generated { shape, per_second } = self.arrivals else {
            panic!("a trace cannot be observed");
        };
        self.observe(&self.parts()[0], shape, per_second, observer, &AtomicU64::new(0))
    }

    fn replay(&self, trace: &Trace, progress: &AtomicU64) -> Result<Tally, trace::Error> {
        let length_ns = trace.length_ns();
        let part = Part {
            number: 0,
            requests: self.requests,
            length_ns,
            warm_up_ns: 0,
            point_ns: (length_ns + 1).min(DAY_NS) / POINTS as u64,
        };
        let services = Stream::new(self.seed, Purpose::Service, 0);
        let mut fleet = self.fleet(&part);
        let mut tally = Tally::default();
        let mut entries = trace.entries(self.seed)?;
        let (mut number, mut end_ns) = (0u64, 0);
        while number < self.requests
            && let Some(entry) = entries.next_entry()?
        {
            end_ns = entry.at_ns;
            let service_ns = entry
                .service_ns
                .filter(|_| self.durations)
                .unwrap_or_else(|| self.service.at(services.uniform(number)));
            let request = Request { number, service_ns, arrived_ns: end_ns, counted: true };
            fleet.arrive(request, Some(entry.function), &mut tally);
            number += 1;
            if number % PROGRESS == 0 {
                progress.fetch_add(PROGRESS, Ordering::Relaxed);
            }
        }
        let usage = fleet.close(end_ns, &mut tally).0;
        tally.finish(usage);
        Ok(tally)
    }
}

/// Runs `work` on each item, on several threads; results are in the items' order.
pub fn in_parallel<T: Sync, R: Send>(
    threads: usize,
    items: &[T],
    work: impl Fn(&T) -> R + Sync,
) -> Vec<R> {
    if threads <= 1 || items.len() <= 1 {
        return items.iter().map(work).collect();
    }
    let next = AtomicUsize::new(0);
    let worker = || {
        let mut done = Vec::new();
        while let Some((at, item)) = {
            let at = next.fetch_add(1, Ordering::Relaxed);
            items.get(at).map(|item| (at, item))
        } {
            done.push((at, work(item)));
        }
        done
    };
    let mut done: Vec<(usize, R)> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads.min(items.len())).map(|_| scope.spawn(worker)).collect();
        let joined = workers.into_iter().map(|worker| worker.join());
        joined.flat_map(|done| done.unwrap_or_else(|e| std::panic::resume_unwind(e))).collect()
    });
    done.sort_by_key(|(at, _)| *at);
    done.into_iter().map(|(_, result)| result).collect()
}
