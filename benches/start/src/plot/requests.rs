//! Plot of requests one after the other on one connection: one line per program, by the number of
//! the request, time on a logarithmic axis.

use super::{ABOVE, Axis, BELOW, LEFT, escape, put};
use crate::program::{FLOOR, OURS, RIVAL};
use crate::report::{Report, Variant};
use bench_kit::stats::paired::Median;

/// Height from the highest time to the lowest.
const HEIGHT: f64 = 260.0;
/// Position of the last request; names are to the right of it.
const END: f64 = 770.0;
/// Smallest distance of names at the ends of lines.
const LINE: f64 = 15.0;

/// Height of the panel; 0 without further requests.
pub(super) fn height(report: &Report) -> f64 {
    if rows(report).is_empty() { 0.0 } else { ABOVE + HEIGHT + BELOW }
}

/// Draws the panel.
pub(super) fn draw(svg: &mut String, report: &Report, top: f64) {
    let rows = rows(report);
    let bounds = rows.iter().flat_map(|(_, medians)| medians);
    let least = bounds.clone().map(|m| m.ci95_low_of_p50_ns).fold(f64::INFINITY, f64::min);
    let most = bounds.map(|m| m.ci95_high_of_p50_ns).fold(0.0, f64::max);
    if rows.is_empty() || least <= 0.0 {
        return;
    }
    let axis = Axis { from: least * 0.9, to: most * 1.1 };
    let (above, bottom) = (top + ABOVE, top + ABOVE + HEIGHT);
    let y = |ns: f64| bottom - axis.share(ns) * HEIGHT;
    let step = (END - LEFT) / f64::from(report.requests.max(2) - 1);
    let x = |index: usize| LEFT + step * index as f64;
    put(
        svg,
        format_args!(
            "<text x=\"{LEFT}\" y=\"{}\">requests 1 to {} on one connection: microseconds from \
             send to last byte, medians with 95 % interval</text>",
            above - 12.0,
            report.requests
        ),
    );
    for tick in axis.ticks() {
        let (y, label) = (y(tick), tick / 1e3);
        put(
            svg,
            format_args!(
                "<line class=\"grid\" x1=\"{LEFT}\" y1=\"{y:.1}\" x2=\"{END}\" \
                 y2=\"{y:.1}\"/><text class=\"dim\" x=\"{}\" y=\"{:.1}\" \
                 text-anchor=\"end\">{label}</text>",
                LEFT - 10.0,
                y + 4.0
            ),
        );
    }
    for index in 0..report.requests as usize {
        put(
            svg,
            format_args!(
                "<text class=\"dim\" x=\"{:.1}\" y=\"{}\" text-anchor=\"middle\">{}</text>",
                x(index),
                bottom + 17.0,
                index + 1
            ),
        );
    }
    for (variant, medians) in &rows {
        draw_row(svg, variant, medians, &x, &y);
    }
    let ends: Vec<f64> =
        rows.iter().map(|(_, medians)| medians.last().map_or(bottom, |m| y(m.p50_ns))).collect();
    for ((variant, _), y) in rows.iter().zip(spread(&ends, bottom)) {
        put(
            svg,
            format_args!(
                "<text class=\"{}\" x=\"{}\" y=\"{:.1}\">{}</text>",
                class(variant).trim(),
                END + 8.0,
                y + 4.0,
                escape(&variant.name)
            ),
        );
    }
}

fn draw_row(
    svg: &mut String,
    variant: &Variant,
    medians: &[Median],
    x: &impl Fn(usize) -> f64,
    y: &impl Fn(f64) -> f64,
) {
    let class = class(variant);
    let points: Vec<String> = medians
        .iter()
        .enumerate()
        .map(|(index, median)| format!("{:.1},{:.1}", x(index), y(median.p50_ns)))
        .collect();
    put(svg, format_args!("<polyline class=\"row{class}\" points=\"{}\"/>", points.join(" ")));
    for (index, median) in medians.iter().enumerate() {
        let (x, low, high) = (x(index), median.ci95_low_of_p50_ns, median.ci95_high_of_p50_ns);
        put(
            svg,
            format_args!(
                "<line class=\"span\" x1=\"{x:.1}\" y1=\"{:.1}\" x2=\"{x:.1}\" \
                 y2=\"{:.1}\"/><circle class=\"mid\" cx=\"{x:.1}\" cy=\"{:.1}\" r=\"2.5\"/>",
                y(low),
                y(high),
                y(median.p50_ns)
            ),
        );
    }
}

fn class(variant: &Variant) -> &'static str {
    match variant.name.as_str() {
        OURS => " ours",
        RIVAL => " rival",
        FLOOR => " floor",
        _ => "",
    }
}

/// The programs that have a time for every request.
fn rows(report: &Report) -> Vec<(&Variant, Vec<Median>)> {
    let row = |variant: &'_ Variant| -> Option<Vec<Median>> {
        let summary = &variant.requests.as_ref()?.summary;
        let medians: Option<Vec<Median>> = summary.iter().map(|request| request.time).collect();
        medians.filter(|medians| medians.len() > 1)
    };
    report.variants.iter().filter_map(|variant| Some((variant, row(variant)?))).collect()
}

/// The same heights, moved apart if two are closer than a line of text: down, and up again if they
/// would be below `bottom`.
fn spread(heights: &[f64], bottom: f64) -> Vec<f64> {
    let mut order: Vec<usize> = (0..heights.len()).collect();
    order.sort_by(|&a, &b| heights[a].total_cmp(&heights[b]));
    let mut spread = heights.to_vec();
    for pair in 1..order.len() {
        let (above, below) = (order[pair - 1], order[pair]);
        spread[below] = spread[below].max(spread[above] + LINE);
    }
    let mut most = bottom;
    for &index in order.iter().rev() {
        spread[index] = spread[index].min(most);
        most = spread[index] - LINE;
    }
    spread
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_would_overlap_are_moved_apart() {
        assert_eq!(spread(&[100.0, 50.0], 200.0), [100.0, 50.0]);
        assert_eq!(spread(&[102.0, 100.0, 101.0], 200.0), [130.0, 100.0, 115.0]);
        assert_eq!(spread(&[102.0, 100.0, 101.0], 110.0), [110.0, 80.0, 95.0]);
        assert_eq!(spread(&[], 200.0), [0.0; 0]);
    }
}
