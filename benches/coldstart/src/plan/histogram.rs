//! Latency histogram of bounded memory. Its buckets are logarithmic, 256 per octave, so each is 0.4
//! % wide. A bucket stores its mean, so a constant is exact. Histograms add up exactly in any
//! order.

use serde::{Deserialize, Serialize};

/// Sub-buckets of an octave, as a power of two.
const BITS: u32 = 8;
const PER_OCTAVE: usize = 1 << BITS;
/// Values below 2^BITS have a bucket each; each higher octave has PER_OCTAVE.
const BUCKETS: usize = (64 - BITS as usize + 1) * PER_OCTAVE;

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Bucket {
    count: u64,
    /// Sum of the values, each less the bucket's lower bound.
    above_ns: u64,
}

/// Latencies in nanoseconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Histogram {
    buckets: Box<[Bucket]>,
    count: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { buckets: vec![Bucket::default(); BUCKETS].into_boxed_slice(), count: 0 }
    }
}

#[inline]
fn place(ns: u64) -> usize {
    let octave = (63 - (ns | 1).leading_zeros()).saturating_sub(BITS);
    // The leading bit of a value of a higher octave counts PER_OCTAVE itself.
    ((octave as usize) << BITS) + (ns >> octave) as usize
}

fn lowest(bucket: usize) -> u64 {
    let octave = (bucket >> BITS).saturating_sub(1);
    ((bucket - (octave << BITS)) as u64) << octave
}

impl Histogram {
    /// Adds a latency.
    #[inline]
    pub fn record(&mut self, ns: u64) {
        let octave = (63 - (ns | 1).leading_zeros()).saturating_sub(BITS);
        let bucket = &mut self.buckets[place(ns)];
        bucket.count += 1;
        bucket.above_ns += ns & ((1 << octave) - 1);
        self.count += 1;
    }

    /// Number of latencies.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Adds all latencies of another histogram.
    pub fn add(&mut self, other: &Self) {
        for (mine, theirs) in self.buckets.iter_mut().zip(&other.buckets) {
            mine.count += theirs.count;
            mine.above_ns += theirs.above_ns;
        }
        self.count += other.count;
    }

    /// The value that a share `q` of all values does not exceed, within 0.4 %: the mean of the
    /// bucket that holds it. `None` of an empty histogram.
    pub fn quantile(&self, q: f64) -> Option<u64> {
        let rank = ((self.count as f64 * q).ceil() as u64).clamp(1, self.count.max(1));
        let mut seen = 0;
        for (at, bucket) in self.buckets.iter().enumerate() {
            seen += bucket.count;
            if bucket.count > 0 && seen >= rank {
                return Some(lowest(at) + bucket.above_ns / bucket.count);
            }
        }
        None
    }

    /// The share of values that exceed `ns`, to the resolution of a bucket.
    pub fn share_above(&self, ns: u64) -> f64 {
        let above: u64 = self.buckets[place(ns) + 1..].iter().map(|b| b.count).sum();
        above as f64 / self.count.max(1) as f64
    }

    /// The value and the share of all values that do not exceed it, bucket by bucket.
    pub fn curve(&self) -> Vec<(u64, f64)> {
        let mut seen = 0;
        let filled = self.buckets.iter().enumerate().filter(|(_, b)| b.count > 0);
        filled
            .map(|(at, bucket)| {
                seen += bucket.count;
                (lowest(at) + bucket.above_ns / bucket.count, seen as f64 / self.count as f64)
            })
            .collect()
    }
}

/// As it is kept in a file: bucket, count and sum of those that hold anything.
#[derive(Serialize, Deserialize)]
struct Kept(Vec<(usize, u64, u64)>);

impl Serialize for Histogram {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let filled = self.buckets.iter().enumerate().filter(|(_, b)| b.count > 0);
        Kept(filled.map(|(at, b)| (at, b.count, b.above_ns)).collect()).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Histogram {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut histogram = Self::default();
        for (at, count, above_ns) in Kept::deserialize(deserializer)?.0 {
            let bucket = histogram
                .buckets
                .get_mut(at)
                .ok_or_else(|| serde::de::Error::custom(format!("there is no bucket {at}")))?;
            *bucket = Bucket { count, above_ns };
            histogram.count = histogram.count.checked_add(count).ok_or_else(|| {
                serde::de::Error::custom("the counts of a histogram are too large")
            })?;
        }
        Ok(histogram)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_is_in_a_bucket_that_is_at_most_half_a_per_cent_wide() {
        for ns in (0..64).flat_map(|bit| {
            let power = 1u64 << bit;
            [power - 1, power, power + 1, power + power / 3, power + (power - 1)]
        }) {
            let (low, at) = (lowest(place(ns)), place(ns));
            assert!(low <= ns && at < BUCKETS, "{ns} in {at} from {low}");
            assert!((ns - low) as f64 <= ns as f64 * 0.004, "{ns} in {at} from {low}");
        }
        assert_eq!(place(u64::MAX), BUCKETS - 1);
    }

    #[test]
    fn a_constant_is_exact() {
        let mut histogram = Histogram::default();
        for _ in 0..1000 {
            histogram.record(20_000_000);
        }
        for q in [0.5, 0.99, 0.999] {
            assert_eq!(histogram.quantile(q), Some(20_000_000));
        }
        assert_eq!(histogram.share_above(20_000_000), 0.0);
        assert_eq!(histogram.share_above(10_000_000), 1.0);
    }

    #[test]
    fn quantiles_are_those_of_the_sorted_values_within_half_a_per_cent() {
        let mut values: Vec<u64> = (1..=50_000u64).map(|i| i * i * 3).collect();
        let mut histogram = Histogram::default();
        values.iter().for_each(|&ns| histogram.record(ns));
        values.sort_unstable();
        for q in [0.001f64, 0.5, 0.9, 0.99, 0.999, 1.0] {
            let exact = values[(values.len() as f64 * q).ceil() as usize - 1] as f64;
            let found = histogram.quantile(q).unwrap() as f64;
            assert!((found / exact - 1.0).abs() < 0.005, "{q}: {found} for {exact}");
        }
    }

    #[test]
    fn halves_add_up_to_the_whole_and_survive_a_file() {
        let (mut even, mut odd, mut all) =
            (Histogram::default(), Histogram::default(), Histogram::default());
        for ns in 0..10_000u64 {
            if ns % 2 == 0 {
                even.record(ns * 77)
            } else {
                odd.record(ns * 77)
            }
            all.record(ns * 77);
        }
        even.add(&odd);
        assert!(even == all);
        let kept = serde_json::to_string(&all).unwrap();
        assert!(serde_json::from_str::<Histogram>(&kept).unwrap() == all);
        assert!(serde_json::from_str::<Histogram>("[[99999999,1,1]]").is_err());
    }
}
