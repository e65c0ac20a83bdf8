//! Functions of a region: each has its own instances, all share the limit on starts and the quota.
//! Arrivals of all functions are one stream, in which each request is assigned to a function at
//! random: parts of a Poisson process are Poisson processes.

use super::limiter::Limiter;
use super::pool::{Observer, Pool, Request, Usage};
use super::random::Stream;

/// Number of functions that share the arrivals, and how unevenly.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Functions {
    /// Their number.
    pub count: u32,
    /// The k-th gets a share proportional to k^-exponent (Zipf); 0: all alike.
    pub exponent: f64,
}

impl Functions {
    /// One function.
    pub const ONE: Self = Self { count: 1, exponent: 0.0 };

    /// Reads `N` or `N:EXPONENT`.
    ///
    /// # Errors
    /// One line.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (count, exponent) = text.split_once(':').unwrap_or((text, "0"));
        let count = count.trim().parse().ok().filter(|n| (1..=10_000).contains(n));
        let exponent = exponent.trim().parse().ok().filter(|e| (0.0..=10.0).contains(e));
        count.zip(exponent).map(|(count, exponent)| Self { count, exponent }).ok_or_else(|| {
            format!(
                "invalid number of functions `{text}`; write `N` (1 to 10000) or `N:EXPONENT` for \
                 Zipf's law (0 to 10)"
            )
        })
    }

    /// The share of the requests that the first k functions have, for each k.
    fn cumulative(self) -> Vec<f64> {
        let weights = (1..=self.count).map(|k| f64::from(k).powf(-self.exponent));
        let mut sum = 0.0;
        let sums: Vec<f64> = weights
            .map(|weight| {
                sum += weight;
                sum
            })
            .collect();
        sums.into_iter().map(|part| part / sum).collect()
    }
}

/// State of all functions.
#[derive(Debug)]
pub struct Fleet {
    pools: Vec<Pool>,
    limiter: Limiter,
    cumulative: Vec<f64>,
    choice: Stream,
    /// The only function whose requests arrive; all others are left out.
    only: Option<usize>,
}

impl Fleet {
    /// A fleet whose pools `pool` makes.
    pub fn new(
        functions: Functions,
        mut limiter: Limiter,
        choice: Stream,
        only: Option<usize>,
        mut pool: impl FnMut(&mut Limiter) -> Pool,
    ) -> Self {
        let pools = (0..functions.count).map(|_| pool(&mut limiter)).collect();
        Self { pools, limiter, cumulative: functions.cumulative(), choice, only }
    }

    /// A request arrives at its function; with `None` the function is drawn.
    #[inline]
    pub fn arrive(
        &mut self,
        request: Request,
        function: Option<u32>,
        observer: &mut impl Observer,
    ) {
        let function_is_drawn = function.is_none();
        let mut function = function.unwrap_or(0) as usize;
        if self.pools.len() > 1 {
            if function_is_drawn {
                let draw = self.choice.uniform(request.number);
                function = self.cumulative.partition_point(|&up_to| up_to < draw);
            }
            function = function.min(self.pools.len() - 1);
            if self.only.is_some_and(|only| only != function) {
                return;
            }
            if self.limiter.is_full() {
                // Other functions' idle instances may have ended since their last request.
                for pool in &mut self.pools {
                    pool.advance(request.arrived_ns, &mut self.limiter, observer);
                }
            }
        }
        self.pools[function].arrive(request, &mut self.limiter, observer);
    }

    /// Ends counting at `end_ns`. Returns the usage, and the busy nanoseconds of each provisioned
    /// instance of the first function.
    pub fn close(mut self, end_ns: u64, observer: &mut impl Observer) -> (Usage, Vec<u64>) {
        let mut pools = self.pools.into_iter();
        let Some(first) = pools.next() else { return (Usage::default(), Vec::new()) };
        let (mut usage, carried) = first.close(end_ns, &mut self.limiter, observer);
        let mut several = false;
        for pool in pools {
            let (other, _) = pool.close(end_ns, &mut self.limiter, observer);
            usage.add_beside(&other);
            several = true;
        }
        if several {
            // The functions' peaks are at different times.
            usage.peak_instances = self.limiter.most_alive();
        }
        (usage, carried)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zipf_shares_add_up_and_fall() {
        let shares = Functions { count: 4, exponent: 1.0 }.cumulative();
        let expected = [12.0 / 25.0, 18.0 / 25.0, 22.0 / 25.0, 1.0];
        for (found, expected) in shares.iter().zip(expected) {
            assert!((found - expected).abs() < 1e-12, "{shares:?}");
        }
    }

    #[test]
    fn an_invalid_number_of_functions_is_refused_in_one_line() {
        for text in ["", "0", "-1", "x", "5:", "5:-1", "5:NaN", "10001"] {
            assert!(!Functions::parse(text).unwrap_err().contains('\n'), "{text}");
        }
        assert_eq!(Functions::parse("50:0.9"), Ok(Functions { count: 50, exponent: 0.9 }));
    }
}
