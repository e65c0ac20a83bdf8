//! Arrivals of requests: random (Poisson), even, or random with a rate that follows the day. Pure;
//! the n-th gap depends only on the seed and n. `trace` reads arrivals from files.

use super::duration::{DAY_NS, SECOND_NS};
use super::random::{Purpose, Stream};

/// A shape of arrivals without a file.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Shape {
    /// At random.
    Poisson,
    /// Evenly.
    Constant,
    /// Poisson arrivals whose rate is `1 - swing cos(2 pi t / day)` times the mean: least at
    /// midnight, most at noon. Made by thinning (Lewis and Shedler, 1979), not by rescaling.
    Diurnal {
        /// From 0 (none) to 1 (nothing at midnight).
        swing: f64,
    },
}

/// Arrivals from a beginning on.
#[derive(Debug, Clone)]
pub struct Generated {
    shape: Shape,
    gap_ns: f64,
    stream: Stream,
    thinning: Stream,
    candidates: u64,
    now_ns: u64,
    /// Remainder of rounding to whole nanoseconds.
    rest_ns: f64,
    /// Time of the day at 0.
    day_at_0_ns: u64,
}

impl Generated {
    /// Arrivals at a mean rate of `per_second`, from time 0 on, which is `day_at_0_ns` after
    /// midnight.
    pub fn new(
        shape: Shape,
        per_second: f64,
        seed: u64,
        replication: u64,
        day_at_0_ns: u64,
    ) -> Self {
        let most = match shape {
            Shape::Diurnal { swing } => 1.0 + swing,
            Shape::Poisson | Shape::Constant => 1.0,
        };
        Self {
            shape,
            gap_ns: SECOND_NS as f64 / (per_second * most),
            stream: Stream::new(seed, Purpose::Arrival, replication),
            thinning: Stream::new(seed, Purpose::Thinning, replication),
            candidates: 0,
            now_ns: 0,
            rest_ns: 0.0,
            day_at_0_ns,
        }
    }

    /// The next arrival, in nanoseconds from the beginning.
    #[inline]
    pub fn next_ns(&mut self) -> u64 {
        match self.shape {
            Shape::Poisson => self.random_gap(),
            Shape::Constant => self.pass(self.gap_ns),
            Shape::Diurnal { swing } => loop {
                self.random_gap();
                let day = ((self.now_ns + self.day_at_0_ns) % DAY_NS) as f64 / DAY_NS as f64;
                let rate = 1.0 - swing * (day * std::f64::consts::TAU).cos();
                if self.thinning.uniform(self.candidates) * (1.0 + swing) < rate {
                    break;
                }
            },
        }
        self.now_ns
    }

    #[inline]
    fn random_gap(&mut self) {
        self.candidates += 1;
        self.pass(-self.gap_ns * self.stream.uniform(self.candidates).ln());
    }

    #[inline]
    fn pass(&mut self, gap_ns: f64) {
        let gap_ns = gap_ns + self.rest_ns;
        let whole_ns = gap_ns as u64;
        self.rest_ns = gap_ns - whole_ns as f64;
        self.now_ns += whole_ns;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn times_ns(shape: Shape, per_second: f64, n: usize) -> Vec<u64> {
        let mut arrivals = Generated::new(shape, per_second, 3, 0, 0);
        (0..n).map(|_| arrivals.next_ns()).collect()
    }

    #[test]
    fn poisson_gaps_have_mean_and_deviation_of_an_exponential_distribution() {
        let n = 400_000;
        let times = times_ns(Shape::Poisson, 2000.0, n);
        let gaps: Vec<f64> = times.windows(2).map(|w| (w[1] - w[0]) as f64).collect();
        let mean = gaps.iter().sum::<f64>() / gaps.len() as f64;
        let variance = gaps.iter().map(|g| (g - mean).powi(2)).sum::<f64>() / gaps.len() as f64;
        assert!((mean / 500_000.0 - 1.0).abs() < 0.005, "{mean}");
        assert!((variance.sqrt() / mean - 1.0).abs() < 0.01, "{}", variance.sqrt() / mean);
    }

    #[test]
    fn constant_arrivals_do_not_drift() {
        let times = times_ns(Shape::Constant, 3.0, 3_000_000);
        assert!(times[2_999_999].abs_diff(1_000_000 * SECOND_NS) <= 1_000, "{}", times[2_999_999]);
    }

    #[test]
    fn a_day_has_its_least_at_midnight_and_its_most_at_noon_and_the_mean_rate() {
        let mut arrivals = Generated::new(Shape::Diurnal { swing: 0.8 }, 10.0, 3, 0, 0);
        let mut hours = [0u64; 24];
        loop {
            let at_ns = arrivals.next_ns();
            if at_ns >= DAY_NS {
                break;
            }
            hours[(at_ns / (3600 * SECOND_NS)) as usize] += 1;
        }
        let all: u64 = hours.iter().sum();
        assert!((all as f64 / 864_000.0 - 1.0).abs() < 0.005, "{all}");
        assert!((hours[0] as f64 / 36_000.0 - 0.207).abs() < 0.02, "{}", hours[0]);
        assert!((hours[12] as f64 / 36_000.0 - 1.793).abs() < 0.04, "{}", hours[12]);
    }
}
