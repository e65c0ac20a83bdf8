//! Estimates of shares and latencies with their reliability. Intervals use batch means, because
//! requests near in time are correlated and single requests would make them too narrow. Quantiles
//! are withheld if too few samples are beyond them.

use super::tally::{Batch, Tally};

/// A share of requests with its 95 % interval.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct Share {
    /// The share, 0 to 1.
    pub value: f64,
    /// Lower end of the interval.
    pub ci95_low: f64,
    /// Upper end of the interval.
    pub ci95_high: f64,
}

/// Requests that must lie beyond a quantile.
const BEYOND: f64 = 10.0;
/// Measured samples that must lie beyond it in the distribution that it falls into.
const MEASURED_BEYOND: f64 = 3.0;
/// Number of batches below which their spread is not used.
const FEW_BATCHES: usize = 8;

/// Cold starts among the requests that were served.
pub fn cold_share(tally: &Tally) -> Share {
    share(&tally.all, &tally.batches, |b| (b.cold, b.served))
}

/// Refused requests among all.
pub fn refused_share(tally: &Tally) -> Share {
    share(&tally.all, &tally.batches, |b| (b.refused, b.served + b.refused))
}

fn share(all: &Batch, batches: &[Batch], of: impl Fn(&Batch) -> (u64, u64)) -> Share {
    let (hits, total) = of(all);
    if total == 0 {
        return Share { value: 0.0, ci95_low: 0.0, ci95_high: 1.0 };
    }
    let (value, total) = (hits as f64 / total as f64, total as f64);
    // Wilson's interval: what independent requests would have; never empty, not even at 0.
    let z = 1.959_964;
    let middle = (value + z * z / (2.0 * total)) / (1.0 + z * z / total);
    let half = z / (1.0 + z * z / total)
        * (value * (1.0 - value) / total + z * z / (4.0 * total * total)).sqrt();
    let (mut low, mut high) = (middle - half, middle + half);
    let n = batches.len();
    if n >= FEW_BATCHES {
        // The ratio's error by the batches' residuals (ratio estimator).
        let mean = batches.iter().map(|b| of(b).1 as f64).sum::<f64>() / n as f64;
        let residuals = batches.iter().map(|b| {
            let (hits, total) = of(b);
            hits as f64 - value * total as f64
        });
        let squares: f64 = residuals.map(|r| r * r).sum();
        let error = (squares / (n * (n - 1)) as f64).sqrt() / mean.max(1.0);
        let half = student_975(n - 1) * error;
        (low, high) = (low.min(value - half), high.max(value + half));
    }
    Share { value, ci95_low: low.clamp(0.0, value), ci95_high: high.clamp(value, 1.0) }
}

/// The 0.975 quantile of Student's distribution (Cornish-Fisher; exact to three digits from 7
/// degrees of freedom on).
fn student_975(degrees: usize) -> f64 {
    let (z, n) = (1.959_964f64, degrees as f64);
    let (z3, z5, z7) = (z.powi(3), z.powi(5), z.powi(7));
    z + (z3 + z) / (4.0 * n)
        + (5.0 * z5 + 16.0 * z3 + 3.0 * z) / (96.0 * n * n)
        + (3.0 * z7 + 19.0 * z5 + 17.0 * z3 - 15.0 * z) / (384.0 * n.powi(3))
}

/// Numbers of samples behind a quantile.
#[derive(Debug, Clone, Copy, PartialEq, Default, serde::Serialize, serde::Deserialize)]
pub struct Samples {
    /// Measurements behind the cold starts; `None` for a formula.
    pub cold: Option<usize>,
    /// Measurements behind the service times.
    pub service: Option<usize>,
}

/// The quantile `q` of the latency in nanoseconds, or why it is withheld.
///
/// # Errors
/// The reason, for the plan's notes.
pub fn latency_ns(tally: &Tally, q: f64, samples: Samples) -> Result<u64, String> {
    let name = format!("p{}", (q * 1000.0).round() / 10.0);
    let served = tally.all.served as f64;
    let found = tally.latency.quantile(q).ok_or_else(|| format!("{name}: nothing was served"))?;
    let beyond = served * (1.0 - q);
    if q > 0.9 && beyond < BEYOND - 1e-6 {
        return Err(format!(
            "{name} is withheld: {beyond:.1} of {served} requests lie beyond it, fewer than \
             {BEYOND}; simulate more (`--requests`)"
        ));
    }
    let cold = tally.all.cold as f64 / served;
    // Cold starts are the slow ones: the quantile falls among them when they are more than what
    // lies beyond it, and then so many of their measurements lie beyond it.
    let (measured, share, whose) = match (samples.cold, samples.service) {
        (Some(n), _) if cold > 1.0 - q => (n, (1.0 - q) / cold, "cold starts"),
        (_, Some(n)) if cold <= 1.0 - q => (n, (1.0 - q) / (1.0 - cold), "service times"),
        _ => return Ok(found),
    };
    let beyond = measured as f64 * share;
    if q > 0.9 && beyond < MEASURED_BEYOND {
        return Err(format!(
            "{name} is withheld: it rests on {beyond:.1} of the {measured} measured {whose}, which \
             a simulation can only repeat; measure more (`--samples`)"
        ));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn students_quantile_has_its_tabled_values() {
        for (degrees, value) in [(7, 2.3646), (10, 2.2281), (30, 2.0423), (120, 1.9799)] {
            assert!((student_975(degrees) - value).abs() < 2e-3, "{degrees}");
        }
    }

    #[test]
    fn batches_that_differ_widen_the_interval() {
        let alike = [Batch { served: 1000, cold: 100, refused: 0 }; 16];
        let mut differ = alike;
        for (at, batch) in differ.iter_mut().enumerate() {
            batch.cold = if at % 2 == 0 { 0 } else { 200 };
        }
        let all = Batch { served: 16_000, cold: 1_600, refused: 0 };
        let of = |b: &Batch| (b.cold, b.served);
        let (narrow, wide) = (share(&all, &alike, of), share(&all, &differ, of));
        assert_eq!((narrow.value, wide.value), (0.1, 0.1));
        assert!((narrow.ci95_high - narrow.ci95_low - 0.0093).abs() < 2e-4, "{narrow:?}");
        assert!(wide.ci95_high - wide.ci95_low > 0.1, "{wide:?}");
    }

    #[test]
    fn no_cold_start_in_a_million_still_has_an_interval() {
        let all = Batch { served: 1_000_000, cold: 0, refused: 0 };
        let found = share(&all, &[all], |b| (b.cold, b.served));
        assert_eq!((found.value, found.ci95_low), (0.0, 0.0));
        assert!(found.ci95_high > 2e-6 && found.ci95_high < 5e-6, "{found:?}");
    }
}
