//! Requests one after the other on the first connection of a started program: the time of each, and
//! the state of the process after the last. In the JSON the unit is the last word of a name.
//!
//! The time of a request is from just before its send until the last byte of its reply arrives.
//! Request 1 is sent when the connection is accepted, each further one when the reply before it is
//! complete. /proc is read only after the last reply.

use crate::idle::Idle;
use crate::sample;
use bench_kit::stats::paired::{Median, Ratio};
use serde::Serialize;

/// Results of one program.
#[derive(Debug, Default, Serialize)]
pub struct Requests {
    /// One entry per request, in order.
    pub summary: Vec<Request>,
    /// Idle state after the last request: medians of several periods.
    pub idle: Option<Idle>,
    /// Every start.
    pub samples: Samples,
    /// Failures, as text.
    pub errors: Vec<String>,
}

/// Request number `request` of each start.
#[derive(Debug, Serialize)]
pub struct Request {
    /// Number of the request, from 1.
    pub request: usize,
    /// Its time.
    pub time: Option<Median>,
    /// Ratio to the same request of the floor.
    pub to_floor: Option<Ratio>,
    /// Ratio to the same request of axum.
    pub to_axum: Option<Ratio>,
    /// Ratio to the same request of the program of `--against`.
    pub to_against: Option<Ratio>,
}

/// Samples as columns, with a row per start; `None` if the start failed.
#[derive(Debug, Default, Serialize)]
pub struct Samples {
    /// Number of the start in the whole run.
    pub order: Vec<u32>,
    /// A column for each request.
    pub request_ns: Vec<Vec<Option<u64>>>,
    /// Threads right after the last reply.
    pub threads: Vec<Option<u64>>,
    /// Resident memory at the same time.
    pub rss_bytes: Vec<Option<u64>>,
}

/// The columns to which ratios are taken, one per request; empty for a program that is not in the
/// run.
#[derive(Debug, Default)]
pub struct Rivals {
    /// Of the floor.
    pub floor: Vec<Vec<Option<f64>>>,
    /// Of axum.
    pub axum: Vec<Vec<Option<f64>>>,
    /// Of the program of `--against`.
    pub against: Vec<Vec<Option<f64>>>,
}

impl Requests {
    /// Room for starts of `count` requests each.
    pub fn new(count: u32) -> Self {
        let request_ns = vec![Vec::new(); count as usize];
        Self { samples: Samples { request_ns, ..Samples::default() }, ..Self::default() }
    }

    /// Computes the summary from the samples.
    pub fn summarise(&mut self, rivals: &Rivals) {
        let columns = self.samples.times();
        let rows = columns.iter().enumerate().map(|(index, ours)| {
            let ratio = |rival: &[Vec<Option<f64>>]| Ratio::of(ours, rival.get(index)?);
            Request {
                request: index + 1,
                time: Median::of(&ours.iter().flatten().copied().collect::<Vec<_>>()),
                to_floor: ratio(&rivals.floor),
                to_axum: ratio(&rivals.axum),
                to_against: ratio(&rivals.against),
            }
        });
        self.summary = rows.collect();
    }
}

impl Samples {
    /// Adds a start.
    pub fn push(&mut self, order: u32, sample: Option<&sample::Requests>) {
        self.order.push(order);
        for (index, column) in self.request_ns.iter_mut().enumerate() {
            column.push(sample.and_then(|sample| sample.times_ns.get(index).copied()));
        }
        self.threads.push(sample.map(|sample| sample.threads));
        self.rss_bytes.push(sample.map(|sample| sample.rss_bytes));
    }

    /// A column for each request, in nanoseconds.
    pub fn times(&self) -> Vec<Vec<Option<f64>>> {
        let column =
            |column: &Vec<Option<u64>>| column.iter().map(|ns| ns.map(|ns| ns as f64)).collect();
        self.request_ns.iter().map(column).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn start(times_ns: &[u64]) -> sample::Requests {
        sample::Requests { times_ns: times_ns.to_vec(), threads: 1, rss_bytes: 4096 }
    }

    #[test]
    fn each_request_is_compared_with_the_same_request_of_the_rival() {
        let mut ours = Requests::new(2);
        let mut axum = Requests::new(2);
        for order in 0..5 {
            ours.samples.push(order, Some(&start(&[90, 600])));
            axum.samples.push(order, Some(&start(&[180, 100])));
        }
        let rivals = Rivals { axum: axum.samples.times(), ..Rivals::default() };
        ours.summarise(&rivals);
        let [first, second] = &ours.summary[..] else { panic!("{:?}", ours.summary) };
        assert_eq!((first.request, second.request), (1, 2));
        assert_eq!(first.time.map(|time| time.p50_ns), Some(90.0));
        assert_eq!(first.to_axum.map(|ratio| ratio.of_p50), Some(0.5));
        assert_eq!(second.to_axum.map(|ratio| ratio.of_p50), Some(6.0));
        assert_eq!((first.to_floor, first.to_against), (None, None));
    }

    #[test]
    fn a_failed_start_leaves_a_gap_in_every_column() {
        let mut requests = Requests::new(2);
        requests.samples.push(0, None);
        requests.samples.push(1, Some(&start(&[1, 2])));
        let samples = &requests.samples;
        assert_eq!(samples.request_ns, [[None, Some(1)], [None, Some(2)]]);
        assert_eq!(
            (&samples.threads, &samples.rss_bytes),
            (&vec![None, Some(1)], &vec![None, Some(4096)])
        );
        requests.summarise(&Rivals::default());
        assert_eq!(requests.summary[1].time.map(|time| (time.n, time.p50_ns)), Some((1, 2.0)));
    }
}
