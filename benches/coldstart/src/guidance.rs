//! What the platform's advice on cold starts would buy for the images that were measured: one row per
//! advice, variant and link. Pure: results in, rows out. Prices and limits are Tencent Cloud SCF's, as its
//! pages state them; each row names its page and says whether it rests on a model.

mod rows;

use crate::link::Link;
use crate::results::{Guidance, Results, Run, Scenario, Variant};

/// What the reader's own case is, as far as a row depends on it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Load {
    /// Requests a second that are to find an instance ready.
    pub requests_per_second: f64,
    /// The function's memory setting, in MiB.
    pub memory_mib: u64,
}

impl Default for Load {
    fn default() -> Self {
        Self { requests_per_second: 100.0, memory_mib: 128 }
    }
}

/// All rows that the runs allow.
pub fn advise(results: &Results, load: Load) -> Vec<Guidance> {
    let mut rows = Vec::new();
    for variant in &results.variants {
        rows.extend(rows::same_region(variant));
        for cold in variant.runs.iter().filter(|r| r.scenario == Scenario::Cold && r.burst == 1 && r.summary.n > 0) {
            rows.push(rows::minimal_image(variant, cold));
            rows.extend(rows::acceleration(variant, cold));
            rows.extend(rows::provisioned(variant, cold, load));
        }
        rows.extend(rows::deadline(variant));
        rows.push(rows::memory(variant));
    }
    rows
}

/// The run of a variant that is comparable with `cold`: same page cache, one instance.
fn companion<'a>(variant: &'a Variant, cold: &Run, scenario: Scenario) -> Option<&'a Run> {
    variant
        .runs
        .iter()
        .find(|r| r.scenario == scenario && r.burst == 1 && r.page_cache == cold.page_cache && r.summary.n > 0)
}

/// Whether a run's link is a model rather than this machine's loopback.
fn is_modelled(run: &Run) -> bool {
    run.link.parse::<Link>().is_ok_and(|link| link.is_shaped())
}
