//! Plots of a plan: cold share over provisioned instances, latency by share of requests, cost
//! against tail, instances over the day. Lines of one plot are keep-alives or scenarios.

use super::{Canvas, escape, fit};
use crate::plan::answer;
use crate::plan::document::Plan;
use crate::plan::duration::{self, DAY_NS};
use crate::plan::sweep::Scenario;
use crate::units::duration as time;

const HEIGHT: f64 = 260.0;
const LEFT: f64 = 64.0;
const RIGHT: f64 = 24.0;
const TOP: f64 = 30.0;
const BOTTOM: f64 = 46.0;
/// Lines of one plot, each with its colour.
const CLASSES: [&str; 4] = ["line", "line s1", "line s2", "line s3"];
/// A point's dot, by line.
const DOTS: [&str; 4] = ["pull", "unpack", "create", "start"];

/// How an axis runs.
#[derive(Clone, Copy, PartialEq)]
enum Scale {
    Linear,
    Log,
}

/// An axis: its ends, and what its numbers look like.
struct Axis<'a> {
    scale: Scale,
    low: f64,
    high: f64,
    show: &'a dyn Fn(f64) -> String,
    name: &'a str,
}

/// How points are drawn.
#[derive(Clone, Copy, PartialEq)]
enum Mark {
    Line,
    Dots,
    Both,
}

struct Line {
    name: String,
    points: Vec<(f64, f64)>,
}

impl Axis<'_> {
    fn place(&self, value: f64) -> f64 {
        let along = |v: f64| match self.scale {
            Scale::Linear => v,
            Scale::Log => v.max(1e-300).log10(),
        };
        let (low, high) = (along(self.low), along(self.high));
        ((along(value) - low) / (high - low).max(1e-12)).clamp(0.0, 1.0)
    }

    fn ticks(&self) -> Vec<f64> {
        match self.scale {
            Scale::Log => {
                let (low, high) =
                    (self.low.log10().ceil() as i32, self.high.log10().floor() as i32);
                (low..=high).map(|power| 10f64.powi(power)).collect()
            }
            Scale::Linear => {
                let step = nice((self.high - self.low) / 5.0);
                let first = (self.low / step).ceil() as i64;
                let last = (self.high / step + 1e-9).floor() as i64;
                (first..=last).map(|n| n as f64 * step).collect()
            }
        }
    }
}

/// A step of 1, 2 or 5 times a power of ten.
fn nice(step: f64) -> f64 {
    let power = 10f64.powf(step.max(1e-12).log10().floor());
    let times = [1.0, 2.0, 5.0, 10.0].into_iter().find(|t| t * power >= step * 0.999);
    times.unwrap_or(10.0) * power
}

fn draw(
    title: &str,
    width: f64,
    x: &Axis<'_>,
    y: &Axis<'_>,
    lines: &[Line],
    mark: Mark,
    target: Option<(f64, &str)>,
) -> String {
    let mut canvas = Canvas::new(width);
    canvas.text(0.0, 16.0, "title", &fit(title, width));
    let at_x = |value: f64| LEFT + x.place(value) * (width - LEFT - RIGHT);
    let at_y = |value: f64| TOP + (1.0 - y.place(value)) * (HEIGHT - TOP - BOTTOM);
    for tick in y.ticks() {
        canvas.line(LEFT, at_y(tick), width - RIGHT, at_y(tick), "rule");
        canvas.text(LEFT - 8.0, at_y(tick) + 4.0, "tick small end", &(y.show)(tick));
    }
    for tick in x.ticks() {
        canvas.text(at_x(tick), HEIGHT - BOTTOM + 16.0, "tick small middle", &(x.show)(tick));
    }
    canvas.text(
        LEFT,
        HEIGHT - 12.0,
        "small muted",
        &fit(&format!("{} → {}", y.name, x.name), width),
    );
    if let Some((value, text)) = target {
        canvas.line(LEFT, at_y(value), width - RIGHT, at_y(value), "line target");
        canvas.text(width - RIGHT, at_y(value) - 4.0, "small muted end", text);
    }
    let mut legend = LEFT + 8.0;
    for (at, line) in lines.iter().enumerate() {
        let points: Vec<String> = line
            .points
            .iter()
            .map(|&(px, py)| format!("{:.1},{:.1}", at_x(px), at_y(py)))
            .collect();
        let class = CLASSES[at % CLASSES.len()];
        if mark != Mark::Dots {
            canvas.body.push_str(&format!(
                "<polyline points=\"{}\" class=\"{class}\"/>",
                points.join(" ")
            ));
        }
        if mark != Mark::Line {
            for &(px, py) in &line.points {
                canvas.body.push_str(&format!(
                    "<circle cx=\"{:.1}\" cy=\"{:.1}\" r=\"3\" class=\"{}\"><title \
                     data-value=\"{py}\">{}</title></circle>",
                    at_x(px),
                    at_y(py),
                    DOTS[at % DOTS.len()],
                    escape(&format!("{} {}: {}", (x.show)(px), x.name, (y.show)(py)))
                ));
            }
        }
        if lines.len() > 1 {
            let room = (width - RIGHT - LEFT) / lines.len() as f64;
            canvas.rect(legend, TOP - 8.0, 9.0, 9.0, DOTS[at % DOTS.len()], 2.0);
            canvas.text(legend + 13.0, TOP, "small muted", &fit(&line.name, room - 16.0));
            legend += room;
        }
    }
    canvas.height = HEIGHT;
    canvas.finish(title)
}

