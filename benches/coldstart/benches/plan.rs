//! Bench of the simulator of `coldstart plan`: requests per CPU second on one core, and peak
//! memory. `cargo bench --workspace --profile host -p coldstart --bench plan [REQUESTS]`.
//!
//! Expected: the share outside of 50 provisioned instances at a load of 40 is B(50, 40) = 1.869 %;
//! at least 5 million requests per CPU second at 2000 requests/s with keep-alive. Machine, compiler
//! and version are printed first; the median of seven rounds counts, interleaved over the cases.

use bench_kit::{host, stats};
use coldstart::plan::arrivals::Shape;
use coldstart::plan::cold::ColdTable;
use coldstart::plan::distribution::Distribution;
use coldstart::plan::erlang;
use coldstart::plan::fleet::Functions;
use coldstart::plan::limiter::StartLimit;
use coldstart::plan::pool::{Overflow, Reuse, Settings};
use coldstart::plan::provision::{Policy, Provision};
use coldstart::plan::simulate::{Arrivals, Run};
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;
use std::sync::atomic::AtomicU64;

const SECOND_NS: u64 = 1_000_000_000;
const ROUNDS: usize = 7;

fn run(per_second: f64, keep_alive_s: u64, provisioned: u32, service: Distribution, n: u64) -> Run {
    let no_limit = StartLimit::Unlimited { window_ns: 60 * SECOND_NS };
    Run {
        arrivals: Arrivals::Generated { shape: Shape::Poisson, per_second },
        requests: n,
        service,
        durations: true,
        cold: ColdTable::of(Distribution::Constant { ns: 300_000_000 }),
        settings: Settings {
            keep_alive_ns: keep_alive_s * SECOND_NS,
            reuse: Reuse::Newest,
            concurrency: 1,
            most_instances: u64::MAX,
            overflow: Overflow::Refuse,
            hold_ns: 0,
            provision: Provision::new(Policy::Fixed(provisioned), no_limit),
        },
        starts: no_limit,
        functions: Functions::ONE,
        only: None,
        most_instances: u64::MAX,
        seed: 1,
        // Requests of a warm-up would be simulated and not counted.
        warm_up: false,
    }
}

/// Processor time of this process, in seconds.
fn cpu_s() -> f64 {
    let usage = getrusage(UsageWho::RUSAGE_SELF).expect("a process knows its own usage");
    (usage.user_time() + usage.system_time()).num_microseconds() as f64 / 1e6
}

fn main() {
    let asked = std::env::args().skip(1).find_map(|text| text.parse::<f64>().ok());
    let n = asked.unwrap_or(2e6) as u64;
    let machine = host::describe();
    println!(
        "{} | {} cores | {} | {} | {} | {}",
        machine.cpu_model,
        machine.cores,
        machine.kernel,
        machine.rustc,
        machine.git_describe,
        machine.date
    );
    let exponential = || Distribution::Exponential { mean_ns: 20e6 };
    let cases = [
        ("2000/s, exp 20 ms, keep-alive 300 s", run(2000.0, 300, 0, exponential(), n)),
        ("2000/s, exp 20 ms, 50 provisioned", run(2000.0, 0, 50, exponential(), n)),
        (
            "2000/s, constant 20 ms, keep-alive 300 s",
            run(2000.0, 300, 0, Distribution::Constant { ns: 20_000_000 }, n),
        ),
        (
            "2000/s, lognormal 20 ms, keep-alive 300 s",
            run(2000.0, 300, 0, Distribution::LogNormal { mu: 16.8, sigma: 1.0 }, n),
        ),
        ("100000/s, exp 20 ms, keep-alive 300 s", run(100_000.0, 300, 0, exponential(), n)),
    ];
    let mut rates = vec![Vec::new(); cases.len()];
    for _ in 0..ROUNDS {
        for ((name, run), rates) in cases.iter().zip(&mut rates) {
            let before_s = cpu_s();
            let tally = run.simulate(1, &AtomicU64::new(0)).expect("no trace is read");
            rates.push(n as f64 / (cpu_s() - before_s) / 1e6);
            if name.contains("50 provisioned") {
                let share = tally.all.cold as f64 / tally.all.served as f64;
                let expected = erlang::blocked(50, 40.0);
                assert!((share / expected - 1.0).abs() < 0.1, "{share} outside, not {expected}");
            }
        }
    }
    for ((name, _), rates) in cases.iter().zip(&rates) {
        let sorted = stats::sorted(rates);
        let median = stats::median(rates).unwrap_or(0.0);
        println!(
            "{name}: {median:.1} million requests a CPU second ({:.1} to {:.1}, n = {ROUNDS}, {n} \
             requests)",
            sorted[0],
            sorted[ROUNDS - 1]
        );
    }
    // Not from getrusage, which includes the memory that cargo had before execve.
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux has /proc");
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    println!("most memory resident: {}", peak.map_or("unknown", str::trim));
}
