//! Counter-based random numbers: the n-th number of a stream depends only on the seed, the stream
//! and n, and not on earlier draws. So every scenario gives request n the same arrival, the same
//! service time and the same cold start (common random numbers).

/// The increment of SplitMix64 (Steele, Lea and Flood, OOPSLA 2014): 2^64 / golden ratio, odd.
const GAMMA: u64 = 0x9e37_79b9_7f4a_7c15;

/// Use of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Gaps between arrivals.
    Arrival = 1,
    /// Which candidates of a changing rate arrive.
    Thinning = 2,
    /// Service times.
    Service = 3,
    /// Cold starts.
    Cold = 4,
    /// Which idle instance takes a request.
    Reuse = 5,
    /// Starts of provisioned instances.
    Provisioning = 6,
    /// Where in its minute a request arrives.
    Placement = 7,
    /// The function of a request.
    Function = 8,
}

/// One stream of random numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stream {
    key: u64,
}

impl Stream {
    /// The stream of one purpose in replication `replication` of a run with that seed.
    pub fn new(seed: u64, purpose: Purpose, replication: u64) -> Self {
        let key = mix(mix(seed ^ GAMMA).wrapping_add((purpose as u64).wrapping_mul(GAMMA)));
        Self { key: mix(key.wrapping_add(replication.wrapping_mul(GAMMA))) }
    }

    /// The n-th number, 64 random bits.
    #[inline]
    pub fn bits(self, n: u64) -> u64 {
        mix(self.key.wrapping_add(n.wrapping_mul(GAMMA)))
    }

    /// The n-th number, uniform in the open interval (0, 1).
    #[inline]
    pub fn uniform(self, n: u64) -> f64 {
        // 53 bits, and half of the last one, so that neither 0 nor 1 is possible.
        ((self.bits(n) >> 11) as f64 + 0.5) * (1.0 / (1u64 << 53) as f64)
    }

    /// The n-th number, uniform in 0 .. `end`; `end` is not 0.
    #[inline]
    pub fn below(self, n: u64, end: u64) -> u64 {
        ((u128::from(self.bits(n)) * u128::from(end)) >> 64) as u64
    }
}

/// The output function of SplitMix64 (variant 13 of Stafford's mixers).
#[inline]
fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uniform_numbers_have_the_mean_and_the_variance_of_the_uniform_distribution() {
        let stream = Stream::new(7, Purpose::Service, 0);
        let n = 1_000_000;
        let (mut sum, mut squares) = (0.0, 0.0);
        for i in 0..n {
            let u = stream.uniform(i);
            assert!(u > 0.0 && u < 1.0);
            sum += u;
            squares += u * u;
        }
        let mean = sum / n as f64;
        let variance = squares / n as f64 - mean * mean;
        assert!((mean - 0.5).abs() < 4.0 * (1.0f64 / 12.0 / n as f64).sqrt(), "{mean}");
        assert!((variance - 1.0 / 12.0).abs() < 3e-4, "{variance}");
    }

    #[test]
    fn streams_differ_by_seed_purpose_and_replication() {
        let of = |seed, purpose, replication| Stream::new(seed, purpose, replication).bits(0);
        let all = [
            of(1, Purpose::Service, 0),
            of(2, Purpose::Service, 0),
            of(1, Purpose::Cold, 0),
            of(1, Purpose::Service, 1),
        ];
        for (i, a) in all.iter().enumerate() {
            assert!(all[i + 1..].iter().all(|b| a != b));
        }
    }

    #[test]
    fn neighbours_are_not_correlated() {
        let stream = Stream::new(3, Purpose::Arrival, 0);
        let n = 200_000;
        let sum: f64 =
            (0..n).map(|i| (stream.uniform(i) - 0.5) * (stream.uniform(i + 1) - 0.5)).sum();
        let correlation = sum / n as f64 * 12.0;
        assert!(correlation.abs() < 4.0 / (n as f64).sqrt(), "{correlation}");
    }
}