/// The scenarios that are answers, at most four, each with its row.
fn answers<'a>(
    plan: &'a Plan,
    scenarios: &'a [Scenario],
) -> impl Iterator<Item = (&'a crate::plan::document::Row, &'a Scenario)> {
    plan.scenarios.iter().zip(scenarios).filter(|(_, s)| !s.on_the_way).take(CLASSES.len())
}

/// The share of requests that find no instance ready, over the number of provisioned ones, a line
/// for each keep-alive; `None` where no keep-alive was simulated with two numbers.
pub fn cold_by_provisioned(
    scenarios: &[Scenario],
    target: Option<(f64, &str)>,
    width: f64,
) -> Option<String> {
    let mut keep_alives: Vec<u64> = scenarios.iter().map(|s| s.keep_alive_ns).collect();
    keep_alives.sort_unstable();
    keep_alives.dedup();
    let first = scenarios.first()?;
    let lines: Vec<Line> = keep_alives
        .iter()
        .take(CLASSES.len())
        .map(|&keep_alive_ns| {
            let of = scenarios
                .iter()
                .filter(|s| s.keep_alive_ns == keep_alive_ns && s.memory_mib == first.memory_mib);
            let mut points: Vec<(f64, f64)> = of
                .map(|s| {
                    let all = (s.tally.all.served + s.tally.all.refused).max(1);
                    let outside = s.tally.all.cold + s.tally.all.refused;
                    (s.provisioned as f64, outside as f64 / all as f64)
                })
                .collect();
            points.sort_by(|a, b| a.0.total_cmp(&b.0));
            points.dedup_by_key(|point| point.0);
            Line { name: format!("keep-alive {}", duration::short(keep_alive_ns)), points }
        })
        .filter(|line| line.points.len() > 1)
        .collect();
    let values = || lines.iter().flat_map(|line| &line.points);
    let most = values().map(|point| point.0).fold(0.0, f64::max);
    if most == 0.0 {
        return None;
    }
    let low = values().map(|point| point.1).filter(|&v| v > 0.0).fold(1.0, f64::min);
    let low = low.min(target.map_or(1.0, |(value, _)| value).max(1e-7)).log10().floor();
    let number = |value: f64| format!("{value:.0}");
    let x = Axis { scale: Scale::Linear, low: 0.0, high: most, show: &number, name: "provisioned" };
    let share = |value: f64| answer::percent(value);
    let low = 10f64.powf(low);
    let y = Axis { scale: Scale::Log, low, high: 1.0, show: &share, name: "cold or refused" };
    Some(draw("Cold starts by provisioned instances", width, &x, &y, &lines, Mark::Both, target))
}

/// Latency over the share of requests that are slower, a line for each answer.
pub fn latencies(plan: &Plan, scenarios: &[Scenario], width: f64) -> String {
    let lines: Vec<Line> = answers(plan, scenarios)
        .map(|(row, scenario)| {
            let mut points: Vec<(f64, f64)> = Vec::new();
            for (ns, up_to) in scenario.tally.latency.curve() {
                // Beyond ten requests there is nothing to see.
                let slower = (1.0 - up_to).max(10.0 / scenario.tally.latency.count() as f64);
                if up_to < 0.1 {
                    continue; // otherwise the quickest tenth would fill most of the plot
                }
                let moved = points.last().is_none_or(|&(x, y): &(f64, f64)| {
                    (1.0 / slower) / x > 1.02 || ns as f64 / y > 1.02
                });
                if moved {
                    points.push((1.0 / slower, ns as f64));
                }
            }
            Line { name: row.name.clone(), points }
        })
        .collect();
    let values = || lines.iter().flat_map(|line| &line.points);
    let most_x = values().map(|point| point.0).fold(10.0, f64::max);
    let low = values().map(|point| point.1).filter(|&v| v > 0.0).fold(f64::INFINITY, f64::min);
    let high = values().map(|point| point.1).fold(1.0, f64::max);
    let (low, high) = (low.min(high).log10().floor(), high.log10().ceil());
    let one_in = |value: f64| match value {
        v if v < 2.0 => "all".into(),
        v => format!("p{}", 100.0 - (1e6 / v).round() / 1e4),
    };
    let x = Axis {
        scale: Scale::Log,
        low: 1.0,
        high: most_x,
        show: &one_in,
        name: "share of requests",
    };
    let y = Axis {
        scale: Scale::Log,
        low: 10f64.powf(low),
        high: 10f64.powf(high.max(low + 1.0)),
        show: &time,
        name: "latency",
    };
    draw("Latency", width, &x, &y, &lines, Mark::Line, None)
}

