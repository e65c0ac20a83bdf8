//! Counts of a simulation: requests by how they were served, latencies, batches for the intervals,
//! billed usage. Whole numbers only, so that parts add up to the same total in any order, and a
//! file gives back what was written to it.

use super::histogram::Histogram;
use super::pool::{Observer, Request, Served, Usage};
use serde::{Deserialize, Serialize};

/// More batches are joined, two by two.
const MOST_BATCHES: usize = 64;

/// Requests of one stretch of the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Batch {
    /// Requests that were served.
    pub served: u64,
    /// The part of them that met a cold start.
    pub cold: u64,
    /// Requests that were refused.
    pub refused: u64,
}

impl Batch {
    fn requests(&self) -> u64 {
        self.served + self.refused
    }

    fn add(&mut self, other: &Self) {
        self.served += other.served;
        self.cold += other.cold;
        self.refused += other.refused;
    }
}

/// Counts of one run or of several.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// The whole run.
    pub all: Batch,
    /// Of equal numbers of requests within one part of the run.
    pub batches: Vec<Batch>,
    /// Parts of the run that were simulated on their own.
    pub parts: u64,
    /// Of served requests.
    pub latency: Histogram,
    /// Served requests' service time, each rounded up to whole milliseconds.
    pub billed_ms: u64,
    /// Cold starts' time, each rounded up to whole milliseconds: for platforms that bill it.
    pub cold_ms: u64,
    /// Sums over time.
    pub usage: Usage,
    #[serde(skip)]
    open: Batch,
    #[serde(skip)]
    per_batch: u64,
}

impl Default for Tally {
    fn default() -> Self {
        Self {
            all: Batch::default(),
            batches: Vec::new(),
            parts: 1,
            latency: Histogram::default(),
            billed_ms: 0,
            cold_ms: 0,
            usage: Usage::default(),
            open: Batch::default(),
            per_batch: 32,
        }
    }
}

impl Tally {
    /// A tally of this many requests and nothing else.
    pub fn of(all: Batch) -> Self {
        Self { all, batches: vec![all], ..Self::default() }
    }

    #[inline]
    fn counted(&mut self) {
        if self.open.requests() >= self.per_batch {
            self.close_batch();
        }
    }

    #[cold]
    fn close_batch(&mut self) {
        self.all.add(&self.open);
        self.batches.push(std::mem::take(&mut self.open));
        if self.batches.len() == MOST_BATCHES {
            self.per_batch *= 2;
            let joined = self.batches.chunks(2).map(|two| {
                let mut sum = two[0];
                two[1..].iter().for_each(|other| sum.add(other));
                sum
            });
            self.batches = joined.collect();
        }
    }

    /// Ends the counting of one part of the run.
    pub fn finish(&mut self, usage: Usage) {
        self.all.add(&self.open);
        // A partial batch would have the weight of a full one.
        let open = std::mem::take(&mut self.open);
        if self.batches.is_empty() {
            self.batches.push(open);
        }
        self.usage = usage;
    }

    /// Adds another part of the same run.
    pub fn add(&mut self, other: &Self) {
        self.all.add(&other.all);
        self.batches.extend_from_slice(&other.batches);
        self.parts += other.parts;
        self.latency.add(&other.latency);
        self.billed_ms += other.billed_ms;
        self.cold_ms += other.cold_ms;
        self.usage.add(&other.usage);
    }
}

impl Observer for Tally {
    #[inline]
    fn served(&mut self, request: &Request, how: Served, _: u32, latency_ns: u64) {
        if !request.counted {
            return;
        }
        self.open.served += 1;
        self.latency.record(latency_ns);
        self.billed_ms += request.service_ns.div_ceil(1_000_000);
        if let Served::Cold { start_ns } = how {
            self.open.cold += 1;
            self.cold_ms += start_ns.div_ceil(1_000_000);
        }
        self.counted();
    }

    #[inline]
    fn refused(&mut self, request: &Request) {
        if request.counted {
            self.open.refused += 1;
            self.counted();
        }
    }
}

impl Usage {
    /// Adds another part of the same run.
    pub fn add(&mut self, other: &Self) {
        self.length_ns += other.length_ns;
        self.add_sums(other);
        for (mine, theirs) in self.points.iter_mut().zip(&other.points) {
            *mine = (mine.0 + theirs.0, mine.1 + theirs.1, mine.2.max(theirs.2));
        }
    }

    /// Adds another function of the same time.
    pub fn add_beside(&mut self, other: &Self) {
        self.add_sums(other);
        for (mine, theirs) in self.points.iter_mut().zip(&other.points) {
            *mine = (mine.0 + theirs.0, mine.1.max(theirs.1), mine.2 + theirs.2);
        }
    }

    fn add_sums(&mut self, other: &Self) {
        self.on_demand_ns += other.on_demand_ns;
        self.provisioned_ns += other.provisioned_ns;
        self.provisioned_busy_ns += other.provisioned_busy_ns;
        self.idle_windows += other.idle_windows;
        self.windows += other.windows;
        self.peak_instances = self.peak_instances.max(other.peak_instances);
        self.most_starts = self.most_starts.max(other.most_starts);
        self.peak_provisioned = self.peak_provisioned.max(other.peak_provisioned);
        self.ended += other.ended;
        self.ended_life_ns += other.ended_life_ns;
    }
}
