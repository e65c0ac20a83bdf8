//! Plots of results as SVG, as documents or as parts of the report: stacked phases, samples,
//! bursts. Pure functions of results and a width in pixels. A text that is a number has its raw
//! value in `data-value`, so that a test can compare it with results.json; axis ticks have the
//! class `tick`.

mod bursts;
mod phases;
mod plan;
mod samples;

use crate::phase::Phase;
use crate::results::{PageCache, Run, Scenario, Variant, name_of};

pub use bursts::bursts;
pub use phases::phases;
pub use plan::{cold_by_provisioned, cost_by_tail, instances_by_time, latencies, target_line};
pub use samples::samples;

/// Colours as CSS custom properties, for both themes; shared with the report.
pub fn colours() -> String {
    let of = |colour: fn(Phase) -> &'static str| -> String {
        let rules = Phase::all().iter().map(|&phase| format!("--{phase}:{}", colour(phase)));
        rules.collect::<Vec<_>>().join(";")
    };
    format!(
        ":root{{{LIGHT}{}}}@media (prefers-color-scheme:dark){{:root{{{DARK}{}}}}}",
        of(Phase::light_colour),
        of(Phase::dark_colour)
    )
}

/// The colours that do not belong to a phase.
const LIGHT: &str = "--ground:#fbfbf9;--surface:#fff;--ink:#1d1d1b;--muted:#686862;--line:#e3e3dd;\
                     --mark:#b3261e;";
const DARK: &str = "--ground:#141413;--surface:#1d1d1b;--ink:#ecece6;--muted:#a3a39b;\
                    --line:#35352f;--mark:#ff8a80;";

/// CSS of a plot's elements; it needs [`colours`].
pub fn style() -> String {
    let phases = Phase::all().iter().map(|phase| format!("svg .{phase}{{fill:var(--{phase})}}"));
    format!("{TEXT_STYLE}{}{MARK_STYLE}", phases.collect::<String>())
}

const TEXT_STYLE: &str = "\
    svg text{font:12px system-ui,sans-serif;fill:var(--ink)}\
    svg .muted,svg .tick{fill:var(--muted)}\
    svg .small{font-size:11px}\
    svg .title{font-weight:600;font-size:13px}\
    svg .number{font-variant-numeric:tabular-nums}\
    svg .end{text-anchor:end}\
    svg .middle{text-anchor:middle}\
    svg .rule{stroke:var(--line);stroke-width:1}";

const MARK_STYLE: &str = "\
    svg .dot{fill:var(--pull);fill-opacity:.75}\
    svg .outlier{fill:none;stroke:var(--mark);stroke-width:1.2}\
    svg .interval{fill:var(--ink);fill-opacity:.13}\
    svg .median{stroke:var(--ink);stroke-width:2}\
    svg .line{fill:none;stroke:var(--pull);stroke-width:2}\
    svg .line.far{stroke:var(--start);stroke-dasharray:5 4}\
    svg .line.s1{stroke:var(--unpack)}\
    svg .line.s2{stroke:var(--create)}\
    svg .line.s3{stroke:var(--start)}\
    svg .line.target{stroke:var(--mark);stroke-width:1.2;stroke-dasharray:4 3}\
    svg .track{fill:var(--line);fill-opacity:.5}";

/// A plot as a document of its own.
pub fn document(plot: &str) -> String {
    let head_end = plot.find('>').map_or(0, |at| at + 1);
    let (head, rest) = plot.split_at(head_end);
    format!("{head}<style>{}{}svg{{background:var(--ground)}}</style>{rest}\n", colours(), style())
}