/// What 30 days cost over the p99, a dot a scenario; `None` without a price or with one scenario.
pub fn cost_by_tail(plan: &Plan, scenarios: &[Scenario], width: f64) -> Option<String> {
    let mut points: Vec<(f64, f64)> = plan
        .scenarios
        .iter()
        .zip(scenarios)
        .filter_map(|(row, scenario)| {
            let month = 30.0 * DAY_NS as f64 / scenario.tally.usage.length_ns.max(1) as f64;
            Some((row.latency_ns.p99? as f64, row.cost?.total_high * month))
        })
        .collect();
    points.sort_by(|a, b| a.0.total_cmp(&b.0));
    if points.len() < 2 {
        return None;
    }
    let currency = plan.scenarios.iter().find_map(|row| row.cost).map_or("", |c| c.currency);
    let (low, high) = (points[0].0, points[points.len() - 1].0);
    let most = points.iter().map(|point| point.1).fold(0.0, f64::max);
    let x =
        Axis { scale: Scale::Linear, low: low * 0.9, high: high * 1.05, show: &time, name: "p99" };
    let money = |value: f64| format!("{value:.0}");
    let name = format!("{currency} for 30 days");
    let y = Axis { scale: Scale::Linear, low: 0.0, high: most * 1.1, show: &money, name: &name };
    let line = Line { name: String::new(), points };
    Some(draw("Cost against tail", width, &x, &y, &[line], Mark::Dots, None))
}

/// Instances over the day, or over the run where that is shorter, a line for each answer.
pub fn instances_by_time(plan: &Plan, scenarios: &[Scenario], width: f64) -> String {
    let length_ns = scenarios.iter().map(|s| s.tally.usage.length_ns).max().unwrap_or(1);
    let parts = scenarios.iter().map(|s| s.tally.parts).max().unwrap_or(1).max(1);
    let (shown_ns, unit_ns, unit) = match length_ns / parts {
        ns if ns >= DAY_NS => (DAY_NS, 3_600e9, "hour of the day"),
        ns if ns >= 3_600_000_000_000 => (ns, 3_600e9, "hours"),
        ns if ns >= 120_000_000_000 => (ns, 60e9, "minutes"),
        ns => (ns.max(1), 1e9, "seconds"),
    };
    let lines: Vec<Line> = answers(plan, scenarios)
        .map(|(row, scenario)| {
            let points = &scenario.tally.usage.points;
            let at = |n: usize| n as f64 * shown_ns as f64 / unit_ns / points.len() as f64;
            let seen = points.iter().enumerate().filter(|(_, (_, looks, _))| *looks > 0);
            let points = seen.map(|(n, (sum, looks, _))| (at(n), *sum as f64 / *looks as f64));
            Line { name: row.name.clone(), points: points.collect() }
        })
        .collect();
    let most = lines.iter().flat_map(|l| &l.points).map(|point| point.1).fold(0.0, f64::max);
    let number = |value: f64| format!("{value}");
    let high = shown_ns as f64 / unit_ns;
    let x = Axis { scale: Scale::Linear, low: 0.0, high, show: &number, name: unit };
    let y = Axis {
        scale: Scale::Linear,
        low: 0.0,
        high: most.max(1.0) * 1.1,
        show: &number,
        name: "instances",
    };
    draw("Instances", width, &x, &y, &lines, Mark::Line, None)
}

/// The target of a plan as a line in the plot of cold shares.
pub fn target_line(target: Option<&str>) -> Option<(f64, &str)> {
    let text = target?;
    let share = text.strip_prefix("cold<=")?.strip_suffix('%')?.parse::<f64>().ok()? / 100.0;
    Some((share, text))
}
