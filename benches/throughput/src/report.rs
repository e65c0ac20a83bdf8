//! Report of a run: machine, programs, every round, and the statistics. In the JSON the unit is the
//! last word of a name.

use crate::load::Mode;
use bench_kit::stats::paired::Ratio;
use bench_kit::stats::{quantile, sorted};
use serde::Serialize;
use start_bench::host::HostState;

/// A whole run.
#[derive(Debug, Serialize)]
pub struct Report {
    /// The number of this report's schema.
    pub schema: u32,
    /// Which bench this is of.
    pub bench: &'static str,
    /// The machine.
    pub host: HostState,
    /// The core of the client; `None` where there is only one core, and nothing is pinned.
    pub client_core: Option<usize>,
    /// The core of the programs: all their threads share it.
    pub program_core: Option<usize>,
    /// The first number of connections; each case has its own.
    pub connections: usize,
    /// The program that `…_to_against` compares with.
    pub against: Option<String>,
    /// Time before replies are counted.
    pub warm_up_ms: u64,
    /// Time in which they are.
    pub time_ms: u64,
    /// Seed of the order within each round.
    pub seed: u64,
    /// What is measured.
    pub cases: Vec<Case>,
}

/// One program, used one way by so many connections.
#[derive(Debug, Serialize)]
pub struct Case {
    /// The name of the program.
    pub program: String,
    /// How connections are used.
    pub mode: Mode,
    /// At once.
    pub connections: usize,
    /// A row a round.
    pub rounds: Vec<Option<Round>>,
    /// What failed, as text.
    pub errors: Vec<String>,
    /// What the samples come to.
    pub summary: Option<Summary>,
}

/// One program's turn.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Round {
    /// Replies that were counted.
    pub replies: u64,
    /// Replies a second.
    pub requests_per_s: f64,
    /// Median latency.
    pub p50_ns: f64,
    /// 99th percentile of the latency.
    pub p99_ns: f64,
    /// Processor time of the program for one request: what remains comparable where the client is
    /// the bottleneck.
    pub cpu_ns_per_request: f64,
    /// Resident memory.
    pub rss_bytes: u64,
}

/// Medians over the rounds, and ratios to the rivals (ours to theirs: above 1 is more).
#[derive(Debug, Serialize)]
pub struct Summary {
    /// Rounds that gave a reply.
    pub n: usize,
    /// Replies a second.
    pub requests_per_s: f64,
    /// Replies a second of the slowest round.
    pub requests_per_s_min: f64,
    /// Replies a second of the fastest round.
    pub requests_per_s_max: f64,
    /// Median latency.
    pub p50_ns: f64,
    /// 99th percentile of the latency.
    pub p99_ns: f64,
    /// Processor time of the program for one request.
    pub cpu_ns_per_request: f64,
    /// Resident memory.
    pub rss_bytes: u64,
    /// Replies a second, beside axum's.
    pub rate_to_axum: Option<Ratio>,
    /// Replies a second, beside those of may_minihttp.
    pub rate_to_minihttp: Option<Ratio>,
    /// 99th percentile, beside that of may_minihttp.
    pub p99_to_minihttp: Option<Ratio>,
    /// Requests a second to those of the program of `--against`.
    pub rate_to_against: Option<Ratio>,
    /// 99th percentile to its.
    pub p99_to_against: Option<Ratio>,
    /// Processor time for one request to its.
    pub cpu_to_against: Option<Ratio>,
}

/// Names of the programs that ratios are taken to.
const AXUM: &str = "axum";
const MINIHTTP: &str = "minihttp-tuned";

impl Round {
    /// Of a turn's latencies.
    pub fn of(latencies_ns: &[u64], elapsed_s: f64, cpu_ns: u64, rss_bytes: u64) -> Option<Round> {
        let sorted = sorted(&latencies_ns.iter().map(|&ns| ns as f64).collect::<Vec<_>>());
        let replies = sorted.len() as f64;
        Some(Round {
            replies: sorted.len() as u64,
            requests_per_s: replies / elapsed_s,
            p50_ns: quantile(&sorted, 0.5)?,
            p99_ns: quantile(&sorted, 0.99)?,
            cpu_ns_per_request: cpu_ns as f64 / replies,
            rss_bytes,
        })
    }
}

impl Report {
    /// Computes the summaries from the rounds.
    pub fn summarise(&mut self) {
        let summaries: Vec<_> = self.cases.iter().map(|case| self.summary(case)).collect();
        for (case, summary) in self.cases.iter_mut().zip(summaries) {
            case.summary = summary;
        }
    }

