//! Duration of a cold start, depending on how many instances start at once: if bursts were
//! measured, their distribution is used when that many start together. Independent draws from
//! starts measured one by one would understate the tail of a burst.

use super::distribution::Distribution;
use super::random::Stream;
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Distributions, each with the number of simultaneous starts from which it applies; ascending, the
/// first from 0.
#[derive(Debug, Clone, PartialEq)]
pub struct ColdTable {
    steps: Vec<(usize, Distribution)>,
}

impl ColdTable {
    /// One distribution for any number of starts.
    pub fn of(alone: Distribution) -> Self {
        Self { steps: vec![(0, alone)] }
    }

    /// Adds the distribution of bursts of `at_least` instances.
    pub fn with_burst(mut self, at_least: usize, distribution: Distribution) -> Self {
        self.steps.push((at_least, distribution));
        self.steps.sort_by_key(|(at_least, _)| *at_least);
        self
    }

    /// The distribution of a start on its own.
    pub fn alone(&self) -> &Distribution {
        &self.steps[0].1
    }

    /// Sizes of the bursts that have their own distribution.
    pub fn bursts(&self) -> impl Iterator<Item = usize> {
        self.steps.iter().skip(1).map(|(at_least, _)| *at_least)
    }
}

/// The cold starts of one run.
#[derive(Debug)]
pub struct ColdStarts {
    table: ColdTable,
    draws: Stream,
    provisionings: Stream,
    /// Ends of the running starts; kept only if their number matters.
    going_on: BinaryHeap<Reverse<u64>>,
}

impl ColdStarts {
    /// Cold starts by that table; the n-th number of a stream is that of the n-th request, or of
    /// the n-th provisioned instance.
    pub fn new(table: ColdTable, draws: Stream, provisionings: Stream) -> Self {
        Self { table, draws, provisionings, going_on: BinaryHeap::new() }
    }

    /// The cold start of request `number`, which begins at `now_ns`, in nanoseconds.
    pub fn draw(&mut self, now_ns: u64, number: u64) -> u64 {
        let uniform = self.draws.uniform(number);
        if self.table.steps.len() == 1 {
            return self.table.steps[0].1.at(uniform);
        }
        while self.going_on.peek().is_some_and(|end_ns| end_ns.0 <= now_ns) {
            self.going_on.pop();
        }
        let together = self.going_on.len() + 1;
        let step = self.table.steps.partition_point(|(at_least, _)| *at_least <= together);
        let start_ns = self.table.steps[step - 1].1.at(uniform);
        self.going_on.push(Reverse(now_ns + start_ns));
        start_ns
    }

    /// The start of a provisioned instance, in nanoseconds.
    pub fn provisioning(&self, number: u64) -> u64 {
        self.table.alone().at(self.provisionings.uniform(number))
    }
}