/// The same in the light theme, without custom properties: for programs that know no CSS variables.
pub fn flat_document(plot: &str) -> String {
    let colours = colours();
    let light = colours.split('}').next().unwrap_or("").trim_start_matches(":root{");
    let named = light.split(';').filter_map(|rule| rule.split_once(':'));
    let flat =
        named.fold(style(), |style, (name, value)| style.replace(&format!("var({name})"), value));
    let ground =
        light.split(';').find_map(|rule| rule.strip_prefix("--ground:")).unwrap_or("white");
    let head_end = plot.find('>').map_or(0, |at| at + 1);
    let (head, rest) = plot.split_at(head_end);
    format!(
        "{head}<style>{flat}</style><rect width=\"100%\" height=\"100%\" \
         fill=\"{ground}\"/>{rest}\n"
    )
}

/// Width and height in pixels, and the elements so far.
struct Canvas {
    width: f64,
    height: f64,
    body: String,
}

impl Canvas {
    fn new(width: f64) -> Self {
        Self { width, height: 0.0, body: String::new() }
    }

    fn finish(self, label: &str) -> String {
        let (width, height, body) = (self.width, self.height, self.body);
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" \
             width=\"{width}\" height=\"{height}\" role=\"img\" aria-label=\"{}\">{body}</svg>",
            escape(label)
        )
    }

    fn text(&mut self, x: f64, y: f64, class: &str, text: &str) {
        self.body.push_str(&format!(
            "<text x=\"{x:.1}\" y=\"{y:.1}\" class=\"{class}\">{}</text>",
            escape(text)
        ));
    }

    /// A number, shown as text, with its raw value.
    fn number(&mut self, x: f64, y: f64, class: &str, raw: f64, shown: &str) {
        let shown = escape(shown);
        self.body.push_str(&format!(
            "<text x=\"{x:.1}\" y=\"{y:.1}\" class=\"number {class}\" \
             data-value=\"{raw}\">{shown}</text>"
        ));
    }

    fn rect(&mut self, x: f64, y: f64, width: f64, height: f64, class: &str, radius: f64) {
        self.body.push_str(&format!(
            "<rect x=\"{x:.2}\" y=\"{y:.1}\" width=\"{:.2}\" height=\"{height:.1}\" \
             rx=\"{radius}\" class=\"{class}\"/>",
            width.max(0.0)
        ));
    }

    fn line(&mut self, x1: f64, y1: f64, x2: f64, y2: f64, class: &str) {
        self.body.push_str(&format!(
            "<line x1=\"{x1:.2}\" y1=\"{y1:.1}\" x2=\"{x2:.2}\" y2=\"{y2:.1}\" class=\"{class}\"/>"
        ));
    }
}

/// Conditions that runs of different variants share if they may be compared.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Group<'a> {
    scenario: Scenario,
    link: &'a str,
    page_cache: PageCache,
    burst: usize,
}

impl<'a> Group<'a> {
    /// The group of a run.
    pub fn of(run: &'a Run) -> Self {
        Self {
            scenario: run.scenario,
            link: &run.link,
            page_cache: run.page_cache,
            burst: run.burst,
        }
    }

    /// The groups of all runs, in the order they were measured.
    pub fn all(variants: &'a [Variant]) -> Vec<Self> {
        let mut groups = Vec::new();
        for run in variants.iter().flat_map(|v| &v.runs) {
            if !groups.contains(&Self::of(run)) {
                groups.push(Self::of(run));
            }
        }
        groups
    }

    /// The variants' runs of this group.
    pub fn runs(self, variants: &'a [Variant]) -> impl Iterator<Item = (&'a Variant, &'a Run)> {
        variants.iter().flat_map(move |v| {
            v.runs.iter().filter(move |r| Self::of(r) == self).map(move |r| (v, r))
        })
    }

    /// See [`name_of`].
    pub fn name(self) -> String {
        name_of(self.scenario, self.link, self.page_cache, self.burst)
    }
}

/// Text inside markup.
fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// Shortens a label to what fits into `width` pixels at 12 px.
fn fit(text: &str, width: f64) -> String {
    let room = (width / 6.6) as usize;
    match text.chars().count() {
        n if n <= room => text.to_owned(),
        _ => text.chars().take(room.saturating_sub(1)).chain(['…']).collect(),
    }
}