    fn summary(&self, case: &Case) -> Option<Summary> {
        let ratio = |name: &str, of: fn(&Round) -> f64| {
            let other =
                self.cases.iter().find(|other| other.program == name && other.is_used_as(case))?;
            Ratio::of(&case.column(of), &other.column(of))
        };
        let to_against = |of| self.against.as_deref().and_then(|name| ratio(name, of));
        let median = |of: fn(&Round) -> f64| quantile(&case.values(of), 0.5);
        let rates = case.values(|round| round.requests_per_s);
        Some(Summary {
            n: rates.len(),
            requests_per_s: median(|round| round.requests_per_s)?,
            requests_per_s_min: *rates.first()?,
            requests_per_s_max: *rates.last()?,
            p50_ns: median(|round| round.p50_ns)?,
            p99_ns: median(|round| round.p99_ns)?,
            cpu_ns_per_request: median(|round| round.cpu_ns_per_request)?,
            rss_bytes: median(|round| round.rss_bytes as f64)? as u64,
            rate_to_axum: ratio(AXUM, |round| round.requests_per_s),
            rate_to_minihttp: ratio(MINIHTTP, |round| round.requests_per_s),
            p99_to_minihttp: ratio(MINIHTTP, |round| round.p99_ns),
            rate_to_against: to_against(|round| round.requests_per_s),
            p99_to_against: to_against(|round| round.p99_ns),
            cpu_to_against: to_against(|round| round.cpu_ns_per_request),
        })
    }

    /// What failed, a line a case.
    pub fn complaints(&self) -> Vec<String> {
        let failed = self.cases.iter().filter_map(|case| {
            let (count, of, first) = (case.errors.len(), case.rounds.len(), case.errors.first()?);
            Some(format!(
                "{count} of {of} rounds of `{}` with {} connections failed, the first of them: \
                 {first}",
                case.program, case.connections
            ))
        });
        failed.collect()
    }
}

impl Case {
    /// Whether the other program was asked in the same way.
    pub fn is_used_as(&self, other: &Case) -> bool {
        (self.mode, self.connections) == (other.mode, other.connections)
    }

    fn column(&self, of: fn(&Round) -> f64) -> Vec<Option<f64>> {
        self.rounds.iter().map(|round| round.as_ref().map(of)).collect()
    }

    /// In ascending order.
    fn values(&self, of: fn(&Round) -> f64) -> Vec<f64> {
        sorted(&self.column(of).into_iter().flatten().collect::<Vec<_>>())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn case(program: &str, connections: usize, rates: &[u64]) -> Case {
        let round = |&rate: &u64| Round::of(&vec![1_000; rate as usize], 1.0, rate * 10, 1);
        Case {
            program: program.to_owned(),
            mode: Mode::KeepAlive,
            connections,
            rounds: rates.iter().map(round).collect(),
            errors: Vec::new(),
            summary: None,
        }
    }

    #[test]
    fn a_program_is_compared_with_the_other_at_the_same_number_of_connections() {
        let mut report = Report {
            schema: 1,
            bench: "throughput",
            host: HostState::describe(),
            client_core: None,
            program_core: None,
            connections: 16,
            against: Some("old".to_owned()),
            warm_up_ms: 0,
            time_ms: 1000,
            seed: 1,
            cases: vec![
                case("old", 16, &[100, 100, 100]),
                case("new", 16, &[110, 110, 110]),
                case("old", 32, &[200, 200, 200]),
                case("new", 32, &[180, 180, 180]),
            ],
        };
        report.summarise();
        let rates: Vec<_> = report
            .cases
            .iter()
            .map(|case| case.summary.as_ref().and_then(|it| it.rate_to_against))
            .map(|ratio| ratio.map(|ratio| ratio.of_p50))
            .collect();
        assert_eq!(rates, [Some(1.0), Some(1.1), Some(1.0), Some(0.9)]);
    }

    #[test]
    fn a_round_is_its_latencies() {
        let round = Round::of(&[3_000, 1_000, 2_000], 0.5, 600, 1).expect("latencies");
        assert_eq!((round.replies, round.requests_per_s), (3, 6.0));
        assert_eq!((round.p50_ns, round.cpu_ns_per_request), (2_000.0, 200.0));
        assert!(Round::of(&[], 0.5, 600, 1).is_none());
    }
}
