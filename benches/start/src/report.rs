//! Report of a run: machine, programs, every sample, and the statistics. Measuring writes it and
//! drawing reads it; it is the content of results.json. In the JSON the unit is the last word of a
//! name.

use crate::host::HostState;
use crate::idle::Idle;
use crate::launch::Place;
use crate::program::{FLOOR, Program, RIVAL};
use crate::requests::{Requests, Rivals};
use crate::sample::Sample;
use crate::trace::{Arrival, Point, Trace};
use bench_kit::stats::paired::{Difference, Quantiles, Ratio};
use serde::Serialize;

/// A whole run.
#[derive(Debug, Serialize)]
pub struct Report {
    /// The number of this report's schema.
    pub schema: u32,
    /// Name of the bench.
    pub bench: &'static str,
    /// The machine.
    pub host: HostState,
    /// The core of the harness; `None` if there is only one core, and nothing is pinned.
    pub harness_core: Option<usize>,
    /// The core of the programs.
    pub program_core: Option<usize>,
    /// Whether both had real-time priority (SCHED_FIFO).
    pub realtime: bool,
    /// Seed of the order of starts.
    pub seed: u64,
    /// The program of the comparisons `…_to_against` and `…_less_against`.
    pub against: String,
    /// Number of requests in a start of [`Variant::requests`].
    pub requests: u32,
    /// The compared programs.
    pub variants: Vec<Variant>,
}

/// One program.
#[derive(Debug, Serialize)]
pub struct Variant {
    /// Its name in the results.
    pub name: String,
    /// Size of the program file.
    pub elf_bytes: u64,
    /// Its runs, in the order of measurement.
    pub runs: Vec<Run>,
    /// Counts of traced starts.
    pub counts: Vec<Counts>,
    /// Medians of several idle periods.
    pub idle: Option<Idle>,
    /// Several requests on one connection; `None` if there was only one.
    pub requests: Option<Requests>,
}

/// One program's starts with one state of the page cache.
#[derive(Debug, Serialize)]
pub struct Run {
    /// State of the page cache.
    pub page_cache: PageCache,
    /// Statistics of the samples.
    pub summary: Summary,
    /// Bytes of the ELF in the page cache after an evicted start: used pages, and pages that the
    /// kernel read ahead.
    pub read_bytes: Option<u64>,
    /// Every start.
    pub samples: Samples,
    /// Failures, as text.
    pub errors: Vec<String>,
}

/// Settings of a run.
#[derive(Debug)]
pub struct Plan {
    /// Seed of the order of starts.
    pub seed: u64,
    /// A program to compare with, besides the floor and axum.
    pub against: String,
    /// Number of requests on one connection; with 1 only the first request of each start.
    pub requests: u32,
}

/// State of the page cache when a program starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum PageCache {
    /// The whole file is in it.
    Warm,
    /// No page of the file is in it.
    Evicted,
}

/// Statistics of the samples.
#[derive(Debug, Default, Serialize)]
pub struct Summary {
    /// From exec to the first accepted connection.
    pub listen: Option<Quantiles>,
    /// From exec to the first byte of the reply.
    pub first_byte: Option<Quantiles>,
    /// Ratio of the time until it listens, to the floor's.
    pub listen_to_floor: Option<Ratio>,
    /// Ratio of the time to the first byte, to the floor's.
    pub first_byte_to_floor: Option<Ratio>,
    /// Ratio of the time until it listens, to axum's.
    pub listen_to_axum: Option<Ratio>,
    /// Ratio of the time to the first byte, to axum's.
    pub first_byte_to_axum: Option<Ratio>,
    /// Ratio of the time to the first byte, to that of the program of `--against`.
    pub first_byte_to_against: Option<Ratio>,
    /// Difference of the time to the first byte, less that of the program of `--against`.
    pub first_byte_less_against: Option<Difference>,
}

