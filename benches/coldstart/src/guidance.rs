//! Guidance: the gain that the platform's advice on cold starts would bring for the measured
//! images: one row per advice, variant and link. Pure: results in, rows out. Prices and limits are
//! Tencent Cloud SCF's, as its pages state them; each row names its page and whether it rests on a
//! model.

mod platform;
mod rows;

use crate::link::Link;
use crate::results::{EngineKind, Guidance, Results, Run, Scenario, Variant};

/// The user's own load, on which rows depend.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Load {
    /// Requests per second that should find a ready instance.
    pub requests_per_second: f64,
    /// The function's memory setting, in MiB.
    pub memory_mib: u64,
}

impl Default for Load {
    fn default() -> Self {
        Self { requests_per_second: 100.0, memory_mib: 128 }
    }
}

/// A row for each advice, variant and link; if something was not measured, the row states what to
/// run.
pub fn advise(results: &Results, load: Load) -> Vec<Guidance> {
    let mut rows = Vec::new();
    if results.engine.is_platform() {
        return platform::advise(results);
    }
    for variant in &results.variants {
        let absent = |id, scenario, flags: &str| {
            rows::absent(variant, id, why_absent(variant, scenario, flags))
        };
        rows.push(rows::same_region(variant).unwrap_or_else(|| match results.engine {
            EngineKind::Embedded => absent(
                "same-region",
                None,
                "--scenario cold --link same-region --link cross-region",
            ),
            EngineKind::Docker
            | EngineKind::Podman
            | EngineKind::Containerd
            | EngineKind::Scf
            | EngineKind::Lambda
            | EngineKind::Fc => rows::absent(
                variant,
                "same-region",
                "this engine pulls over loopback only: `--engine embedded`".into(),
            ),
        }));
        let colds = || {
            variant
                .runs
                .iter()
                .filter(|r| r.scenario == Scenario::Cold && r.burst == 1 && r.summary.n > 0)
        };
        // The cold start's length hardly changes it, so one sizing serves all links.
        let sizing = colds().next().and_then(|cold| rows::sizing(variant, cold, load));
        for cold in colds() {
            rows.push(rows::minimal_image(variant, cold, &results.overhead));
            rows.extend(rows::acceleration(variant, cold));
            rows.extend(rows::provisioned(variant, cold, load, sizing.as_ref()));
        }
        if colds().next().is_none() {
            rows.push(absent("minimal-image", Some(Scenario::Cold), "--scenario cold"));
        }
        for (id, scenario, flags) in [
            ("acceleration", Scenario::Accelerated, "--scenario cold --scenario accelerated"),
            ("provisioned", Scenario::Provisioned, "--scenario cold --scenario provisioned"),
        ] {
            if !rows.iter().any(|row| row.id == id && row.variant == variant.name) {
                rows.push(absent(id, Some(scenario), flags));
            }
        }
        let listens = rows::deadline(variant);
        rows.push(
            listens.unwrap_or_else(|| {
                absent("listen-deadline", Some(Scenario::Cold), "--scenario cold")
            }),
        );
        rows.push(rows::memory(variant));
    }
    rows
}

/// What to do about a row without a number.
fn why_absent(variant: &Variant, scenario: Option<Scenario>, flags: &str) -> String {
    let tried = variant.runs.iter().any(|r| Some(r.scenario) == scenario && r.burst == 1);
    match tried && variant.runs.iter().all(|r| Some(r.scenario) != scenario || r.summary.n == 0) {
        true => "no sample succeeded; see the failures".into(),
        false => format!("run with `{flags}`"),
    }
}

/// The run of a variant that is comparable with `cold`: same page cache, one instance.
fn companion<'a>(variant: &'a Variant, cold: &Run, scenario: Scenario) -> Option<&'a Run> {
    variant.runs.iter().find(|r| {
        r.scenario == scenario && r.burst == 1 && r.page_cache == cold.page_cache && r.summary.n > 0
    })
}

/// Whether a run's link is a model rather than this machine's loopback.
fn is_modelled(run: &Run) -> bool {
    run.link.parse::<Link>().is_ok_and(|link| link.is_shaped())
}
