//! Whether a platform would take an image: its documented rules as a table of rule, verdict,
//! evidence, what to do and source. It looks at the image's bytes; [`run`] starts it as well. It
//! does not talk to any platform.

mod program;
mod provider;
mod rules;
pub mod run;
mod secrets;

pub use provider::{PortSaid, Provider};

use crate::contents::{Contents, ContentsError};
use crate::image::Image;
use crate::inspect::one_line;
use serde::Serialize;
use std::fmt::Write;

/// How a rule turned out.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// It holds.
    Pass,
    /// The platform's documents do not settle it, or it only costs time.
    Warn,
    /// It is broken: the platform refuses the image or the function fails.
    Fail,
    /// It could not be looked at here.
    Skip,
}

/// One rule and how it turned out.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Finding {
    /// A word or two.
    pub rule: &'static str,
    /// How it turned out.
    pub verdict: Verdict,
    /// What was seen.
    pub evidence: String,
    /// What to do; empty when there is nothing to.
    pub remedy: String,
    /// Where the rule is written.
    pub source: &'static str,
}

/// All of a check.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Report {
    /// Whose rules.
    pub platform: &'static str,
    /// What was checked: a name, or the manifest's digest.
    pub image: String,
    /// Whether no rule failed.
    pub passed: bool,
    /// In the order of the rules.
    pub findings: Vec<Finding>,
}

/// Holds `image` to the rules of `provider`. `memory_mib` is what the function is to have; `place`
/// is how the image was named.
///
/// # Errors
/// [`ContentsError`] when its program cannot be read.
pub fn check(
    image: &Image,
    contents: &Contents,
    provider: &'static Provider,
    memory_mib: Option<u64>,
    place: &str,
) -> Result<Report, ContentsError> {
    let findings = rules::all(&rules::Subject { image, contents, provider, memory_mib, place })?;
    let name = image.reference().map_or_else(|| image.manifest_digest().to_string(), str::to_owned);
    Ok(Report { platform: provider.name, image: name, passed: true, findings: Vec::new() }
        .with(findings))
}

impl Report {
    /// The report with more findings.
    pub fn with(mut self, findings: Vec<Finding>) -> Report {
        self.findings.extend(findings);
        self.passed = self.findings.iter().all(|finding| finding.verdict != Verdict::Fail);
        self
    }

    /// The report as text.
    pub fn text(&self) -> String {
        let mut out = format!("{}  for {}\n", one_line(&self.image), self.platform);
        for finding in &self.findings {
            let verdict = match finding.verdict {
                Verdict::Pass => "pass",
                Verdict::Warn => "WARN",
                Verdict::Fail => "FAIL",
                Verdict::Skip => "skip",
            };
            writeln!(out, "{verdict}  {:<16}{}", finding.rule, one_line(&finding.evidence))
                .expect("a string takes all");
            if matches!(finding.verdict, Verdict::Warn | Verdict::Fail) {
                writeln!(
                    out,
                    "      {:<16}do: {}\n      {:<16}see: {}",
                    "",
                    one_line(&finding.remedy),
                    "",
                    finding.source
                )
                .expect("a string takes all");
            }
        }
        let count = |verdict| self.findings.iter().filter(|f| f.verdict == verdict).count();
        let (failed, warned) = (count(Verdict::Fail), count(Verdict::Warn));
        writeln!(
            out,
            "{}: {failed} failed, {warned} warnings, {} rules",
            if self.passed { "pass" } else { "FAIL" },
            self.findings.len()
        )
        .expect("a string takes all");
        out
    }
}
