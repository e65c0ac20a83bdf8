//! Plot of a run's distributions as an SVG: one panel per state of the page cache, one row per
//! program, time on a logarithmic axis; below them requests one after the other (`requests`). It
//! reads only a finished report, and the same report gives the same picture.

mod requests;

use crate::program::OURS;
use crate::report::{PageCache, Report, Run, Samples};
use bench_kit::stats::{quantile, sorted};
use std::fmt::Write;

const WIDTH: f64 = 960.0;
/// Left edge of the axis; names are to the left of it, medians to the right of `RIGHT`.
const LEFT: f64 = 180.0;
const RIGHT: f64 = 830.0;
const ROW: f64 = 46.0;
/// Height of a row's highest bar.
const PEAK: f64 = 34.0;
/// Height from a panel's top to its first row, and from its last row to its end, for titles, the
/// axis and its labels.
const ABOVE: f64 = 30.0;
const BELOW: f64 = 46.0;
const TOP: f64 = 62.0;
/// Number of bars along the axis.
const BINS: usize = 150;

const STYLE: &str = "text{font:13px \
                     system-ui,sans-serif;fill:#1f2933}.dim{fill:#66727f;font-size:12px}.\
                     title{font-size:17px;font-weight:600}.ours{font-weight:700}.grid{stroke:#\
                     e3e8ed}.base{stroke:#b8c2cc}.listen{fill:#d9a441;opacity:.55}.first{fill:#\
                     7b8794;opacity:.8}.first.ours{fill:#0b7285}.span{stroke:#1f2933;stroke-width:\
                     1.2}.mid{fill:#fff;stroke:#1f2933;stroke-width:1.5}.row{fill:none;stroke:\
                     #7b8794;stroke-width:1.5}.row.ours{stroke:#0b7285;stroke-width:2.5}.row.rival{\
                     stroke:#c2571a}text.rival{fill:#c2571a}.row.floor{stroke-dasharray:4 \
                     3}";

/// A logarithmic axis between two times, in nanoseconds.
struct Axis {
    from: f64,
    to: f64,
}

/// Draws a report.
pub fn draw(report: &Report) -> String {
    let caches = report.page_caches();
    let axis = Axis::over(report);
    let panel = ABOVE + BELOW + ROW * report.variants.len() as f64;
    let below = TOP + panel * caches.len() as f64;
    let height = below + requests::height(report);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" \
         width=\"{WIDTH}\" height=\"{height}\"><style>{STYLE}</style><rect width=\"100%\" \
         height=\"100%\" fill=\"#fff\"/><text class=\"title\" x=\"20\" y=\"28\">From exec to the \
         first byte of an event's reply</text><rect class=\"listen\" x=\"20\" y=\"40\" \
         width=\"12\" height=\"12\"/><text class=\"dim\" x=\"37\" y=\"50\">listening</text><rect \
         class=\"first\" x=\"105\" y=\"40\" width=\"12\" height=\"12\"/><text class=\"dim\" \
         x=\"122\" y=\"50\">first byte (circle: median, line: 25th to 99th percentile), further \
         left is better · {}</text>",
        escape(&caption(report))
    );
    for (index, cache) in caches.into_iter().enumerate() {
        draw_panel(&mut svg, report, cache, &axis, TOP + panel * index as f64);
    }
    requests::draw(&mut svg, report, below);
    svg + "</svg>\n"
}

fn caption(report: &Report) -> String {
    let host = &report.host.machine;
    let day = host.date.split('T').next().unwrap_or_default();
    format!("{}, Linux {}, {day}", host.cpu_model, host.kernel)
}

fn draw_panel(svg: &mut String, report: &Report, cache: PageCache, axis: &Axis, top: f64) {
    let title = match cache {
        PageCache::Warm => "page cache warm",
        PageCache::Evicted => "page cache evicted: the ELF is read from the disk again",
    };
    let rows = top + ABOVE;
    let bottom = rows + ROW * report.variants.len() as f64;
    put(svg, format_args!("<text x=\"{LEFT}\" y=\"{}\">{title}</text>", top + 18.0));
    for tick in axis.ticks() {
        let (x, label) = (axis.x(tick), tick / 1e6);
        put(
            svg,
            format_args!(
                "<line class=\"grid\" x1=\"{x:.1}\" y1=\"{rows}\" x2=\"{x:.1}\" y2=\"{bottom}\"/>"
            ),
        );
        put(
            svg,
            format_args!(
                "<text class=\"dim\" x=\"{x:.1}\" y=\"{}\" text-anchor=\"middle\">{label}</text>",
                bottom + 17.0
            ),
        );
    }
    let middle = (LEFT + RIGHT) / 2.0;
    put(
        svg,
        format_args!(
            "<text class=\"dim\" x=\"{middle}\" y=\"{}\" text-anchor=\"middle\">milliseconds from \
             execve, logarithmic</text>",
            bottom + 34.0
        ),
    );
    for (index, variant) in report.variants.iter().enumerate() {
        if let Some(run) = variant.run(cache) {
            draw_row(svg, &variant.name, run, axis, rows + ROW * (index + 1) as f64);
        }
    }
}

