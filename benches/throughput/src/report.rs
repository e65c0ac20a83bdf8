//! Report of a run: machine, programs, every round, and the statistics. In the JSON the unit is the
//! last word of a name.

use crate::load::{Latencies, Mode};
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
    /// Part of the time in which the program had its core.
    pub program_busy: f64,
    /// Part of the time in which the client had its core.
    pub client_busy: f64,
    /// Resident memory.
    pub rss_bytes: u64,
}

/// What kept a turn from more requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Bound {
    /// The program had no more of its core to spend: the rate is its own.
    Program,
    /// The program waited for the client: only its time for one request compares.
    Client,
    /// Both waited: for each other, or for the machine.
    Neither,
}

impl Bound {
    /// A core that is used up to this part is full: the kernel counts part of its own work at no
    /// process.
    const FULL: f64 = 0.9;

    fn of(program_busy: f64, client_busy: f64) -> Bound {
        match (program_busy >= Self::FULL, client_busy >= Self::FULL) {
            (true, _) => Bound::Program,
            (false, true) => Bound::Client,
            (false, false) => Bound::Neither,
        }
    }
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
    /// The shortest of any round.
    pub cpu_ns_per_request_min: f64,
    /// The longest of any round.
    pub cpu_ns_per_request_max: f64,
    /// Part of the time in which the program had its core.
    pub program_busy: f64,
    /// Part of the time in which the client had its core.
    pub client_busy: f64,
    /// What kept it from more.
    pub bound: Bound,
    /// Resident memory.
    pub rss_bytes: u64,
    /// Replies a second, beside axum's.
    pub rate_to_axum: Option<Ratio>,
    /// Processor time for one request, beside axum's.
    pub cpu_to_axum: Option<Ratio>,
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
    pub fn of(outcome: &Latencies, cpu_ns: u64, rss_bytes: u64) -> Option<Round> {
        let elapsed_s = outcome.elapsed.as_secs_f64();
        let latencies_ns = outcome.latencies_ns.iter().map(|&ns| ns as f64);
        let sorted = sorted(&latencies_ns.collect::<Vec<_>>());
        let replies = sorted.len() as f64;
        Some(Round {
            replies: sorted.len() as u64,
            requests_per_s: replies / elapsed_s,
            p50_ns: quantile(&sorted, 0.5)?,
            p99_ns: quantile(&sorted, 0.99)?,
            cpu_ns_per_request: cpu_ns as f64 / replies,
            program_busy: cpu_ns as f64 / 1e9 / elapsed_s,
            client_busy: outcome.client_cpu.as_secs_f64() / elapsed_s,
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
        let costs = case.values(|round| round.cpu_ns_per_request);
        let program_busy = median(|round| round.program_busy)?;
        let client_busy = median(|round| round.client_busy)?;
        Some(Summary {
            n: rates.len(),
            requests_per_s: median(|round| round.requests_per_s)?,
            requests_per_s_min: *rates.first()?,
            requests_per_s_max: *rates.last()?,
            p50_ns: median(|round| round.p50_ns)?,
            p99_ns: median(|round| round.p99_ns)?,
            cpu_ns_per_request: median(|round| round.cpu_ns_per_request)?,
            cpu_ns_per_request_min: *costs.first()?,
            cpu_ns_per_request_max: *costs.last()?,
            program_busy,
            client_busy,
            bound: Bound::of(program_busy, client_busy),
            rss_bytes: median(|round| round.rss_bytes as f64)? as u64,
            rate_to_axum: ratio(AXUM, |round| round.requests_per_s),
            cpu_to_axum: ratio(AXUM, |round| round.cpu_ns_per_request),
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
    use std::time::Duration;

    fn outcome(latencies_ns: Vec<u64>, elapsed_ms: u64, client_ms: u64) -> Latencies {
        let [elapsed, client_cpu] = [elapsed_ms, client_ms].map(Duration::from_millis);
        Latencies { elapsed, client_cpu, latencies_ns }
    }

    fn case(program: &str, connections: usize, rates: &[u64]) -> Case {
        let round =
            |&rate: &u64| Round::of(&outcome(vec![1_000; rate as usize], 1000, 500), rate * 10, 1);
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
        let latencies = outcome(vec![3_000, 1_000, 2_000], 500, 400);
        let round = Round::of(&latencies, 600, 1).expect("latencies");
        assert_eq!((round.replies, round.requests_per_s), (3, 6.0));
        assert_eq!((round.p50_ns, round.cpu_ns_per_request), (2_000.0, 200.0));
        assert_eq!((round.client_busy, round.program_busy), (0.8, 1.2e-6));
        assert!(Round::of(&outcome(Vec::new(), 500, 0), 600, 1).is_none());
    }

    /// A program that needs less for each request than axum gave fewer requests: it had waited for
    /// the client for half of the time.
    #[test]
    fn a_rate_is_the_programs_own_where_its_core_was_full() {
        assert_eq!(Bound::of(0.98, 0.97), Bound::Program);
        assert_eq!(Bound::of(0.55, 0.99), Bound::Client);
        assert_eq!(Bound::of(0.55, 0.40), Bound::Neither);
    }
}
