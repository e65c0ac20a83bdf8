//! Sizing for the bench's advice, a small plan: the numbers of provisioned instances that leave 5,
//! 1 and 0.1 % of Poisson requests cold, their idle cost, and the effect of unknown values.

use super::arrivals::Shape;
use super::bill;
use super::cold::ColdTable;
use super::distribution::Distribution;
use super::duration::{DAY_NS, SECOND_NS};
use super::fleet::Functions;
use super::limiter::StartLimit;
use super::pool::{Overflow, Reuse, Settings};
use super::provision::{Policy, Provision};
use super::rules::{Currency, Platform};
use super::search;
use super::simulate::{Arrivals, Run};
use super::tally::Tally;
use super::target::Target;
use std::sync::atomic::AtomicU64;

/// Requests of each simulation: enough for 0.1 %, in a hundredth of a second.
const REQUESTS: u64 = 100_000;
/// Rates above which the keep-alive's warm-up would take long.
const MOST_RATE: f64 = 10_000.0;
/// The shares of cold requests for which numbers are given.
pub const SHARES: [f64; 3] = [0.05, 0.01, 0.001];
/// The keep-alive for which numbers are given, besides none.
pub const KEEP_ALIVE_S: u64 = 60;

/// Sizes for one rate.
#[derive(Debug, Clone, PartialEq)]
pub struct Sizing {
    /// Rate x mean seconds, rounded up.
    pub mean: u32,
    /// The share of cold requests with that number.
    pub outside_of_mean: f64,
    /// The number for each of [`SHARES`], if idle on-demand instances end at once.
    pub without_keep_alive: [Option<u32>; 3],
    /// The same with a keep-alive of [`KEEP_ALIVE_S`].
    pub with_keep_alive: Option<[Option<u32>; 3]>,
    /// The cold share with that keep-alive and no provisioned instance, by reuse: newest, oldest.
    pub by_reuse: Option<[f64; 2]>,
    /// Idle cost in 30 days of the number for 1 %, both bounds, in CNY.
    pub idle_cny: [f64; 2],
}

/// Sizes for a rate of Poisson requests; `None` without any.
pub fn of(
    per_second: f64,
    service: &Distribution,
    cold: &Distribution,
    memory_mib: u64,
) -> Option<Sizing> {
    if !(per_second > 0.0 && per_second <= 1e6) || service.mean_ns() <= 0.0 {
        return None;
    }
    let load = per_second * service.mean_ns() / SECOND_NS as f64;
    let mean = (load.ceil() as u32).max(1);
    let simulate = |keep_alive_s: u64, reuse: Reuse, n: u32| -> Tally {
        let run = run(per_second, service, cold, keep_alive_s, reuse, n);
        run.simulate(1, &AtomicU64::new(0)).unwrap_or_default()
    };
    let least = |keep_alive_s: u64| {
        SHARES.map(|share| {
            let found =
                search::least(&Target::Cold(share), load, mean.saturating_mul(4) + 64, |n| {
                    Ok::<_, std::convert::Infallible>(simulate(keep_alive_s, Reuse::Newest, n))
                });
            found.ok()?.least
        })
    };
    let without_keep_alive = least(0);
    let kept = (per_second <= MOST_RATE).then_some(KEEP_ALIVE_S);
    let share = |tally: &Tally| tally.all.cold as f64 / tally.all.served.max(1) as f64;
    let outside = simulate(0, Reuse::Newest, mean);
    let one_per_cent = simulate(0, Reuse::Newest, without_keep_alive[1].unwrap_or(mean));
    let price = Platform::Scf.rules().price(Currency::Cny)?;
    let cost = price.of(&one_per_cent, memory_mib, false);
    let month = 30.0 * DAY_NS as f64 / one_per_cent.usage.length_ns.max(1) as f64;
    Some(Sizing {
        mean,
        outside_of_mean: share(&outside),
        without_keep_alive,
        with_keep_alive: kept.map(least),
        by_reuse: kept.map(|keep_alive_s| {
            [Reuse::Newest, Reuse::Oldest].map(|reuse| share(&simulate(keep_alive_s, reuse, 0)))
        }),
        idle_cny: [cost.idle_low_pico, cost.idle_high_pico].map(|pico| bill::units(pico) * month),
    })
}

fn run(
    per_second: f64,
    service: &Distribution,
    cold: &Distribution,
    keep_alive_s: u64,
    reuse: Reuse,
    n: u32,
) -> Run {
    let no_limit = StartLimit::Unlimited { window_ns: 60 * SECOND_NS };
    Run {
        arrivals: Arrivals::Generated { shape: Shape::Poisson, per_second },
        requests: REQUESTS,
        service: service.clone(),
        durations: true,
        cold: ColdTable::of(cold.clone()),
        settings: Settings {
            keep_alive_ns: keep_alive_s * SECOND_NS,
            reuse,
            concurrency: 1,
            most_instances: u64::MAX,
            overflow: Overflow::Refuse,
            hold_ns: 0,
            provision: Provision::new(Policy::Fixed(n), no_limit),
        },
        starts: no_limit,
        functions: Functions::ONE,
        only: None,
        most_instances: u64::MAX,
        seed: 1,
        warm_up: true,
    }
}