/// Samples as columns, with a row per round; `None` if the start failed.
#[derive(Debug, Default, Serialize)]
pub struct Samples {
    /// Position in the run's random order.
    pub order: Vec<u32>,
    /// From exec to the accepted connection.
    pub listen_ns: Vec<Option<u64>>,
    /// The first byte of the reply arrived.
    pub first_byte_ns: Vec<Option<u64>>,
    /// From exec to the last byte of the reply.
    pub reply_ns: Vec<Option<u64>>,
    /// Page faults that read nothing from a disk.
    pub minor_faults: Vec<Option<u64>>,
    /// Page faults that read from a disk.
    pub major_faults: Vec<Option<u64>>,
    /// Threads, shortly after the reply.
    pub threads: Vec<Option<u64>>,
    /// Resident memory.
    pub rss_bytes: Vec<Option<u64>>,
    /// Bytes of the program's own pages that were mapped.
    pub mapped_bytes: Vec<Option<u64>>,
}

/// Counts of traced starts: the largest of several.
#[derive(Debug, Serialize)]
pub struct Counts {
    /// Time at which the event was sent.
    pub arrival: Arrival,
    /// Number of traced starts.
    pub n: usize,
    /// Whether all of them made the same calls. Faults vary by one or two, because the stack has
    /// another address each time.
    pub stable: bool,
    /// Counted until the connection was accepted.
    pub before_accept: Point,
    /// Counted until the first byte of the reply.
    pub to_first_byte: Point,
    /// The system calls to the first byte, in order.
    pub calls: Vec<String>,
}

impl Report {
    /// A report without samples.
    pub fn new(
        programs: &[Program],
        page_caches: &[PageCache],
        harness_core: Option<usize>,
        place: Place,
        plan: Plan,
    ) -> Self {
        let run = |page_cache: &PageCache| Run {
            page_cache: *page_cache,
            summary: Summary::default(),
            read_bytes: None,
            samples: Samples::default(),
            errors: Vec::new(),
        };
        let variant = |program: &Program| Variant {
            name: program.name.clone(),
            elf_bytes: program.elf_bytes,
            runs: page_caches.iter().map(run).collect(),
            counts: Vec::new(),
            idle: None,
            requests: (plan.requests > 1).then(|| Requests::new(plan.requests)),
        };
        Self {
            schema: 1,
            bench: "start",
            host: HostState::describe(),
            harness_core,
            program_core: place.core,
            realtime: place.realtime,
            seed: plan.seed,
            against: plan.against,
            requests: plan.requests,
            variants: programs.iter().map(variant).collect(),
        }
    }

    /// The states of the page cache that were measured, in order.
    pub fn page_caches(&self) -> Vec<PageCache> {
        self.variants
            .first()
            .map(|v| v.runs.iter().map(|run| run.page_cache).collect())
            .unwrap_or_default()
    }

    /// Computes the summaries from the samples.
    pub fn summarise(&mut self) {
        for cache in self.page_caches() {
            let [floor, rival, against] = [FLOOR, RIVAL, &self.against].map(|name| {
                self.variant(name)
                    .and_then(|variant| variant.run(cache))
                    .map(|run| run.samples.times())
                    .unwrap_or_default()
            });
            for run in self.variants.iter_mut().flat_map(|variant| &mut variant.runs) {
                if run.page_cache == cache {
                    let [listen, first_byte] = run.samples.times();
                    run.summary = Summary {
                        listen_to_floor: Ratio::of(&listen, &floor[0]),
                        first_byte_to_floor: Ratio::of(&first_byte, &floor[1]),
                        listen_to_axum: Ratio::of(&listen, &rival[0]),
                        first_byte_to_axum: Ratio::of(&first_byte, &rival[1]),
                        first_byte_to_against: Ratio::of(&first_byte, &against[1]),
                        first_byte_less_against: Difference::of(&first_byte, &against[1]),
                        listen: Quantiles::of(&listen.into_iter().flatten().collect::<Vec<_>>()),
                        first_byte: Quantiles::of(
                            &first_byte.into_iter().flatten().collect::<Vec<_>>(),
                        ),
                    };
                }
            }
        }
    }

