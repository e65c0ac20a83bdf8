//! Limits of the platform on instances: how many may be started in a window of time, and how many
//! may exist. All functions of a region share one limiter.

use super::duration::SECOND_NS;

/// How fast instances may be started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StartLimit {
    /// No limit; starts are counted in windows of that length.
    Unlimited {
        /// Length of a window.
        window_ns: u64,
    },
    /// `count` starts in each window, counted from the beginning; what is unused is lost.
    Window {
        /// Starts in a window.
        count: u64,
        /// Length of a window.
        window_ns: u64,
    },
    /// `burst` starts at once, then `count` more in each window, evenly; unused ones are saved up
    /// to `burst`.
    Bucket {
        /// Starts at once.
        burst: u64,
        /// Starts in a window.
        count: u64,
        /// Length of a window.
        window_ns: u64,
    },
}

/// State of a limiter. Times must not decrease.
#[derive(Debug, Clone)]
pub struct Limiter {
    limit: StartLimit,
    /// Beginning of the current window, or time of the bucket's last filling.
    since_ns: u64,
    used: u64,
    /// Instances that exist, of all functions; idle ones may have ended already, see
    /// [`Limiter::is_full`].
    alive: u64,
    most: u64,
    /// Largest number of starts in a window so far.
    most_used: u64,
    /// Largest number of instances at once so far.
    most_alive: u64,
}

impl Limiter {
    /// A limiter at time 0, with no instance.
    pub fn new(limit: StartLimit, most_instances: u64) -> Self {
        Self {
            limit,
            since_ns: 0,
            used: 0,
            alive: 0,
            most: most_instances,
            most_used: 0,
            most_alive: 0,
        }
    }

    /// Whether no further instance may exist. The caller must first end instances whose keep-alive
    /// is over.
    pub fn is_full(&self) -> bool {
        self.alive >= self.most
    }

    /// Takes the right to start one instance at `now_ns`; false: the platform refuses it.
    pub fn start(&mut self, now_ns: u64) -> bool {
        if self.is_full() {
            return false;
        }
        let allowed = match self.limit {
            StartLimit::Unlimited { window_ns } => self.in_window(now_ns, window_ns) < u64::MAX,
            StartLimit::Window { count, window_ns } => self.in_window(now_ns, window_ns) < count,
            StartLimit::Bucket { burst, count, window_ns } => {
                let passed = u128::from(now_ns - self.since_ns) * u128::from(count);
                let filled = (passed / u128::from(window_ns)) as u64;
                // Whole starts only; the fraction stays in `since_ns`.
                let spent =
                    (u128::from(filled) * u128::from(window_ns)).div_ceil(u128::from(count));
                self.since_ns += spent as u64;
                self.used = self.used.saturating_sub(filled);
                if self.used == 0 {
                    self.since_ns = now_ns;
                }
                self.used < burst
            }
        };
        if allowed {
            self.used += 1;
            self.alive += 1;
            self.most_alive = self.most_alive.max(self.alive);
            self.most_used = self.most_used.max(self.used);
        }
        allowed
    }

    /// Starts in the window of `now_ns` so far.
    fn in_window(&mut self, now_ns: u64, window_ns: u64) -> u64 {
        let begun = now_ns / window_ns * window_ns;
        if begun > self.since_ns {
            (self.since_ns, self.used) = (begun, 0);
        }
        self.used
    }

    /// Adds an instance that was not started by a request: a provisioned one.
    pub fn add(&mut self, instances: u64) {
        self.alive += instances;
        self.most_alive = self.most_alive.max(self.alive);
    }

    /// Records that instances have ended.
    pub fn remove(&mut self, instances: u64) {
        self.alive -= instances;
    }

    /// Forgets the most starts of a window: counting begins.
    pub fn forget_most(&mut self) {
        self.most_used = 0;
        self.most_alive = self.alive;
    }

    /// Largest number of instances at once; one whose keep-alive is over counts until its function
    /// is simulated again.
    pub fn most_alive(&self) -> u64 {
        self.most_alive
    }

    /// The most starts that any window had.
    pub fn most_used(&self) -> u64 {
        self.most_used
    }
}

impl StartLimit {
    /// Nanoseconds between two starts where they are spread evenly.
    pub fn spacing_ns(self) -> u64 {
        match self {
            Self::Unlimited { .. } => 0,
            Self::Window { count, window_ns } | Self::Bucket { count, window_ns, .. } => {
                window_ns / count
            }
        }
    }

    /// Length of the windows in which starts are counted.
    pub fn window_ns(self) -> u64 {
        match self {
            Self::Unlimited { window_ns }
            | Self::Window { window_ns, .. }
            | Self::Bucket { window_ns, .. } => window_ns,
        }
    }

    /// Starts in a window; `None` without a limit.
    pub fn count(self) -> Option<u64> {
        match self {
            Self::Unlimited { .. } => None,
            Self::Window { count, .. } | Self::Bucket { count, .. } => Some(count),
        }
    }

    /// The limit as text: `500 in 60 s`.
    pub fn describe(self) -> String {
        let within = |ns: u64| format!("{} s", ns / SECOND_NS);
        match self {
            Self::Unlimited { .. } => "no limit".into(),
            Self::Window { count, window_ns } => format!("{count} in {}", within(window_ns)),
            Self::Bucket { burst, count, window_ns } => {
                format!("{burst} at once, then {count} in {}", within(window_ns))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE_NS: u64 = 60 * SECOND_NS;

    fn started(limiter: &mut Limiter, from_s: u64, to_s: u64) -> u64 {
        // Ten attempts every 100 ms.
        (from_s * 10..to_s * 10)
            .map(|tick| (0..10).filter(|_| limiter.start(tick * SECOND_NS / 10)).count() as u64)
            .sum()
    }

    #[test]
    fn a_window_starts_500_in_the_first_minute_and_1000_in_two() {
        let limit = StartLimit::Window { count: 500, window_ns: MINUTE_NS };
        let mut limiter = Limiter::new(limit, u64::MAX);
        assert_eq!(started(&mut limiter, 0, 60), 500);
        assert_eq!(started(&mut limiter, 60, 120), 500);
        assert_eq!(limiter.most_used(), 500);
    }

    #[test]
    fn a_bucket_has_its_burst_at_once_and_fills_evenly() {
        let limit = StartLimit::Bucket { burst: 300, count: 300, window_ns: MINUTE_NS };
        let mut limiter = Limiter::new(limit, u64::MAX);
        assert_eq!(started(&mut limiter, 0, 10), 300 + 49); // five a second while ten are asked for
        assert_eq!(started(&mut limiter, 10, 70), 300);
        assert_eq!(started(&mut limiter, 3_600, 3_604), 319); // no more than the burst was saved up
    }

    #[test]
    fn the_quota_counts_existing_instances() {
        let mut limiter = Limiter::new(StartLimit::Unlimited { window_ns: MINUTE_NS }, 3);
        limiter.add(1);
        assert!(limiter.start(0) && limiter.start(0) && !limiter.start(0));
        limiter.remove(1);
        assert!(limiter.start(1));
    }
}
