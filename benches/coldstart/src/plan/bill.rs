//! Bill of a run, in whole numbers: prices are picounits of a currency (10^-12), usage is counted
//! in megabyte-milliseconds and windows. Free tiers, the basic package, traffic and retries are
//! left out.

use super::pool::{Usage, WINDOW_NS};
use super::tally::Tally;

/// Prices of one platform in one currency.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Price {
    /// The currency, as ISO 4217 writes it.
    pub currency: &'static str,
    /// Date from which these prices are valid.
    pub date: &'static str,
    /// The page with the prices.
    pub source: &'static str,
    /// Price of one request.
    pub request_pico: u128,
    /// Price of a GB and second that runs.
    pub gb_second_pico: u128,
    /// Price of a GB and second of an idle provisioned instance.
    pub idle_gb_second_pico: u128,
}

/// A cost in picounits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cost {
    /// Cost of the requests themselves.
    pub requests_pico: u128,
    /// Cost of the time that they ran.
    pub compute_pico: u128,
    /// By the platform's rule: in each window of 10 s the provisioned instances above the largest
    /// number of requests at once.
    pub idle_low_pico: u128,
    /// If the platform measured idle instances at each instant.
    pub idle_high_pico: u128,
}

/// Megabyte-milliseconds of a GB and second.
const GB_SECOND: u128 = 1024 * 1000;

impl Price {
    /// Cost of a tally at a memory setting; `init_billed`: cold starts are billed.
    pub fn of(&self, tally: &Tally, memory_mib: u64, init_billed: bool) -> Cost {
        let ms = tally.billed_ms + if init_billed { tally.cold_ms } else { 0 };
        Cost {
            requests_pico: u128::from(tally.all.served) * self.request_pico,
            compute_pico: self.compute_pico(memory_mib, ms),
            idle_low_pico: self.idle_pico(
                memory_mib,
                u128::from(tally.usage.idle_windows) * u128::from(WINDOW_NS / 1_000_000),
            ),
            idle_high_pico: self.idle_pico(memory_mib, idle_ns(&tally.usage) / 1_000_000),
        }
    }

    /// Usage of this many running milliseconds.
    pub fn compute_pico(&self, memory_mib: u64, ms: u64) -> u128 {
        round(u128::from(memory_mib) * u128::from(ms) * self.gb_second_pico, GB_SECOND)
    }

    /// Usage of this many milliseconds of an idle instance.
    pub fn idle_pico(&self, memory_mib: u64, instance_ms: u128) -> u128 {
        round(u128::from(memory_mib) * instance_ms * self.idle_gb_second_pico, GB_SECOND)
    }
}

impl Cost {
    /// The whole cost, with the lower bound of idle instances.
    pub fn total_low_pico(&self) -> u128 {
        self.requests_pico + self.compute_pico + self.idle_low_pico
    }

    /// The whole cost, with the upper bound of idle instances.
    pub fn total_high_pico(&self) -> u128 {
        self.requests_pico + self.compute_pico + self.idle_high_pico
    }
}

/// Instance-nanoseconds in which provisioned instances were idle.
fn idle_ns(usage: &Usage) -> u128 {
    usage.provisioned_ns.saturating_sub(usage.provisioned_busy_ns)
}

fn round(over: u128, under: u128) -> u128 {
    (over + under / 2) / under
}

/// Units of the currency, rounded to a hundred-millionth, as the platform's pages print them.
pub fn units(pico: u128) -> f64 {
    round(pico, 10_000) as f64 / 1e8
}

#[cfg(test)]
mod tests {
    use super::super::rules::{Currency, Platform};
    use super::*;

    fn scf() -> Price {
        Platform::Scf.rules().price(Currency::Cny).unwrap()
    }

    /// The examples of the platform's page on billing. Its idle examples of "500" and "3000 GB-s"
    /// are left out: their arithmetic is wrong.
    #[test]
    fn the_platforms_billing_examples_match_to_the_last_printed_digit() {
        // 128 MB, 10 provisioned, 8 in use, for one window of 10 s.
        let idle = scf().idle_pico(128, 2 * 10_000);
        assert_eq!(format!("{:.8}", units(idle)), "0.00013678");

        // 256 MB over ten minutes, the number and the use of each minute.
        let started = [100, 100, 100, 100, 100, 100, 120, 120, 120, 80u64];
        let in_use = [30, 66, 88, 100, 120, 150, 180, 160, 100, 30u64];
        let idle: Vec<u64> = started.iter().zip(in_use).map(|(s, u)| s.saturating_sub(u)).collect();
        assert_eq!(idle, [70, 34, 12, 0, 0, 0, 0, 0, 20, 50]);
        let instance_ms = u128::from(idle.iter().sum::<u64>()) * 60_000;
        let cost = units(scf().idle_pico(256, instance_ms));
        assert_eq!(
            (format!("{cost:.3}"), format!("{cost:.5}")),
            ("0.153".into(), "0.15264".into())
        );

        // 256 MB for 1760 ms are 0.44 GB-s; a million calls of 37 ms at 128 MB are 4625 GB-s.
        assert_eq!(256 * 1760 * 100 / GB_SECOND, 44);
        assert_eq!(128 * 37 * 1_000_000 / GB_SECOND, 4625);
        assert_eq!(scf().compute_pico(256, 1760), 44 * scf().gb_second_pico / 100);
    }

    #[test]
    fn a_billion_calls_and_a_month_of_fifty_idle_instances_have_their_derived_price() {
        let price = scf();
        assert_eq!(units(1_000_000_000 * price.request_pico), 1330.0);
        assert_eq!(format!("{:.1}", units(price.compute_pico(128, 20_000_000_000))), "277.7");
        let idle = price.idle_pico(128, 50 * 730 * 3_600_000);
        assert_eq!(format!("{:.1}", units(idle)), "898.6");
    }
}