    /// Computes the summaries of further requests from their samples.
    pub fn summarise_requests(&mut self) {
        let times = |name: &str| {
            let requests = self.variant(name).and_then(|variant| variant.requests.as_ref());
            requests.map(|requests| requests.samples.times()).unwrap_or_default()
        };
        let rivals =
            Rivals { floor: times(FLOOR), axum: times(RIVAL), against: times(&self.against) };
        for requests in self.variants.iter_mut().filter_map(|variant| variant.requests.as_mut()) {
            requests.summarise(&rivals);
        }
    }

    /// The program of that name.
    pub fn variant(&self, name: &str) -> Option<&Variant> {
        self.variants.iter().find(|variant| variant.name == name)
    }

    /// Failures, one line per program.
    pub fn complaints(&self) -> Vec<String> {
        let complaint = |variant: &Variant, errors: &[String], of: usize, what: &str| {
            let (count, first, name) = (errors.len(), errors.first()?, &variant.name);
            Some(format!("{count} of {of} {what} of `{name}` failed, the first of them: {first}"))
        };
        let mut complaints = Vec::new();
        for variant in &self.variants {
            for run in &variant.runs {
                let of = run.samples.order.len();
                complaints.extend(complaint(variant, &run.errors, of, "starts"));
            }
            if let Some(requests) = &variant.requests {
                let of = requests.samples.order.len();
                let what = "starts with several requests";
                complaints.extend(complaint(variant, &requests.errors, of, what));
            }
        }
        complaints
    }
}

impl Variant {
    /// The run with this state of the page cache.
    pub fn run(&self, page_cache: PageCache) -> Option<&Run> {
        self.runs.iter().find(|run| run.page_cache == page_cache)
    }
}

impl Samples {
    /// Adds a round.
    pub fn push(&mut self, order: u32, sample: Option<Sample>) {
        self.order.push(order);
        self.listen_ns.push(sample.map(|s| s.listen_ns));
        self.first_byte_ns.push(sample.map(|s| s.first_byte_ns));
        self.reply_ns.push(sample.map(|s| s.reply_ns));
        self.minor_faults.push(sample.map(|s| s.minor_faults));
        self.major_faults.push(sample.map(|s| s.major_faults));
        self.threads.push(sample.map(|s| s.threads));
        self.rss_bytes.push(sample.map(|s| s.rss_bytes));
        self.mapped_bytes.push(sample.map(|s| s.mapped_bytes));
    }

    /// exec → listening and exec → first byte, in nanoseconds.
    pub fn times(&self) -> [Vec<Option<f64>>; 2] {
        [&self.listen_ns, &self.first_byte_ns]
            .map(|column| column.iter().map(|ns| ns.map(|ns| ns as f64)).collect())
    }
}

impl Counts {
    /// The largest counts of the traces. `None` without a trace.
    pub fn of(arrival: Arrival, traces: &[Trace]) -> Option<Self> {
        let most = traces.iter().max_by_key(|trace| {
            (
                trace.to_first_byte.system_calls,
                trace.to_first_byte.minor_faults,
                trace.before_accept.minor_faults,
            )
        })?;
        let max = |of: fn(&Trace) -> Point| {
            traces.iter().map(of).fold(Point::default(), |a, b| Point {
                system_calls: a.system_calls.max(b.system_calls),
                minor_faults: a.minor_faults.max(b.minor_faults),
                threads: a.threads.max(b.threads),
            })
        };
        Some(Self {
            arrival,
            n: traces.len(),
            stable: traces.iter().all(|trace| trace.names().eq(most.names())),
            before_accept: max(|trace| trace.before_accept),
            to_first_byte: max(|trace| trace.to_first_byte),
            calls: most.names().map(str::to_owned).collect(),
        })
    }
}
