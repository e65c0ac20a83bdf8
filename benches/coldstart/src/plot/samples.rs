//! Plot of every sample as a dot on one logarithmic axis of time, with the median and its interval.

use super::{Canvas, Group, fit};
use crate::results::{Results, Run};
use crate::units::duration;

const LABEL: f64 = 18.0;
const STRIP: f64 = 30.0;
const GAP: f64 = 10.0;
const AXIS: f64 = 24.0;

/// A logarithmic axis between two decades.
struct Axis {
    low: f64,
    high: f64,
    width: f64,
}

impl Axis {
    fn x(&self, ns: f64) -> f64 {
        8.0 + (ns.max(1.0).log10() - self.low) / (self.high - self.low) * (self.width - 16.0)
    }
}

/// The plot, `width` pixels wide.
pub fn samples(results: &Results, width: f64) -> String {
    let mut canvas = Canvas::new(width);
    let all: Vec<f64> =
        results.variants.iter().flat_map(|v| &v.runs).flat_map(Run::totals_ns).collect();
    let shortest = all.iter().copied().fold(f64::INFINITY, f64::min);
    let longest = all.iter().copied().fold(0.0, f64::max);
    if all.is_empty() {
        canvas.height = LABEL + GAP;
        canvas.text(0.0, LABEL, "muted", "no sample succeeded");
        return canvas.finish("no samples");
    }
    let low = shortest.max(1.0).log10().floor();
    let axis = Axis { low, high: longest.log10().ceil().max(low + 1.0), width };
    for group in Group::all(&results.variants) {
        for (variant, run) in group.runs(&results.variants) {
            strip(&mut canvas, &axis, &format!("{}: {}", variant.name, group.name()), run);
        }
    }
    ticks(&mut canvas, &axis);
    canvas.finish("every sample's total, on a logarithmic axis")
}

fn strip(canvas: &mut Canvas, axis: &Axis, label: &str, run: &Run) {
    canvas.height += LABEL;
    let width = canvas.width;
    canvas.text(0.0, canvas.height, "small", &fit(label, width - 80.0));
    if let Some(median) = run.summary.median_ns {
        canvas.number(width, canvas.height, "small end", median, &duration(median));
    }
    canvas.height += 5.0;
    let top = canvas.height;
    canvas.line(0.0, top + STRIP / 2.0, width, top + STRIP / 2.0, "rule");
    if let (Some(low), Some(high)) = (run.summary.ci95_low_ns, run.summary.ci95_high_ns) {
        canvas.rect(
            axis.x(low),
            top,
            (axis.x(high) - axis.x(low)).max(2.0),
            STRIP,
            "interval",
            2.0,
        );
    }
    for sample in run.samples.iter().filter(|s| s.counts()) {
        let Some(total) = sample.total_ns.map(|ns| ns as f64) else { continue };
        // Spread by the sample's number, so that the same results give the same picture.
        let y = top + STRIP / 2.0 + ((sample.order * 7919 % 17) as f64 - 8.0) * 1.3;
        let class = if sample.outlier { "outlier" } else { "dot" };
        canvas.body.push_str(&format!(
            "<circle cx=\"{:.1}\" cy=\"{y:.1}\" r=\"{}\" class=\"{class}\"><title \
             data-value=\"{total}\">{}</title></circle>",
            axis.x(total),
            if sample.outlier { 3.0 } else { 2.4 },
            duration(total)
        ));
    }
    if let Some(median) = run.summary.median_ns {
        canvas.line(axis.x(median), top - 1.0, axis.x(median), top + STRIP + 1.0, "median");
    }
    canvas.height += STRIP + GAP;
}

fn ticks(canvas: &mut Canvas, axis: &Axis) {
    let bottom = canvas.height;
    canvas.line(0.0, bottom, canvas.width, bottom, "rule");
    for decade in axis.low as i32..=axis.high as i32 {
        let ns = 10f64.powi(decade);
        let x = axis.x(ns);
        canvas.line(x, bottom, x, bottom + 5.0, "rule");
        let class = match decade {
            d if d == axis.low as i32 => "tick small",
            d if d == axis.high as i32 => "tick small end",
            _ => "tick small middle",
        };
        let (value, unit) = match decade {
            d if d < 3 => (ns, "ns"),
            d if d < 6 => (ns / 1e3, "µs"),
            d if d < 9 => (ns / 1e6, "ms"),
            _ => (ns / 1e9, "s"),
        };
        canvas.text(x, bottom + 18.0, class, &format!("{value} {unit}"));
    }
    canvas.height += AXIS;
}
