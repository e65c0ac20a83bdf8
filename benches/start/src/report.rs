//! What a run amounts to: machine, programs, every sample, and what follows from them. It is the only link between
//! measuring and drawing, and it is what results.json holds. In the JSON the unit ends a name.

use serde::Serialize;

use crate::program::{FLOOR, Program, RIVAL};
use crate::sample::Sample;
use crate::stats::{Quantiles, Ratio};

/// A whole run.
#[derive(Debug, Serialize)]
pub struct Report {
    pub schema: u32,
    pub bench: &'static str,
    pub variants: Vec<Variant>,
}

/// One program.
#[derive(Debug, Serialize)]
pub struct Variant {
    pub name: String,
    pub elf_bytes: u64,
    pub runs: Vec<Run>,
}

/// One program's starts with one state of the page cache.
#[derive(Debug, Serialize)]
pub struct Run {
    /// `warm` or `evicted`.
    pub page_cache: String,
    pub summary: Summary,
    /// Round by round; what failed has left a gap.
    pub samples: Vec<Option<Sample>>,
    /// What failed, in words.
    pub errors: Vec<String>,
}

/// What the samples come to.
#[derive(Debug, Default, Serialize)]
pub struct Summary {
    pub listen: Option<Quantiles>,
    pub first_byte: Option<Quantiles>,
    pub listen_to_floor: Option<Ratio>,
    pub first_byte_to_floor: Option<Ratio>,
    pub listen_to_axum: Option<Ratio>,
    pub first_byte_to_axum: Option<Ratio>,
}

impl Report {
    /// A report without samples.
    pub fn new(programs: &[Program]) -> Self {
        let variants = programs.iter().map(|program| Variant {
            name: program.name.clone(),
            elf_bytes: program.elf_bytes,
            runs: Vec::new(),
        });
        Self { schema: 1, bench: "start", variants: variants.collect() }
    }

    /// The states of the page cache that were measured, in order.
    pub fn page_caches(&self) -> Vec<String> {
        self.variants.first().map(|v| v.runs.iter().map(|run| run.page_cache.clone()).collect()).unwrap_or_default()
    }

    /// Computes the summaries from the samples.
    pub fn summarise(&mut self) {
        for cache in self.page_caches() {
            let column = |name: &str, of: fn(&Sample) -> u64| -> Vec<Option<f64>> {
                let variant = self.variants.iter().find(|variant| variant.name == name);
                let run = variant.and_then(|v| v.runs.iter().find(|run| run.page_cache == cache));
                run.map(|run| run.samples.iter().map(|s| s.as_ref().map(|s| of(s) as f64)).collect())
                    .unwrap_or_default()
            };
            let listen = |name: &str| column(name, |s| s.listen_ns);
            let first = |name: &str| column(name, |s| s.first_byte_ns);
            let quantiles =
                |samples: Vec<Option<f64>>| Quantiles::of(&samples.into_iter().flatten().collect::<Vec<_>>());
            let summaries: Vec<_> = self
                .variants
                .iter()
                .map(|variant| {
                    let name = variant.name.as_str();
                    Summary {
                        listen: quantiles(listen(name)),
                        first_byte: quantiles(first(name)),
                        listen_to_floor: Ratio::of(&listen(name), &listen(FLOOR)),
                        first_byte_to_floor: Ratio::of(&first(name), &first(FLOOR)),
                        listen_to_axum: Ratio::of(&listen(name), &listen(RIVAL)),
                        first_byte_to_axum: Ratio::of(&first(name), &first(RIVAL)),
                    }
                })
                .collect();
            for (variant, summary) in self.variants.iter_mut().zip(summaries) {
                if let Some(run) = variant.runs.iter_mut().find(|run| run.page_cache == cache) {
                    run.summary = summary;
                }
            }
        }
    }
}
