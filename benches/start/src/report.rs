//! Report of a run: machine, programs, every sample, and the statistics. It is the only link
//! between measuring and drawing, and the content of results.json. In the JSON the unit is the last
//! word of a name.

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
    /// Which bench this is of.
    pub bench: &'static str,
    /// The machine.
    pub host: HostState,
    /// The core of the harness; `None` where there is only one core, and nothing is pinned.
    pub harness_core: Option<usize>,
    /// The core of the programs.
    pub program_core: Option<usize>,
    /// Whether both ran ahead of all other work (SCHED_FIFO).
    pub realtime: bool,
    /// Seed of the order of starts.
    pub seed: u64,
    /// The program that `…_to_against` and `…_less_against` compare with.
    pub against: String,
    /// How many requests a start of [`Variant::requests`] makes.
    pub requests: u32,
    /// What was compared.
    pub variants: Vec<Variant>,
}

/// One program.
#[derive(Debug, Serialize)]
pub struct Variant {
    /// Its name in the results.
    pub name: String,
    /// Size of the program file.
    pub elf_bytes: u64,
    /// Its runs, in the order they were measured.
    pub runs: Vec<Run>,
    /// What traced starts counted.
    pub counts: Vec<Counts>,
    /// Medians of several times idling.
    pub idle: Option<Idle>,
    /// Several requests on one connection; `None` where one was all.
    pub requests: Option<Requests>,
}

/// One program's starts with one state of the page cache.
#[derive(Debug, Serialize)]
pub struct Run {
    /// What of the files is in memory.
    pub page_cache: PageCache,
    /// What the samples come to.
    pub summary: Summary,
    /// Bytes of the ELF in the page cache after an evicted start: what was touched, and what the
    /// kernel read ahead of it.
    pub read_bytes: Option<u64>,
    /// Every start.
    pub samples: Samples,
    /// What failed, as text.
    pub errors: Vec<String>,
}

/// What the caller of the bench chooses.
#[derive(Debug)]
pub struct Plan {
    /// Seed of the order of starts.
    pub seed: u64,
    /// The program that others are compared with, besides the floor and axum.
    pub against: String,
    /// Requests on one connection; 1: only the first one of each start.
    pub requests: u32,
}

/// What is in memory of a program's file when it is started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum PageCache {
    /// All of it.
    Warm,
    /// Nothing.
    Evicted,
}

/// What the samples come to.
#[derive(Debug, Default, Serialize)]
pub struct Summary {
    /// From exec to the first accepted connection.
    pub listen: Option<Quantiles>,
    /// From exec to the first byte of the reply.
    pub first_byte: Option<Quantiles>,
    /// Until it listens, beside the floor's.
    pub listen_to_floor: Option<Ratio>,
    /// Until the first byte, beside the floor's.
    pub first_byte_to_floor: Option<Ratio>,
    /// Until it listens, beside axum's.
    pub listen_to_axum: Option<Ratio>,
    /// Until the first byte, beside axum's.
    pub first_byte_to_axum: Option<Ratio>,
    /// exec → first byte to that of the program of `--against`.
    pub first_byte_to_against: Option<Ratio>,
    /// exec → first byte less that of the program of `--against`.
    pub first_byte_less_against: Option<Difference>,
}

/// Samples as columns, a row a round; `None` where the start failed.
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
    /// Page faults that did.
    pub major_faults: Vec<Option<u64>>,
    /// Threads, shortly after the reply.
    pub threads: Vec<Option<u64>>,
    /// Resident memory.
    pub rss_bytes: Vec<Option<u64>>,
    /// Bytes of the program's own pages that were mapped.
    pub mapped_bytes: Vec<Option<u64>>,
}

/// What a traced start counted: the most of several.
#[derive(Debug, Serialize)]
pub struct Counts {
    /// When the event was sent.
    pub arrival: Arrival,
    /// Traced starts.
    pub n: usize,
    /// Whether all of them made the same calls. Faults move by one or two: the stack begins
    /// elsewhere each time.
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

    /// What failed, a line a program.
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
    /// The run with that state of the page cache.
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
    /// The most that any of the traces counted. `None` without a trace.
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
