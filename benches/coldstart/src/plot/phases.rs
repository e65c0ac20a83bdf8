//! Plot of stacked phases: one bar per run, grouped by conditions; all bars of a group have one
//! scale.

use super::{Canvas, Group, fit};
use crate::phase::Phase;
use crate::results::{Results, Run};
use crate::units::duration;

const TITLE: f64 = 30.0;
const LABEL: f64 = 18.0;
const BAR: f64 = 18.0;
const VALUES: f64 = 17.0;
const GAP: f64 = 14.0;

/// The plot, `width` pixels wide; below 560 the values of a bar take two lines.
pub fn phases(results: &Results, width: f64) -> String {
    let mut canvas = Canvas::new(width);
    for group in Group::all(&results.variants) {
        let runs: Vec<_> = group.runs(&results.variants).collect();
        let longest = runs.iter().filter_map(|(_, r)| r.summary.median_ns).fold(0.0, f64::max);
        canvas.height += TITLE;
        let y = canvas.height - 10.0;
        canvas.text(0.0, y, "title", &group.name());
        canvas.line(0.0, y + 7.0, width, y + 7.0, "rule");
        for (variant, run) in runs {
            bar(&mut canvas, &variant.name, run, longest);
        }
        canvas.height += GAP;
    }
    canvas.finish("median duration of each phase")
}

fn bar(canvas: &mut Canvas, name: &str, run: &Run, longest: f64) {
    let width = canvas.width;
    canvas.height += LABEL;
    let y = canvas.height;
    canvas.text(0.0, y, "", &fit(name, width - 90.0));
    let Some(total) = run.summary.median_ns else {
        canvas.text(width, y, "end muted", "no sample succeeded");
        canvas.height += GAP;
        return;
    };
    canvas.number(width, y, "end", total, &duration(total));
    let medians = run.phase_medians_ns();
    canvas.height += 6.0;
    canvas.rect(0.0, canvas.height, width, BAR, "track", 3.0);
    let mut x = 0.0;
    for &(phase, ns) in &medians {
        let Some(ns) = ns.filter(|_| longest > 0.0) else { continue };
        let length = (ns / longest * width).max(2.0);
        // A pixel of the ground between two phases keeps them apart for eyes that see no hue.
        canvas.rect(x, canvas.height, (length - 1.0).max(1.0), BAR, phase.name(), 2.0);
        x += length;
    }
    canvas.height += BAR;
    values(canvas, &medians);
}

fn values(canvas: &mut Canvas, medians: &[(Phase, Option<f64>)]) {
    let columns = if canvas.width < 560.0 { 2 } else { medians.len() };
    let there: Vec<_> = medians.iter().filter_map(|&(phase, ns)| Some((phase, ns?))).collect();
    for (i, (phase, ns)) in there.iter().enumerate() {
        let x = (i % columns) as f64 * canvas.width / columns as f64;
        if i % columns == 0 {
            canvas.height += VALUES;
        }
        let y = canvas.height;
        canvas.rect(x, y - 9.0, 9.0, 9.0, phase.name(), 2.0);
        canvas.text(x + 14.0, y, "small muted", phase.name());
        canvas.number(x + 60.0, y, "small", *ns, &duration(*ns));
    }
    canvas.height += 10.0;
}