fn draw_row(svg: &mut String, name: &str, run: &Run, axis: &Axis, base: f64) {
    let ours = if name == OURS { " ours" } else { "" };
    let [listen, first] = times(&run.samples);
    put(
        svg,
        format_args!(
            "<line class=\"base\" x1=\"{LEFT}\" y1=\"{base}\" x2=\"{RIGHT}\" y2=\"{base}\"/>"
        ),
    );
    put(
        svg,
        format_args!(
            "<text class=\"{}\" x=\"{}\" y=\"{}\" text-anchor=\"end\">{}</text>",
            ours.trim(),
            LEFT - 10.0,
            base - 6.0,
            escape(name)
        ),
    );
    put(svg, format_args!("<path class=\"listen\" d=\"{}\"/>", outline(&listen, axis, base)));
    put(svg, format_args!("<path class=\"first{ours}\" d=\"{}\"/>", outline(&first, axis, base)));
    let [Some(low), Some(middle), Some(high)] = [0.25, 0.5, 0.99].map(|q| quantile(&first, q))
    else {
        return;
    };
    let (y, text) = (base - 4.0, RIGHT + 10.0);
    put(
        svg,
        format_args!(
            "<line class=\"span\" x1=\"{:.1}\" y1=\"{y}\" x2=\"{:.1}\" y2=\"{y}\"/>",
            axis.x(low),
            axis.x(high)
        ),
    );
    put(
        svg,
        format_args!("<circle class=\"mid\" cx=\"{:.1}\" cy=\"{y}\" r=\"3\"/>", axis.x(middle)),
    );
    put(
        svg,
        format_args!(
            "<text class=\"{}\" x=\"{text}\" y=\"{}\">{:.3} ms</text>",
            ours.trim(),
            base - 6.0,
            middle / 1e6
        ),
    );
    put(
        svg,
        format_args!(
            "<text class=\"dim\" x=\"{text}\" y=\"{}\">n {}</text>",
            base - 21.0,
            first.len()
        ),
    );
}

/// The histogram of samples as a closed path; the highest bar of each has the same height.
fn outline(samples: &[f64], axis: &Axis, base: f64) -> String {
    let mut bins = [0usize; BINS];
    for sample in samples {
        let at = (axis.x(*sample) - LEFT) / (RIGHT - LEFT) * BINS as f64;
        bins[(at.max(0.0) as usize).min(BINS - 1)] += 1;
    }
    let highest = bins.iter().copied().max().unwrap_or(0).max(1) as f64;
    let width = (RIGHT - LEFT) / BINS as f64;
    let mut path = String::new();
    for (index, count) in bins.iter().enumerate().filter(|(_, count)| **count > 0) {
        let (x, height) = (LEFT + width * index as f64, PEAK * *count as f64 / highest);
        put(&mut path, format_args!("M{x:.1} {base}v-{height:.1}h{width:.2}v{height:.1}z"));
    }
    path
}

/// Sorted times to listening and to the first byte, in nanoseconds.
fn times(samples: &Samples) -> [Vec<f64>; 2] {
    samples.times().map(|times| sorted(&times.into_iter().flatten().collect::<Vec<_>>()))
}

impl Axis {
    /// An axis for all samples, without the highest half percent.
    fn over(report: &Report) -> Self {
        let runs = report.variants.iter().flat_map(|variant| &variant.runs);
        let times: Vec<[Vec<f64>; 2]> = runs.map(|run| times(&run.samples)).collect();
        let least = times
            .iter()
            .filter_map(|[listen, _]| listen.first().copied())
            .fold(f64::INFINITY, f64::min);
        let most = times.iter().filter_map(|[_, first]| quantile(first, 0.995)).fold(0.0, f64::max);
        if least.is_finite() && most > least {
            Self { from: least * 0.95, to: most * 1.05 }
        } else {
            Self { from: 1e5, to: 1e6 }
        }
    }

    fn x(&self, ns: f64) -> f64 {
        LEFT + self.share(ns) * (RIGHT - LEFT)
    }

    /// Position of a time on the axis, 0 to 1.
    fn share(&self, ns: f64) -> f64 {
        ((ns / self.from).ln() / (self.to / self.from).ln()).clamp(0.0, 1.0)
    }

    /// Ticks of the axis: 1, 2 and 5 times the powers of ten.
    fn ticks(&self) -> Vec<f64> {
        let all = (3..11).flat_map(|power| [1.0, 2.0, 5.0].map(|digit| digit * 10f64.powi(power)));
        all.filter(|tick| (self.from..=self.to).contains(tick)).collect()
    }
}

fn put(svg: &mut String, text: std::fmt::Arguments<'_>) {
    let _ = svg.write_fmt(text); // writing to a string does not fail
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;")
}
