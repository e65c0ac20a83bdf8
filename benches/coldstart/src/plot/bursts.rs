//! Scale-out plot: the total against the number of instances started at once, on two logarithmic
//! axes; a straight line of slope one means that the machine serves them one after the other.

use super::{Canvas, fit};
use crate::burst;
use crate::phase::Phase;
use crate::results::{Results, Run, Scenario, Variant};
use crate::units::duration;

const HEIGHT: f64 = 190.0;
const LEFT: f64 = 64.0;
const RIGHT: f64 = 70.0;

/// One plot for each variant, link and scenario that was measured with several burst sizes.
pub fn bursts(results: &Results, width: f64) -> Vec<String> {
    burst::series(results).iter().map(|series| plot(series.variant, &series.runs, width)).collect()
}

fn plot(variant: &Variant, series: &[&Run], width: f64) -> String {
    let mut canvas = Canvas::new(width);
    let link = if series[0].scenario == Scenario::Cold {
        format!(", {}", series[0].link)
    } else {
        String::new()
    };
    let title =
        format!("{}: {}{link}, by instances at once", variant.name, series[0].scenario.name());
    canvas.text(0.0, 16.0, "title", &fit(&title, width));
    let value = |run: &Run, far: bool| {
        if far { run.summary.p99_ns } else { run.summary.median_ns }.unwrap_or(1.0)
    };
    let low = series.iter().map(|r| value(r, false)).fold(f64::INFINITY, f64::min).log10().floor();
    let high =
        series.iter().map(|r| value(r, true)).fold(1.0, f64::max).log10().ceil().max(low + 1.0);
    let (first, last) = (series[0].burst as f64, series[series.len() - 1].burst as f64);
    let x = |burst: usize| {
        LEFT + (burst as f64 / first).ln() / (last / first).ln().max(0.01) * (width - LEFT - RIGHT)
    };
    let y = |ns: f64| 34.0 + (high - ns.log10()) / (high - low) * (HEIGHT - 70.0);
    for decade in low as i32..=high as i32 {
        let at = y(10f64.powi(decade));
        canvas.line(LEFT, at, width - RIGHT, at, "rule");
        canvas.text(LEFT - 8.0, at + 4.0, "tick small end", &duration(10f64.powi(decade)));
    }
    for (far, class, name) in [(false, "line", "median"), (true, "line far", "p99")] {
        let points: Vec<String> =
            series.iter().map(|r| format!("{:.1},{:.1}", x(r.burst), y(value(r, far)))).collect();
        canvas
            .body
            .push_str(&format!("<polyline points=\"{}\" class=\"{class}\"/>", points.join(" ")));
        let end = series[series.len() - 1];
        canvas.text(x(end.burst) + 6.0, y(value(end, far)) + 4.0, "small", name);
    }
    for run in series {
        let at = x(run.burst);
        canvas.body.push_str(&format!(
            "<circle cx=\"{at:.1}\" cy=\"{:.1}\" r=\"3.5\" class=\"{}\"><title \
             data-value=\"{}\">{}</title></circle>",
            y(value(run, false)),
            Phase::Pull,
            value(run, false),
            duration(value(run, false))
        ));
        canvas.number(at, HEIGHT - 18.0, "small middle", run.burst as f64, &run.burst.to_string());
    }
    canvas.text(LEFT, HEIGHT - 2.0, "small muted", "instances at once");
    canvas.height = HEIGHT;
    canvas.finish(&title)
}
