//! Export of a run as Markdown or CSV, one row per case. Pure: results in, text out. Markdown has
//! numbers in units for people, CSV has nanoseconds.

use crate::phase::Phase;
use crate::results::{Aside, PageCache, PlatformTimes, Results, Run, Scenario, Variant};
use crate::units::duration;
use bench_kit::stats;

/// A table in GitHub's Markdown, with the machine in a line below it.
pub fn markdown(results: &Results) -> String {
    let phases: Vec<&str> = Phase::all().iter().map(|phase| phase.name()).collect();
    let mut head = vec!["image", "scenario", "link"];
    head.extend(&phases);
    head.extend(["total", "95 % CI", "p99", "n"]);
    let rule: Vec<_> = (0..head.len()).map(|at| if at < 3 { ":--" } else { "--:" }).collect();
    let mut text = line(head.iter().map(|cell| (*cell).to_owned()));
    text += &line(rule.into_iter().map(str::to_owned));
    for (variant, run) in rows(results) {
        text += &line(cells(variant, run).into_iter());
    }
    let host = &results.host;
    text += &format!(
        "\n{}, {} cores, Linux {}, engine {}; medians, {}\n",
        escaped(&host.cpu_model),
        host.cores,
        escaped(&host.kernel),
        results.engine,
        escaped(&host.date)
    );
    text
}

fn rows(results: &Results) -> impl Iterator<Item = (&Variant, &Run)> {
    results.variants.iter().flat_map(|variant| variant.runs.iter().map(move |run| (variant, run)))
}

fn cells(variant: &Variant, run: &Run) -> Vec<String> {
    let mut scenario = run.scenario.name().to_owned();
    if run.page_cache == PageCache::Evicted {
        scenario += ", evicted";
    }
    if run.burst > 1 {
        scenario += &format!(", {} at once", run.burst);
    }
    let shown = |ns: Option<f64>| ns.map_or_else(|| "-".to_owned(), duration);
    let s = &run.summary;
    let mut cells = vec![escaped(&variant.name), scenario, escaped(link(run))];
    cells.extend(run.phase_medians_ns().into_iter().map(|(_, ns)| shown(ns)));
    let none = if run.samples.iter().any(|sample| sample.error.is_none()) { "-" } else { "failed" };
    cells.push(s.median_ns.map_or_else(|| none.into(), duration));
    cells.push(match (s.ci95_low_ns, s.ci95_high_ns) {
        (Some(low), Some(high)) => format!("{} to {}", duration(low), duration(high)),
        _ => "-".into(),
    });
    cells.extend([shown(s.p99_ns), s.n.to_string()]);
    cells
}

/// The link, if the scenario has one.
fn link(run: &Run) -> &str {
    if run.scenario == Scenario::Cold { &run.link } else { "-" }
}

fn line(cells: impl Iterator<Item = String>) -> String {
    format!("| {} |\n", cells.collect::<Vec<_>>().join(" | "))
}

/// Text of a cell, with all markup escaped (CommonMark, 2.4; GitHub's tables).
fn escaped(text: &str) -> String {
    let mut out = String::new();
    for letter in text.chars() {
        match letter {
            '\\' | '|' | '`' | '*' | '_' | '[' | ']' | '<' | '>' | '#' => {
                out.extend(['\\', letter])
            }
            letter if letter.is_control() => out.push(' '),
            letter => out.push(letter),
        }
    }
    out
}

/// Comma-separated values with a header (RFC 4180, lines end with a line feed). A field is empty if
/// the scenario or the engine has no such value.
pub fn csv(results: &Results) -> String {
    let mut text =
        "engine,image,reference,scenario,link,page_cache,burst,samples,failed,median_ns,\
                    ci95_low_ns,ci95_high_ns,p90_ns,p99_ns,min_ns,max_ns"
            .to_owned();
    for phase in Phase::all() {
        text += &format!(",{}_ns_median", phase.name());
    }
    text += ",listen_ns_median,first_byte_ns_median,compressed_bytes,requests,bytes";
    // Columns of a platform only for its runs: scripts that read others stay valid.
    let platform = results.engine.is_platform();
    if platform {
        text += ",platform_ns_median,handler_ns_median,warm_round_trip_ns_median,\
                 residual_ns_median,memory_mib,cold_by";
        Aside::ALL.iter().for_each(|aside| text += &format!(",{}", aside.name()));
    }
    text.push('\n');
    for (variant, run) in rows(results) {
        let s = &run.summary;
        let number = |ns: Option<f64>| ns.map_or_else(String::new, |ns| format!("{ns:.0}"));
        let failed = run.samples.iter().filter(|sample| sample.error.is_some()).count();
        let page_cache = if run.page_cache == PageCache::Evicted { "evicted" } else { "warm" };
        let mut fields = vec![
            results.engine.to_string(),
            quoted(&variant.name),
            quoted(&variant.reference),
            run.scenario.name().to_owned(),
            quoted(if run.scenario == Scenario::Cold { &run.link } else { "" }),
            page_cache.to_owned(),
            run.burst.to_string(),
            run.samples.len().to_string(),
            failed.to_string(),
        ];
        let times =
            [s.median_ns, s.ci95_low_ns, s.ci95_high_ns, s.p90_ns, s.p99_ns, s.min_ns, s.max_ns];
        fields.extend(times.map(number));
        fields.extend(run.phase_medians_ns().into_iter().map(|(_, ns)| number(ns)));
        fields.push(number(stats::median(&run.times_ns(|sample| sample.listen_ns))));
        fields.push(number(stats::median(&run.times_ns(|sample| sample.first_byte_ns))));
        fields.push(variant.compressed_bytes.map_or_else(String::new, |n| n.to_string()));
        fields.extend([run.requests.to_string(), run.bytes.to_string()]);
        if platform {
            fields.extend(on_platform(run));
        }
        text += &fields.join(",");
        text.push('\n');
    }
    text
}

/// The further fields of a run on a platform.
fn on_platform(run: &Run) -> Vec<String> {
    let counted = || run.samples.iter().filter(|s| s.counts());
    let middle = |ns: &dyn Fn(&PlatformTimes) -> Option<f64>| {
        let all: Vec<f64> = counted().filter_map(|s| ns(s.on_platform.as_ref()?)).collect();
        stats::median(&all).map_or_else(String::new, |ns| format!("{ns:.0}"))
    };
    let of = run.on_platform.as_ref();
    let mut fields = vec![
        middle(&|of| of.platform_ns.map(|ns| ns as f64)),
        middle(&|of| of.handler_ns.map(|ns| ns as f64)),
        middle(&|of| of.warm_round_trip_ns.map(|ns| ns as f64)),
        middle(&|of| of.residual_ns.map(|ns| ns as f64)),
        of.and_then(|of| of.memory_mib).map_or_else(String::new, |mib| mib.to_string()),
        of.and_then(|of| of.cold_by).map_or_else(String::new, |by| by.name().to_owned()),
    ];
    for aside in Aside::ALL {
        let n = run.samples.iter().filter(|s| s.aside() == Some(aside)).count();
        fields.push(n.to_string());
    }
    fields
}

fn quoted(text: &str) -> String {
    if text.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_of_a_cell_is_escaped() {
        assert_eq!(escaped("a|b*c\nd"), r"a\|b\*c d");
        assert_eq!(quoted("a,\"b\""), "\"a,\"\"b\"\"\"");
        assert_eq!(quoted("plain"), "plain");
    }
}
